/** The guard against a voter that lost its data, message by message. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { createConfState, createMessage, type MessageType } from "../../src/raft/mod.ts";
import { LostVoterGuard } from "../../src/node/lost_voter.ts";

function guard(lastIndex = 0) {
  const storage = { index: lastIndex, lastIndex: () => storage.index };
  return { storage, guard: new LostVoterGuard(4, storage) };
}

function snapshot(voters: number[], votersOutgoing: number[] = []) {
  const confState = createConfState({
    voters,
    votersOutgoing,
    learners: voters.includes(4) ? [] : [4],
  });
  const data = new Uint8Array(0);
  return createMessage({
    type: "snapshot",
    from: 1,
    to: 4,
    term: 3,
    snapshot: { metadata: { index: 9, term: 3, confState }, data },
  });
}

test("a replica without a log gives no vote", () => {
  for (const type of ["vote", "pre-vote"] satisfies MessageType[]) {
    const { message, refusal } = guard().guard.admit(
      createMessage({ type, from: 1, to: 4, term: 3 }),
    );
    assert.deepEqual([message, refusal?.code], [undefined, "VOTER_WITHOUT_LOG"]);
  }
});

test("a replica without a log takes a snapshot as a learner, and none as a voter of either half", () => {
  assert.equal(guard().guard.admit(snapshot([1, 2, 3])).refusal, undefined);
  assert.equal(guard().guard.admit(snapshot([1, 2, 4])).refusal?.code, "VOTER_WITHOUT_LOG");
  assert.equal(guard().guard.admit(snapshot([1, 2], [1, 4])).refusal?.code, "VOTER_WITHOUT_LOG");
});

test("a replica without a log answers heartbeats, but confirms no reads", () => {
  const heartbeat = createMessage({
    type: "heartbeat",
    from: 1,
    to: 4,
    term: 3,
    context: Uint8Array.of(1),
  });
  const { message, refusal } = guard().guard.admit(heartbeat);
  assert.deepEqual(message, createMessage({ type: "heartbeat", from: 1, to: 4, term: 3 }));
  assert.equal(refusal, undefined);
  const append = createMessage({ type: "append", from: 1, to: 4, term: 3, index: 8, logTerm: 3 });
  assert.equal(guard().guard.admit(append).message, append);
});

test("a replica with a log is not watched, and one that gets a log is not watched from then on", () => {
  assert.equal(guard(1).guard.watches, false);
  const { storage, guard: watched } = guard();
  assert.equal(watched.watches, true);
  storage.index = 9;
  const vote = createMessage({ type: "vote", from: 1, to: 4, term: 4 });
  assert.equal(watched.admit(vote).message, vote);
  assert.equal(watched.watches, false);
});
