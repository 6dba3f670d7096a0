/** When rounds of reads begin. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { type PeerEffects, ReadRequest } from "../../src/node/mod.ts";
import { ScriptedLeader } from "./scripted_leader.ts";

function ask() {
  return { type: "reads", reads: [new ReadRequest(Infinity)] } as const;
}

function heartbeatsTo(member: number, { messages }: PeerEffects) {
  return messages.filter(({ type, to }) => type === "heartbeat" && to === member);
}

test("reads that wait on a follower go out as soon as the round before is confirmed", () => {
  const follower = new ScriptedLeader();
  follower.receive({ type: "heartbeat", from: 2, term: 2 });
  assert.equal(follower.peer.state, "follower");
  const [{ to, entries }] = follower.handle(ask()).messages;
  assert.equal(to, 2);
  assert.deepEqual(follower.handle(ask()).messages, []);
  const answer = { type: "read-index-response", from: 2, term: 2, index: 2, entries } as const;
  const next = follower.receive(answer);
  assert.equal(next.readable.length, 1);
  assert.deepEqual(next.messages.map(({ type, to }) => [type, to]), [["read-index", 2]]);
});

test("reads that wait on a leader go out as soon as the round before is confirmed", () => {
  const leader = new ScriptedLeader();
  const [{ context }] = heartbeatsTo(2, leader.handle(ask()));
  assert.deepEqual(leader.handle(ask()).messages, []);
  const next = leader.receive({ type: "heartbeat-response", from: 2, context });
  assert.equal(next.readable.length, 1);
  const [heartbeat] = heartbeatsTo(2, next);
  assert.notDeepEqual(heartbeat.context, context, "it carries no new position");
  const late = leader.receive({ type: "heartbeat-response", from: 3, context });
  assert.equal(late.readable.length, 0, "an answer to the round before confirms the next");
  const last = leader.receive({ type: "heartbeat-response", from: 3, context: heartbeat.context });
  assert.equal(last.readable.length, 1);
});
