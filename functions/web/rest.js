/** The REST routes that the page uses. Who is refused for want of a token waits for one and asks again. */

import { EXPORTS } from "./exports.js";

const PAGE_SIZE = 50;
const LIST_SIZE = 30;
const PATIENCE = 20_000;

export class Rest {
  constructor(conversationId, access) {
    Object.assign(this, { access, conversationId });
  }

  /**
   * A page of messages, the newest or those before a seq. Like all of these it throws an Error; that has a `code` if
   * the server said no.
   */
  history({ before, limit = PAGE_SIZE } = {}) {
    return this.#ask("GET", addressOfConversation(this.conversationId, "/messages", { limit, ...(before && { before }) }));
  }

  state() {
    return this.#ask("GET", addressOfConversation(this.conversationId, "/state"));
  }

  async storeState(changes) {
    const answer = await this.#ask("PUT", addressOfConversation(this.conversationId, "/state"), changes);
    return answer.state ?? answer;
  }

  models() {
    return this.#ask("GET", "./models");
  }

  /** A page of one's own conversations: pinned ones first, then the latest. */
  conversations({ cursor, query, archived } = {}) {
    const about = { limit: LIST_SIZE, ...(cursor && { cursor }), ...(query && { q: query }), ...(archived && { archived }) };
    return this.#ask("GET", `./conversations?${new URLSearchParams(about)}`);
  }

  /** `changes` are any of title (null: automatic again), pinned, archived; answers the conversation's entry. */
  amend(id, changes) {
    return this.#ask("PATCH", addressOfConversation(id), changes);
  }

  remove(id) {
    return this.#ask("DELETE", addressOfConversation(id));
  }

  /** The whole conversation as a file: {blob, name}. `format` is "json" or "markdown". */
  async exported(format) {
    const { next, whole } = EXPORTS[format];
    const parts = [];
    let name = `conversation.${format === "json" ? "json" : "md"}`;
    for (let at = 0, after = 0; at <= after; after = next(parts.at(-1))) {
      const query = { format, ...(after && { after }) };
      const response = await this.#fetch("GET", addressOfConversation(this.conversationId, "/export", query));
      name = /filename="([^"/\\]+)"/.exec(response.headers.get("content-disposition") ?? "")?.[1] ?? name;
      parts.push(await response.text());
      at = after + 1;
    }
    return { blob: new Blob([parts.length > 1 ? whole(parts) : parts[0]]), name };
  }

  async #ask(method, address, body) {
    const text = await (await this.#fetch(method, address, body)).text();
    return text ? JSON.parse(text) : {};
  }

  async #fetch(method, address, body) {
    for (;;) {
      await this.access.granted();
      const { token, headers } = this.access;
      const response = await fetch(address, {
        method,
        signal: AbortSignal.timeout(PATIENCE),
        headers: { accept: "application/json", ...(body && { "content-type": "application/json" }), ...headers },
        ...(body && { body: JSON.stringify(body) }),
      });
      if (response.ok) return response;
      const error = await errorOf(response);
      if (response.status !== 401 || !this.access.refuse(token, error.code ?? "token_invalid")) throw error;
    }
  }
}

function addressOfConversation(id, part = "", query = {}) {
  const asked = new URLSearchParams(query).toString();
  return `./conversation/${encodeURIComponent(id)}${part}${asked && `?${asked}`}`;
}

async function errorOf(response) {
  const { error } = await response.json().catch(() => ({}));
  return Object.assign(new Error(error?.message ?? `The server answered ${response.status}.`), { code: error?.code });
}
