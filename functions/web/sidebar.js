/** The list of one's own conversations: beside the messages where there is room, else in a drawer. */

import { arrange } from "./dom.js";
import { EntryView } from "./entry.js";
import { addressOf } from "./storage.js";

const WIDE = "(min-width: 52rem)";
const TYPING = 250; // ms after the last key that the search goes out
const A_MINUTE = 60_000;

const NOTHING = {
  loading: "Loading…",
  unavailable: "The list is not available just now. Chatting works without it.",
  archived: "Nothing is archived.",
  found: "No title contains that.",
  empty: "What you talk about will be listed here.",
};

export class Sidebar {
  #views = new Map(); // conversationId → EntryView
  #typing = 0;

  /** `actions` are those of an entry and look({query, archived}), more(), signOut(). */
  constructor(root, actions, currentId) {
    Object.assign(this, { root, actions, currentId });
    this.list = root.querySelector("ul");
    this.nothing = root.querySelector("#entries-state");
    this.moreButton = root.querySelector("#more-entries");
    this.search = root.querySelector("#find");
    this.archived = root.querySelector("#archived");
    this.moreButton.onclick = () => actions.more();
    this.archived.onclick = () => actions.look({ archived: this.archived.ariaPressed !== "true" });
    this.search.addEventListener("input", () => this.#searchSoon());
    root.querySelector("#sign-out").onclick = actions.signOut;
    this.drawer = new Drawer(root);
    setInterval(() => this.listing && !document.hidden && this.show(this.listing), A_MINUTE); // "3 min ago" grows
  }

  #searchSoon() {
    clearTimeout(this.#typing);
    this.#typing = setTimeout(() => this.actions.look({ query: this.search.value.trim() }), TYPING);
  }

  show(listing) {
    this.listing = listing;
    const views = new Map();
    const draw = (entry) => {
      const view = this.#views.get(entry.conversationId) ?? new EntryView(this.actions, addressOf(entry.conversationId));
      view.update(entry, entry.conversationId === this.currentId);
      views.set(entry.conversationId, view);
      return view.node;
    };
    const focused = document.activeElement;
    const place = [...this.list.children].findIndex((node) => node.contains(focused));
    arrange(this.list, listing.entries.map(draw));
    if (focused?.isConnected && focused !== document.activeElement) focused.focus(); // it was moved with its entry
    else if (place >= 0 && !focused.isConnected) (this.list.children[place]?.firstElementChild ?? this.search).focus(); // it left
    this.#views = views;
    this.nothing.textContent = listing.entries.length ? "" : nothingOf(listing);
    this.moreButton.hidden = !listing.hasMore;
    this.archived.ariaPressed = String(listing.archived);
  }
}

function nothingOf({ phase, query, archived }) {
  if (phase !== "ready") return NOTHING[phase];
  if (query) return NOTHING.found;
  return archived ? NOTHING.archived : NOTHING.empty;
}

/** Where there is no room for the list it comes in front of everything, and leaves again. */
class Drawer {
  constructor(content) {
    this.content = content;
    this.place = content.parentElement;
    this.dialog = document.getElementById("drawer");
    document.getElementById("open-list").onclick = () => this.dialog.showModal();
    document.getElementById("close-list").onclick = () => this.dialog.close();
    this.dialog.addEventListener("click", ({ target }) => target === this.dialog && this.dialog.close());
    const wide = matchMedia(WIDE);
    wide.addEventListener("change", () => this.#arrange(wide.matches));
    this.#arrange(wide.matches);
  }

  #arrange(wide) {
    if (wide) this.dialog.close();
    (wide ? this.place : this.dialog).append(this.content);
  }
}
