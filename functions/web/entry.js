/** One conversation in the list: a link, a menu, and a field where its title is written anew. */

import { button, element, icon, iconButton } from "./dom.js";
import { agoInWords } from "./figures.js";

const LONGEST_TITLE = 200;

export const UNTITLED = "Untitled";

export class EntryView {
  #shown = {};
  #name = element("bdi", { className: "title" });
  #about = element("span", { className: "about" });
  #menu = null;

  /** `actions`: rename(entry, title), pin(entry), archive(entry), remove(entry); `address` is where it opens. */
  constructor(actions, address) {
    this.actions = actions;
    this.link = element("a", { href: address }, [this.#name, this.#about]);
    this.more = iconButton("more", "", () => this.#openMenu(), { ariaExpanded: "false" });
    this.node = element("li", { className: "entry" }, [this.link, this.more]);
  }

  update(entry, current) {
    const title = entry.title || UNTITLED;
    this.#shown = entry;
    this.#name.textContent = title;
    const pin = entry.pinned ? [icon("pin"), element("span", { className: "unseen", textContent: "Pinned, " })] : [];
    this.#about.replaceChildren(...pin, agoInWords(entry.lastActivity));
    this.link.title = title;
    this.more.ariaLabel = this.more.title = `More for ${title}`;
    this.node.classList.toggle("open", current);
    if (current) this.link.setAttribute("aria-current", "page");
    else this.link.removeAttribute("aria-current");
  }

  // --- menu ---------------------------------------------------------------------------------------------------

  #openMenu() {
    if (this.#menu) return this.#menu.hidePopover();
    const { actions } = this;
    const entry = this.#shown;
    const item = (name, label, act) => {
      const chosen = button(label, () => (this.#menu.hidePopover(), act()));
      chosen.prepend(icon(name));
      return chosen;
    };
    this.#menu = element("div", { className: "menu", role: "group", popover: "auto", ariaLabel: this.more.ariaLabel }, [
      item("rename", "Rename", () => this.#rename()),
      item("pin", entry.pinned ? "Unpin" : "Pin", () => actions.pin(entry)),
      item("archive", entry.archived ? "Take back" : "Archive", () => actions.archive(entry)),
      item("delete", "Delete", () => actions.remove(entry)),
    ]);
    this.#menu.addEventListener("keydown", (event) => moveFocus(event, this.#menu));
    this.#menu.addEventListener("toggle", ({ newState }) => newState === "closed" && this.#closed());
    this.more.after(this.#menu); // the next in line for Tab
    this.more.ariaExpanded = "true";
    this.#menu.showPopover();
    place(this.#menu, this.more.getBoundingClientRect());
    this.#menu.firstChild.focus();
  }

  #closed() {
    this.#menu.remove();
    this.#menu = null;
    this.more.ariaExpanded = "false";
  }

  // --- title --------------------------------------------------------------------------------------------------

  #rename() {
    const field = titleField(this.#shown.title ?? "");
    const form = element("form", { className: "renaming" }, [field]);
    let open = true;
    const end = (title) => {
      if (!open) return;
      open = false; // leaving the page takes the focus too, and that ends it again
      form.replaceWith(this.link);
      if (title !== this.#shown.title) this.actions.rename(this.#shown, title || null);
    };
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      end(field.value.trim());
      this.link.focus();
    });
    field.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      event.preventDefault(); // a drawer around it stays open
      event.stopPropagation();
      end(this.#shown.title);
      this.more.focus();
    });
    field.addEventListener("blur", () => end(field.value.trim() || this.#shown.title));
    this.link.replaceWith(form);
    field.select();
    field.focus();
  }
}

function titleField(title) {
  const about = { ariaLabel: "Title", placeholder: "Automatic title", maxLength: LONGEST_TITLE };
  return element("input", { ...about, value: title, dir: "auto", autocomplete: "off", enterKeyHint: "done" });
}

function moveFocus(event, menu) {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step) return;
  event.preventDefault();
  const items = [...menu.children];
  items.at((items.indexOf(document.activeElement) + step) % items.length).focus();
}

/** Below what it belongs to, or above it where there is no room; inside the window in any case. */
function place(menu, { right, top, bottom }) {
  const { offsetWidth, offsetHeight } = menu;
  const below = bottom + 4 + offsetHeight < innerHeight;
  menu.style.left = `${Math.max(8, Math.min(right - offsetWidth, innerWidth - offsetWidth - 8))}px`;
  menu.style.top = `${below ? bottom + 4 : Math.max(8, top - offsetHeight - 4)}px`;
}
