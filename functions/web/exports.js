/** A long export comes in parts: how to see that there is more, and how to put them together. No DOM. */

const MORE = /\n\*There is more, behind message \d+: export it with `after=(\d+)`\.\*\n$/;
const GOES_ON = /^[^]*?\n\*This goes on behind message \d+\.\*\n/;
const CLEARED = "The conversation was cleared meanwhile. Export it again.";

/** Of each format: `next(part)` is the `after` of the next part, if there is one; `whole(parts)` is their text as one. */
export const EXPORTS = {
  json: {
    next: (part) => JSON.parse(part).nextAfter,
    whole: (parts) => {
      const documents = parts.map((part) => JSON.parse(part));
      const isOne = documents.every(({ epoch }) => epoch === documents[0].epoch);
      if (!isOne) throw Object.assign(new Error(CLEARED), { code: "conversation_cleared" });
      return JSON.stringify({ ...documents.at(-1), messages: documents.flatMap(({ messages }) => messages) });
    },
  },
  markdown: {
    next: (part) => Number(MORE.exec(part)?.[1]),
    whole: (parts) => parts.map((part, index) => (index ? part.replace(GOES_ON, "") : part).replace(MORE, "")).join(""),
  },
};
