/**
 * Markdown → DOM, safe for any text: nodes are built, never parsed from markup; nothing is ever fetched (an image
 * becomes its description and address); links go to http, https and mailto only. Linear in the length of the text.
 */

import { codeBlock } from "./code.js";
import { element } from "./dom.js";
import { inlineElement } from "./inline.js";

const DEEPEST = 8; // quotes and lists nested deeper are shown as they were typed
const WIDEST = 32; // columns of a table
const MOST_LINES = 2_000; // what follows is shown as it was typed
const LONGEST = 32_000; // a longer text is shown as it was typed
const PIECE = 4_000; // of text shown as it was typed: the browser lays out only the pieces in sight

const FENCE = /^[ \t]*(`{3,}|~{3,}(?!~))([^`]*)$/;
const HEADING = /^[ \t]{0,3}(#{1,6})[ \t](.*)$/s;
const QUOTE = /^[ \t]*> ?/;
const ITEM = /^([ \t]*)([-*+]|\d{1,9}[.)])([ \t]+|$)/;

const sources = new WeakMap(); // block element → the text it was drawn from

/** Shows `text` in `container`; blocks whose text has not changed since the last time stay as they are. */
export function renderMarkdown(container, text) {
  const lines = text.length > LONGEST ? [] : text.split("\n", MOST_LINES);
  const rest = text.slice(lines.join("\n").length);
  show(container, [...readBlocks(lines), ...(rest ? [plain(rest)] : [])]);
}

export function renderPlain(container, text) {
  show(container, [plain(text)]);
}

function show(container, blocks) {
  let node = container.firstChild;
  for (const { source, draw } of blocks) {
    if (!node || sources.get(node) !== source) {
      const fresh = draw(0);
      sources.set(fresh, source);
      if (node) node.replaceWith(fresh);
      else container.append(fresh);
      node = fresh;
    }
    node = node.nextSibling;
  }
  while (node) {
    const next = node.nextSibling;
    node.remove();
    node = next;
  }
}

const READERS = [readFence, readHeading, readRule, readQuote, readList, readTable, readParagraph];

/** Each reader looks at line `at` and answers null or `{end, draw(depth)}`; the paragraph takes what is left. */
function readBlocks(lines) {
  const blocks = [];
  for (let at = 0; at < lines.length; ) {
    if (isBlank(lines[at])) {
      at += 1;
      continue;
    }
    const block = firstOf(READERS, lines, at);
    blocks.push({ draw: block.draw, source: lines.slice(at, block.end).join("\n") });
    at = block.end;
  }
  return blocks;
}

function firstOf(readers, lines, at) {
  for (const read of readers) {
    const block = read(lines, at);
    if (block) return block;
  }
}

function plain(text) {
  const piece = (words) => element("p", { dir: "auto", textContent: words });
  return { source: text, draw: () => element("div", { className: "plain" }, piecesOf(text).map(piece)) };
}

/** Cut at the ends of lines where there are any. */
function piecesOf(text) {
  const pieces = [];
  for (let start = 0; start < text.length; start += pieces.at(-1).length) {
    const whole = text.slice(start, start + PIECE).replace(/(?!^)[\uD800-\uDBFF]$/, ""); // no half characters
    const line = start + PIECE < text.length ? whole.lastIndexOf("\n") + 1 : 0;
    pieces.push(line ? whole.slice(0, line) : whole);
  }
  return pieces;
}

function drawInside(lines, depth) {
  if (depth >= DEEPEST) return [plain(lines.join("\n")).draw()];
  return readBlocks(lines).map((block) => block.draw(depth));
}

function readFence(lines, at) {
  const [, fence, language] = FENCE.exec(lines[at]) ?? [];
  if (!fence) return null;
  const closes = (line) => line.trim().startsWith(fence) && isOnly(line.trim(), fence[0]);
  let end = at + 1;
  while (end < lines.length && !closes(lines[end])) end += 1;
  const margin = indentOf(lines[at]);
  const code = lines.slice(at + 1, end).map((line) => dedent(line, margin)).join("\n");
  return { end: end + 1, draw: () => codeBlock(code, language.trim().split(/\s/, 1)[0]) };
}

function readHeading(lines, at) {
  const [, marks, text] = HEADING.exec(lines[at]) ?? [];
  if (!marks) return null;
  const level = Math.min(6, marks.length + 2); // the page has h1 and h2 of its own
  return { end: at + 1, draw: () => inlineElement(`h${level}`, text.trim()) };
}

