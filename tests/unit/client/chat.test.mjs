import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";

import { connect, CopilotEdgeError } from "../../../client/copilotedge.js";
import { answer, chat as frameOf, delta, FakeSocket, history, question, settled, status, system } from "./fake_socket.mjs";

const MINUTE = 60_000;

beforeEach(() => {
  FakeSocket.all = [];
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout", "Date"] });
});

async function open(options = {}, ...messages) {
  const chat = connect({ url: "wss://edge.test/live", conversationId: "c 1", token: "t", WebSocket: FakeSocket, backoff: () => 100, ...options });
  await settled();
  await FakeSocket.last.admit(...messages);
  return chat;
}

async function reconnect(...messages) {
  FakeSocket.last.drop();
  await pass(100);
  await FakeSocket.last.admit(...messages);
}

async function pass(milliseconds) {
  mock.timers.tick(milliseconds);
  await settled();
}

async function begin(id, turnId = "turn-1", seq = 1) {
  await FakeSocket.last.say(frameOf(question(seq, "Hi", id, turnId)), status("thinking", { turnId, messageId: id, attempt: 1 }));
}

async function collect(iterable) {
  const pieces = [];
  for await (const piece of iterable) pieces.push(piece);
  return pieces;
}

function codeOf(promise) {
  return promise.then(assert.fail, (error) => (error instanceof CopilotEdgeError ? error.code : error));
}

test("the address has the conversation and the subprotocols have the token", async () => {
  await open({ url: "https://edge.test/live?x=1" });
  assert.equal(FakeSocket.last.url.href, "wss://edge.test/live?x=1&conversationId=c+1");
  assert.deepEqual(FakeSocket.last.protocols, ["bearer", "t"]);
});

test("it begins with the newest page and resumes behind it", async () => {
  const chat = await open({ history: 7 }, question(1, "Hi", "m-1", "turn-1"), answer(2, "Hello.", "turn-1"));
  await chat.ready;
  assert.equal(FakeSocket.last.asked("get_history").metadata.limit, 7);
  assert.equal(FakeSocket.last.asked("resume").metadata.afterSeq, 2);
  assert.deepEqual(chat.messages.map(({ content }) => content), ["Hi", "Hello."]);
});

test("an answer comes piece by piece, and then whole", async () => {
  const chat = await open();
  const asked = chat.send("Hi");
  const pieces = collect(asked);
  await begin(asked.id);
  for (const [content, offset] of [["Gut", 0], ["en 😀", 3], [" Tag", 7]]) await FakeSocket.last.say(delta(content, offset));
  await FakeSocket.last.say(frameOf(answer(2, "Guten 😀 Tag.", "turn-1")));
  assert.deepEqual(await pieces, ["Gut", "en 😀", " Tag", "."]);
  assert.equal((await asked).content, "Guten 😀 Tag.");
  assert.equal(asked.status, "complete");
});

test("an answer that was begun anew is told from its beginning", async () => {
  const chat = await open();
  const asked = chat.send("Hi");
  const pieces = collect(asked);
  await begin(asked.id);
  await FakeSocket.last.say(delta("Onc", 0));
  await FakeSocket.last.say(delta("Twice", 0, { attempt: 2 }));
  await FakeSocket.last.say(frameOf(answer(2, "Twice.", "turn-1")));
  assert.deepEqual(await pieces, ["Onc", "Twice", "."]);
  assert.deepEqual([asked.attempt, asked.text], [2, "Twice."]);
});

test("what was not acknowledged is sent again under its id", async () => {
  const chat = await open();
  const asked = chat.send("Hi");
  await reconnect();
  assert.deepEqual(FakeSocket.all.map(({ chats }) => chats.map(({ id }) => id)), [[asked.id], [asked.id]]);
});

