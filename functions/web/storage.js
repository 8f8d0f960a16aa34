/** What the browser remembers: the open conversation, the access token, and what was typed or sent but not yet accepted. */

import { newId } from "./copilotedge.js";

const ID = /^(?:[\x21-\x7e]{1,128}~)?(?!\.{1,2}$)[A-Za-z0-9._:@-]{1,128}$/; // of one's own, or a shared one with its owner
const PREFIX = "copilotedge:";

/** The conversation of the address bar, else the last of one's own, else a new one; written back to both. */
export function openConversation() {
  const asked = new URL(location.href).searchParams.get("conversationId") ?? "";
  const last = read(() => localStorage, "conversation") ?? "";
  const id = [asked, last].find((candidate) => ID.test(candidate)) ?? newId();
  if (!id.includes("~")) write(() => localStorage, "conversation", id); // a link must not plant somebody else's for good
  history.replaceState(null, "", addressOf(id));
  return id;
}

export function addressOf(id) {
  const url = new URL(location.href);
  url.searchParams.set("conversationId", id);
  return url.href;
}

/**
 * The access token of this tab. It goes when the tab does; in localStorage it would be there for whoever uses the
 * browser next, and in a cookie it would be sent along by itself.
 */
export const tokenOfTab = {
  get: () => read(() => sessionStorage, "token") ?? "",
  set: (token) => write(() => sessionStorage, "token", token),
};

/** Of this tab, per user: the list of conversations as it was, so that it stands there at once on the next page. */
export class LastList {
  user = "";

  get entries() {
    return read(() => sessionStorage, `list:${this.user}`) ?? [];
  }
  set entries(entries) {
    write(() => sessionStorage, `list:${this.user}`, entries);
  }
}

/** Somebody else may use this browser next. */
export function forgetEverything() {
  for (const storage of [() => sessionStorage, () => localStorage]) {
    try {
      for (const key of Object.keys(storage())) if (key.startsWith(PREFIX)) storage().removeItem(key);
    } catch {
      continue;
    }
  }
}

/** Takes the token out of the address (`#token=...`), so that it is in no bookmark and no shared link; null if none is there. */
export function takeTokenOfAddress() {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (token === null) return null;
  const url = new URL(location.href);
  url.hash = "";
  history.replaceState(null, "", url);
  return token;
}

/**
 * Per tab, user and conversation: the unfinished text, and the messages that the server has not logged yet. What one
 * user wrote must not be sent with the token of another.
 */
export class Drafts {
  constructor(id, user) {
    Object.assign(this, { id, user });
  }

  /** What was written before anybody had signed in is this user's from now on, behind what that one had left here. */
  adopt(user) {
    const { text, unsent } = this;
    Object.assign(this, { text: "", unsent: [] });
    this.user = user;
    Object.assign(this, { text: text || this.text, unsent: [...this.unsent, ...unsent] });
  }

  get text() {
    return read(() => sessionStorage, this.#key("draft")) ?? "";
  }
  set text(text) {
    write(() => sessionStorage, this.#key("draft"), text);
  }
  get unsent() {
    return read(() => sessionStorage, this.#key("outbox")) ?? [];
  }
  set unsent(messages) {
    write(() => sessionStorage, this.#key("outbox"), messages);
  }

  #key(what) {
    return `${what}:${JSON.stringify([this.user, this.id])}`;
  }
}

// Storage may be forbidden or full: then the page works, it only forgets.
function read(storage, key) {
  try {
    return JSON.parse(storage().getItem(PREFIX + key));
  } catch {
    return null;
  }
}

function write(storage, key, value) {
  try {
    if (value.length) storage().setItem(PREFIX + key, JSON.stringify(value));
    else storage().removeItem(PREFIX + key);
  } catch {
    return;
  }
}
