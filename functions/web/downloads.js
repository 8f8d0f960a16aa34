/** Hands a file to the person. */

import { element } from "./dom.js";

const KEPT = 60_000; // ms that the browser may take to save it

export function saveFile({ blob, name }) {
  const address = URL.createObjectURL(blob);
  element("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), KEPT);
}