test("what waited in the queue is sent again, in case the queue was lost", async () => {
  const chat = await open();
  const asked = chat.send("Hi");
  await FakeSocket.last.say(status("queued", { turnId: "turn-1", messageId: asked.id, position: 1 }));
  assert.equal(asked.status, "queued");
  await reconnect();
  assert.deepEqual(FakeSocket.last.chats.map(({ id }) => id), [asked.id]);
});

test("what is in the log by then is not sent again, and its answer is found", async () => {
  const chat = await open();
  const asked = chat.send("Hi", { id: "m-1" });
  FakeSocket.last.drop();
  await pass(100);
  FakeSocket.last.open();
  await FakeSocket.last.say(frameOf(question(1, "Hi", "m-1", "turn-1")), frameOf(answer(2, "Hello.", "turn-1")));
  assert.equal((await asked).content, "Hello.");
});

test("a question that the first page has already knows its answer", async () => {
  const chat = connect({ url: "wss://edge.test/live", conversationId: "c", WebSocket: FakeSocket });
  const asked = chat.send("Hi", { id: "m-1" });
  await settled();
  await FakeSocket.last.admit(question(1, "Hi", "m-1", "turn-1"), answer(2, "Hello.", "turn-1"));
  assert.equal((await asked).content, "Hello.");
});

test("a resume asks from where the text ends", async () => {
  const chat = await open();
  const asked = chat.send("Hi");
  await begin(asked.id);
  await FakeSocket.last.say(delta("😀😀", 0));
  FakeSocket.last.drop();
  await pass(100);
  FakeSocket.last.open();
  const { epoch, ...where } = FakeSocket.last.asked("resume").metadata;
  assert.deepEqual(where, { afterSeq: 1, turnId: "turn-1", attempt: 1, offset: 2 });
});

test("a turn that ended without an answer while one was away has failed", async () => {
  const chat = await open();
  const asked = chat.send("Hi");
  await begin(asked.id);
  await reconnect();
  assert.equal(await codeOf(asked.message), "turn_failed");
});

test("a turn fails with what the server said of it", async () => {
  const chat = await open();
  const asked = chat.send("Hi");
  const errors = [];
  chat.on("error", ({ code }) => errors.push(code));
  await begin(asked.id);
  const about = { turnId: "turn-1", messageId: asked.id };
  await FakeSocket.last.say({ type: "error", error: "No.", code: "model_unavailable", metadata: about }, status("failed", about));
  assert.equal(await codeOf(asked.message), "model_unavailable");
  await assert.rejects(collect(asked), { code: "model_unavailable", message: "No." });
  assert.deepEqual(errors, ["model_unavailable"]);
});

test("a refused message rejects, with what would help", async () => {
  const chat = await open();
  const asked = chat.send("Hi");
  const refusal = { type: "error", error: "Spent.", code: "token_budget_spent", retryAfter: 4000, metadata: { messageId: asked.id } };
  await FakeSocket.last.say(refusal);
  await assert.rejects(asked.message, { code: "token_budget_spent", retryAfter: 4000, messageId: asked.id });
});

test("a message that may be sent again soon is, by itself", async () => {
  const chat = await open();
  const asked = chat.send("Hi");
  const refusal = { type: "error", error: "Wait.", code: "rate_limited", retryAfter: 5, metadata: { messageId: asked.id } };
  await FakeSocket.last.say(refusal);
  assert.equal(chat.secondsHeld, 5);
  await pass(4999);
  assert.equal(FakeSocket.last.chats.length, 1);
  await pass(1);
  assert.equal(FakeSocket.last.chats.length, 2);
});

test("a message that could not be read is known by its turn to be sent", async () => {
  const chat = await open();
  const asked = chat.send("Hi");
  await FakeSocket.last.say({ type: "error", error: "Too large.", code: "frame_too_large" });
  assert.equal(await codeOf(asked.message), "frame_too_large");
});

