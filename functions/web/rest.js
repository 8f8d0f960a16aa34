/** The REST routes that the page reads. Who is refused for want of a token waits for one and asks again. */

const PAGE_SIZE = 50;
const PATIENCE = 20_000;

export class Rest {
  constructor(conversationId, access) {
    Object.assign(this, { conversationId, access });
  }

  /** A page of messages, the newest or those before a seq. Throws an Error; it has a `code` if the server said no. */
  history({ before, limit = PAGE_SIZE } = {}) {
    const query = new URLSearchParams({ limit, ...(before && { before }) });
    return this.#get(`./conversation/${encodeURIComponent(this.conversationId)}/messages?${query}`);
  }

  async #get(address) {
    for (;;) {
      await this.access.granted();
      const { token, headers } = this.access;
      const response = await fetch(address, {
        signal: AbortSignal.timeout(PATIENCE),
        headers: { accept: "application/json", ...headers },
      });
      if (response.ok) return response.json();
      const error = await errorOf(response);
      if (response.status !== 401 || !this.access.refuse(token, error.code ?? "token_invalid")) throw error;
    }
  }
}

async function errorOf(response) {
  const { error } = await response.json().catch(() => ({}));
  return Object.assign(new Error(error?.message ?? `The server answered ${response.status}.`), { code: error?.code });
}
