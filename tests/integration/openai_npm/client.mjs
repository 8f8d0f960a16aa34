// The official npm package, as it is: `node client.mjs CHECK BASE_URL TOKEN [MORE...]` prints what it saw, as JSON.
import OpenAI from "openai";

const [check, baseURL, apiKey, ...more] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });
const weather = { name: "weather", parameters: { type: "object", properties: {} } };

const ask = (content, rest = {}) =>
  client.chat.completions.create({ model: "m", messages: [{ role: "user", content }], ...rest });

const textsOf = async (conversation, query = {}) => {
  const texts = [];
  for await (const item of client.conversations.items.list(conversation, query)) {
    texts.push(item.content[0].text);
  }
  return texts;
};

const deltasOf = (events) =>
  events
    .filter((event) => event.type === "response.output_text.delta")
    .map((event) => event.delta)
    .join("");

/** Up to so many events, then cut. */
const readSome = async (stream, most) => {
  const events = [];
  for await (const event of stream) {
    events.push(event);
    if (events.length === most) break;
  }
  return events;
};

const refusal = async (attempt) => {
  try {
    await attempt();
    return "nothing";
  } catch (error) {
    return [error.constructor.name, error.status ?? null, error.code];
  }
};

const checks = {
  async chat() {
    const answer = await ask("Hello there, Node");
    return [answer.choices[0].message.content, answer.usage.total_tokens];
  },

  async stream() {
    const arrived = [];
    for await (const chunk of await ask("A slow story", { stream: true })) {
      const text = chunk.choices[0].delta.content;
      if (text) arrived.push([Date.now() / 1000, text]);
    }
    return arrived;
  },

  async tools() {
    const tools = [{ type: "function", function: weather }];
    const messages = [{ role: "user", content: "How warm is it in Oslo?" }];
    const stream = client.chat.completions.stream({ model: "m", messages, tools });
    const { message, finish_reason } = (await stream.finalChatCompletion()).choices[0];
    const [call] = message.tool_calls;
    messages.push(message, { role: "tool", tool_call_id: call.id, content: "12" });
    const answer = await client.chat.completions.create({ model: "m", messages, tools });
    return [finish_reason, call.function.arguments, answer.choices[0].message.content];
  },

  async models() {
    const names = [];
    for await (const model of client.models.list()) names.push(model.id);
    return [names, (await client.models.retrieve(names[0])).id];
  },

  async conversations() {
    const items = [{ role: "user", content: "Is it hot?" }];
    const made = await client.conversations.create({ metadata: { topic: "tea" }, items });
    const more = { items: [{ role: "assistant", content: "Very hot." }] };
    await client.conversations.items.create(made.id, more);
    await ask("And now?", { metadata: { conversationId: made.id } });
    const response = await client.responses.create({ input: "And then?", conversation: made.id });
    const read = await client.conversations.retrieve(made.id);
    const texts = await textsOf(made.id, { limit: 2, order: "asc" });
    const { deleted } = await client.conversations.delete(made.id);
    return { metadata: read.metadata, texts, output: response.output_text, deleted };
  },

  async functionCall() {
    const tools = [{ type: "function", ...weather, strict: false }];
    const stream = client.responses.stream({ model: "m", input: "How warm is it?", tools });
    const first = await stream.finalResponse();
    const call = first.output.find((item) => item.type === "function_call");
    const input = [{ type: "function_call_output", call_id: call.call_id, output: "12" }];
    const second = await client.responses.create({ input, previous_response_id: first.id, tools });
    return [call.name, call.arguments, second.output_text];
  },

  /** Cut after every few events, as `more` says, again and again. */
  async resume() {
    const background = more[0] === "background";
    const cuts = JSON.parse(more[1]);
    const seen = await readSome(
      await client.responses.create({ input: "Tell me", stream: true, background }),
      cuts[0],
    );
    const { id } = seen[0].response;
    for (let turn = 1; seen.at(-1).type !== "response.completed"; turn += 1) {
      const query = { stream: true, starting_after: seen.at(-1).sequence_number };
      seen.push(...(await readSome(await client.responses.retrieve(id, query), cuts[turn % cuts.length])));
    }
    const whole = client.responses.stream({ response_id: id, starting_after: 20 });
    return {
      numbers: seen.map((event) => event.sequence_number),
      text: deltasOf(seen),
      output: seen.at(-1).response.output_text ?? (await client.responses.retrieve(id)).output_text,
      replayed: (await whole.finalResponse()).output_text,
    };
  },

  async background() {
    const { id, status } = await client.responses.create({ input: "Take your time", background: true });
    let response = await client.responses.retrieve(id);
    while (["queued", "in_progress"].includes(response.status)) {
      await new Promise((resolve) => setTimeout(resolve, 100));
      response = await client.responses.retrieve(id);
    }
    return [status, response.output_text];
  },

  async cancel() {
    const seen = [];
    for await (const event of await client.responses.create({ input: "Tell me", stream: true })) {
      seen.push(event);
      if (event.delta?.includes("word1")) await client.responses.cancel(seen[0].response.id);
    }
    const { status, output } = seen.at(-1).response;
    return [status, output[0].content[0].text];
  },

  async hangUp() {
    const stream = await ask("Tell me a story", { stream: true, metadata: { conversationId: more[0] } });
    for await (const chunk of stream) {
      if (chunk.choices[0].delta.content) break;
    }
    return "gone";
  },

  async errors() {
    const nobody = new OpenAI({ baseURL, apiKey: "no-token", maxRetries: 0 });
    return [
      await refusal(() => nobody.models.list()),
      await refusal(() => client.responses.retrieve("resp_nothing")),
      await refusal(() => ask("Say it twice", { n: 2 })),
    ];
  },

  async limit() {
    await ask("The first one");
    return refusal(() => ask("One too many"));
  },
};

console.log(JSON.stringify(await checks[check]()));