test("a message that fits into no frame is refused before it is sent, and only that one", async () => {
  const chat = await open();
  const errors = [];
  chat.on("error", ({ code }) => errors.push(code));
  const large = chat.send("€".repeat(43_690)); // 131,070 bytes, and the frame around them
  const small = chat.send("Hi");
  assert.equal(await codeOf(large.message), "frame_too_large");
  assert.deepEqual(FakeSocket.last.chats.map(({ id }) => id), [small.id]);
  assert.deepEqual([errors, chat.transcript.pending.map(({ rejected }) => Boolean(rejected))], [["frame_too_large"], [true, false]]);
});

test("a message that the gateway hangs up on is not sent again, and the next one is", async () => {
  const chat = await open();
  const large = chat.send("x".repeat(50_000));
  const small = chat.send("Hi");
  FakeSocket.last.drop(1009);
  assert.equal(await codeOf(large.message), "frame_too_large");
  await pass(100);
  await FakeSocket.last.admit();
  assert.deepEqual(FakeSocket.last.chats.map(({ id }) => id), [small.id]);
});

test("what the server has taken is not blamed for a socket that was hung up", async () => {
  const chat = await open();
  const asked = chat.send("Hi");
  await begin(asked.id);
  FakeSocket.last.drop(1009);
  await settled();
  assert.equal(asked.status, "thinking");
});

test("sockets that end soon are forgiven a while, then come ever later, until one stays or does what it is for", async () => {
  const tries = [];
  const chat = await open({ backoff: (attempt) => tries.push(attempt) && 100 });
  const dieYoung = async () => {
    for (let times = 0; times < 52; times += 1) await reconnect();
    assert.deepEqual(tries.splice(0), [...Array(50).fill(0), 1, 2]);
  };
  await dieYoung();
  await pass(11_000);
  await reconnect();
  assert.deepEqual(tries.splice(0), [0]);
  await dieYoung();
  const asked = chat.send("Hi");
  await begin(asked.id);
  await reconnect();
  assert.deepEqual(tries, [0]);
});

test("a silent socket is asked for a sign of life, and replaced without one", async () => {
  await open();
  await pass(5 * MINUTE);
  assert.ok(FakeSocket.last.asked("ping"));
  await pass(10_000);
  await pass(100);
  assert.equal(FakeSocket.all.length, 2);
});

test("a socket is replaced before the gateway ends it, but not while an answer is written", async () => {
  const chat = await open();
  const asked = chat.send("Hi");
  await begin(asked.id);
  for (let minute = 0; minute < 112; minute += 1) {
    await pass(MINUTE);
    await FakeSocket.last.say(system("pong"));
  }
  assert.equal(FakeSocket.all.length, 1);
  await FakeSocket.last.say(frameOf(answer(2, "Hello.", "turn-1")));
  await pass(10_001);
  assert.equal(FakeSocket.all.length, 2);
});

test("the token is asked for before each connection, and told how often it was in vain", async () => {
  const asked = [];
  await open({ token: async (vain) => `t${asked.push(vain)}` });
  for (let times = 0; times < 2; times += 1) {
    FakeSocket.last.drop();
    await pass(100);
  }
  assert.deepEqual(asked, [0, 0, 1]);
  assert.deepEqual(FakeSocket.last.protocols, ["bearer", "t3"]);
});

test("an expired token is asked for again where somebody knows another", async () => {
  const chat = await open({ token: async (vain) => `t${vain}` });
  const asked = chat.send("Hi");
  await FakeSocket.last.say({ type: "error", error: "Expired.", code: "token_expired" });
  await pass(100);
  assert.deepEqual(FakeSocket.last.protocols, ["bearer", "t1"]);
  await FakeSocket.last.admit();
  assert.equal(FakeSocket.last.chats[0].id, asked.id);
});

test("an expired token ends it where nobody does", async () => {
  const chat = await open();
  const asked = chat.send("Hi");
  await FakeSocket.last.say({ type: "error", error: "Expired.", code: "token_expired" });
  assert.equal(await codeOf(asked.message), "token_expired");
  assert.equal(chat.connection, "closed");
  assert.equal(await codeOf(chat.send("Again").message), "closed");
});

