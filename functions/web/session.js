/** What the page adds to the client: the history by REST, messages that outlive a reload, and a countdown. */

const OF_THE_TOKEN = /^token_(missing|invalid|expired|not_yet_valid)$/;

export class Session {
  #kept = null; // what the drafts hold
  #showTimer = 0;

  /**
   * `chat` is the client's, not open yet. `changed()`, `failed(error)` and `unauthorized(code)` are called back;
   * `history({before})` reads a page of older messages.
   */
  constructor({ chat, history, drafts, changed, failed, unauthorized }) {
    Object.assign(this, { chat, history, drafts, changed, failed, unauthorized });
  }

  async start() {
    this.restore();
    this.chat.on("change", () => this.#show());
    this.chat.on("error", (error) => this.#fail(error));
    await this.#loadNewest();
    this.chat.open();
  }

  /** Sends what the drafts hold and the chat does not have. */
  restore() {
    const known = new Set(this.chat.transcript.pending.map(({ id }) => id));
    for (const { id, content } of this.drafts.unsent) if (!known.has(id)) this.chat.send(content, { id });
  }

  /** What REST does not tell, the socket will. */
  async #loadNewest() {
    try {
      this.chat.transcript.load(await this.history());
      this.#show();
    } catch {
      return;
    }
  }

  async loadOlder() {
    const page = await this.history({ before: this.chat.transcript.oldestSeq });
    this.chat.transcript.load(page, { older: true });
    this.#show();
  }

  get secondsHeld() {
    return this.chat.secondsHeld;
  }

  send(content) {
    this.chat.send(content);
  }

  stop() {
    this.chat.cancel();
  }

  clear() {
    this.chat.clear();
  }

  retry({ state, messageId, content }) {
    if (state === "rejected") this.chat.send(content, { id: messageId });
    else this.chat.regenerate();
  }

  remove({ messageId }) {
    this.chat.cancel(messageId);
  }

  #fail({ message, code, retryAfter }) {
    if (OF_THE_TOKEN.test(code)) this.unauthorized(code);
    else if (code !== "no_connection") this.failed({ error: message, code, retryAfter }); // the page knows more of it
  }

  #show() {
    const { pending } = this.chat.transcript;
    if (pending !== this.#kept) this.drafts.unsent = pending.map(({ id, content }) => ({ id, content }));
    this.#kept = pending;
    clearTimeout(this.#showTimer);
    if (this.secondsHeld) this.#showTimer = setTimeout(() => this.#show(), 1000); // counts down
    this.changed();
  }
}
