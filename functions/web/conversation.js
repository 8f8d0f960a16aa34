/**
 * What a conversation looks like, computed from the frames that arrive: no DOM, no network, no clock.
 *
 * The log (every message with a `seq`) is the truth. Behind it stand the answer that is being written (`turn`)
 * and our own messages that the log does not have yet (`pending`).
 *
 * Frames may come twice, late, or not at all. `needsResume` says that something is missing: send `resumeRequest()`.
 */

const OVER = new Set(["complete", "cancelled", "failed"]);
export const LONGEST_HOLD = 60; // seconds a refused message is held back and sent again by itself

export class Conversation {
  epoch = null; // this life of the conversation; clear begins another
  lastSeq = 0; // nothing up to here is missing
  hasMore = false; // older messages can be loaded
  turn = null;
  pending = [];
  syncing = false; // a resume is under way
  needsResume = false;

  #log = new Map(); // seq → message
  #parts = new Map(); // seq → pieces of a message too long for one frame
  #replaced = new Set(); // seqs that a later answer took the place of
  #newestEpoch = ""; // epochs sort by time
  #finished = new Map(); // turnId → highest attempt that is over
  #failed = new Set(); // ids of user messages whose turn brought no answer
  #settledSeq = 0; // up to here the server said that no turn is running
  #askedAbout = null; // the turn we had when we asked to resume

  // --- our own messages ---------------------------------------------------------------------------------------

  compose(id, content) {
    this.pending = [...this.pending, { id, content }];
  }

  /** The one message to send now: the next only goes out when this one is acknowledged, so order is kept. */
  nextToSend() {
    return this.pending.find((message) => !message.acknowledged && !message.rejected);
  }

  amend(id, changes) {
    this.pending = this.pending.map((message) => (message.id === id ? { ...message, ...changes } : message));
  }

  discard(id) {
    this.pending = this.pending.filter((message) => message.id !== id);
  }

  /** A new socket: what was queued is sent again (ids make that harmless), in case the queue was lost with it. */
  reconnected() {
    this.pending = this.pending.map((message) => ({ ...message, acknowledged: false }));
  }

  // --- history and resume -------------------------------------------------------------------------------------

  /** Takes a page of `GET messages`: the newest one, or (with `older`) one from before the oldest we have. */
  load(page, { older = false } = {}) {
    if (older && page.epoch !== this.epoch) {
      this.needsResume = true;
      return;
    }
    this.#enter(page.epoch);
    this.hasMore = Boolean(page.hasMore);
    for (const message of page.messages) this.#add(message);
    if (older) return;
    this.lastSeq = Math.max(this.lastSeq, ...page.messages.map((message) => message.seq));
    if (page.turn) this.#turnOf(page.turn);
    else this.#settledSeq = this.lastSeq;
  }

  resumeRequest() {
    this.syncing = true;
    this.needsResume = false;
    this.#askedAbout = this.turn?.turnId;
    const metadata = { afterSeq: this.lastSeq };
    if (this.epoch) metadata.epoch = this.epoch;
    if (this.turn) Object.assign(metadata, { turnId: this.turn.turnId, offset: this.turn.length });
    return { type: "system", content: "resume", metadata };
  }

  // --- frames -------------------------------------------------------------------------------------------------

  receive(frame) {
    const metadata = frame.metadata ?? {};
    if (frame.type === "chat") this.#chat(frame, metadata);
    else if (frame.type === "delta") this.#delta(frame.content, metadata);
    else if (frame.type === "status") this.#status(frame.status, metadata);
    else if (frame.type === "error") this.#error(frame, metadata);
    else if (frame.content === "resumed") this.#resumed(metadata);
    else if (/^(history|conversation)_cleared$/.test(frame.content)) this.#clear(metadata.epoch);
  }

  #chat({ role, content }, metadata) {
    if (!this.#enter(metadata.epoch)) return;
    const whole = this.#assemble(content, metadata);
    if (whole === null) return;
    const seq = metadata.seq ?? this.lastSeq + 1; // without stored conversations there is no seq
    this.#add({ ...metadata, role, content: whole, seq });
    if (this.syncing) return; // older messages may still be on their way; `resumed` settles it
    if (seq > this.lastSeq + 1) this.needsResume = true;
    else this.lastSeq = Math.max(this.lastSeq, seq);
  }