test("a server that cannot be reached is told of, and tried for ever", async () => {
  const chat = await open();
  const errors = [];
  chat.on("error", ({ code }) => errors.push(code));
  for (let times = 0; times < 6; times += 1) {
    FakeSocket.last.drop();
    await pass(100);
  }
  assert.deepEqual([errors, FakeSocket.all.length], [["no_connection"], 7]);
});

test("a message that was not sent yet is taken back without a word", async () => {
  const chat = await open();
  chat.send("one");
  const second = chat.send("two");
  second.cancel();
  assert.equal(await codeOf(second.message), "message_withdrawn");
  assert.equal(FakeSocket.last.asked("cancel"), undefined);
});

test("a stop is asked for until it has happened", async () => {
  const chat = await open();
  const asked = chat.send("Hi");
  await begin(asked.id);
  await FakeSocket.last.say(delta("Once", 0));
  chat.cancel();
  assert.deepEqual(FakeSocket.last.asked("cancel").metadata, { messageId: asked.id });
  FakeSocket.last.drop();
  await pass(100);
  FakeSocket.last.open();
  await FakeSocket.last.say(system("resumed", { epoch: "epoch-1", lastSeq: 1, turnId: "turn-1" }));
  assert.ok(FakeSocket.last.asked("cancel"));
  await FakeSocket.last.say(frameOf(answer(2, "Once", "turn-1", { status: "cancelled" })));
  assert.equal((await asked).status, "cancelled");
});

test("an aborted signal stops its answer", async () => {
  const chat = await open();
  const abort = new AbortController();
  const asked = chat.send("Hi", { signal: abort.signal });
  await begin(asked.id);
  abort.abort();
  await FakeSocket.last.say(status("cancelled", { turnId: "turn-1", messageId: asked.id, attempt: 1 }));
  assert.equal(await codeOf(asked.message), "turn_cancelled");
});

test("a signal that outlives its answer stops nothing and is not listened to", async () => {
  const chat = await open();
  const abort = new AbortController();
  let listeners = 0;
  const { signal } = abort;
  mock.method(signal, "addEventListener", (...about) => (listeners += 1) && EventTarget.prototype.addEventListener.apply(signal, about));
  mock.method(signal, "removeEventListener", (...about) => (listeners -= 1) + EventTarget.prototype.removeEventListener.apply(signal, about));
  const asked = chat.send("Hi", { signal });
  await begin(asked.id);
  assert.equal(listeners, 1);
  await FakeSocket.last.say(frameOf(answer(2, "Hello.", "turn-1")));
  await asked;
  abort.abort();
  asked.cancel();
  assert.deepEqual([listeners, FakeSocket.last.asked("cancel")], [0, undefined]);
});

test("a regenerated answer is the new one", async () => {
  const chat = await open({}, question(1, "Hi", "m-1", "turn-1"), answer(2, "Once.", "turn-1"));
  const again = chat.regenerate();
  await settled();
  assert.ok(FakeSocket.last.asked("regenerate"));
  await FakeSocket.last.say(status("thinking", { turnId: "turn-2", messageId: "m-1", attempt: 1 }));
  await FakeSocket.last.say(delta("Twi", 0, { turnId: "turn-2" }), frameOf(answer(3, "Twice.", "turn-2", { replaces: 2 })));
  assert.equal((await again).content, "Twice.");
});

test("a regenerated answer that was cut is the one that takes the old one's place", async () => {
  const log = [question(1, "Hi", "m-1", "turn-1"), answer(2, "Once.", "turn-1")];
  const chat = await open({}, ...log);
  const again = chat.regenerate();
  await settled();
  FakeSocket.last.drop();
  await pass(100);
  FakeSocket.last.open();
  await FakeSocket.last.say(frameOf(question(3, "Else?", "m-2", "turn-3")), frameOf(answer(5, "Other.", "turn-3")));
  await FakeSocket.last.say(frameOf(answer(4, "Twice.", "turn-2", { replaces: 2 })));
  assert.equal((await again).content, "Twice.");
});

