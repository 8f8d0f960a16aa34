/** What a model asked of a tool, and what the tool said: folded away, for who wants to know. */

import { preformatted } from "./code.js";
import { element, icon } from "./dom.js";

const LONGEST_DETAIL = 20_000; // characters

/** `calls` as a message's metadata has them: {id, name, arguments}. */
export function drawCalls(calls) {
  return calls.map(({ id, name, arguments: asked }) => fold("Asked", name || id, asked || "{}"));
}

/** `name` is that of the tool, as far as it is known. */
export function drawResult(name, content) {
  return fold("Answer of", name || "a tool", content);
}

function fold(verb, name, text) {
  const said = [element("span", { textContent: verb }), element("code", { dir: "auto", textContent: name })];
  const summary = element("summary", {}, [icon("tool"), ...said]);
  return element("details", { className: "tool" }, [summary, detail(text)]);
}

function detail(text) {
  const shown = indented(text.slice(0, LONGEST_DETAIL)) ?? text.slice(0, LONGEST_DETAIL);
  return element("div", { className: "code" }, [preformatted(shown + (text.length > LONGEST_DETAIL ? " …" : ""), "json")]);
}

/** Null for what is no JSON. */
function indented(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return null;
  }
}
