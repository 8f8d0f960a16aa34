import assert from "node:assert/strict";
import { test } from "node:test";

import { countCodePoints, Transcript } from "../../../client/copilotedge.js";
import { answer, chat, delta, EPOCH, question, status, system } from "./fake_socket.mjs";

const TEXT = "One 😀 two 👩‍👩‍👧 thr\u0065\u0301e — four 🎉. ".repeat(20);
const CHARACTERS = [...TEXT];

function transcript(...frames) {
  const known = new Transcript();
  for (const frame of frames) known.receive(frame);
  return known;
}

function piece(start, end, about) {
  return delta(CHARACTERS.slice(start, end).join(""), start, about);
}

/** A random source with a seed: mulberry32. */
function chanceOf(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

for (let seed = 0; seed < 200; seed += 1) {
  test(`an answer is exact whatever is repeated, overlaps, comes early or is lost: ${seed}`, () => {
    const chance = chanceOf(seed);
    const known = transcript(status("streaming", { turnId: "turn-1", messageId: "m", attempt: 1 }));
    for (let at = 0; at < CHARACTERS.length; ) {
      const end = Math.min(CHARACTERS.length, at + 1 + Math.floor(chance() * 40));
      const start = Math.max(0, at - Math.floor(chance() * 30));
      if (chance() < 0.8) known.receive(piece(start, end)); // else it is lost
      if (chance() < 0.2) known.receive(piece(Math.max(0, start - 5), end));
      at = end;
      if (known.needsResume || at === CHARACTERS.length) known.receive(piece(known.resumeRequest().metadata.offset, at));
      known.syncing = false;
    }
    assert.equal(known.turn.text, TEXT);
    assert.equal(known.turn.length, countCodePoints(TEXT));
  });
}

test("a delta behind a hole waits and asks to resume from the hole", () => {
  const known = transcript(piece(0, 5), piece(9, 12));
  assert.equal(known.turn.text, CHARACTERS.slice(0, 5).join(""));
  assert.ok(known.needsResume);
  const { metadata } = known.resumeRequest();
  assert.deepEqual(metadata, { afterSeq: 0, turnId: "turn-1", attempt: 1, offset: 5 });
  known.receive(piece(5, 9));
  assert.equal(known.turn.text, CHARACTERS.slice(0, 12).join(""));
});

test("a higher attempt begins anew, and late words of the lower one are ignored", () => {
  const known = transcript(piece(0, 9), delta("Twice", 0, { attempt: 2 }), piece(5, 20));
  assert.deepEqual([known.turn.text, known.turn.attempt], ["Twice", 2]);
});

test("late words of a turn that is over begin nothing", () => {
  const known = transcript(chat(answer(2, "Done.", "turn-1")), piece(0, 4));
  assert.equal(known.turn, null);
});

test("a message that comes twice is gained once", () => {
  const known = new Transcript();
  const frame = chat(question(1, "Hello", "m-1", "turn-1"));
  assert.equal(known.receive(frame).content, "Hello");
  assert.equal(known.receive(frame), null);
  assert.equal(known.messages.length, 1);
});

test("parts make one message, in whatever order they come", () => {
  const known = new Transcript();
  const part = (number, content) => chat({ ...answer(1, content, "turn-1"), part: number, parts: 3 });
  assert.equal(known.receive(part(3, "three")), null);
  assert.equal(known.receive(part(1, "one ")), null);
  assert.equal(known.receive(part(2, "two ")).content, "one two three");
});

test("a message that was never told is missed", () => {
  const known = transcript(chat(question(1, "one", "m-1", "turn-1")), chat(question(3, "three", "m-3", "turn-3")));
  assert.ok(known.needsResume);
  assert.equal(known.resumeRequest().metadata.afterSeq, 1);
});

test("an answer takes the place of the one that it replaces, for good", () => {
  const known = transcript(
    chat(question(1, "Hello", "m-1", "turn-1")),
    chat(answer(2, "Once.", "turn-1")),
    chat(answer(3, "Twice.", "turn-2", { replaces: 2 })),
    chat(answer(2, "Once.", "turn-1")),
  );
  assert.deepEqual(known.messages.map(({ content }) => content), ["Hello", "Twice."]);
});

test("a clear leaves what the server has not taken yet, and nothing of the life before comes back", () => {
  const known = transcript(chat(question(1, "old", "m-1", "turn-1")), piece(0, 5));
  known.compose("m-2", "unsent");
  known.receive(system("conversation_cleared", { epoch: "epoch-2" }));
  known.receive(chat(answer(2, "late", "turn-1"), EPOCH));
  assert.deepEqual([known.messages, known.turn, known.lives], [[], null, 1]);
  assert.deepEqual(known.pending.map(({ id }) => id), ["m-2"]);
});

test("of one's own messages one goes out at a time, so that they keep their order", () => {
  const known = new Transcript();
  known.compose("m-1", "one");
  known.compose("m-2", "two");
  assert.equal(known.nextToSend().id, "m-1");
  known.receive(status("queued", { messageId: "m-1", turnId: "turn-1", position: 1 }));
  assert.equal(known.nextToSend().id, "m-2");
});
