/** A block of code: its language, a button that copies it, and its text in colours. */

import { button, copyText, element } from "./dom.js";
import { highlighted } from "./highlighting.js";

const SHOWN_FOR = 2000; // ms that "Copied" stands there

export function codeBlock(code, language) {
  const bar = element("div", { className: "code-bar" }, [element("span", { textContent: language }), copyButton(code)]);
  return element("div", { className: "code" }, [bar, preformatted(code, language)]);
}

export function preformatted(code, language) {
  return element("pre", { tabIndex: 0, dir: "ltr" }, [element("code", {}, highlighted(code, language))]);
}

function copyButton(code) {
  const copy = button("Copy", async () => {
    await copyText(code);
    copy.textContent = "Copied";
    setTimeout(() => (copy.textContent = "Copy"), SHOWN_FOR);
  });
  return copy;
}
