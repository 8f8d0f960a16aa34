// The smallest page that a user of CopilotKit would write. Its address says which runtime, thread and token to use.
import { useState } from "react";
import { createRoot } from "react-dom/client";
import { CopilotKit, useFrontendTool } from "@copilotkit/react-core";
import { CopilotChat } from "@copilotkit/react-ui";
import "@copilotkit/react-ui/styles.css";

const query = new URLSearchParams(location.search);
const headers = { Authorization: `Bearer ${location.hash.slice(1)}` };

function Background({ children }) {
  const [color, setColor] = useState("white");
  useFrontendTool({
    name: "setColor",
    description: "Changes the color of the page.",
    parameters: [{ name: "color", type: "string", description: "A CSS color.", required: true }],
    handler: async (given) => {
      setColor(given.color);
      return `The page is ${given.color} now.`;
    },
  });
  return <main aria-label="Page" style={{ backgroundColor: color }}>{children}</main>;
}

createRoot(document.getElementById("root")).render(
  <CopilotKit
    runtimeUrl={query.get("runtimeUrl")}
    threadId={query.get("threadId")}
    useSingleEndpoint={query.has("single")}
    headers={headers}
    showDevConsole={false}
    enableInspector={false}
  >
    <Background>
      <CopilotChat labels={{ title: "CopilotKit", initial: "" }} />
    </Background>
  </CopilotKit>,
);
