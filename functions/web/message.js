/** One message as an <article>, drawn once and then patched when its entry changes. */

import { button, element } from "./dom.js";
import { renderMarkdown, renderPlain } from "./markdown.js";

const AUTHORS = { user: "You", assistant: "Assistant", system: "System" };

const LABELS = {
  incomplete: "This answer was cut short.",
  cancelled: "Stopped.",
  failed: "This answer failed.",
  unanswered: "No answer came.",
  rejected: "Not sent.",
};

const WHEN_SENT = { connected: "Sending…", locked: "Will be sent when there is an access token." };

export class MessageView {
  #shown = {};
  #label = element("span");
  #actions = element("span", { className: "actions" });

  /** `actions` are `retry(entry)` and `remove(entry)`. */
  constructor(entry, actions) {
    this.actions = actions;
    this.author = AUTHORS[entry.role] ?? entry.role;
    this.time = element("time");
    this.body = element("div", { className: "body" });
    this.note = element("p", { className: "note", hidden: true }, [this.#label, this.#actions]);
    const byline = element("p", { className: "byline" }, [element("span", { textContent: this.author }), this.time]);
    this.node = element("article", { className: `message ${entry.role}`, ariaLabel: this.author }, [byline, this.body, this.note]);
  }

  /** `surroundings` say how the connection is and for how many seconds sending is held back. */
  update(entry, surroundings) {
    const last = this.#shown;
    this.#shown = entry;
    this.node.dataset.state = entry.state;
    if (entry.timestamp !== last.timestamp) this.#showTime(entry.timestamp);
    if (entry.content !== last.content || entry.state !== last.state) this.#showContent(entry);
    if (entry.state !== last.state || entry.canRetry !== last.canRetry) this.#showActions(entry);
    this.#showLabel(labelOf(entry, surroundings));
  }

  #showTime(timestamp) {
    const date = new Date(timestamp);
    if (Number.isNaN(date.getTime())) return;
    this.time.dateTime = date.toISOString();
    this.time.title = date.toLocaleString();
    this.time.textContent = date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  }

  #showContent({ role, content, state }) {
    if (state === "thinking") this.body.replaceChildren(thinking());
    else if (role === "assistant") renderMarkdown(this.body, content);
    else renderPlain(this.body, content);
  }

  #showActions(entry) {
    const { retry, remove } = this.actions;
    const buttons = [];
    if (entry.canRetry) buttons.push(button("Retry", pausing(() => retry(entry))));
    if (["sending", "queued", "rejected"].includes(entry.state)) buttons.push(button("Remove", () => remove(entry)));
    this.#actions.replaceChildren(...buttons);
  }

  #showLabel(label) {
    this.note.hidden = !label;
    if (this.#label.textContent !== label) this.#label.textContent = label;
  }
}

function labelOf({ state, position }, { connection, secondsHeld }) {
  if (state === "queued") return position > 1 ? `Waiting in line, number ${position}.` : "Waiting for its turn.";
  if (state !== "sending") return LABELS[state] ?? "";
  if (secondsHeld) return `Sending again in ${secondsHeld} s.`;
  return WHEN_SENT[connection] ?? "Will be sent when the connection is back.";
}

/** An answer takes a moment to begin: a second click would ask for another. */
function pausing(act) {
  return ({ currentTarget }) => {
    currentTarget.disabled = true;
    setTimeout(() => (currentTarget.disabled = false), 3000);
    act();
  };
}

function thinking() {
  const dots = element("span", { className: "dots", ariaHidden: "true" }, [element("i"), element("i"), element("i")]);
  return element("p", { className: "thinking" }, ["Thinking", dots]);
}
