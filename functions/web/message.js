/** One message as an <article>, drawn once and then patched when its entry changes. */

import { button, copyText, element, icon, iconButton } from "./dom.js";
import { usageInWords } from "./figures.js";
import { renderMarkdown, renderPlain } from "./markdown.js";
import { drawCalls, drawResult } from "./tool_details.js";

const AUTHORS = { user: "You", assistant: "Assistant", system: "System", tool: "Tool" };

const LABELS = {
  incomplete: "This answer was cut short.",
  cancelled: "Stopped.",
  failed: "This answer failed.",
  unanswered: "No answer came.",
  rejected: "Not sent.",
};

const WHEN_SENT = { connected: "Sending…", locked: "Will be sent when there is an access token." };
const UNFINISHED = ["thinking", "streaming"];
const DONE_FOR = 2000; // ms that a tick stands where something was copied

export class MessageView {
  #shown = {};
  #label = element("span");
  #actions = element("span", { className: "actions" });
  #usage = element("span", { className: "usage" });
  #tools = element("span", { className: "tools" });

  /** `actions` are `retry(entry)` and `remove(entry)`. */
  constructor(entry, actions) {
    this.actions = actions;
    this.author = AUTHORS[entry.role] ?? entry.role;
    this.time = element("time");
    this.body = element("div", { className: "body" });
    this.calls = element("div", { className: "calls", hidden: true });
    this.foot = element("div", { className: "under-message", hidden: true, ariaLive: "off" }, [this.#tools, this.#usage]);
    this.note = element("p", { className: "note", hidden: true }, [this.#label, this.#actions]);
    const byline = element("p", { className: "byline" }, [element("span", { textContent: this.author }), this.time]);
    const parts = [byline, this.body, this.calls, this.foot, this.note];
    this.node = element("article", { className: `message ${entry.role}`, ariaLabel: this.author }, parts);
  }

  /** `surroundings` say how the connection is and for how many seconds sending is held back. */
  update(entry, surroundings) {
    const last = this.#shown;
    this.#shown = entry;
    const changed = (...names) => names.some((name) => entry[name] !== last[name]);
    this.node.dataset.state = entry.state;
    if (changed("timestamp")) this.#showTime(entry.timestamp);
    if (changed("content", "state", "toolName")) this.#showContent(entry);
    if (changed("toolCalls")) this.#showCalls(entry.toolCalls ?? []);
    if (changed("state", "canRetry")) this.#showActions(entry);
    if (changed("state", "canRegenerate", "tokens", "costUsd", "model")) this.#showFoot(entry);
    this.#showLabel(labelOf(entry, surroundings));
  }

  #showTime(timestamp) {
    const date = new Date(timestamp);
    if (Number.isNaN(date.getTime())) return;
    this.time.dateTime = date.toISOString();
    this.time.title = date.toLocaleString();
    this.time.textContent = date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  }

  #showContent({ role, content, state, toolName }) {
    this.body.hidden = !content && state !== "thinking";
    if (state === "thinking") this.body.replaceChildren(thinking());
    else if (role === "tool") this.body.replaceChildren(drawResult(toolName, content));
    else if (role === "assistant") renderMarkdown(this.body, content);
    else renderPlain(this.body, content);
  }

  #showCalls(calls) {
    this.calls.hidden = !calls.length;
    this.calls.replaceChildren(...drawCalls(calls));
  }

  /** What can be done with a message that is there to stay, and what it took. */
  #showFoot({ role, content, state, canRegenerate, ...usage }) {
    const speaks = content && ["user", "assistant"].includes(role);
    this.foot.hidden = !speaks || [...UNFINISHED, "sending", "queued", "rejected"].includes(state);
    if (this.foot.hidden) return;
    const copy = iconButton("copy", role === "user" ? "Copy message" : "Copy answer", () => this.#copy(copy));
    const again = iconButton("again", "Regenerate answer", pausing(() => this.actions.retry(this.#shown)));
    this.#tools.replaceChildren(copy, ...(canRegenerate ? [again] : []));
    this.#usage.textContent = role === "assistant" ? usageInWords(usage) : "";
  }

  async #copy(control) {
    await copyText(this.#shown.content);
    control.replaceChildren(icon("done"));
    setTimeout(() => control.replaceChildren(icon("copy")), DONE_FOR);
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