test("a regeneration of a question without an answer is the answer to that question", async () => {
  const chat = await open({}, question(1, "Hi", "m-1", "turn-1"));
  const again = chat.regenerate();
  await settled();
  FakeSocket.last.drop();
  await pass(100);
  FakeSocket.last.open();
  await FakeSocket.last.say(frameOf(question(3, "Else?", "m-2", "turn-3")), frameOf(answer(4, "Other.", "turn-3")));
  await FakeSocket.last.say(frameOf(answer(2, "Hello.", "turn-2")));
  assert.equal((await again).content, "Hello.");
});

test("a regeneration that may be running already is not asked for again", async () => {
  const chat = await open({}, question(1, "Hi", "m-1", "turn-1"), answer(2, "Once.", "turn-1"));
  const again = chat.regenerate();
  await settled();
  FakeSocket.last.drop();
  await pass(100);
  FakeSocket.last.open();
  await FakeSocket.last.say(delta("Twi", 0, { turnId: "turn-2" }));
  await FakeSocket.last.say(system("resumed", { epoch: "epoch-1", lastSeq: 2, turnId: "turn-2" }));
  assert.equal(FakeSocket.last.asked("regenerate"), undefined);
  await FakeSocket.last.say(frameOf(answer(3, "Twice.", "turn-2", { replaces: 2 })));
  assert.equal((await again).content, "Twice.");
});

test("a repeated regeneration survives that a turn is running, and is asked for when that one came to nothing", async () => {
  const chat = await open({}, question(1, "Hi", "m-1", "turn-1"), answer(2, "Once.", "turn-1"));
  const again = chat.regenerate();
  await settled();
  await reconnect(question(1, "Hi", "m-1", "turn-1"), answer(2, "Once.", "turn-1"));
  const asked = () => FakeSocket.last.sent.filter(({ content }) => content === "regenerate").length;
  const about = { metadata: { messageId: FakeSocket.last.asked("regenerate").id } };
  await FakeSocket.last.say({ type: "error", error: "Busy.", code: "turn_running", ...about });
  await FakeSocket.last.say(status("thinking", { turnId: "turn-2", messageId: "m-0", attempt: 1 }));
  assert.equal(asked(), 1);
  await FakeSocket.last.say(status("failed", { turnId: "turn-2", messageId: "m-0", attempt: 1 }));
  assert.equal(asked(), 2);
  await FakeSocket.last.say(frameOf(answer(3, "Twice.", "turn-3", { replaces: 2 })));
  assert.equal((await again).content, "Twice.");
});

test("a regeneration is not asked for again when another question has come", async () => {
  const chat = await open({}, question(1, "Hi", "m-1", "turn-1"), answer(2, "Once.", "turn-1"));
  const again = chat.regenerate();
  await settled();
  FakeSocket.last.drop();
  await pass(100);
  FakeSocket.last.open();
  await FakeSocket.last.say(frameOf(question(3, "Else?", "m-2", "turn-3")), frameOf(answer(4, "Other.", "turn-3")));
  await FakeSocket.last.say(system("resumed", { epoch: "epoch-1", lastSeq: 4, turnId: null }));
  assert.equal(await codeOf(again.message), "turn_failed");
  assert.equal(FakeSocket.last.asked("regenerate"), undefined);
});

test("a regeneration taken back at once stops no other answer", async () => {
  const chat = await open();
  const asked = chat.send("Hi");
  await begin(asked.id);
  const again = chat.regenerate();
  again.cancel();
  assert.equal(await codeOf(again.message), "message_withdrawn");
  assert.deepEqual([FakeSocket.last.asked("cancel"), FakeSocket.last.asked("regenerate")], [undefined, undefined]);
  assert.equal(asked.status, "thinking");
});

