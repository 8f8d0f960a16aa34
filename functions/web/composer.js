/** The field where a message is written: grows with its text, Enter sends, and Stop stands in while an answer runs. */

import { countCodePoints } from "./copilotedge.js";
import { setText } from "./dom.js";

export class Composer {
  #limit = Infinity;
  #busy = false;
  #ready = false;

  /** `drafts` keeps the unfinished text; `send(text)` and `stop()` are called back. */
  constructor(form, drafts, { send, stop }) {
    Object.assign(this, { form, drafts, send, stop });
    this.field = form.querySelector("textarea");
    this.sendButton = form.querySelector("#send");
    this.stopButton = form.querySelector("#stop");
    this.count = document.getElementById("count");
    this.news = document.getElementById("limit");
    this.field.addEventListener("input", () => this.#changed());
    this.field.addEventListener("keydown", (event) => this.#onKey(event));
    form.addEventListener("submit", (event) => this.#onSubmit(event));
    this.stopButton.addEventListener("click", () => this.#onStop());
    addEventListener("resize", () => this.#grow());
    this.write(drafts.text);
  }

  /** From now on messages can be sent. */
  enable(limit) {
    this.#limit = limit;
    this.#ready = true;
    this.#changed();
  }

  set busy(busy) {
    if (busy === this.#busy) return;
    this.#busy = busy;
    const hadFocus = this.form.contains(document.activeElement);
    this.#changed();
    if (hadFocus) this.field.focus(); // the focused button may just have gone
  }

  write(text) {
    this.field.value = text;
    this.#changed();
  }

  /** Brings back what was unfinished, unless something else is being written. */
  restore() {
    if (!this.field.value) this.write(this.drafts.text);
  }

  focus() {
    this.field.focus();
  }

  get #length() {
    return countCodePoints(this.field.value.trim());
  }

  #changed() {
    const length = this.#length;
    this.drafts.text = this.field.value;
    this.sendButton.disabled = !this.#ready || !length || length > this.#limit;
    this.sendButton.hidden = this.#busy && !length;
    this.stopButton.hidden = !this.#busy;
    this.#showCount(length);
    this.#grow();
  }

  #showCount(length) {
    const near = length > this.#limit * 0.9;
    const over = length > this.#limit;
    this.count.textContent = near ? `${length.toLocaleString()} of ${this.#limit.toLocaleString()} characters` : "";
    this.count.classList.toggle("over", over);
    setText(this.news, over ? "The message is too long." : near ? "The message is nearly too long." : ""); // not at each key
    this.field.setAttribute("aria-invalid", String(over));
  }

  #grow() {
    this.field.style.height = "auto";
    this.field.style.height = `${this.field.scrollHeight}px`;
  }

  #onKey(event) {
    if (event.isComposing || event.keyCode === 229) return; // an input method is at work: Enter is its own
    if (event.key === "Escape" && this.#busy) this.#onStop();
    if (event.key === "Enter" && !event.shiftKey) this.#onSubmit(event);
  }

  #onSubmit(event) {
    event.preventDefault();
    if (this.sendButton.disabled) return;
    const text = this.field.value.trim();
    this.write("");
    this.focus();
    this.send(text);
  }

  #onStop() {
    this.stop();
    this.focus();
  }
}
