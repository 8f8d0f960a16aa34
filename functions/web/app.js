/** Composition: the page's parts, made and joined. */

import { Access } from "./access.js";
import { Conversation } from "./conversation.js";
import { Chat, newId } from "./copilotedge.js";
import { saveFile } from "./downloads.js";
import { UNTITLED } from "./entry.js";
import { Heading } from "./heading.js";
import { Listing } from "./listing.js";
import { Particulars } from "./particulars.js";
import { Rest } from "./rest.js";
import { Session } from "./session.js";
import { SettingsPanel } from "./settings_panel.js";
import { Sidebar } from "./sidebar.js";
import { addressOf, Drafts, LastList, openConversation } from "./storage.js";
import { Tabs } from "./tabs.js";
import { View } from "./view.js";

const PATIENT_TRIES = 3;
const ENDS = new Set(["complete", "cancelled", "failed"]);
const NO_SOCKET = "No live connection comes about. Are too many pages open, or does the network forbid WebSockets? Trying again…";

const config = JSON.parse(document.getElementById("config").textContent);
const id = openConversation();
const access = new Access(config.conversationsEnabled ? config.auth : "none", {
  changed: accessChanged,
  userChanged: () => location.reload(), // this page is full of the other one's conversation
  left: () => location.replace(addressOf(newId())),
});
access.begin();
const drafts = new Drafts(id, access.user);
const rest = new Rest(id, access);

const view = new View({
  send: (text) => session.send(text),
  stop: () => session.stop(),
  clear: () => session.clear(),
  retry: (entry) => session.retry(entry),
  remove: (entry) => session.remove(entry),
  loadOlder: () => session.loadOlder(),
  newChat: () => location.assign(addressOf(newId())),
  signIn: (token) => access.accept(token),
}, drafts);

let tokenOfSocket = "";
let wasAway = false;
const chat = new Chat({ url: config.websocketUrl, conversationId: id, token: (vain) => tokenToConnectWith(vain) });
const conversation = new Conversation(chat.transcript);
const session = new Session({
  chat,
  history: (page) => rest.history(page),
  drafts,
  changed: update,
  failed: (error) => view.showError(error),
  unauthorized: (code) => access.refuse(tokenOfSocket, code),
});

const lastList = new LastList();
const tabs = new Tabs((news) => listing.hear(news));
const listing = new Listing(rest, lastList, { changed: showListing, tell: (news) => tabs.tell(news) });
const particulars = new Particulars(rest, showParticulars);
const heading = new Heading(document.querySelector(".bar"));
const panel = new SettingsPanel(document.getElementById("panel"), {
  particulars,
  exported: async (format) => saveFile(await rest.exported(format)),
  described: () => ({ Id: id }),
});
const sidebar = new Sidebar(document.getElementById("shelf"), {
  look: (about) => listing.look(about),
  more: () => listing.more(),
  rename: (entry, title) => amend(entry, { title }),
  pin: (entry) => amend(entry, { pinned: !entry.pinned }),
  archive: (entry) => amend(entry, { archived: !entry.archived }),
  remove: (entry) => remove(entry),
  signOut: () => access.leave(),
}, id);
document.getElementById("settings").onclick = () => panel.open();
chat.on("status", ({ status }) => ENDS.has(status) && learn({ lastActivity: Date.now() }));
chat.on("titled", ({ title }) => learn({ title }));
chat.on("cleared", () => learn({}));
chat.on("connection", (state) => lookAgain(state));

accessChanged();
view.describe(config);
document.body.classList.toggle("alone", !config.conversationsEnabled);
listing.begin();
if (config.conversationsEnabled) {
  listing.refresh();
  particulars.refresh();
  await session.start();
  view.announceFromNowOn();
}

function update() {
  const connection = access.needed ? "locked" : chat.connection;
  view.update({ conversation, connection, secondsHeld: session.secondsHeld });
  showParticulars();
}

/** After a socket that did not open: it may have been refused, which a browser does not tell from a dead network. */
async function tokenToConnectWith(vain) {
  if (vain > 0) await askWhetherAdmitted(vain);
  tokenOfSocket = access.token;
  return tokenOfSocket;
}

/** A socket lives with the token that it was opened with. */
function accessChanged() {
  if (access.token !== tokenOfSocket) chat.reconnect();
  view.showAccess(access);
  tabs.join(access.user);
  lastList.user = access.user;
  if (drafts.user !== access.user) adoptDrafts();
  if (access.needed) update();
}

function adoptDrafts() {
  drafts.adopt(access.user);
  view.composer.restore();
  session.restore();
}

/** Returns when connecting makes sense: not while the token is refused. */
async function askWhetherAdmitted(vain) {
  try {
    await rest.history({ limit: 1 });
    if (vain >= PATIENT_TRIES) view.showError({ error: NO_SOCKET, code: "no_socket" });
  } catch (error) {
    if (error.code) view.showError({ error: error.message, code: error.code });
  }
}

// --- what there is beside the messages --------------------------------------------------------------------------

/** When the connection is back: much may have happened meanwhile. */
function lookAgain(connection) {
  if (connection === "connected" && wasAway) {
    listing.refreshSoon();
    particulars.refreshSoon();
  }
  wasAway = connection !== "connected" && connection !== "connecting";
}

/** Something has become known of this conversation: every list of this user shows it. */
function learn(facts) {
  particulars.learn(facts);
  particulars.refreshSoon();
  if (!listing.learn(id, facts)) listing.refreshSoon();
  const entry = listing.find(id);
  tabs.tell(entry ? { amended: entry } : { stale: true });
}

function showListing() {
  sidebar.show(listing);
  showParticulars();
}

function showParticulars() {
  const { known } = particulars;
  const title = listing.find(id)?.title ?? known?.title;
  heading.show({ title, model: known?.model ?? config.model, totals: known, isEmpty: conversation.isEmpty });
  panel.refresh();
}

async function amend({ conversationId }, changes) {
  try {
    await listing.amend(conversationId, changes);
    if (conversationId === id) particulars.refreshSoon();
  } catch (error) {
    view.showError({ error: error.code ? error.message : "That could not be changed.", code: "list" });
  }
}

async function remove({ conversationId, title }) {
  const sure = await view.confirmation.asks({
    title: `Delete “${title || UNTITLED}”?`,
    text: "Its messages and settings are deleted for everybody who has it open. This cannot be undone.",
    yes: "Delete conversation",
  });
  if (!sure) return;
  try {
    await listing.remove(conversationId);
    if (conversationId === id) location.replace(addressOf(newId()));
  } catch (error) {
    view.showError({ error: error.code ? error.message : "It could not be deleted.", code: "list" });
  }
}
