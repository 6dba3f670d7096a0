import assert from "node:assert/strict";
import { test } from "node:test";
import { Peer } from "../../src/node/mod.ts";
import { createConfState } from "../../src/raft/mod.ts";
import { MemoryStorage } from "../../src/storage/memory.ts";

test("a candidate asks for votes once its term and its own vote are durable", () => {
  const confState = createConfState({ voters: [1, 2, 3] });
  const initial = { index: 1, term: 1, confState };
  const storage = new MemoryStorage({ regionId: 1, peerId: 1, initial });
  const peer = new Peer({
    id: 1,
    nodeId: 1,
    regionId: 1,
    storage,
    lastApplied: 1,
    epoch: 1,
    random: () => 0,
    preVote: false,
  });
  const asked = peer.handle([{ type: "campaign" }], 0);
  assert.equal(peer.state, "candidate");
  assert.deepEqual(asked.messages, []);
  const [{ id, write }] = asked.appends;
  assert.deepEqual([write.hardState?.currentTerm, write.hardState?.votedFor], [1, 1]);
  const written = peer.handle([{ type: "appended", id }], 0);
  assert.deepEqual(
    written.messages.map(({ type, to, term }) => [type, to, term]),
    [["vote", 2, 1], ["vote", 3, 1]],
  );
});
