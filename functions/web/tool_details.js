/** What a model asked of a tool, and what the tool said: folded away, for who wants to know. */

import { preformatted } from "./code.js";
import { element, icon } from "./dom.js";

const LONGEST_DETAIL = 20_000; // characters
const DEEPEST_DETAIL = 50; // what is nested deeper is not indented: that would be mostly white space
const JSON_STRING = /"(?:[^"\\]|\\.)*"/g;

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
  const whole = indented(text) ?? text;
  const shown = whole.length > LONGEST_DETAIL ? `${whole.slice(0, LONGEST_DETAIL)} …` : whole;
  return element("div", { className: "code" }, [preformatted(shown, "json")]);
}

/** Null for what is no JSON, or too much of it. */
function indented(text) {
  if (text.length > LONGEST_DETAIL) return null;
  try {
    const value = JSON.parse(text);
    return depthOf(text) > DEEPEST_DETAIL ? null : JSON.stringify(value, null, 2);
  } catch {
    return null;
  }
}

function depthOf(json) {
  let depth = 0;
  let deepest = 0;
  for (const [bracket] of json.replace(JSON_STRING, "").matchAll(/[[\]{}]/g)) {
    depth += "[{".includes(bracket) ? 1 : -1;
    deepest = Math.max(deepest, depth);
  }
  return deepest;
}