test("a refused command rejects by its id", async () => {
  const chat = await open();
  const again = chat.regenerate();
  await settled();
  const { id } = FakeSocket.last.asked("regenerate");
  const about = { metadata: { messageId: id } };
  await FakeSocket.last.say({ type: "error", error: "Nothing.", code: "nothing_to_regenerate", ...about });
  assert.equal(await codeOf(again.message), "nothing_to_regenerate");
});

test("a clear resolves when it has happened, and ends what was asked before", async () => {
  const chat = await open();
  const asked = chat.send("Hi");
  await begin(asked.id);
  const cleared = chat.clear();
  await FakeSocket.last.say(system("history_cleared", { epoch: "epoch-2" }), system("conversation_cleared", { epoch: "epoch-2" }));
  await cleared;
  assert.equal(await codeOf(asked.message), "conversation_cleared");
  assert.deepEqual(chat.messages, []);
});

test("pages of history are asked for one after the other, and put together from their parts", async () => {
  const chat = await open({}, answer(9, "nine", "turn-9"));
  const pages = Promise.all([chat.history({ before: 9 }), chat.history({ before: 8 })]);
  await settled();
  assert.equal(FakeSocket.last.asked("get_history").metadata.before, 9);
  const part = (number, content) => history([{ ...answer(8, content, "turn-8"), part: number, parts: 2 }], { hasMore: true });
  await FakeSocket.last.say(part(1, "ei"), part(2, "ght"));
  await FakeSocket.last.say(history([answer(7, "seven", "turn-7")]));
  assert.deepEqual((await pages).map(({ messages }) => messages[0].content), ["eight", "seven"]);
  assert.deepEqual(chat.messages.map(({ content }) => content), ["seven", "eight", "nine"]);
});

test("a title is told", async () => {
  const chat = await open();
  const titles = [];
  chat.on("titled", ({ title }) => titles.push(title));
  await FakeSocket.last.say(system("titled", { title: "Gardening" }));
  assert.deepEqual([titles, chat.transcript.title], [["Gardening"], "Gardening"]);
});

test("who stops listening hears no more", async () => {
  const chat = await open();
  const heard = [];
  const stop = chat.on("message", ({ content }) => heard.push(content));
  await FakeSocket.last.say(frameOf(question(1, "one", "m-1", "turn-1")));
  stop();
  await FakeSocket.last.say(frameOf(question(2, "two", "m-2", "turn-2")));
  assert.deepEqual(heard, ["one"]);
});

test("a listener that fails harms nobody else", async (context) => {
  const chat = await open();
  const faults = [];
  context.mock.method(globalThis, "queueMicrotask", (act) => assert.throws(act, ({ message }) => faults.push(message) > 0));
  chat.on("message", () => {
    throw new Error("mine");
  });
  const asked = chat.send("Hi");
  await begin(asked.id);
  assert.deepEqual([faults, asked.status], [["mine"], "thinking"]);
});

test("closing ends everything", async () => {
  const chat = await open();
  const asked = chat.send("Hi");
  chat.close();
  assert.equal(await codeOf(asked.message), "closed");
  await pass(10 * MINUTE);
  assert.equal(FakeSocket.all.length, 1);
});

test("who waits for the first page hears that it will not come", async () => {
  const closed = connect({ url: "wss://edge.test/live", conversationId: "c", WebSocket: FakeSocket });
  const again = closed.regenerate();
  closed.close();
  assert.deepEqual([await codeOf(closed.ready), await codeOf(again.message)], ["closed", "closed"]);
  const refused = connect({ url: "wss://edge.test/live", conversationId: "c", token: "t", WebSocket: FakeSocket });
  await settled();
  FakeSocket.last.open();
  await FakeSocket.last.say({ type: "error", error: "Expired.", code: "token_expired" });
  assert.equal(await codeOf(refused.ready), "token_expired");
});
