/** Keeps a conversation and its socket in step: sends, resumes, loads history, and delivers every message once. */

import { LONGEST_HOLD } from "./conversation.js";
import { newId } from "./storage.js";

const RESEND_AFTER = 20_000; // an unacknowledged message is sent again; its id keeps it single
const RESUME_AGAIN_AFTER = 15_000;
const RESUME_PAUSE = 2_000;
const NO_TOKEN = /^token_(missing|invalid|expired|not_yet_valid)$/;
const REFUSAL = /^invalid_|_too_large$/; // of a message that could not even be read, so that its id is not told

export class Session {
  #sent = { id: null, at: 0 };
  #kept = null; // what the drafts hold
  #heldUntil = 0; // the server asked us to wait
  #flushTimer = 0;
  #showTimer = 0;
  #resumeTimer = 0;
  #resumedAt = 0;

  /**
   * `changed()`, `failed(error)` and `unauthorized(code)` are called back; `history({before})` reads a page of older
   * messages.
   */
  constructor({ conversation, socket, history, drafts, changed, failed, unauthorized }) {
    Object.assign(this, { conversation, socket, history, drafts, changed, failed, unauthorized });
  }

  async start() {
    for (const { id, content } of this.drafts.unsent) this.conversation.compose(id, content);
    await this.#loadNewest();
    this.#settle();
    this.socket.start();
  }

  /** Without history the socket can tell it all: resume from the beginning. */
  async #loadNewest() {
    try {
      this.conversation.load(await this.history());
    } catch {
      return;
    }
  }

  async loadOlder() {
    const page = await this.history({ before: this.conversation.oldestSeq });
    this.conversation.load(page, { older: true });
    this.#settle();
  }

  // --- what the user does -------------------------------------------------------------------------------------

  send(content) {
    this.conversation.compose(newId(), content);
    this.#settle();
  }

  stop() {
    this.#command("cancel");
  }

  clear() {
    this.#command("clear_history");
  }

  retry({ state, messageId }) {
    if (state !== "rejected") return this.#command("regenerate");
    this.conversation.amend(messageId, { rejected: false });
    this.#sent.id = null;
    this.#settle();
  }

  remove({ state, messageId }) {
    if (state === "queued") this.#command("cancel", { messageId });
    this.conversation.discard(messageId); // if it was too late, the log brings it back
    this.#settle();
  }

  #command(content, metadata = {}) {
    this.socket.send({ type: "system", content, metadata });
  }

  // --- what the socket does -----------------------------------------------------------------------------------

  opened() {
    this.#sent.id = null;
    this.conversation.reconnected();
    this.#resume();
    this.#settle();
  }

  received(frame) {
    if (NO_TOKEN.test(frame.code)) return this.unauthorized(frame.code);
    if (frame.type === "error") this.#refused(frame);
    else if (!frame.type && frame.message) this.failed({ error: frame.message }); // API Gateway's own words
    this.conversation.receive(frame);
    if (this.conversation.needsResume && !this.conversation.syncing) this.#resumeSoon();
    this.#settle();
  }

  #refused(frame) {
    if (frame.code === "nothing_to_cancel") return; // it ended by itself just before
    this.failed(frame);
    if (frame.retryAfter <= LONGEST_HOLD) this.#heldUntil = Date.now() + frame.retryAfter * 1000;
    const about = (frame.metadata ??= {});
    if (REFUSAL.test(frame.code)) about.messageId ??= this.conversation.nextToSend()?.id;
    if (about.messageId === this.#sent.id) this.#sent.id = null;
  }

  // --- delivery -----------------------------------------------------------------------------------------------

  get secondsHeld() {
    return Math.max(0, Math.ceil((this.#heldUntil - Date.now()) / 1000));
  }

  #settle() {
    this.#keepUnsent();
    this.#flush();
    this.#show();
  }

  #keepUnsent() {
    const { pending } = this.conversation;
    if (pending !== this.#kept) this.drafts.unsent = pending.map(({ id, content }) => ({ id, content }));
    this.#kept = pending;
  }

  #show() {
    clearTimeout(this.#showTimer);
    if (this.secondsHeld) this.#showTimer = setTimeout(() => this.#show(), 1000); // counts down
    this.changed();
  }

  #flush() {
    clearTimeout(this.#flushTimer);
    const next = this.conversation.nextToSend();
    if (!next || !this.socket.connected) return;
    const resendAt = next.id === this.#sent.id ? this.#sent.at + RESEND_AFTER : 0;
    const wait = Math.max(resendAt, this.#heldUntil) - Date.now();
    if (wait <= 0) this.#post(next);
    this.#flushTimer = setTimeout(() => this.#flush(), wait > 0 ? wait : RESEND_AFTER);
  }

  #post({ id, content }) {
    this.#sent = { id, at: Date.now() };
    this.socket.send({ type: "chat", role: "user", content, id });
    this.changed();
  }

  #resumeSoon() {
    clearTimeout(this.#resumeTimer);
    this.#resumeTimer = setTimeout(() => this.#resume(), this.#resumedAt + RESUME_PAUSE - Date.now());
  }

  #resume() {
    clearTimeout(this.#resumeTimer);
    if (!this.socket.connected) return;
    this.#resumedAt = Date.now();
    this.socket.send(this.conversation.resumeRequest());
    this.#resumeTimer = setTimeout(() => this.conversation.syncing && this.#resume(), RESUME_AGAIN_AFTER);
  }
}