  #assemble(content, { seq, part = 1, parts = 1 }) {
    if (parts === 1) return content;
    const pieces = this.#parts.get(seq) ?? Array(parts).fill(null);
    pieces[part - 1] = content;
    this.#parts.set(seq, pieces);
    if (pieces.includes(null)) return null;
    this.#parts.delete(seq);
    return pieces.join("");
  }

  #add(message) {
    if (message.replaces != null) {
      this.#replaced.add(message.replaces);
      this.#log.delete(message.replaces);
    }
    if (this.#replaced.has(message.seq)) return;
    this.#log.set(message.seq, message);
    if (message.role === "user") this.discard(message.messageId);
    else this.#finish(message.turnId, Infinity);
  }

  #delta(content, { offset, ...metadata }) {
    const turn = this.#turnOf(metadata);
    if (!turn) return;
    turn.phase = "streaming";
    turn.waiting.push({ offset, content });
    turn.waiting.sort((one, other) => one.offset - other.offset);
    while (turn.waiting.length && turn.waiting[0].offset <= turn.length) grow(turn, turn.waiting.shift());
    if (turn.waiting.length) this.needsResume = true;
  }

  #status(status, metadata) {
    const { messageId, position } = metadata;
    if (status === "queued") this.amend(messageId, { acknowledged: true, position });
    else if (OVER.has(status)) this.#turnOver(status, metadata);
    else {
      const turn = this.#turnOf(metadata);
      if (turn && status === "streaming") turn.phase = "streaming";
    }
  }

  #turnOver(status, { turnId, messageId, attempt = Infinity }) {
    if (status !== "complete") this.#failed.add(messageId);
    if (status === "cancelled") this.discard(messageId); // taken off the queue
    if (!turnId || this.turn?.turnId !== turnId || this.turn.attempt > attempt) return;
    // Its message should have come first: keep the text on the screen until the log says what became of it.
    if (this.turn.text || status === "complete") this.needsResume = true;
    else this.#finish(turnId, attempt);
  }

  #error({ retryAfter }, { messageId }) {
    if (!messageId) return;
    const soon = retryAfter > 0 && retryAfter <= LONGEST_HOLD;
    this.amend(messageId, { acknowledged: false, rejected: !soon });
    this.#failed.add(messageId);
  }

  #resumed({ epoch, lastSeq, turnId }) {
    if (!this.#enter(epoch)) return;
    this.syncing = false;
    this.lastSeq = Math.max(this.lastSeq, lastSeq ?? 0);
    const turn = this.turn;
    if (turn && turn.turnId !== turnId && turn.turnId === this.#askedAbout) this.#finish(turn.turnId, turn.attempt);
    if (!this.turn && !turnId) this.#settledSeq = this.lastSeq;
    this.needsResume = Boolean(this.turn?.waiting.length);
  }

  // --- epochs and turns ---------------------------------------------------------------------------------------

  /** False for what belongs to a life that is over. */
  #enter(epoch) {
    if (!epoch || epoch === this.epoch) return true;
    if (epoch < this.#newestEpoch) return false;
    if (this.epoch) this.#clear(epoch);
    this.epoch = this.#newestEpoch = epoch;
    return true;
  }

  #clear(epoch) {
    if (epoch && epoch < this.#newestEpoch) return;
    if (epoch && epoch === this.epoch) {
      if (!this.isEmpty) this.needsResume = true; // told twice, as a rule
      return;
    }
    if (this.turn) this.#finish(this.turn.turnId, Infinity);
    for (const memory of [this.#log, this.#parts, this.#replaced, this.#failed]) memory.clear();
    this.epoch = epoch ?? null;
    this.#newestEpoch = epoch || this.#newestEpoch;
    this.lastSeq = this.#settledSeq = 0;
    this.hasMore = false;
    this.pending = this.pending.filter((message) => !message.acknowledged); // the server's queue went with it
  }

  /** The running turn that a frame speaks of, begun if need be; null if that turn or attempt is over. */
  #turnOf({ turnId, messageId, attempt = 1 }) {
    if (attempt <= (this.#finished.get(turnId) ?? 0)) return null;
    const same = this.turn?.turnId === turnId;
    if (same && attempt < this.turn.attempt) return null;
    if (!same || attempt > this.turn.attempt) {
      const known = same ? this.turn.messageId : undefined;
      this.turn = { turnId, attempt, messageId: known, phase: "thinking", text: "", length: 0, waiting: [] };
    }
    this.turn.messageId ??= messageId;
    return this.turn;
  }

  #finish(turnId, attempt) {
    if (turnId) this.#finished.set(turnId, attempt);
    if (turnId && this.turn?.turnId === turnId) this.turn = null;
  }

  // --- what is to be seen -------------------------------------------------------------------------------------

  get oldestSeq() {
    return Math.min(...this.#log.keys());
  }

  get isEmpty() {
    return !this.#log.size && !this.turn && !this.pending.length;
  }

  /** Entries for the screen: `log` (finished messages), `current` (the running answer), `pending`. */
  entries() {
    const messages = [...this.#log.values()].sort((one, other) => one.seq - other.seq);
    const log = messages.filter((message, index) => !this.#isBeingReplaced(message, messages[index - 1]));
    return {
      log: log.map((message, index) => this.#logEntry(message, log[index + 1])),
      current: this.turn ? [turnEntry(this.turn)] : [],
      pending: this.pending.map(pendingEntry),
    };
  }

  #isBeingReplaced(message, previous) {
    return this.turn && message.role !== "user" && previous?.messageId === this.turn.messageId;
  }

  #logEntry(message, next) {
    const last = !next && !this.turn && !this.pending.some((other) => !other.rejected);
    const state = message.role === "user" ? this.#answerState(message, next) : message.status ?? "complete";
    return { ...message, key: keyOf(message), state, canRetry: last && state !== "complete" };
  }

  #answerState(message, next) {
    if (next?.role === "assistant" || this.turn?.messageId === message.messageId) return "complete";
    const silent = !next && !this.turn && message.seq <= this.#settledSeq;
    return silent || this.#failed.has(message.messageId) ? "unanswered" : "complete";
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

/** Adds a delta to the turn's text; offsets count Unicode code points, as the server's do. */
function grow(turn, { offset, content }) {
  const fresh = skipCodePoints(content, turn.length - offset);
  turn.text += fresh;
  turn.length += countCodePoints(fresh);
}

export function countCodePoints(text) {
  let count = 0;
  for (const _ of text) count += 1;
  return count;
}

function skipCodePoints(text, count) {
  let units = 0;
  for (const character of text) {
    if (count-- <= 0) break;
    units += character.length;
  }
  return text.slice(units);
}
