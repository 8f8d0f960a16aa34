/** The inside of a block: emphasis, code, links. Linear: nothing is looked at twice, whatever is left open. */

import { element } from "./dom.js";

const MOST_OPEN = 16; // emphasis and brackets open at once
const SAFE_PROTOCOLS = new Set(["http:", "https:", "mailto:"]);
const TOKEN = /\\[!-/:-@[-`{-~]|`+|\*\*?|__?|~~|!?\[|\]|<?https?:\/\/[^\s<>[\]`*"]+/g;
const TARGET = /\(\s*<?([^\s()<>]{1,2000}(?:\([^\s()<>]{0,500}\)[^\s()<>]{0,2000})?)>?(?:\s+["'][^"')]*["'])?\s*\)/y;
const TAGS = { "*": "em", _: "em", "**": "strong", __: "strong", "~~": "del" };

/** An element around inline Markdown; its text finds its own direction. */
export function inlineElement(tag, text) {
  return element(tag, { dir: "auto" }, new Inline(text).read());
}

/** One pass over the text. What is open stands on a stack; what never closes turns back into its characters. */
class Inline {
  constructor(text) {
    this.text = text;
    this.stack = [{ opener: "", nodes: [] }];
    this.fences = backtickRuns(text);
  }

  read() {
    const token = new RegExp(TOKEN);
    let at = 0;
    for (let match; (match = token.exec(this.text)); token.lastIndex = at) {
      this.put(this.text.slice(at, match.index));
      at = this.take(match[0], match.index);
    }
    this.put(this.text.slice(at));
    while (this.stack.length > 1) this.collapse();
    return this.stack[0].nodes;
  }

  /** Handles the token at `at` and answers where to go on. */
  take(token, at) {
    const end = at + token.length;
    if (token[0] === "`") return this.code(token, end);
    if (token === "]") return this.closeLink(end);
    if (token in TAGS) return this.emphasis(token, at);
    if (/^<?http/.test(token)) return this.bareLink(token, at);
    if (token === "[" || token === "![") this.open(token);
    else this.put(token.slice(1)); // an escaped character
    return end;
  }

  put(node) {
    if (node === "") return;
    const { nodes } = this.stack.at(-1);
    if (typeof node === "string" && typeof nodes.at(-1) === "string") nodes[nodes.length - 1] += node;
    else nodes.push(node);
  }

  open(opener) {
    if (this.stack.length > MOST_OPEN) this.put(opener);
    else this.stack.push({ opener, nodes: [] });
  }

  /** The innermost opener was no opener after all. */
  collapse() {
    const { opener, nodes } = this.stack.pop();
    this.put(opener);
    for (const node of nodes) this.put(node);
  }

  collapseTo(depth) {
    while (this.stack.length > depth + 1) this.collapse();
  }

  code(fence, start) {
    const runs = this.fences.get(fence.length);
    while (runs.at(-1) < start) runs.pop();
    if (!runs.length) {
      this.put(fence);
      return start;
    }
    const end = runs.at(-1);
    const inside = this.text.slice(start, end).replaceAll("\n", " ");
    const padded = inside.startsWith(" ") && inside.endsWith(" ") && inside.trim() !== "";
    this.put(element("code", { textContent: padded ? inside.slice(1, -1) : inside }));
    return end + fence.length;
  }

  emphasis(token, at) {
    if (token.length === 2 && token[0] !== "~" && this.stack.at(-1).opener === token[0]) token = token[0]; // ***both***
    const end = at + token.length;
    const before = this.text[at - 1] ?? " ";
    const after = this.text[end] ?? " ";
    const inWord = token[0] === "_" ? /[\p{L}\p{N}]/u : /(?!)/; // snake_case stays as it is
    const depth = this.stack.findLastIndex((open) => open.opener === token);
    const empty = depth === this.stack.length - 1 && !this.stack[depth].nodes.length;
    if (depth > 0 && !empty && /\S/.test(before) && !inWord.test(after)) {
      this.collapseTo(depth);
      this.put(element(TAGS[token], {}, this.stack.pop().nodes));
    } else if (/\S/.test(after) && !inWord.test(before)) this.open(token);
    else this.put(token);
    return end;
  }

  closeLink(end) {
    const depth = this.stack.findLastIndex(({ opener }) => opener === "[" || opener === "![");
    if (depth < 0) {
      this.put("]");
      return end;
    }
    this.collapseTo(depth);
    TARGET.lastIndex = end;
    const [whole, address] = TARGET.exec(this.text) ?? [];
    const { opener } = this.stack.at(-1);
    const url = whole && safeAddress(address);
    if (opener === "[" ? !url : !whole) {
      this.collapse();
      this.put("]");
      return end;
    }
    const label = textOf(this.stack.pop().nodes);
    this.put(opener === "[" ? link(label || address, url) : `${label} (${address})`);
    return end + whole.length;
  }

  bareLink(token, at) {
    const start = token[0] === "<" ? 1 : 0;
    let length = token.length;
    while (/[.,:;!?'_~)]/.test(token[length - 1]) && !(token[length - 1] === ")" && token.includes("("))) length -= 1;
    const address = token.slice(start, length);
    const url = safeAddress(address);
    const closed = start && this.text[at + token.length] === ">";
    if (start && !closed) this.put("<");
    this.put(url ? link(address, url) : address);
    return closed ? at + token.length + 1 : at + length;
  }
}

/** Where runs of n backticks stand, by n: finding the end of a code span takes constant time. */
function backtickRuns(text) {
  const runs = new Map();
  for (const { 0: run, index } of text.matchAll(/`+/g)) {
    if (!runs.has(run.length)) runs.set(run.length, []);
    runs.get(run.length).push(index);
  }
  for (const places of runs.values()) places.reverse(); // the next one is popped
  return runs;
}

function textOf(nodes) {
  return nodes.map((node) => node.textContent ?? node).join("");
}

function link(label, url) {
  return element("a", { href: url, title: url, textContent: label, target: "_blank", rel: "noopener noreferrer nofollow" });
}

function safeAddress(address) {
  try {
    const url = new URL(address); // no base: only absolute addresses are links
    return SAFE_PROTOCOLS.has(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}
