/** A WebSocket whose other end is the test. */

import { setImmediate } from "node:timers/promises";

export const EPOCH = "epoch-1";

export class FakeSocket {
  static all = [];
  static get last() {
    return FakeSocket.all.at(-1);
  }

  readyState = 0;
  sent = [];

  constructor(url, protocols = []) {
    Object.assign(this, { url: new URL(url), protocols });
    FakeSocket.all.push(this);
  }

  send(text) {
    this.sent.push(JSON.parse(text));
  }

  close() {
    this.readyState = 3;
  }

  // --- what the test does ---------------------------------------------------------------------------------------

  open() {
    this.readyState = 1;
    this.onopen();
  }

  drop(code = 1006) {
    this.readyState = 3;
    this.onclose({ code });
  }

  async say(...frames) {
    for (const frame of frames) this.onmessage({ data: JSON.stringify(frame) });
    await settled();
  }

  /** Opens, and answers the client's questions about what it missed with this log. */
  async admit(...messages) {
    this.open();
    await settled();
    if (this.asked("get_history")) await this.say(history(messages));
    await this.say(system("resumed", { epoch: EPOCH, lastSeq: messages.length, turnId: null }));
  }

  /** The last frame of that command. */
  asked(content) {
    return this.sent.findLast((frame) => frame.type === "system" && frame.content === content);
  }

  get chats() {
    return this.sent.filter(({ type }) => type === "chat");
  }
}

/** Promises that could be kept have been. */
export async function settled() {
  for (let turn = 0; turn < 3; turn += 1) await setImmediate();
}

export function system(content, metadata = {}) {
  return { type: "system", content, metadata };
}

export function history(messages, more = {}) {
  return system("history", { epoch: EPOCH, messages, hasMore: false, totalTokens: 0, ...more });
}

export function question(seq, content, messageId, turnId) {
  return { role: "user", content, seq, messageId, turnId, status: "complete", timestamp: 1, tokens: 0 };
}

export function answer(seq, content, turnId, more = {}) {
  return { role: "assistant", content, seq, messageId: `answer-${seq}`, turnId, status: "complete", timestamp: 1, tokens: 3, ...more };
}

/** A message of the log as a frame. */
export function chat({ role, content, ...metadata }, epoch = EPOCH) {
  return { type: "chat", role, content, metadata: { ...metadata, epoch } };
}

export function status(value, metadata) {
  return { type: "status", status: value, metadata };
}

export function delta(content, offset, { turnId = "turn-1", attempt = 1 } = {}) {
  return { type: "delta", content, metadata: { turnId, attempt, index: 0, offset } };
}
