/** The access token: where it comes from, whether one is needed, and who waits for it. */

import { forgetTab, takeTokenOfAddress, tokenOfTab } from "./storage.js";

const TOKEN_SHAPE = /^[\w-]+(?:\.[\w-]+){2}$/; // a JWT: fit for a header and for a WebSocket subprotocol
const LONGEST_TOKEN = 8_192;

export class Access {
  token = "";
  refusal = ""; // why there is no token any more: the server's code, or "not_a_token"

  #user = null; // of the last token
  #waiting = [];

  /** `mode` is the server's: "none" needs no token. `changed()` and `userChanged()` are called back. */
  constructor(mode, { changed, userChanged }) {
    Object.assign(this, { mode, changed, userChanged });
  }

  /** Takes the token of the address, else the one that this tab had. */
  begin() {
    if (this.mode === "none") takeTokenOfAddress();
    else this.accept(takeTokenOfAddress() ?? tokenOfTab.get());
    addEventListener("hashchange", () => this.accept(takeTokenOfAddress() ?? ""));
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

  /** Uses a token from now on, as it was pasted. The server will say whether it is good. */
  accept(text) {
    if (this.mode === "none" || !text) return;
    const token = text.trim().replace(/^Bearer\s+/i, "");
    const looksRight = TOKEN_SHAPE.test(token) && token.length <= LONGEST_TOKEN;
    if (looksRight) this.#use(token);
    else this.refusal = "not_a_token";
    this.changed();
  }

  #use(token) {
    const user = userOf(token);
    tokenOfTab.set(token);
    if (this.#user !== null && this.#user !== user) return this.userChanged();
    Object.assign(this, { token, refusal: "" });
    this.#user = user;
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  /** Forgets the token, and everything else that this tab knows. */
  leave() {
    forgetTab();
    this.userChanged();
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
