const SVG = "http://www.w3.org/2000/svg";

/** Creates an element. Text goes in as text nodes: markup in it stays text. */
export function element(tag, properties = {}, children = []) {
  const node = Object.assign(document.createElement(tag), properties);
  for (const child of children) node.append(child);
  return node;
}

export function button(label, onclick, properties = {}) {
  return element("button", { type: "button", textContent: label, onclick, ...properties });
}

/** Touches nothing that already says so: drawing and reading aloud cost time. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** One of the symbols that the document brings along. */
export function icon(name) {
  const picture = document.createElementNS(SVG, "svg");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#i-${name}`);
  picture.setAttribute("aria-hidden", "true");
  picture.append(use);
  return picture;
}

export function iconButton(name, label, onclick, properties = {}) {
  const all = { type: "button", className: "icon", ariaLabel: label, title: label, onclick, ...properties };
  return element("button", all, [icon(name)]);
}

/** Makes `container` hold exactly `nodes`, touching only what differs. */
export function arrange(container, nodes) {
  const wanted = new Set(nodes);
  for (const child of [...container.children]) if (!wanted.has(child)) child.remove();
  let cursor = container.firstElementChild;
  for (const node of nodes) {
    if (node === cursor) cursor = cursor.nextElementSibling;
    else container.insertBefore(node, cursor);
  }
}

export async function copyText(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const field = element("textarea", { value: text, className: "unseen" }); // plain http: no clipboard API
  const before = document.activeElement;
  document.body.append(field);
  field.select();
  document.execCommand("copy");
  field.remove();
  before?.focus();
}
