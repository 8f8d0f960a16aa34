// @ts-check
/**
 * CopilotEdge for browsers and Node 22 or newer: a conversation over one WebSocket, whole whatever becomes of the socket.
 *
 *     const chat = connect({ url: "wss://.../live", conversationId: "user-123", token });
 *     for await (const delta of chat.send("Hi")) show(delta);
 *     const message = await chat.send("And now?");
 *
 * A `Chat` keeps an `Answer` for each question, a `Transcript` (what is known, computed from the frames that arrive)
 * and a `Line` (a socket that stays). The wire protocol is in docs/protocol.md.
 */

/**
 * @typedef {"user" | "assistant" | "system" | "tool"} Role
 * @typedef {object} Message One entry of the conversation's log; the server may say more of it than this.
 * @property {Role} role
 * @property {string} content
 * @property {number} seq Its place in the log.
 * @property {string} messageId
 * @property {string | null} turnId A question and its answer share it.
 * @property {"complete" | "incomplete" | "cancelled" | "failed"} status
 * @property {number} timestamp Milliseconds since the epoch.
 * @property {number} tokens
 * @property {string} [model]
 * @property {number} [replaces] The seq of the answer that this one took the place of.
 *
 * @typedef {object} Page Some messages, oldest first.
 * @property {Message[]} messages
 * @property {string} epoch This life of the conversation.
 * @property {boolean} hasMore Whether there are older ones.
 * @property {number} totalTokens
 * @property {{ turnId: string, messageId: string, attempt: number } | null} [turn] The running turn, where it is told.
 *
 * @typedef {object} Turn The answer that is being written.
 * @property {string} turnId
 * @property {number} attempt
 * @property {string} [messageId] The question's.
 * @property {"thinking" | "streaming"} phase
 * @property {string} text
 * @property {number} length In code points, as the server counts.
 * @property {{ offset: number, content: string }[]} waiting Deltas behind a hole.
 *
 * @typedef {object} Pending A message of one's own that the log does not have yet.
 * @property {string} id
 * @property {string} content
 * @property {boolean} [acknowledged] It waits in the server's queue.
 * @property {number} [position] Where it waits there.
 * @property {boolean} [rejected]
 *
 * @typedef {"connecting" | "connected" | "reconnecting" | "offline" | "closed"} ConnectionState
 *
 * @typedef {object} Events
 * @property {Message} message A message of the log, everybody's and each once.
 * @property {{ text: string, turnId: string, messageId?: string, attempt: number }} delta What the answer grew by.
 * @property {{ status: string, turnId?: string, messageId?: string, position?: number }} status Where a turn stands.
 * @property {{ epoch: string | null }} cleared
 * @property {{ title: string }} titled
 * @property {ConnectionState} connection
 * @property {CopilotEdgeError} error
 * @property {undefined} change Anything of these, for those who draw it all anew.
 *
 * @typedef {object} Options
 * @property {string} url The WebSocket API: `wss://.../live`.
 * @property {string} conversationId
 * @property {string | ((vain: number) => string | Promise<string>)} [token] The access token, or who knows it. A
 *   function is asked before each connection; `vain` counts the ones that failed since the last good one.
 * @property {number} [history] How many of the newest messages to begin with, 1 to 100. Default 50.
 * @property {number} [patience] Refused messages are sent again by themselves if the server says "in so many seconds"
 *   and it is not more than this. Default 60.
 * @property {(attempt: number) => number} [backoff] Milliseconds until the next try to connect.
 * @property {typeof WebSocket} [WebSocket] Where there is no global one.
 */

const FIRST_DELAY = 500; // all times are in milliseconds
const LONGEST_DELAY = 30_000;
const CONNECT_PATIENCE = 20_000;
const ANSWER_PATIENCE = 10_000;
const IDLE_PING = 5 * 60_000; // API Gateway closes a socket that is idle for ten minutes,
const LIFE = 110 * 60_000; // and any after two hours:
const LONGEST_LIFE = 118 * 60_000; // between these two it is replaced, when no answer is being written
const RENEWAL_PAUSE = 10_000;
const RESEND_AFTER = 20_000; // an unacknowledged message is sent again; its id keeps it single
const RESUME_AGAIN_AFTER = 15_000;
const RESUME_PAUSE = 2_000;
const MOST_VAIN = 3; // tries to connect before somebody is told
const STEADY = 10_000; // a shorter life is a young death
const FORGIVING = 50; // young deaths in a row of sockets that answered, before the next ones have to wait ever longer

const MOST_BYTES = 128 * 1024; // of a frame
const MESSAGE_TOO_BIG = 1009; // the code with which a socket is closed for a frame that is too large

const OVER = new Set(["complete", "cancelled", "failed"]);
const NO_TOKEN = /^token_(missing|invalid|expired|not_yet_valid)$/;
const UNREADABLE = /^invalid_|_too_large$/; // refusals of a frame whose id the server could not read

/** Opens a conversation. It connects by itself, now and whenever it has to. @param {Options} options */
export function connect(options) {
  const chat = new Chat(options);
  chat.open();
  return chat;
}

/** What went wrong. `code` is for programs (docs/protocol.md lists them), the message for people. */
export class CopilotEdgeError extends Error {
  /**
   * @param {string} message
   * @param {string} code
   * @param {{ retryAfter?: number, messageId?: string }} [about] `retryAfter` is in seconds.
   */
  constructor(message, code, { retryAfter, messageId } = {}) {
    super(message);
    this.name = "CopilotEdgeError";
    this.code = code;
    this.retryAfter = retryAfter;
    this.messageId = messageId;
  }
}

/**
 * The answer to one question. Iterate over it for the text as it comes, await it for the whole message.
 *
 * Should the server have to begin the answer anew, `attempt` grows and the text comes from its beginning again: `text`
 * is always exact, and so is the message. Leaving the iteration does not stop the answer; `cancel` does.
 *
 * @implements {PromiseLike<Message>}
 */
export class Answer {
  turnId = "";
  text = "";
  attempt = 0;
  /** @type {"sending" | "queued" | "thinking" | "streaming" | "complete" | "incomplete" | "cancelled" | "failed"} */
  status = "sending";
  /** Resolves to the answer as the log has it; rejects with a CopilotEdgeError. @type {Promise<Message>} */
  message;

