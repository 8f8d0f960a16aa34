/** Colours of code: strings, comments, numbers, keywords, names. One pass from left to right, each place looked at once. */

import { element } from "./dom.js";
import { grammarOf } from "./languages.js";

const LONGEST_CODE = 20_000; // characters; what follows stays plain
const MOST_WORDS = 3_000; // coloured ones
const NUMBER = "\\b(?:0[xXbBoO][\\da-fA-F_]{1,60}|\\d[\\d_]{0,60}(?:\\.[\\d_]{1,60})?(?:[eE][+-]?\\d{1,9})?)\\w{0,3}\\b";
const WORD = "[A-Za-z_$][\\w$]*";
const KINDS = ["comment", "name", "string", "keyword", "number"]; // where two would fit, the first is taken

const compiled = new WeakMap(); // grammar → {pattern, keywords}

/** Text and coloured elements that together read as `code`. */
export function highlighted(code, language) {
  const grammar = grammarOf(language);
  if (!grammar) return [code];
  const nodes = [];
  let end = 0;
  for (const { kind, at, text } of coloured(code, grammar)) {
    if (at > end) nodes.push(code.slice(end, at));
    nodes.push(element("i", { className: kind, textContent: text }));
    end = at + text.length;
  }
  if (end < code.length) nodes.push(code.slice(end));
  return nodes;
}

/** In the order of the text: {kind, at, text}. */
function* coloured(code, grammar) {
  const { pattern, keywords } = compile(grammar);
  let count = 0;
  for (const match of code.slice(0, LONGEST_CODE).matchAll(pattern)) {
    const { word, name } = match.groups;
    const isKeyword = keywords.has(caseOf(grammar, word ?? name));
    const kind = isKeyword ? "keyword" : KINDS.find((one) => match.groups[one] !== undefined);
    if (!kind) continue;
    yield { kind, at: match.index, text: match[0] };
    if (++count === MOST_WORDS) return;
  }
}

function caseOf({ anyCase }, word) {
  return anyCase ? word?.toLowerCase() : word; // a keyword before a bracket looks like a call: `if(`
}

function compile(grammar) {
  const keywords = new Set(grammar.keywords.split(/\s+/));
  if (!compiled.has(grammar)) compiled.set(grammar, { pattern: patternOf(grammar), keywords });
  return compiled.get(grammar);
}

function patternOf(grammar) {
  const group = (kind) => `(?<${kind}>${grammar[kind]?.join("|") || "(?!)"})`;
  const kinds = ["comment", "name", "string", "keyword"].map(group);
  return new RegExp([...kinds, `(?<number>${NUMBER})`, `(?<word>${WORD})`].join("|"), "gm");
}
