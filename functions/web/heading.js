/** The line on top: what the conversation is called, with whom, and what it has taken so far. */

import { setText } from "./dom.js";
import { shortModel, usageInWords } from "./figures.js";

const NAMELESS = { true: "New chat", false: "Conversation" };
const PRODUCT = "CopilotEdge for AWS";

export class Heading {
  constructor(bar) {
    this.title = bar.querySelector("#title");
    this.model = bar.querySelector("#model");
    this.total = bar.querySelector("#total");
  }

  /** Totals as `GET state` has them; `title` may be missing, `isEmpty` then says how to do without. */
  show({ title, model, isEmpty, totals }) {
    setText(this.title, title || NAMELESS[isEmpty]);
    setText(document.querySelector("title"), title ? `${title} · CopilotEdge` : PRODUCT);
    setText(this.model, shortModel(model));
    setText(this.total, usageInWords({ tokens: totals?.totalTokens, costUsd: totals?.totalCostUsd }));
    this.model.title = model;
  }
}
