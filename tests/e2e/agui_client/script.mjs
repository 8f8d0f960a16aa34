// What a page does with CopilotKit, done without one: AG-UI's own client against `{url}/agent/default/run`.
// Arguments: the client's package, the runtime's URL, thread and token. Prints one JSON line for each step.
import process from "node:process";

const [client, url, threadId, token] = process.argv.slice(2);
const { HttpAgent } = await import(client);
const headers = { Authorization: `Bearer ${token}` };
const tools = [{
  name: "setColor",
  description: "Changes the color of the page.",
  parameters: { type: "object", properties: { color: { type: "string" } }, required: ["color"] },
}];

function agent(route = "run") {
  return new HttpAgent({ url: `${url}/agent/default/${route}`, threadId, headers });
}

function tell(step, facts) {
  console.log(JSON.stringify({ step, ...facts }));
}

/** Runs until the server ends the run; `onText` sees the answer so far. */
async function run(on, parameters = {}, onText = () => {}) {
  const types = [];
  let failure = null;
  await on.runAgent({ tools, ...parameters }, {
    onEvent: ({ event }) => { types.push(event.type); },
    onTextMessageContentEvent: ({ textMessageBuffer, event }) => onText(textMessageBuffer + event.delta),
    onRunErrorEvent: ({ event }) => { failure = event.code; },
  });
  return { types, failure };
}

const said = (on) => on.messages.map(({ id, role, content, toolCalls, toolCallId }) => ({ id, role, content, toolCalls, toolCallId }));
const user = (id, content) => ({ id, role: "user", content });

const chat = agent();
chat.addMessage(user("u-1", "Hello"));
let pieces = 0;
const first = await run(chat, {}, () => { pieces += 1; });
tell("streamed", { ...first, pieces, messages: said(chat) });

const again = agent();
again.setMessages([user("u-1", "Hello")]);
await run(again);
tell("repeated", { messages: said(again) });

chat.addMessage(user("u-2", "Which color?"));
await run(chat);
const call = chat.messages.at(-1).toolCalls[0];
const { color } = JSON.parse(call.function.arguments);
chat.addMessage({ id: "tool-1", role: "tool", toolCallId: call.id, content: `The page is ${color} now.` });
tell("called", { name: call.function.name, color, ...(await run(chat)), messages: said(chat) });

chat.addMessage(user("u-3", "Tell me a story"));
let stopping = null;
const stopped = await run(chat, {}, (text) => {
  if (text.length > 30) stopping ??= fetch(`${url}/agent/default/stop/${threadId}`, { method: "POST", headers });
});
tell("stopped", { ...stopped, answer: await (await stopping).json(), messages: said(chat) });

const reopened = agent("connect");
const replay = await run(reopened);
tell("reopened", { ...replay, messages: said(reopened), same: JSON.stringify(said(reopened)) === JSON.stringify(said(chat)) });

const strange = agent();
strange.addMessage({ id: "u-4", role: "user", content: [{ type: "image", source: { type: "url", value: "https://example.com/a.png" } }] });
tell("refused", await run(strange).catch((error) => ({ thrown: String(error) })));
