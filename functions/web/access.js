/** The access token: where it comes from, whether one is needed, and who waits for it. */

import { forgetEverything, takeTokenOfAddress, tokenOfTab } from "./storage.js";

const TOKEN_SHAPE = /^[\w-]+(?:\.[\w-]+){2}$/; // a JWT: fit for a header and for a WebSocket subprotocol
const LONGEST_TOKEN = 8_192;

export class Access {
  token = "";
  refusal = ""; // why there is no token any more: the server's code, or "not_a_token"

  #user = null; // of the last token
  #waiting = [];

  /** `mode` is the server's: "none" needs no token. `changed()`, `userChanged()` and `left()` are called back. */
  constructor(mode, { changed, userChanged, left }) {
    Object.assign(this, { mode, changed, userChanged, left });
  }

  /** Takes the token of the address, else the one that this tab had; calls nobody back. */
  begin() {
    const token = takeTokenOfAddress() ?? tokenOfTab.get();
    if (this.mode !== "none") this.#take(token);
    addEventListener("hashchange", () => this.accept(takeTokenOfAddress() ?? "", { linked: true }));
  }

  get needed() {
    return this.mode !== "none" && !this.token;
  }

  /** Whose token it is, as far as one can tell; "" where nobody is anybody. */
  get user() {
    return this.#user ?? "";
  }

  /** What a request carries. */
  get headers() {
    return this.token ? { authorization: `Bearer ${this.token}` } : {};
  }

  /** Resolves as soon as there is a token to try. */
  async granted() {
    if (this.needed) await new Promise((resolve) => this.#waiting.push(resolve));
  }

  /**
   * Uses a token from now on, as it was pasted, or `linked`: then anybody may have chosen it, and it gets nothing of what
   * was written before. The server will say whether it is good.
   */
  accept(text, { linked = false } = {}) {
    if (this.mode === "none" || !text) return;
    this.#take(text, linked);
    this.changed();
  }

  #take(text, linked = false) {
    const token = text.trim().replace(/^Bearer\s+/i, "");
    const looksRight = TOKEN_SHAPE.test(token) && token.length <= LONGEST_TOKEN;
    if (looksRight) this.#use(token, linked);
    else if (text) this.refusal = "not_a_token";
  }

  #use(token, linked) {
    const user = userOf(token);
    tokenOfTab.set(token);
    if ((linked || this.#user !== null) && this.user !== user) return this.userChanged();
    Object.assign(this, { token, refusal: "" });
    this.#user = user;
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  /** Forgets the token, and everything else that the browser knows. */
  leave() {
    forgetEverything();
    this.left();
  }

  /** The server does not take this token (any more). False when that is not for a token to mend. */
  refuse(token, code) {
    if (this.mode === "none") return false;
    if (token !== this.token || !token) return true; // there is another by now
    tokenOfTab.set("");
    Object.assign(this, { token: "", refusal: code });
    this.changed();
    return true;
  }
}

/** Only to tell users apart and to show who it is: nobody has checked the token. */
function userOf(token) {
  try {
    const claims = atob(token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/"));
    const bytes = Uint8Array.from(claims, (character) => character.charCodeAt(0));
    return String(JSON.parse(new TextDecoder().decode(bytes)).sub ?? "");
  } catch {
    return "";
  }
}
