/** One's own conversations as far as they have been read: no DOM. Pinned ones come first, then the latest. */

const ONE_REFRESH = 300; // ms: what happens at once is looked up once

export class Listing {
  phase = "loading"; // "ready", "unavailable"
  query = "";
  archived = false; // which ones are looked at

  #entries = new Map(); // conversationId → entry
  #cursor = null;
  #asked = { first: 0, more: 0 }; // numbers of the last questions: answers to earlier ones are late
  #timer = 0;

  /**
   * `rest` has conversations, amend and remove; `last` keeps the entries for the next page; `changed()` is called back;
   * `tell(news)` goes to the other tabs.
   */
  constructor(rest, last, { changed, tell }) {
    Object.assign(this, { rest, last, changed, tell });
  }

  /** What there was on the last page of this tab, until there are news. */
  begin() {
    if (this.phase === "loading") this.#entries = mapOf(this.last.entries);
    this.changed();
  }

  get entries() {
    return [...this.#entries.values()].sort(byRank);
  }

  get hasMore() {
    return Boolean(this.#cursor);
  }

  find(id) {
    return this.#entries.get(id);
  }

  /** Looks at others: those whose titles contain `query`, or the archived ones. */
  look({ query = this.query, archived = this.archived }) {
    Object.assign(this, { query, archived, phase: "loading" });
    this.#entries.clear();
    this.#cursor = null;
    this.#asked.more += 1;
    this.changed();
    return this.refresh();
  }

  /** Reads the first page anew; of what was read behind it all stays that still can be there. */
  async refresh() {
    const page = await this.#read("first");
    if (!page) return;
    const last = page.conversations.at(-1);
    const behind = page.nextCursor && last ? this.entries.filter((entry) => byRank(entry, last) > 0) : [];
    const deeper = behind.length > 0;
    this.#entries = mapOf([...page.conversations, ...behind]);
    if (!deeper) this.#cursor = page.nextCursor ?? null;
    if (!this.query && !this.archived) this.last.entries = page.conversations;
    this.changed();
  }

  /** The same, but once for many reasons. */
  refreshSoon() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.refresh(), ONE_REFRESH);
  }

  async more() {
    const page = await this.#read("more", { cursor: this.#cursor });
    if (!page) return;
    this.#entries = mapOf([...this.#entries.values(), ...page.conversations]);
    this.#cursor = page.nextCursor ?? null;
    this.changed();
  }

  /** Null for an answer that came too late, and where there is no list. */
  async #read(which, about = {}) {
    const number = ++this.#asked[which];
    const { query, archived } = this;
    try {
      const page = await this.rest.conversations({ query, archived, ...about });
      if (number !== this.#asked[which]) return null;
      this.phase = "ready";
      return page;
    } catch {
      if (number === this.#asked[which]) this.#fail();
      return null;
    }
  }

  #fail() {
    this.phase = this.#entries.size ? "ready" : "unavailable"; // a list of a moment ago is better than none
    this.changed();
  }

  // --- changes ------------------------------------------------------------------------------------------------

  /** Renames, pins or archives. Throws what the server says against it. */
  async amend(id, changes) {
    const entry = await this.rest.amend(id, changes);
    this.#put({ conversationId: id, ...entry });
    this.tell({ amended: { conversationId: id, ...entry } });
  }

  async remove(id) {
    await this.rest.remove(id);
    this.#drop(id);
    this.tell({ removed: id });
  }

  /** Something of one conversation has become known; false if that one is not here. */
  learn(id, facts) {
    const entry = this.find(id);
    if (entry) this.#put({ ...entry, ...facts });
    return Boolean(entry);
  }

  /** Another tab's news. */
  hear({ amended, removed, stale }) {
    if (removed) this.#drop(removed);
    if (amended) this.#put(amended);
    if (stale) this.refreshSoon();
  }

  #put(entry) {
    const belongs = Boolean(entry.archived) === this.archived && (!this.query || this.find(entry.conversationId));
    if (!belongs) return this.#drop(entry.conversationId);
    this.#entries.set(entry.conversationId, entry);
    this.changed();
  }

  #drop(id) {
    this.#entries.delete(id);
    this.changed();
  }
}

function byRank(one, other) {
  return Boolean(other.pinned) - Boolean(one.pinned) || other.lastActivity - one.lastActivity;
}

function mapOf(entries) {
  return new Map(entries.map((entry) => [entry.conversationId, entry]));
}
