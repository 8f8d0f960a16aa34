/** Model, system prompt and temperature of the conversation, what it has taken, and its export. */

import { element } from "./dom.js";
import { dollarsInWords, shortModel, tokensInWords } from "./figures.js";

const PRICE = new Intl.NumberFormat("en", { style: "currency", currency: "USD", maximumSignificantDigits: 3 });

export class SettingsPanel {
  #models = [];
  #saved = null; // values as the server has them
  #exporting = false;

  /** `particulars` are read and written; `exported(format)` saves a file; `described()` are more terms for the list. */
  constructor(dialog, { particulars, exported, described }) {
    Object.assign(this, { dialog, particulars, described });
    const part = (id) => dialog.querySelector(`#${id}`);
    this.form = part("preferences");
    this.fields = this.form.querySelector("fieldset");
    this.model = part("model-choice");
    this.prompt = part("prompt");
    this.temperature = part("temperature");
    this.price = part("price");
    this.state = part("panel-state");
    this.saveButton = part("save");
    this.about = part("about");
    this.form.addEventListener("submit", (event) => this.#onSubmit(event));
    this.form.addEventListener("input", () => this.#edited());
    part("close-panel").onclick = () => dialog.close();
    dialog.addEventListener("click", ({ target }) => target === dialog && dialog.close());
    part("export-json").onclick = () => this.#export(exported, "json");
    part("export-markdown").onclick = () => this.#export(exported, "markdown");
  }

  /** What was edited and not saved is still there. */
  async open() {
    this.dialog.showModal();
    if (this.#changes()) return;
    this.#say(this.#saved ? "" : "Loading…");
    try {
      await Promise.all([this.particulars.load(), this.#loadModels()]);
      this.#fill();
      this.#say("");
    } catch (error) {
      this.#say(error.code ? error.message : "The settings could not be loaded.", true);
    }
  }

  /** The totals move while the panel is open. */
  refresh() {
    if (this.dialog.open && this.#saved) this.#describe();
  }

  async #loadModels() {
    this.#models = await this.particulars.choices();
  }

  #fill() {
    const { model, context = {} } = this.particulars.known;
    const { systemPrompt, temperature } = context;
    const ids = [...new Set([model, ...this.#models.map(({ id }) => id)])];
    this.model.replaceChildren(...ids.map((id) => element("option", { value: id, textContent: shortModel(id) })));
    this.model.value = model;
    this.prompt.value = systemPrompt ?? "";
    this.temperature.value = temperature ?? "";
    this.fields.disabled = false;
    this.#saved = this.#values();
    this.#edited();
    this.#describe();
  }

  #values() {
    const temperature = this.temperature.value === "" ? null : this.temperature.valueAsNumber;
    return { model: this.model.value, systemPrompt: this.prompt.value, temperature };
  }

  /** What differs from what the server has, as `PUT state` takes it; null for nothing. */
  #changes() {
    if (!this.#saved) return null;
    const { model, ...context } = Object.fromEntries(
      Object.entries(this.#values()).filter(([name, value]) => value !== this.#saved[name]),
    );
    const changes = { ...(model && { model }), ...(Object.keys(context).length && { context }) };
    return Object.keys(changes).length ? changes : null;
  }

  #edited() {
    this.saveButton.disabled = !this.#changes();
    this.#say(this.#changes() ? "Not saved yet." : "");
    const chosen = this.#models.find(({ id }) => id === this.model.value);
    this.price.textContent = chosen?.inputUsdPerMillion == null ? "" : priceOf(chosen);
  }

  async #onSubmit(event) {
    event.preventDefault();
    const changes = this.#changes();
    if (!changes) return;
    this.saveButton.disabled = true;
    this.#say("Saving…");
    try {
      await this.particulars.store(changes);
      this.#fill();
      this.#say("Saved. The next answer heeds it.");
    } catch (error) {
      this.saveButton.disabled = false;
      this.#say(error.code ? error.message : "That could not be saved. Is the connection there?", true);
    }
  }

  #describe() {
    const { messageCount, totalTokens, totalCostUsd, createdAt } = this.particulars.known;
    const terms = {
      Messages: messageCount?.toLocaleString("en"),
      Used: totalTokens && tokensInWords(totalTokens),
      Cost: totalCostUsd && dollarsInWords(totalCostUsd),
      Begun: createdAt && new Date(createdAt).toLocaleString([], { dateStyle: "medium", timeStyle: "short" }),
      ...this.described(),
    };
    const rows = Object.entries(terms).filter(([, value]) => value);
    this.about.replaceChildren(...rows.map(([term, value]) => drawTerm(term, value)));
  }

  async #export(exported, format) {
    if (this.#exporting) return;
    this.#exporting = true;
    try {
      await exported(format);
    } catch (error) {
      this.#say(error.code ? error.message : "The export could not be fetched.", true);
    }
    this.#exporting = false;
  }

  #say(text, isProblem = false) {
    this.state.textContent = text;
    this.state.classList.toggle("problem-text", isProblem);
  }
}

function drawTerm(term, value) {
  const said = element("dd", { dir: "auto", textContent: value });
  return element("div", {}, [element("dt", { textContent: term }), said]);
}

function priceOf({ inputUsdPerMillion, outputUsdPerMillion }) {
  return `${PRICE.format(inputUsdPerMillion)} a million tokens read, ${PRICE.format(outputUsdPerMillion)} written.`;
}
