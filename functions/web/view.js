/** The page around the messages: header, scrolling, problems, and one drawing per animation frame. */

import { Composer } from "./composer.js";
import { Confirmation } from "./confirmation.js";
import { arrange, button, element, setText } from "./dom.js";
import { secondsInWords } from "./figures.js";
import { MessageView } from "./message.js";
import { SignIn } from "./sign_in.js";

const CONNECTION = { connecting: "Connecting…", connected: "Connected", reconnecting: "Reconnecting…", offline: "Offline", locked: "No access", unused: "Not connected" };
const ACTIVITY = { thinking: "The assistant is thinking.", streaming: "The assistant is answering." };
const OFFLINE = "You are offline. What you write is kept, and sent when the connection is back.";
const CLEARING = {
  title: "Clear this conversation?",
  text: "Its messages are deleted for everybody who has it open. This cannot be undone.",
  yes: "Clear conversation",
};
const SWITCHED_OFF = "Conversations are switched off on this server, and this page needs them.";
const NEAR = 48; // pixels from the end that still count as being there
const MOST_PROBLEMS = 3;

const part = (id) => document.getElementById(id);

export class View {
  #messages = new Map(); // entry key → MessageView
  #next = null; // what to draw
  #scheduled = false;
  #announcing = false;
  #following = true; // stay at the end while messages grow
  #loadingOlder = false;

