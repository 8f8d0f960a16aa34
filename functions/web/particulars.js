/** What the server knows of the open conversation beside its messages: title, model, instructions, totals. No DOM. */

const ONE_LOOK = 200; // ms: what happens at once is looked up once

export class Particulars {
  known = null; // as `GET state` answers
  models = null; // as `GET models` answers

  #timer = 0;
  #asked = 0;

  /** `rest` has state, storeState and models; `changed()` is called back. */
  constructor(rest, changed) {
    Object.assign(this, { rest, changed });
  }

  /** Reads them. Throws what the server says against it. */
  async load() {
    const number = ++this.#asked;
    const state = await this.rest.state();
    if (number === this.#asked) this.#take(state); // else there is newer news
  }

  /** Reads them, or leaves the old ones. */
  async refresh() {
    await this.load().catch(() => null);
  }

  /** The same, but once for many reasons. */
  refreshSoon() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.refresh(), ONE_LOOK);
  }

  /** `changes` are any of model and context. Throws what the server says against it. */
  async store(changes) {
    this.#asked += 1;
    this.#take(await this.rest.storeState(changes));
  }

  /** What may be chosen, and what it costs; just the model in use where the server does not tell. */
  async choices() {
    this.models ??= await this.rest.models().catch(() => null);
    return this.models?.models ?? [];
  }

  learn(facts) {
    this.#take({ ...this.known, ...facts });
  }

  #take(state) {
    this.known = state;
    this.changed();
  }
}
