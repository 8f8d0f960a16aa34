// CopilotKit's client of the days before AG-UI, which `CopilotTask` still is.
// Arguments: the runtime's URL, a thread and a token. Prints one JSON line for each step.
import process from "node:process";
import { CopilotRuntimeClient, TextMessage, Role, convertGqlOutputToMessages, convertMessagesToGqlInput } from "@copilotkit/runtime-client-gql";

const [url, threadId, token] = process.argv.slice(2);
const client = new CopilotRuntimeClient({ url, headers: { Authorization: `Bearer ${token}` } });
const action = { name: "setColor", description: "Paints.", jsonSchema: '{"type": "object", "properties": {}}' };

function tell(step, facts) {
  console.log(JSON.stringify({ step, ...facts }));
}

const answer = await client.generateCopilotResponse({
  data: {
    threadId,
    frontend: { actions: [action], url: "http://localhost" },
    messages: convertMessagesToGqlInput([new TextMessage({ role: Role.User, content: "Paint the page" })]),
    metadata: { requestType: "Chat" },
  },
}).toPromise();
if (answer.error) throw answer.error;
const { messages } = answer.data.generateCopilotResponse;
tell("answered", { messages: convertGqlOutputToMessages(messages), arguments: messages.map((m) => m.arguments) });

const agents = await client.availableAgents().toPromise();
tell("agents", agents.data.availableAgents);

const state = await client.loadAgentState({ threadId, agentName: "default" }).toPromise();
tell("loaded", state.data.loadAgentState);