function readRule(lines, at) {
  const line = lines[at].trim();
  const marks = line.length < 200 && /^[-*_]/.test(line) ? line.replace(/\s/g, "") : "";
  return marks.length >= 3 && isOnly(marks, marks[0]) ? { end: at + 1, draw: () => element("hr") } : null;
}

function readQuote(lines, at) {
  let end = at;
  while (end < lines.length && QUOTE.test(lines[end])) end += 1;
  if (end === at) return null;
  const inside = lines.slice(at, end).map((line) => line.replace(QUOTE, ""));
  return { end, draw: (depth) => element("blockquote", { dir: "auto" }, drawInside(inside, depth + 1)) };
}

function readList(lines, at) {
  const first = ITEM.exec(lines[at]);
  if (!first) return null;
  const list = { margin: indentOf(lines[at]), ordered: isNumbered(first) };
  const items = [];
  let end = at;
  for (let next = at; isItemOf(list, lines[next]); next = skipBlank(lines, end)) {
    const item = readItem(lines, next, list.margin);
    items.push(item.lines);
    end = item.end;
  }
  return { end, draw: (depth) => drawList(first, items, depth) };
}

function readItem(lines, at, margin) {
  const [marker, , , space] = ITEM.exec(lines[at]);
  const width = marker.length - Math.max(0, space.length - 1) - margin;
  const inside = [lines[at].slice(marker.length)];
  let end = at + 1;
  while (end < lines.length) {
    const next = skipBlank(lines, end);
    const belongs = next < lines.length && indentOf(lines[next]) >= margin + 2;
    const continues = next === end && next < lines.length && !startsBlock(lines[next]);
    if (!belongs && !continues) break;
    for (; end <= next; end += 1) inside.push(dedent(lines[end], margin + width));
  }
  return { lines: inside, end };
}

function drawList(first, items, depth) {
  const list = element(isNumbered(first) ? "ol" : "ul");
  if (isNumbered(first)) list.start = parseInt(first[2], 10);
  for (const lines of items) list.append(element("li", { dir: "auto" }, drawInside(lines, depth + 1)));
  return list;
}

function readTable(lines, at) {
  const titles = cellsOf(lines[at]);
  const dashes = cellsOf(lines[at + 1] ?? "");
  if (!titles || titles.length !== dashes?.length || !dashes.every((cell) => /^:?-+:?$/.test(cell))) return null;
  let end = at + 2;
  while (end < lines.length && cellsOf(lines[end])) end += 1;
  const rows = lines.slice(at + 2, end);
  return { end, draw: () => drawTable(titles, rows) };
}

function drawTable(titles, rows) {
  const row = (cells, tag) => element("tr", {}, cells.slice(0, titles.length).map((cell) => inlineElement(tag, cell)));
  const head = element("thead", {}, [row(titles, "th")]);
  const body = element("tbody", {}, rows.map((line) => row(cellsOf(line), "td")));
  return element("div", { className: "table", tabIndex: 0 }, [element("table", {}, [head, body])]);
}

function cellsOf(line) {
  if (!line.includes("|")) return null;
  const cells = line.trim().split("|", WIDEST + 2).map((cell) => cell.trim());
  if (cells[0] === "") cells.shift();
  if (cells.at(-1) === "") cells.pop();
  return cells.length && cells.length <= WIDEST ? cells : null;
}

function readParagraph(lines, at) {
  let end = at + 1;
  while (end < lines.length && !isBlank(lines[end]) && !startsBlock(lines[end]) && !readTable(lines, end)) end += 1;
  const text = lines.slice(at, end).join("\n");
  return { end, draw: () => inlineElement("p", text) };
}

const startsBlock = (line) => [FENCE, HEADING, QUOTE, ITEM].some((pattern) => pattern.test(line)) || readRule([line], 0);
const isBlank = (line) => !/\S/.test(line);
const isOnly = (text, character) => text.replaceAll(character, "") === "";
const isNumbered = (item) => /\d/.test(item[2]);

function isItemOf({ margin, ordered }, line) {
  const item = line === undefined ? null : ITEM.exec(line);
  return Boolean(item) && isNumbered(item) === ordered && indentOf(line) < margin + 2;
}

function skipBlank(lines, at) {
  while (at < lines.length && isBlank(lines[at])) at += 1;
  return at;
}

/** Columns of white space at the beginning; a tab counts four. */
function indentOf(line) {
  return /^[ \t]*/.exec(line)[0].replaceAll("\t", "    ").length;
}

function dedent(line, columns) {
  let at = 0;
  while (columns > 0 && (line[at] === " " || line[at] === "\t")) columns -= line[at++] === "\t" ? 4 : 1;
  return line.slice(at);
}
