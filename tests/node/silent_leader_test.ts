/** What a leader keeps back while its disk hangs is not taken for sent. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { ProposalRequest } from "../../src/node/mod.ts";
import { ELECTION_TICK, ScriptedLeader } from "./scripted_leader.ts";

test("a snapshot that a leader keeps back while its disk hangs is sent when the disk answers", () => {
  const leader = new ScriptedLeader();
  const command = Uint8Array.of(1);
  const proposals = [new ProposalRequest(command, Infinity)];
  const hanging = leader.handle({ type: "proposals", proposals });
  for (let tick = 0; tick <= 3 * ELECTION_TICK; tick++) leader.handle({ type: "tick" });
  assert.ok(leader.peer.status().diskHangs, "the disk does not hang");
  // A follower that lost everything is asked for what no log holds any more: it needs a snapshot.
  const rejected = { type: "append-response", from: 3, index: 1, reject: true } as const;
  assert.deepEqual(leader.receive(rejected).snapshots, []);
  leader.finish(hanging);
  assert.equal(leader.peer.state, "leader");
  const answered = leader.receive({ type: "heartbeat-response", from: 3 });
  assert.deepEqual(answered.snapshots.map(({ to }) => to), [3]);
});
