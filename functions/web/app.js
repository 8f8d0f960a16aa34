/** Composition: the page's parts, made and joined. */

import { Conversation } from "./conversation.js";
import { Session } from "./session.js";
import { backoff, LiveSocket } from "./socket.js";
import { addressOf, Drafts, newId, openConversation } from "./storage.js";
import { View } from "./view.js";

const PAGE_SIZE = 50;
const PATIENCE = 20_000;

const id = openConversation();
const drafts = new Drafts(id);
const conversation = new Conversation();

const view = new View({
  send: (text) => session?.send(text),
  stop: () => session.stop(),
  clear: () => session.clear(),
  retry: (entry) => session.retry(entry),
  remove: (entry) => session.remove(entry),
  loadOlder: () => session.loadOlder(),
  newChat: () => location.assign(addressOf(newId())),
}, drafts);

const config = await loadConfig();
const socket = new LiveSocket(`${config.websocketUrl}?conversationId=${encodeURIComponent(id)}`, {
  opened: () => session.opened(),
  received: (frame) => session.received(frame),
  changed: update,
});
const session = new Session({
  conversation,
  socket,
  history: ({ before } = {}) => getJson(historyAddress(before)),
  drafts,
  changed: update,
  failed: (error) => view.showError(error),
});

view.describe(config, id);
if (config.conversationsEnabled) {
  await session.start();
  view.announceFromNowOn();
}

function update() {
  view.update({ conversation, connection: socket.state, secondsHeld: session.secondsHeld });
}

async function loadConfig() {
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await getJson("./config.json");
    } catch {
      view.showError({ code: "config", error: "The server does not answer. Trying again…" });
      await new Promise((resolve) => setTimeout(resolve, backoff(attempt)));
    }
  }
}

function historyAddress(before) {
  const query = new URLSearchParams({ limit: PAGE_SIZE, ...(before && { before }) });
  return `./conversation/${encodeURIComponent(id)}/messages?${query}`;
}

async function getJson(address) {
  const response = await fetch(address, { signal: AbortSignal.timeout(PATIENCE), headers: { accept: "application/json" } });
  if (!response.ok) throw new Error(`${response.status} ${address}`);
  return response.json();
}
