/** Numbers as people read them. */

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const AGO = new Intl.RelativeTimeFormat("en", { numeric: "auto", style: "narrow" });

export function tokensInWords(count) {
  return `${count.toLocaleString("en")} ${count === 1 ? "token" : "tokens"}`;
}

/** Two digits that say something: $0.0042, $0.31, $12.40. */
export function dollarsInWords(amount) {
  if (!amount) return "$0";
  if (amount < 0.000_001) return "under $0.000001";
  const digits = amount < 1 ? Math.min(7, 1 - Math.floor(Math.log10(amount))) : 2;
  return `$${amount.toFixed(Math.max(2, digits))}`;
}

/** What a turn or a conversation took; "" where nobody counted. */
export function usageInWords({ tokens, costUsd, model }) {
  const parts = [];
  if (tokens > 0) parts.push(tokensInWords(tokens));
  if (costUsd > 0) parts.push(dollarsInWords(costUsd));
  if (model) parts.push(shortModel(model));
  return parts.join(" · ");
}

export function shortModel(model) {
  return model.split("/").at(-1);
}

export function agoInWords(time, now = Date.now()) {
  const passed = Math.max(0, now - time);
  if (passed < MINUTE) return "just now";
  if (passed < HOUR) return AGO.format(-Math.floor(passed / MINUTE), "minute");
  if (passed < DAY) return AGO.format(-Math.floor(passed / HOUR), "hour");
  return AGO.format(-Math.floor(passed / DAY), "day");
}

/** A wait that the server asked for. */
export function secondsInWords(seconds) {
  if (seconds < 120) return `${seconds} s`;
  return seconds < 7200 ? `${Math.ceil(seconds / 60)} minutes` : `${Math.ceil(seconds / 3600)} hours`;
}
