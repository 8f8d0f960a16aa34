/** What of a conversation is to be seen, computed from its transcript: no DOM. */

export class Conversation {
  /** `transcript` is the client's. */
  constructor(transcript) {
    this.transcript = transcript;
  }

  get turn() {
    return this.transcript.turn;
  }

  get pending() {
    return this.transcript.pending;
  }

  get hasMore() {
    return this.transcript.hasMore;
  }

  get isEmpty() {
    return this.transcript.isEmpty;
  }

  get title() {
    return this.transcript.title;
  }

  /** Entries for the screen: `log` (finished messages), `current` (the running answer), `pending`. */
  entries() {
    const { messages } = this.transcript;
    const log = messages.filter((message, index) => !this.#isBeingReplaced(message, messages[index - 1]));
    return {
      log: log.map((message, index) => this.#logEntry(message, log[index + 1])),
      current: this.turn ? [turnEntry(this.turn)] : [],
      pending: this.pending.map(pendingEntry),
    };
  }

  #isBeingReplaced(message, previous) {
    return this.turn && message.role === "assistant" && previous?.messageId === this.turn.messageId;
  }

  #logEntry(message, next) {
    const last = !next && !this.turn && !this.pending.some((other) => !other.rejected);
    const state = message.role === "user" ? this.#answerState(message, next) : message.status ?? "complete";
    return { ...message, key: keyOf(message), state, canRetry: last && state !== "complete" };
  }

  #answerState(message, next) {
    if (next?.role === "assistant" || this.turn?.messageId === message.messageId) return "complete";
    const { settledSeq, failed } = this.transcript;
    const silent = !next && !this.turn && message.seq <= settledSeq;
    return silent || failed.has(message.messageId) ? "unanswered" : "complete";
  }
}

/** An answer keeps its key, and so its element, when it moves from the turn to the log. */
function keyOf({ role, messageId, turnId, seq }) {
  if (role === "user" && messageId) return `user ${messageId}`;
  return role === "assistant" && turnId ? `turn ${turnId}` : `seq ${seq}`;
}

function turnEntry({ turnId, phase, text }) {
  return { key: `turn ${turnId}`, role: "assistant", content: text, state: text ? phase : "thinking" };
}

function pendingEntry({ id, content, acknowledged, rejected, position }) {
  const state = rejected ? "rejected" : acknowledged ? "queued" : "sending";
  return { key: `user ${id}`, role: "user", messageId: id, content, state, position, canRetry: Boolean(rejected) };
}