  /** `actions`: send(text), stop(), clear(), retry(entry), remove(entry), loadOlder(), newChat(), signIn(token). */
  constructor(actions, drafts) {
    this.actions = actions;
    this.scroller = part("scroller");
    this.composer = new Composer(part("composer"), drafts, { send: (text) => this.#send(text), stop: actions.stop });
    this.signIn = new SignIn(part("access"), actions.signIn);
    this.confirmation = new Confirmation(part("confirm"));
    part("new").onclick = actions.newChat;
    part("clear").onclick = () => this.#clear();
    part("skip").onclick = () => this.composer.focus();
    part("older").onclick = () => this.#loadOlder();
    part("latest").onclick = () => this.#toEnd();
    this.#joinIdeas();
    this.#joinScrolling();
    for (const event of ["online", "offline"]) addEventListener(event, () => this.#showWhetherOffline());
    this.#showWhetherOffline();
  }

  describe({ notice, maxMessageCharacters, conversationsEnabled, auth }) {
    part("notice").textContent = conversationsEnabled ? notice : SWITCHED_OFF;
    part("notice").hidden = !part("notice").textContent;
    if (!conversationsEnabled) return this.#showConnection("unused");
    this.signIn.describe(auth);
    this.composer.enable(maxMessageCharacters);
    this.#focus();
  }

  /** Asks for a token while one is needed; what is being written stays where it is. */
  showAccess({ needed, refusal, user }) {
    for (const place of document.querySelectorAll(".whose")) {
      place.textContent = user;
      place.parentElement.hidden = needed || !user;
    }
    const wasThere = this.signIn.hasFocus;
    this.signIn.show(needed, refusal);
    if (wasThere || (needed && document.activeElement === document.body)) this.#focus();
  }

  #focus() {
    if (!matchMedia("(hover: hover)").matches) return; // on a phone the keyboard would jump up
    if (this.signIn.shown) this.signIn.focus();
    else this.composer.focus();
  }

  /** What was there when the page was opened is not read aloud; what comes from now on is. */
  announceFromNowOn() {
    requestAnimationFrame(() => (this.#announcing = true));
  }

  /** Shows a problem until it is dismissed, another of its kind comes, or the next message is sent. */
  showError({ error, code = error, retryAfter }) {
    const text = retryAfter ? `${error} (Try again in ${secondsInWords(retryAfter)}.)` : error;
    const dismiss = button("Dismiss", () => problem.remove());
    const problem = element("p", { className: "problem" }, [element("span", { dir: "auto", textContent: text }), dismiss]);
    problem.dataset.code = code;
    for (const other of [...part("errors").children]) if (other.dataset.code === code) other.remove();
    part("errors").append(problem);
    while (part("errors").children.length > MOST_PROBLEMS) part("errors").firstChild.remove();
  }

  /** Draws at the next frame; after a costly drawing, pauses long enough to leave the page responsive. */
  update(state) {
    this.#next = state;
    if (this.#scheduled) return;
    this.#scheduled = true;
    requestAnimationFrame(() => {
      const start = performance.now();
      const latest = this.#next;
      this.#next = null;
      this.#draw(latest);
      setTimeout(() => this.#drawn(), Math.max(0, 3 * (performance.now() - start) - 36));
    });
  }

  #drawn() {
    this.#scheduled = false;
    if (this.#next) this.update(this.#next);
  }

  #draw({ conversation, connection, secondsHeld }) {
    this.#showConnection(connection);
    this.#showMessages(annotated(conversation.entries()), { connection, secondsHeld });
    setText(part("activity"), ACTIVITY[conversation.turn?.phase] ?? "");
    part("empty").hidden = !conversation.isEmpty;
    part("older").hidden = !conversation.hasMore;
    part("clear").disabled = connection !== "connected" || conversation.isEmpty;
    this.composer.busy = Boolean(conversation.turn);
  }

  #showConnection(connection) {
    const badge = part("connection");
    if (badge.dataset.state === connection && badge.textContent) return;
    badge.dataset.state = connection;
    badge.textContent = CONNECTION[connection];
  }

  #showWhetherOffline() {
    part("offline").textContent = navigator.onLine ? "" : OFFLINE;
  }

  #showMessages(entries, surroundings) {
    const log = part("log");
    log.ariaLive = this.#announcing && !this.#loadingOlder ? "polite" : "off";
    const shown = new Map();
    const draw = (entry) => {
      const message = this.#messages.get(entry.key) ?? new MessageView(entry, this.actions);
      message.update(entry, surroundings);
      shown.set(entry.key, message);
      return message.node;
    };
    for (const place of ["log", "current", "pending"]) arrange(part(place), entries[place].map(draw));
    this.#messages = shown;
  }

  #send(text) {
    part("errors").replaceChildren();
    this.#toEnd();
    this.actions.send(text);
  }

  // --- scrolling ----------------------------------------------------------------------------------------------

  #joinScrolling() {
    this.scroller.addEventListener("scroll", () => this.#onScroll(), { passive: true });
    const observer = new ResizeObserver(() => this.#follow());
    observer.observe(part("column"));
    observer.observe(this.scroller);
  }

  #onScroll() {
    const { scrollTop, scrollHeight, clientHeight } = this.scroller;
    this.#following = scrollHeight - scrollTop - clientHeight < NEAR;
    part("latest").hidden = this.#following;
    if (scrollTop < NEAR && !this.#following && !part("older").hidden) this.#loadOlder();
  }

  #follow() {
    if (this.#following) this.scroller.scrollTop = this.scroller.scrollHeight;
    else this.#onScroll();
  }

  #toEnd() {
    this.#following = true;
    this.#follow();
    part("latest").hidden = true;
  }

  async #loadOlder() {
    if (this.#loadingOlder) return;
    this.#loadingOlder = part("older").disabled = true;
    const fromEnd = this.scroller.scrollHeight - this.scroller.scrollTop;
    try {
      await this.actions.loadOlder();
      await new Promise(requestAnimationFrame); // drawn
      this.#following = false;
      this.scroller.scrollTop = this.scroller.scrollHeight - fromEnd;
    } catch {
      this.showError({ code: "older", error: "Earlier messages could not be loaded." });
    }
    this.#loadingOlder = part("older").disabled = false;
  }

  // --- buttons ------------------------------------------------------------------------------------------------

  async #clear() {
    if (!(await this.confirmation.asks(CLEARING))) return;
    this.actions.clear();
    this.composer.focus();
  }

  #joinIdeas() {
    for (const idea of part("empty").querySelectorAll("button")) {
      idea.onclick = () => {
        this.composer.write(idea.textContent);
        this.composer.focus();
      };
    }
  }
}

/** What an entry cannot know by itself: which tool it speaks for, and whether another answer may take its place. */
function annotated({ log, current, pending }) {
  const names = new Map(log.flatMap(({ toolCalls }) => toolCalls ?? []).map(({ id, name }) => [id, name]));
  const settled = !current.length && pending.every(({ state }) => state === "rejected");
  const annotate = (entry, index) => {
    const canRegenerate = settled && index === log.length - 1 && entry.role === "assistant" && entry.state === "complete";
    return { ...entry, canRegenerate, toolName: names.get(entry.toolCallId) };
  };
  return { log: log.map(annotate), current, pending };
}
