/** What a peer keeps from its core although another peer sent it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Peer } from "../../src/node/mod.ts";
import { createConfState, createMessage, type MessageType } from "../../src/raft/mod.ts";
import { MemoryStorage } from "../../src/storage/mod.ts";

function peer(): Peer {
  const confState = createConfState({ voters: [1, 2, 3] });
  const storage = new MemoryStorage({
    regionId: 1,
    peerId: 1,
    initial: { index: 1, term: 1, confState },
  });
  const random = () => 0;
  return new Peer({ id: 1, nodeId: 1, regionId: 1, storage, lastApplied: 1, epoch: 1, random });
}

test("answers without a term, which the core would take for its own, are refused", () => {
  const types: MessageType[] = [
    "append-response",
    "heartbeat-response",
    "vote-response",
    "timeout-now",
  ];
  for (const type of types) {
    const subject = peer();
    const message = createMessage({ type, from: 2, to: 1, index: 1 });
    const { refused, messages } = subject.handle([{ type: "messages", messages: [message] }], 0);
    assert.deepEqual(refused.map(({ code }) => code), ["TERM_MISSING"], type);
    assert.deepEqual([subject.state, messages.length], ["follower", 0], type);
  }
});

test("an answer from elsewhere in the peer's own name is refused: only its disk may acknowledge", () => {
  for (const type of ["append-response", "vote-response", "pre-vote-response"] as const) {
    const subject = peer();
    const message = createMessage({ type, from: 1, to: 1, term: 1, index: 1 });
    const { refused } = subject.handle([{ type: "messages", messages: [message] }], 0);
    assert.deepEqual(refused.map(({ code }) => code), ["OWN_NAME"], type);
  }
});
