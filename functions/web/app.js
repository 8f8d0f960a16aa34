/** Composition: the page's parts, made and joined. */

import { Access } from "./access.js";
import { Conversation } from "./conversation.js";
import { Rest } from "./rest.js";
import { Session } from "./session.js";
import { LiveSocket } from "./socket.js";
import { addressOf, Drafts, newId, openConversation } from "./storage.js";
import { View } from "./view.js";

const PATIENT_TRIES = 3;
const NO_SOCKET = "No live connection comes about. Are too many pages open, or does the network forbid WebSockets? Trying again…";

const config = JSON.parse(document.getElementById("config").textContent);
const id = openConversation();
const drafts = new Drafts(id);
const conversation = new Conversation();
const access = new Access(config.conversationsEnabled ? config.auth : "none", {
  changed: accessChanged,
  userChanged: () => location.reload(), // this page is full of the other one's conversation
});
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
let vainTries = 0;
const socket = new LiveSocket({
  open: () => openSocket(),
  admitted: () => askWhetherAdmitted(),
  opened: () => {
    vainTries = 0;
    session.opened();
  },
  received: (frame) => session.received(frame),
  changed: update,
});
const session = new Session({
  conversation,
  socket,
  history: (page) => rest.history(page),
  drafts,
  changed: update,
  failed: (error) => view.showError(error),
  unauthorized: (code) => access.refuse(tokenOfSocket, code),
});

access.begin();
accessChanged();
view.describe(config, id);
if (config.conversationsEnabled) {
  await session.start();
  view.announceFromNowOn();
}

function update() {
  const connection = access.needed ? "locked" : socket.state;
  view.update({ conversation, connection, secondsHeld: session.secondsHeld });
}

function openSocket() {
  tokenOfSocket = access.token;
  return new WebSocket(`${config.websocketUrl}?conversationId=${encodeURIComponent(id)}`, access.protocols);
}

/** A socket lives with the token that it was opened with. */
function accessChanged() {
  if (access.token !== tokenOfSocket) socket.end();
  view.showAccess(access);
  if (access.needed) update();
}

/** Returns when connecting makes sense: not while the token is refused. */
async function askWhetherAdmitted() {
  try {
    await rest.history({ limit: 1 });
    vainTries += 1;
    if (vainTries >= PATIENT_TRIES) view.showError({ error: NO_SOCKET, code: "no_socket" });
  } catch (error) {
    if (error.code) view.showError({ error: error.message, code: error.code });
  }
}
