/**
 * A WebSocket that stays: it reconnects with backoff and jitter, and asks for a sign of life when it has heard
 * nothing for long, after sleep, and when a frame got no answer. (API Gateway closes an idle socket after ten
 * minutes and any socket after two hours, and a closed socket may not say so.)
 */

const FIRST_DELAY = 1_000;
const LONGEST_DELAY = 30_000;
const CONNECT_PATIENCE = 20_000;
const ANSWER_PATIENCE = 10_000;
const IDLE_PING = 5 * 60_000;
const PING = { type: "system", content: "ping" };

export function backoff(attempt, random = Math.random()) {
  return Math.min(LONGEST_DELAY, FIRST_DELAY * 2 ** attempt) * (0.5 + random / 2);
}

export class LiveSocket {
  state = "connecting"; // "connected", "reconnecting", "offline"

  #socket = null;
  #opened = false; // whether the socket, or the one before, was let in
  #asking = false; // whether another one would be let in
  #attempt = 0;
  #timer = 0; // one at a time: connect again, give up connecting, ask for a sign of life, take for dead
  #awaiting = false; // something was sent and nothing came since

  /**
   * `open()` makes a WebSocket; `opened()`, `received(frame)` and `changed()` are called back. After one that did not
   * open `admitted()` is waited for: it may have been refused, which a browser does not tell from a dead network.
   */
  constructor({ open, admitted, opened, received, changed }) {
    Object.assign(this, { open, admitted, opened, received, changed });
  }

  start() {
    addEventListener("online", () => this.#wake());
    addEventListener("offline", () => this.#wake());
    document.addEventListener("visibilitychange", () => document.hidden || this.#wake());
    addEventListener("pageshow", (event) => event.persisted && this.#wake());
    this.#connect();
  }

  get connected() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  /** Ends the socket, if there is one; the next is opened once it is admitted. */
  end() {
    this.#opened = false;
    if (this.#socket) this.#lose();
  }

  send(frame) {
    if (!this.connected) return;
    this.#socket.send(JSON.stringify(frame));
    if (this.#awaiting) return;
    this.#awaiting = true;
    this.#after(ANSWER_PATIENCE, () => this.#askForLife());
  }

  #connect() {
    const socket = this.open();
    this.#socket = socket;
    this.#opened = false;
    const whileCurrent = (react) => (event) => socket === this.#socket && react(event);
    socket.onopen = whileCurrent(() => this.#onOpen());
    socket.onmessage = whileCurrent((event) => this.#onMessage(event.data));
    socket.onclose = whileCurrent(() => this.#lose());
    this.#after(CONNECT_PATIENCE, () => this.#lose());
  }

  #onOpen() {
    this.#opened = true;
    this.#awaiting = false;
    this.#become("connected");
    this.#after(IDLE_PING, () => this.#askForLife());
    this.opened();
  }

  #onMessage(data) {
    this.#attempt = 0;
    this.#awaiting = false;
    this.#after(IDLE_PING, () => this.#askForLife());
    const frame = parse(data);
    if (frame) this.received(frame);
  }

  #askForLife() {
    this.#awaiting = true;
    this.#socket.send(JSON.stringify(PING));
    this.#after(ANSWER_PATIENCE, () => this.#lose());
  }

  #lose() {
    const socket = this.#socket;
    this.#socket = null; // a dead socket may take minutes to close: do not wait for its event
    socket.close();
    this.#after(backoff(this.#attempt++), () => this.#reconnect());
    this.#become(navigator.onLine ? "reconnecting" : "offline");
  }

  async #reconnect() {
    clearTimeout(this.#timer);
    if (this.#asking) return;
    this.#asking = true;
    if (!this.#opened) await this.admitted();
    this.#asking = false;
    this.#connect();
  }

  /** Back from sleep or a network change: is the socket still there? And if we were waiting, wait no longer. */
  #wake() {
    if (this.connected) this.#askForLife();
    else if (!this.#socket) this.#reconnect();
  }

  #after(delay, act) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(act, delay);
  }

  #become(state) {
    this.state = state;
    this.changed();
  }
}

function parse(data) {
  try {
    return JSON.parse(data);
  } catch {
    return null;
  }
}