  #over = false;
  /** @type {unknown} */
  #error = null;
  /** @type {(message: Message) => void} */
  #resolve = () => {};
  /** @type {(error: unknown) => void} */
  #reject = () => {};
  /** @type {(() => void)[]} */
  #listeners = [];

  /** @param {string} id The question's. @param {() => void} cancel Stops this answer. */
  constructor(id, cancel) {
    this.id = id;
    this.cancel = cancel;
    this.message = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.message.catch(() => {}); // who iterates hears of it there
  }

  /**
   * @template [Result1=Message], [Result2=never]
   * @param {((message: Message) => Result1 | PromiseLike<Result1>) | null} [fulfilled]
   * @param {((error: any) => Result2 | PromiseLike<Result2>) | null} [rejected]
   * @returns {Promise<Result1 | Result2>}
   */
  then(fulfilled, rejected) {
    return this.message.then(fulfilled, rejected);
  }

  /** @returns {AsyncGenerator<string, void, undefined>} */
  async *[Symbol.asyncIterator]() {
    let attempt = 0;
    let told = 0;
    for (;;) {
      if (attempt !== this.attempt) [attempt, told] = [this.attempt, 0];
      const fresh = this.text.slice(told);
      told = this.text.length;
      if (fresh) yield fresh;
      else if (this.#over) break;
      else await new Promise((resolve) => this.#listeners.push(() => resolve(undefined)));
    }
    if (this.#error) throw this.#error;
  }

  /** Called by the chat: the text so far. @param {Pick<Turn, "text" | "attempt" | "phase">} turn */
  grow({ text, attempt, phase }) {
    this.status = phase;
    this.attempt = Math.max(this.attempt, attempt);
    this.#become(text);
  }

  /** Called by the chat: the log has it. @param {Message} message */
  finish(message) {
    if (!message.content.startsWith(this.text)) this.attempt += 1;
    this.status = message.status;
    this.#over = true;
    this.#resolve(message);
    this.#become(message.content);
  }

  /** Called by the chat: there will be none. @param {CopilotEdgeError} error */
  fail(error) {
    this.status = /cancelled|withdrawn/.test(error.code) ? "cancelled" : "failed";
    this.#over = true;
    this.#error = error;
    this.#reject(error);
    this.#become(this.text);
  }

  /** @param {string} text */
  #become(text) {
    this.text = text;
    for (const listener of this.#listeners.splice(0)) listener();
  }
}

/**
 * What the server is asked to do until it is done, over as many connections as it takes.
 *
 * @typedef {object} Command
 * @property {string} id An error that speaks of it names this id.
 * @property {string} content
 * @property {object} metadata
 * @property {number} connection The number of the one that it was last sent over.
 * @property {number} posts How often it was sent.
 * @property {() => boolean} done
 * @property {() => void} resolve
 * @property {(error: CopilotEdgeError) => void} reject
 *
 * @typedef {object} Reading A page of messages that is asked for.
 * @property {string} id
 * @property {{ limit?: number, before?: number }} range
 * @property {(page: Page) => void} resolve
 * @property {(error: CopilotEdgeError) => void} reject
 *
 * @typedef {object} Wait An answer that is open.
 * @property {Answer} answer
 * @property {boolean} renewed It is asked for once more: neither its turn nor its message is known before it begins.
 * @property {string} instead The turn whose answer it takes the place of, if there is one.
 * @property {number} replaced The seq of that answer, or 0.
 * @property {boolean} doubtful Its turn began before we asked what we missed.
 * @property {CopilotEdgeError | null} error What the server said of its turn.
 */

/** A conversation. Made by `connect`. */
export class Chat {
  /** @type {Transcript} */
  transcript;
  /** Resolves once the newest messages are there; rejects if it ends before. @type {Promise<void>} */
  ready;

  #options;
  #line;
  /** @type {Map<string, Set<(detail: any) => void>>} */
  #listeners = new Map();
  /** @type {Set<Wait>} */
  #waits = new Set();
  /** @type {Command[]} */
  #commands = [];
  /** @type {Reading[]} */
  #readings = []; // one at a time, in this order
  #connection = 0;
  #beginning = false; // the first page is under way
  #closed = false;
  #sent = { id: "", at: 0 };
  #heldUntil = 0; // the server asked us to wait
  #resumedAt = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #flushTimer;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #resumeTimer;
  #isReady = () => {};
  /** @type {(error: CopilotEdgeError) => void} */
  #isNeverReady = () => {};

  /** @param {Options} options Nothing is connected before `open`. */
  constructor(options) {
    this.#options = { history: 50, patience: 60, WebSocket: globalThis.WebSocket, ...options };
    if (!this.#options.WebSocket) throw new CopilotEdgeError("There is no WebSocket: use Node 22, or pass one.", "no_websocket");
    this.transcript = new Transcript(this.#options.patience);
    this.ready = new Promise((resolve, reject) => {
      this.#isReady = () => resolve(undefined);
      this.#isNeverReady = reject;
    });
    this.ready.catch(() => {}); // who does not wait for it need not know
    this.#line = new Line({
      dial: (vain) => this.#dial(vain),
      backoff: this.#options.backoff ?? backoff,
      busy: () => this.transcript.turn !== null || this.transcript.pending.length > 0,
      opened: () => this.#opened(),
      received: (frame) => this.#received(frame),
      closed: (code) => this.#hungUp(code),
      changed: () => this.#emit("connection", this.#line.state),
      failed: (error) => this.#emit("error", new CopilotEdgeError(String(error?.message ?? error), "not_connected")),
    });
  }

  // --- for everybody ------------------------------------------------------------------------------------------

  open() {
    this.#line.open();
  }

  /** Ends it for good; answers that are still open fail with the code `closed`. The server goes on with them. */
  close() {
    this.#end(new CopilotEdgeError("The chat was closed.", "closed"));
  }

  /** Connects afresh: there is another token, say. */
  reconnect() {
    this.#line.drop();
  }

  /** @returns {ConnectionState} */
  get connection() {
    return this.#line.state;
  }

  /** The log as far as it is known, in order. @returns {Message[]} */
  get messages() {
    return this.transcript.messages;
  }

  /** For how long the server wants us to wait before the next message is sent. */
  get secondsHeld() {
    return Math.max(0, Math.ceil((this.#heldUntil - Date.now()) / 1000));
  }

  /**
   * Asks. With an `id` of your own the same question may be sent again, from anywhere, and is answered once.
   *
   * @param {string} text
   * @param {{ id?: string, signal?: AbortSignal }} [options]
   * @returns {Answer}
   */
  send(text, { id = newId(), signal } = {}) {
    /** @type {Answer} */
    const answer = new Answer(id, () => this.#awaits(answer) && this.cancel(id));
    this.#expect(answer);
    if (this.#closed) return answer;
    this.transcript.discard(id); // a refused one is tried again
    this.transcript.compose(id, text);
    if (signal?.aborted) this.cancel(id);
    else if (bytesOf(frameOf({ id, content: text })) > MOST_BYTES) this.#findTooLarge(id);
    if (signal) cancelBy(signal, answer);
    if (this.#sent.id === id) this.#sent.id = "";
    this.#settle();
    return answer;
  }

  /** Stops the running answer, or that of one message; one that still waits is taken back. */
  cancel(messageId = this.transcript.turn?.messageId) {
    const { transcript } = this;
    const turnId = transcript.turn?.turnId;
    const waiting = transcript.pending.find(({ id }) => id === messageId);
    if (waiting) transcript.discard(waiting.id); // if it was too late, the log brings it back
    if (waiting && !waiting.acknowledged && waiting.id !== this.#sent.id) this.#giveUp(waiting.id);
    else if (messageId) this.#command("cancel", { messageId }, () => !this.#isOpen(messageId)).catch(() => {});
    else if (turnId) this.#command("cancel", {}, () => transcript.turn?.turnId !== turnId).catch(() => {});
    this.#settle();
  }

  /** Answers the last question once more; the new answer takes the old one's place. */
  regenerate() {
    /** @type {Answer} */
    const answer = new Answer("", () => this.#awaits(answer) && (answer.id ? this.cancel(answer.id) : this.#takeBack(answer)));
    this.#expect(answer, { renewed: true });
    this.#askAgain(answer).catch((error) => this.#failOnly(answer, error));
    return answer;
  }

  /** Forgets all messages, for everybody. @returns {Promise<void>} */
  clear() {
    const { lives } = this.transcript;
    const cleared = this.#command("clear_history", {}, () => this.transcript.lives !== lives);
    cleared.catch(() => {}); // who does not wait for it hears of it by the event
    return cleared;
  }

  /**
   * A page of the newest messages, or of those before a seq.
   *
   * @param {{ limit?: number, before?: number }} [range]
   * @returns {Promise<Page>}
   */
  async history({ limit = this.#options.history, before } = {}) {
    const range = { limit, ...(before !== undefined && { before }) };
    /** @type {Page} */
    const page = await new Promise((resolve, reject) => {
      this.#readings.push({ id: newId(), range, resolve, reject });
      if (this.#closed) reject(new CopilotEdgeError("The chat was closed.", "closed"));
      else if (this.#readings.length === 1) this.#askForPage();
    });
    if (before !== undefined && before === this.transcript.oldestSeq) this.transcript.load(page, { older: true });
    this.#emit("change");
    return page;
  }

  /**
   * Calls `listener` whenever that happens; the result ends it.
   *
   * @template {keyof Events} Name
   * @param {Name} name
   * @param {(detail: Events[Name]) => void} listener
   * @returns {() => void}
   */
  on(name, listener) {
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners.add(listener));
    return () => listeners.delete(listener);
  }

  /**
   * @template {keyof Events} Name
   * @param {Name} name
   * @param {Events[Name]} [detail]
   */
  #emit(name, detail) {
    for (const listener of [...(this.#listeners.get(name) ?? [])]) callSafely(listener, detail);
    if (name !== "change") this.#emit("change");
  }

  // --- the connection -----------------------------------------------------------------------------------------

  /** @param {number} vain */
  async #dial(vain) {
    const { url, conversationId, token = "", WebSocket } = this.#options;
    if (vain === MOST_VAIN) this.#emit("error", new CopilotEdgeError("No connection comes about. Trying again.", "no_connection"));
    const known = typeof token === "string" ? token : await token(vain);
    const address = new URL(url);
    address.protocol = address.protocol.replace("http", "ws");
    address.searchParams.set("conversationId", conversationId);
    return known ? new WebSocket(address, ["bearer", known]) : new WebSocket(address);
  }

  #opened() {
    this.#connection += 1;
    this.#sent.id = "";
    this.transcript.reconnected();
    this.#askForPage();
    this.#resume();
    this.#settle();
  }

  /** @param {any} frame */
  #received(frame) {
    const { transcript } = this;
    const { turn, lives } = transcript;
    const length = turn?.text.length ?? 0;
    const metadata = (frame.metadata ??= {});
    const news = frame.type === "system" ? frame.content : "";
    if (NO_TOKEN.test(frame.code)) return this.#locked(new CopilotEdgeError(frame.error, frame.code));
    if (frame.type === "error") this.#refused(frame, metadata);
    else if (!frame.type && frame.message) this.#emit("error", new CopilotEdgeError(frame.message, "gateway_error"));
    else if (news === "history") return this.#pageCame(metadata);
    const message = transcript.receive(frame);
    if (this.#sent.id && !transcript.pending.some(({ id }) => id === this.#sent.id)) this.#line.trust();
    this.#assign(frame, metadata);
    if (transcript.lives !== lives) this.#cleared();
    this.#tell(frame, metadata, message, transcript.turn === turn ? length : 0);
    if (news === "resumed") this.#caughtUp(metadata);
    if (transcript.needsResume && !transcript.syncing) this.#resumeSoon();
    this.#settle();
    if (turn && !transcript.turn && !transcript.syncing && this.#line.connected) this.#repeat();
  }

  /**
   * @param {any} frame
   * @param {any} metadata
   * @param {Message | null} message
   * @param {number} length What was known of the running answer before.
   */
  #tell(frame, metadata, message, length) {
    const { turn } = this.transcript;
    if (frame.type === "status") this.#emit("status", { ...metadata, status: frame.status });
    if (frame.type === "system" && frame.content === "titled") this.#emit("titled", { title: metadata.title });
    if (turn && turn.text.length > length) {
      const { turnId, messageId, attempt } = turn;
      this.#emit("delta", { text: turn.text.slice(length), turnId, messageId, attempt });
    }
    if (message) this.#emit("message", message);
    if (message || (turn && turn.text.length > length)) this.#line.trust(); // this socket has brought us forward
  }

  #resumeSoon() {
    clearTimeout(this.#resumeTimer);
    this.#resumeTimer = setTimeout(() => this.#resume(), this.#resumedAt + RESUME_PAUSE - Date.now());
  }

  /** Asks for what was missed, again and again until it is there. Who knows nothing yet begins with the newest page. */
  #resume() {
    clearTimeout(this.#resumeTimer);
    if (!this.#line.connected) return;
    this.#resumedAt = Date.now();
    this.#resumeTimer = setTimeout(() => this.#resumeAgain(), RESUME_AGAIN_AFTER);
    if (this.transcript.epoch === null) return this.#begin();
    const { pending } = this.transcript;
    for (const wait of this.#waits) wait.doubtful = wait.answer.turnId !== "" && !pending.some(({ id }) => id === wait.answer.id);
    this.#line.send(this.transcript.resumeRequest());
  }

  #resumeAgain() {
    if (!this.transcript.syncing) return;
    this.#askForPage();
    this.#resume();
  }

  async #begin() {
    this.transcript.syncing = true;
    if (this.#beginning) return;
    this.#beginning = true;
    const page = await this.history().catch(() => null); // it was told as an error, and is tried again
    this.#beginning = false;
    if (!page) return;
    this.transcript.load(page);
    this.#resume();
  }

  #askForPage() {
    const [reading] = this.#readings;
    if (reading) this.#line.send({ type: "system", content: "get_history", id: reading.id, metadata: reading.range });
  }

  /** @param {any} page */
  #pageCame(page) {
    const messages = page.messages.map((/** @type {any} */ message) => this.transcript.assemble(message));
    const reading = messages.includes(null) ? undefined : this.#readings.shift(); // a part is still to come
    if (!reading) return;
    reading.resolve({ ...page, messages });
    this.#askForPage();
  }

  /** All missed messages have been told. @param {{ turnId?: string | null }} metadata */
  #caughtUp({ turnId }) {
    this.#follow();
    const { pending } = this.transcript;
    for (const { answer, doubtful, renewed, error } of [...this.#waits]) {
      const told = answer.turnId === turnId || this.transcript.answerOf(answer.turnId);
      if (doubtful && !told) this.#failOnly(answer, error ?? new CopilotEdgeError("No answer came.", "turn_failed"));
      else if (!answer.turnId && !renewed && !pending.some(({ id }) => id === answer.id)) this.#giveUp(answer.id);
    }
    this.#isReady();
    this.#repeat(turnId);
  }

  /**
   * Asks once more for what may have been lost with a connection. The running turn may be the one that a regenerate
   * began: before it is over nobody knows whether another is needed.
   *
   * @param {string | null} [turnId] The running turn.
   */
  #repeat(turnId) {
    for (const { answer, renewed } of [...this.#waits]) {
      const isPast = renewed && answer.id && !answer.turnId && this.transcript.questionBefore()?.messageId !== answer.id;
      if (isPast) this.#failOnly(answer, new CopilotEdgeError("No answer came.", "turn_failed")); // another would be answered
    }
    for (const command of this.#commands) {
      const held = turnId && command.posts && command.content === "regenerate";
      if (command.connection !== this.#connection && !held && !command.done()) this.#post(command);
    }
  }

  // --- commands -----------------------------------------------------------------------------------------------

  /**
   * @param {string} content
   * @param {object} metadata
   * @param {() => boolean} done
   * @returns {Promise<void>}
   */
  #command(content, metadata, done) {
    return new Promise((resolve, reject) => {
      const command = { id: newId(), content, metadata, connection: 0, posts: 0, done, resolve: () => resolve(), reject };
      this.#commands.push(command);
      if (this.#closed) this.#withdraw(command, new CopilotEdgeError("The chat was closed.", "closed"));
      else if (this.#line.connected) this.#post(command);
    });
  }

  /** @param {Command} command */
  #post(command) {
    command.connection = this.#connection;
    command.posts += 1;
    this.#line.send({ type: "system", content: command.content, id: command.id, metadata: command.metadata });
  }

  /** The turn may be what it was for; it is looked at again when that is over. @param {Command} command */
  #hold(command) {
    command.connection = 0;
  }

  /** @param {Command} command @param {CopilotEdgeError} [error] */
  #withdraw(command, error) {
    this.#commands = this.#commands.filter((other) => other !== command);
    if (error) command.reject(error);
    else command.resolve();
  }

  // --- answers ------------------------------------------------------------------------------------------------

  async #askAgain(/** @type {Answer} */ answer) {
    await this.ready;
    if (!this.#awaits(answer)) return;
    const question = this.transcript.questionBefore();
    const old = this.transcript.messages.findLast(({ role, seq }) => role === "assistant" && seq > (question?.seq ?? 0));
    answer.id = question?.messageId ?? "";
    for (const wait of this.#waits) {
      if (wait.answer === answer) Object.assign(wait, { instead: old?.turnId ?? "", replaced: old?.seq ?? 0 });
    }
    await this.#command("regenerate", {}, () => answer.turnId !== "" || !this.#awaits(answer));
  }

  /** @param {Answer} answer */
  #expect(answer, { renewed = false } = {}) {
    this.#waits.add({ answer, renewed, instead: "", replaced: 0, doubtful: false, error: null });
    if (this.#closed) this.#failOnly(answer, new CopilotEdgeError("The chat was closed.", "closed"));
    return answer;
  }

  /** Which turn answers which question is told by statuses and by the log. @param {any} frame @param {any} about */
  #assign(frame, { messageId, turnId, seq, replaces = 0 }) {
    if (!turnId) return;
    for (const { answer, renewed, instead, replaced } of this.#waits) {
      const asked = frame.type === "status" && messageId === answer.id;
      const isAnswer = renewed && !answer.turnId && answer.id && frame.type === "chat" && frame.role === "assistant";
      const isOurs = () => (replaced ? replaces === replaced : this.transcript.questionBefore(seq)?.messageId === answer.id);
      if ((asked || (isAnswer && isOurs())) && turnId !== instead) answer.turnId = turnId;
    }
    if (frame.type === "status" && OVER.has(frame.status)) this.#turnEnded(frame.status, turnId);
  }

  /** @param {string} status @param {string} turnId */
  #turnEnded(status, turnId) {
    if (status === "complete" || this.transcript.turn?.turnId === turnId) return; // its message has come, or is asked for
    const plain = status === "cancelled" ? ["It was stopped.", "turn_cancelled"] : ["No answer came.", "turn_failed"];
    for (const { answer, error } of [...this.#waits]) {
      if (answer.turnId !== turnId || this.transcript.answerOf(turnId)) continue;
      this.#failOnly(answer, error ?? new CopilotEdgeError(plain[0], plain[1], { messageId: answer.id }));
    }
  }

  /** @param {string} messageId */
  #isOpen(messageId) {
    return this.transcript.turn?.messageId === messageId || [...this.#waits].some(({ answer }) => answer.id === messageId);
  }

  /** @param {string} messageId */
  #giveUp(messageId) {
    const error = new CopilotEdgeError("It was taken back.", "message_withdrawn", { messageId });
    for (const { answer } of [...this.#waits]) if (answer.id === messageId) this.#failOnly(answer, error);
  }

  /** What nobody has asked the server for. @param {Answer} answer */
  #takeBack(answer) {
    this.#failOnly(answer, new CopilotEdgeError("It was taken back.", "message_withdrawn"));
    this.#settle();
  }

  /** @param {Answer} answer */
  #awaits(answer) {
    return [...this.#waits].some((wait) => wait.answer === answer);
  }

  /** @param {Answer} answer @param {CopilotEdgeError} error */
  #failOnly(answer, error) {
    if (!this.#awaits(answer)) return; // it is over
    for (const wait of this.#waits) if (wait.answer === answer) this.#waits.delete(wait);
    answer.fail(error);
  }

  /** What has been asked of the life before is not answered; what the server had not taken yet is, in the new one. */
  #cleared() {
    const error = new CopilotEdgeError("The conversation was cleared.", "conversation_cleared");
    for (const { answer } of [...this.#waits]) {
      if (this.transcript.pending.some(({ id }) => id === answer.id)) answer.turnId = "";
      else this.#failOnly(answer, error);
    }
    this.#emit("cleared", { epoch: this.transcript.epoch });
  }

  #follow() {
    const { turn, pending } = this.transcript;
    for (const wait of [...this.#waits]) {
      const { answer } = wait;
      if (!answer.turnId && !wait.renewed) answer.turnId = this.transcript.turnFor(answer.id);
      const message = this.transcript.answerOf(answer.turnId);
      if (message) {
        this.#waits.delete(wait);
        answer.finish(message);
      } else if (turn && turn.turnId === answer.turnId) answer.grow(turn);
      else if (pending.some(({ id, acknowledged }) => id === answer.id && acknowledged)) answer.status = "queued";
    }
  }

  // --- refusals and delivery ----------------------------------------------------------------------------------

  /** @param {any} frame @param {any} about */
  #refused({ error: text, code, retryAfter }, about) {
    const asked = UNREADABLE.test(code) ? this.transcript.nextToSend()?.id : undefined;
    const messageId = (about.messageId ??= asked);
    const error = new CopilotEdgeError(text, code, { retryAfter, messageId });
    const command = this.#commands.find(({ id }) => id === messageId);
    if (command && command.posts > 1 && code === "turn_running") return this.#hold(command);
    if (command) this.#withdraw(command, code === "nothing_to_cancel" ? undefined : error);
    if (code === "nothing_to_cancel") return; // it ended by itself just before
    if (this.#readings[0]?.id === messageId) this.#readings.shift()?.reject(error);
    else if (!command) this.#blame(error, about.turnId);
    this.#emit("error", error);
  }

  /** Some frames the gateway does not let through, and it tells nobody which. @param {number} code */
  #hungUp(code) {
    const { id } = this.#sent;
    if (code === MESSAGE_TOO_BIG && id && this.transcript.nextToSend()?.id === id) this.#findTooLarge(id);
  }

  /** What the server would say of it. @param {string} messageId */
  #findTooLarge(messageId) {
    const error = "The message is too long to be sent.";
    this.#received({ type: "error", error, code: "frame_too_large", metadata: { messageId } });
  }

  /** An error speaks of a question, or of the turn that answers it. @param {CopilotEdgeError} error @param {string} [turnId] */
  #blame(error, turnId) {
    const soon = error.retryAfter !== undefined && error.retryAfter <= this.#options.patience;
    if (soon && !turnId) this.#heldUntil = Date.now() + (error.retryAfter ?? 0) * 1000;
    if (error.messageId === this.#sent.id) this.#sent.id = "";
    for (const wait of [...this.#waits]) {
      if (wait.answer.id !== error.messageId) continue;
      if (turnId) wait.error = error;
      else if (!soon && !wait.answer.turnId) this.#failOnly(wait.answer, error);
    }
  }

  /** The token is not good any more, and a function may know another one. @param {CopilotEdgeError} error */
  #locked(error) {
    this.#emit("error", error);
    if (typeof this.#options.token === "function") this.#line.drop();
    else this.#end(error);
  }

  /** @param {CopilotEdgeError} error */
  #end(error) {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#flushTimer);
    clearTimeout(this.#resumeTimer);
    for (const reading of this.#readings.splice(0)) reading.reject(error);
    for (const command of [...this.#commands]) this.#withdraw(command, error);
    for (const { answer } of [...this.#waits]) this.#failOnly(answer, error);
    this.#isNeverReady(error);
    this.#line.close();
  }

  #settle() {
    this.#follow();
    for (const command of [...this.#commands]) if (command.done()) this.#withdraw(command);
    this.#flush();
    this.#emit("change");
  }

  #flush() {
    clearTimeout(this.#flushTimer);
    const next = this.transcript.nextToSend();
    if (!next || !this.#line.connected) return;
    const resendAt = next.id === this.#sent.id ? this.#sent.at + RESEND_AFTER : 0;
    const wait = Math.max(resendAt, this.#heldUntil) - Date.now();
    if (wait <= 0) {
      this.#sent = { id: next.id, at: Date.now() };
      this.#line.send(frameOf(next));
    }
    this.#flushTimer = setTimeout(() => this.#flush(), wait > 0 ? wait : RESEND_AFTER);
  }
}

/**
 * What is known of a conversation, computed from the frames that arrive: no network, no clock.
 *
 * The log (every message with a `seq`) is the truth. Behind it stand the answer that is being written (`turn`) and
 * messages of one's own that the log does not have yet (`pending`). Frames may come twice, late, or not at all.
 * `needsResume` says that something is missing: send `resumeRequest()`.
 */
export class Transcript {
  /** This life of the conversation; clear begins another. Null before anything is known. @type {string | null} */
  epoch = null;
  lives = 0; // how often it was cleared
  lastSeq = 0; // nothing up to here is missing
  settledSeq = 0; // up to here the server said that no turn is running
  hasMore = false; // older messages can be loaded
  /** @type {Turn | null} */
  turn = null;
  /** @type {Pending[]} */
  pending = [];
  title = "";
  syncing = false; // a resume is under way
  needsResume = false;
  /** Ids of user messages whose turn brought no answer. @type {Set<string>} */
  failed = new Set();

  /** @type {Map<number, Message>} */
  #log = new Map(); // seq → message
  /** @type {Map<string, Message>} */
  #answers = new Map(); // turnId → message
  /** @type {Map<string, string>} */
  #turns = new Map(); // messageId of a question → turnId
  /** @type {Map<number, (string | null)[]>} */
  #parts = new Map(); // seq → pieces of a message too long for one frame
  /** @type {Set<number>} */
  #replaced = new Set(); // seqs that a later answer took the place of
  #newestEpoch = ""; // epochs sort by time
  /** @type {Map<string, number>} */
  #finished = new Map(); // turnId → highest attempt that is over
  /** @type {string | undefined} */
  #askedAbout; // the turn we had when we asked to resume

  /** @param {number} patience Seconds that a refused message is held back for. */
  constructor(patience = 60) {
    this.patience = patience;
  }

  /** In order. @returns {Message[]} */
  get messages() {
    return [...this.#log.values()].sort((one, other) => one.seq - other.seq);
  }

  /** The last one of all, or before a seq: what a user said, or a tool. */
  questionBefore(before = Infinity) {
    return this.messages.findLast(({ role, seq }) => (role === "user" || role === "tool") && seq < before);
  }

  get oldestSeq() {
    return Math.min(...this.#log.keys());
  }

  get isEmpty() {
    return !this.#log.size && !this.turn && !this.pending.length;
  }

  /** @param {string} turnId */
  answerOf(turnId) {
    return this.#answers.get(turnId);
  }

  /** The turn that answers that question, or "" as long as that is not known. @param {string} messageId */
  turnFor(messageId) {
    const logged = this.#turns.get(messageId);
    return logged ?? (this.turn && this.turn.messageId === messageId ? this.turn.turnId : "");
  }

  // --- our own messages ---------------------------------------------------------------------------------------

  /** @param {string} id @param {string} content */
  compose(id, content) {
    this.pending = [...this.pending, { id, content }];
  }

  /** The one message to send now: the next only goes out when this one is acknowledged, so order is kept. */
  nextToSend() {
    return this.pending.find((message) => !message.acknowledged && !message.rejected);
  }

  /** @param {string} id @param {Partial<Pending>} changes */
  amend(id, changes) {
    this.pending = this.pending.map((message) => (message.id === id ? { ...message, ...changes } : message));
  }

  /** @param {string} id */
  discard(id) {
    if (this.pending.some((message) => message.id === id)) this.pending = this.pending.filter((message) => message.id !== id);
  }

  /** A new socket: what was queued is sent again (ids make that harmless), in case the queue was lost with it. */
  reconnected() {
    this.pending = this.pending.map((message) => ({ ...message, acknowledged: false }));
    this.syncing = false;
  }

  // --- history and resume -------------------------------------------------------------------------------------

  /** Takes a page: the newest one, or (with `older`) one from before the oldest we have. @param {Page} page */
  load(page, { older = false } = {}) {
    if (older && page.epoch !== this.epoch) {
      this.needsResume = true;
      return;
    }
    if (!this.#enter(page.epoch)) return;
    this.epoch ??= page.epoch;
    this.hasMore = Boolean(page.hasMore);
    for (const message of page.messages) this.#add(message);
    if (older) return;
    this.lastSeq = Math.max(this.lastSeq, ...page.messages.map((message) => message.seq));
    if (page.turn) this.#turnOf(page.turn);
    else if (page.turn === null) this.settledSeq = this.lastSeq;
  }

  resumeRequest() {
    this.syncing = true;
    this.needsResume = false;
    this.#askedAbout = this.turn?.turnId;
    const { turn, epoch, lastSeq } = this;
    const where = turn && { turnId: turn.turnId, attempt: turn.attempt, offset: turn.length };
    return { type: "system", content: "resume", metadata: { afterSeq: lastSeq, ...(epoch && { epoch }), ...where } };
  }

  // --- frames -------------------------------------------------------------------------------------------------

  /** The message that the log gained by it, or null. @param {any} frame @returns {Message | null} */
  receive(frame) {
    const metadata = frame.metadata ?? {};
    if (frame.type === "chat") return this.#chat(frame, metadata);
    if (frame.type === "delta") this.#delta(frame.content, metadata);
    else if (frame.type === "status") this.#status(frame.status, metadata);
    else if (frame.type === "error") this.#error(frame, metadata);
    else if (frame.content === "resumed") this.#resumed(metadata);
    else if (frame.content === "titled") this.title = metadata.title ?? "";
    else if (/^(history|conversation)_cleared$/.test(frame.content)) this.#clear(metadata.epoch);
    return null;
  }

  /** A message whole, once all its parts are there; null before. @param {any} message @returns {Message | null} */
  assemble(message) {
    const { part, parts = 1, ...rest } = message;
    if (parts === 1) return rest;
    const pieces = this.#parts.get(rest.seq) ?? Array(parts).fill(null);
    pieces[part - 1] = rest.content;
    this.#parts.set(rest.seq, pieces);
    if (pieces.includes(null)) return null;
    this.#parts.delete(rest.seq);
    return { ...rest, content: pieces.join("") };
  }

  /** @param {any} frame @param {any} metadata */
  #chat({ role, content }, metadata) {
    if (!this.#enter(metadata.epoch)) return null;
    const seq = metadata.seq ?? this.lastSeq + 1; // without stored conversations there is no seq
    const message = this.assemble({ ...metadata, role, content, seq });
    if (message === null) return null;
    const isNew = this.#add(message);
    if (this.syncing) return isNew; // older messages may still be on their way; `resumed` settles it
    if (seq > this.lastSeq + 1) this.needsResume = true;
    else this.lastSeq = Math.max(this.lastSeq, seq);
    return isNew;
  }

  /** @param {Message} message */
  #add(message) {
    if (message.replaces != null) {
      this.#replaced.add(message.replaces);
      this.#log.delete(message.replaces);
    }
    if (this.#replaced.has(message.seq)) return null;
    const isNew = !this.#log.has(message.seq);
    this.#log.set(message.seq, message);
    if (message.role !== "assistant") {
      this.discard(message.messageId);
      if (message.turnId) this.#turns.set(message.messageId, message.turnId);
    } else if (message.turnId) {
      this.#answers.set(message.turnId, message);
      this.#finish(message.turnId, Infinity);
    }
    return isNew ? message : null;
  }

  /** @param {string} content @param {any} metadata */
  #delta(content, { offset, ...metadata }) {
    const turn = typeof offset === "number" ? this.#turnOf(metadata) : null;
    if (!turn) return;
    turn.phase = "streaming";
    turn.waiting.push({ offset, content });
    turn.waiting.sort((one, other) => one.offset - other.offset);
    while (turn.waiting.length && turn.waiting[0].offset <= turn.length) grow(turn);
    if (turn.waiting.length) this.needsResume = true;
  }

  /** @param {string} status @param {any} metadata */
  #status(status, metadata) {
    const { messageId, position } = metadata;
    if (status === "queued") this.amend(messageId, { acknowledged: true, position });
    else if (OVER.has(status)) this.#turnOver(status, metadata);
    else {
      const turn = this.#turnOf(metadata);
      if (turn && status === "streaming") turn.phase = "streaming";
    }
  }

  /** @param {string} status @param {any} metadata */
  #turnOver(status, { turnId, messageId, attempt = Infinity }) {
    if (status !== "complete") this.failed.add(messageId);
    if (status === "cancelled") this.discard(messageId); // taken off the queue
    const { turn } = this;
    if (!turn || turn.turnId !== turnId || turn.attempt > attempt) return;
    // Its message should have come first: keep the text on the screen until the log says what became of it.
    if (turn.text || status === "complete") this.needsResume = true;
    else this.#finish(turnId, attempt);
  }

  /** @param {any} frame @param {any} metadata */
  #error({ retryAfter }, { messageId, turnId }) {
    if (!messageId) return;
    const soon = retryAfter > 0 && retryAfter <= this.patience;
    if (!turnId) this.amend(messageId, { acknowledged: false, rejected: !soon });
    this.failed.add(messageId);
  }

  /** @param {any} metadata */
  #resumed({ epoch, lastSeq, turnId }) {
    if (!this.#enter(epoch)) return;
    this.syncing = false;
    this.lastSeq = Math.max(this.lastSeq, lastSeq ?? 0);
    const turn = this.turn;
    if (turn && turn.turnId !== turnId && turn.turnId === this.#askedAbout) this.#finish(turn.turnId, turn.attempt);
    if (!this.turn && !turnId) this.settledSeq = this.lastSeq;
    this.needsResume = Boolean(this.turn?.waiting.length);
  }

  // --- epochs and turns ---------------------------------------------------------------------------------------

  /** False for what belongs to a life that is over. @param {string | undefined} epoch */
  #enter(epoch) {
    if (!epoch || epoch === this.epoch) return true;
    if (epoch < this.#newestEpoch) return false;
    if (this.epoch) this.#clear(epoch);
    this.epoch = this.#newestEpoch = epoch;
    return true;
  }

  /** @param {string | undefined} epoch */
  #clear(epoch) {
    if (epoch && epoch < this.#newestEpoch) return;
    if (epoch && epoch === this.epoch) {
      if (!this.isEmpty) this.needsResume = true; // told twice, as a rule
      return;
    }
    if (this.turn) this.#finish(this.turn.turnId, Infinity);
    for (const memory of [this.#log, this.#answers, this.#turns, this.#parts, this.#replaced, this.failed]) memory.clear();
    this.epoch = epoch ?? null;
    this.#newestEpoch = epoch || this.#newestEpoch;
    this.lastSeq = this.settledSeq = 0;
    this.lives += 1;
    this.hasMore = false;
    this.pending = this.pending.filter((message) => !message.acknowledged); // the server's queue went with it
  }

  /**
   * The running turn that a frame speaks of, begun if need be; null if that turn or attempt is over.
   *
   * @param {{ turnId: string, messageId?: string, attempt?: number }} metadata
   */
  #turnOf({ turnId, messageId, attempt = 1 }) {
    if (attempt <= (this.#finished.get(turnId) ?? 0)) return null;
    const old = this.turn?.turnId === turnId ? this.turn : null;
    if (old && attempt < old.attempt) return null;
    if (!old || attempt > old.attempt) {
      this.turn = { turnId, attempt, messageId: old?.messageId, phase: "thinking", text: "", length: 0, waiting: [] };
    }
    if (this.turn && messageId) this.turn.messageId ??= messageId;
    return this.turn;
  }

  /** @param {string} turnId @param {number} attempt */
  #finish(turnId, attempt) {
    this.#finished.set(turnId, attempt);
    if (this.turn?.turnId === turnId) this.turn = null;
  }
}

/**
 * A WebSocket that stays: it reconnects with backoff and jitter, and asks for a sign of life when it has heard
 * nothing for long, after sleep, and when a frame got no answer. A closed socket may not say so.
 */
class Line {
  /** @type {ConnectionState} */
  state = "connecting";

  /** @type {WebSocket | null} */
  #socket = null;
  #dialing = false;
  #opened = false; // whether the socket, or the one before, was let in
  #vain = 0; // sockets since then
  #attempt = 0; // tries since a socket was any good
  #young = 0; // sockets in a row that died young and brought nothing forward
  #openedAt = Infinity;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer; // one at a time: connect again, give up connecting, ask for a sign of life, take for dead
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #renewal;
  #awaiting = false; // something was sent and nothing came since
  #ended = new AbortController();

  /**
   * @param {object} callbacks
   * @param {(vain: number) => Promise<WebSocket>} callbacks.dial
   * @param {(attempt: number) => number} callbacks.backoff
   * @param {() => boolean} callbacks.busy
   * @param {() => void} callbacks.opened
   * @param {(frame: any) => void} callbacks.received
   * @param {(code: number) => void} callbacks.closed
   * @param {() => void} callbacks.changed
   * @param {(error: any) => void} callbacks.failed
   */
  constructor(callbacks) {
    this.callbacks = callbacks;
  }

  open() {
    const { signal } = this.#ended;
    const wake = () => this.#wake();
    if (typeof addEventListener === "function") {
      for (const event of ["online", "offline", "pageshow"]) addEventListener(event, wake, { signal });
    }
    if (typeof document === "object") {
      document.addEventListener("visibilitychange", () => document.hidden || this.#wake(), { signal });
    }
    this.#connect();
  }

  close() {
    this.#ended.abort();
    this.#release();
    clearTimeout(this.#timer);
    this.#become("closed");
  }

  get connected() {
    return this.#socket?.readyState === 1;
  }

  /** Ends the socket, if there is one, as if it had not been let in. */
  drop() {
    this.#opened = false;
    if (this.#socket) this.#lose();
  }

  /** This socket does what it is for: after it the next one may come at once. */
  trust() {
    this.#attempt = this.#young = 0;
  }

  /** @param {object} frame */
  send(frame) {
    if (!this.#socket || !this.connected) return;
    this.#socket.send(JSON.stringify(frame));
    if (this.#awaiting) return;
    this.#awaiting = true;
    this.#after(ANSWER_PATIENCE, () => this.#askForLife());
  }

  async #connect() {
    clearTimeout(this.#timer);
    if (this.#dialing || this.#ended.signal.aborted) return;
    this.#dialing = true;
    const socket = await this.callbacks.dial(this.#vain).catch(this.callbacks.failed);
    this.#dialing = false;
    if (this.#ended.signal.aborted) socket?.close();
    else if (socket) this.#use(socket);
    else this.#lose();
  }

  /** @param {WebSocket} socket */
  #use(socket) {
    this.#socket = socket;
    this.#opened = false;
    this.#openedAt = Infinity;
    socket.onopen = () => socket === this.#socket && this.#onOpen();
    socket.onmessage = ({ data }) => socket === this.#socket && this.#onMessage(data);
    socket.onclose = ({ code }) => socket === this.#socket && this.#onClose(code);
    this.#after(CONNECT_PATIENCE, () => this.#lose());
  }

  #onOpen() {
    this.#opened = true;
    this.#vain = 0;
    this.#awaiting = false;
    this.#openedAt = Date.now();
    this.#renewal = setTimeout(() => this.#renew(), LIFE * (0.95 + Math.random() / 20));
    this.#become("connected");
    this.#after(IDLE_PING, () => this.#askForLife());
    this.callbacks.opened();
  }

  /** @param {string} data */
  #onMessage(data) {
    this.#awaiting = false;
    this.#after(IDLE_PING, () => this.#askForLife());
    if (this.#young < FORGIVING) this.#attempt = 0;
    const frame = parseFrame(data);
    if (frame) this.callbacks.received(frame);
  }

  /** @param {number} code */
  #onClose(code) {
    this.#lose();
    this.callbacks.closed(code);
  }

  #askForLife() {
    this.#awaiting = true;
    this.#socket?.send(JSON.stringify({ type: "system", content: "ping" }));
    this.#after(ANSWER_PATIENCE, () => this.#lose());
  }

  /** Before the gateway ends it, and at a moment when nobody is waiting for anything. */
  #renew() {
    const urgent = Date.now() - this.#openedAt > LONGEST_LIFE;
    if (urgent || !this.callbacks.busy()) this.#lose(0);
    else this.#renewal = setTimeout(() => this.#renew(), RENEWAL_PAUSE);
  }

  /** @param {number} [delay] */
  #lose(delay) {
    if (!this.#opened) this.#vain += 1;
    this.#young += 1;
    if (Date.now() - this.#openedAt > STEADY) this.trust();
    this.#release();
    this.#after(delay ?? this.callbacks.backoff(this.#attempt++), () => this.#connect());
    this.#become(globalThis.navigator?.onLine === false ? "offline" : "reconnecting");
  }

  /** A dead socket may take minutes to close: its event is not waited for. */
  #release() {
    const socket = this.#socket;
    this.#socket = null;
    clearTimeout(this.#renewal);
    socket?.close();
  }

  /** Back from sleep or a network change: is the socket still there? And if we were waiting, wait no longer. */
  #wake() {
    if (this.connected) this.#askForLife();
    else if (!this.#socket) this.#connect();
  }

  /** @param {number} delay @param {() => void} act */
  #after(delay, act) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(act, delay);
  }

  /** @param {ConnectionState} state */
  #become(state) {
    if (state === this.state) return;
    this.state = state;
    this.callbacks.changed();
  }
}

/** @param {number} attempt */
function backoff(attempt) {
  return Math.min(LONGEST_DELAY, FIRST_DELAY * 2 ** attempt) * (0.5 + Math.random() / 2);
}

/** What a listener throws is its own matter. @param {(detail: any) => void} listener @param {unknown} detail */
function callSafely(listener, detail) {
  try {
    listener(detail);
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}

/** @param {string} data */
function parseFrame(data) {
  try {
    return JSON.parse(data);
  } catch {
    return null;
  }
}

/** @param {AbortSignal} signal It may live longer than the answer. @param {Answer} answer */
function cancelBy(signal, answer) {
  const cancel = () => answer.cancel();
  const forget = () => signal.removeEventListener("abort", cancel);
  signal.addEventListener("abort", cancel);
  answer.message.then(forget, forget);
}

/** @param {Pick<Pending, "id" | "content">} message */
function frameOf({ id, content }) {
  return { type: "chat", role: "user", content, id };
}

/** @param {object} frame */
function bytesOf(frame) {
  return new TextEncoder().encode(JSON.stringify(frame)).length;
}

/** Adds the first waiting delta to the turn's text; offsets count Unicode code points, as the server's do. @param {Turn} turn */
function grow(turn) {
  const [{ offset, content }] = turn.waiting.splice(0, 1);
  const fresh = skipCodePoints(content, turn.length - offset);
  turn.text += fresh;
  turn.length += countCodePoints(fresh);
}

/** @param {string} text */
export function countCodePoints(text) {
  let count = 0;
  for (const _ of text) count += 1;
  return count;
}

/** @param {string} text @param {number} count */
function skipCodePoints(text, count) {
  let units = 0;
  for (const character of text) {
    if (count-- <= 0) break;
    units += character.length;
  }
  return text.slice(units);
}

/** A random UUID; also where the page is not a secure context and `crypto.randomUUID` is missing. @returns {string} */
export function newId() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}
