/** Leadership transfer (thesis §3.10). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ProposalDroppedError } from "../../src/raft/mod.ts";
import { bytes, makeLeader, type Member, message, Network, single } from "./network.ts";

const ack = (from: number, index: number) => message("append-response", { from, index, term: 1 });

/** A leader of 1, 2 and 3; peer 2 has everything, peer 3 nothing. */
function leaderOfThree(): Member {
  const leader = makeLeader(single({ electionTick: 10 }));
  leader.step(ack(2, 1));
  leader.drive();
  leader.sent = [];
  return leader;
}

const transferee = (member: Member) => member.node.basicStatus().leadTransferee;

test("a peer that is up to date is told to campaign at once", () => {
  const leader = leaderOfThree();
  leader.node.transferLeader(2);
  assert.deepEqual(leader.drive().map((m) => [m.type, m.to]), [["timeout-now", 2]]);
  assert.equal(transferee(leader), 2);
});

test("a peer that is behind is brought up to date first", () => {
  const leader = leaderOfThree();
  leader.node.propose(bytes("x"));
  leader.step(message("heartbeat-response", { from: 3, term: 1 }));
  leader.drive();
  leader.node.transferLeader(3);
  leader.step(ack(3, 1));
  assert.deepEqual(leader.drive().filter((m) => m.type === "timeout-now"), []);
  leader.step(ack(3, 2));
  assert.deepEqual(
    leader.drive().filter((m) => m.type === "timeout-now").map((m) => m.to),
    [3],
  );
});

test("the transferee wins although the others' leases are alive, without pre-vote", () => {
  const network = Network.of(3, { checkQuorum: true, preVote: true });
  network.elect(1);
  network.node(1).transferLeader(3);
  network.settle();
  assert.deepEqual([network.leaders(), network.member(3).term], [[3], 2]);
});

test("proposals are dropped while leadership is being transferred", () => {
  const leader = leaderOfThree();
  leader.node.transferLeader(2);
  assert.throws(() => leader.node.propose(bytes("x")), ProposalDroppedError);
  assert.equal(leader.lastIndex, 1);
});

test("a transfer that takes an election timeout is aborted", () => {
  const leader = leaderOfThree();
  for (let i = 0; i < 9; i++) leader.node.tick();
  leader.node.transferLeader(2);
  for (let i = 0; i < 9; i++) leader.node.tick();
  assert.equal(transferee(leader), 2, "the time begins with the transfer");
  leader.node.tick();
  assert.equal(transferee(leader), 0);
  leader.node.propose(bytes("x"));
  assert.equal(leader.lastIndex, 2);
});

test("the same transfer again does not give it more time, another one replaces it", () => {
  const leader = leaderOfThree();
  leader.node.transferLeader(2);
  for (let i = 0; i < 9; i++) leader.node.tick();
  leader.node.transferLeader(2);
  leader.node.tick();
  assert.equal(transferee(leader), 0);
  leader.node.transferLeader(2);
  leader.node.transferLeader(3);
  assert.equal(transferee(leader), 3);
});

test("a transfer to the leader itself ends the one under way", () => {
  const leader = leaderOfThree();
  leader.node.transferLeader(2);
  leader.drive();
  leader.node.transferLeader(1);
  assert.equal(transferee(leader), 0);
  assert.equal(leader.role, "leader");
  assert.equal(leader.node.hasReady(), false);
});

test("leadership is not transferred to learners or strangers", () => {
  const leader = makeLeader(single({}, { voters: [1, 2], learners: [3] }));
  leader.step(ack(2, 1));
  leader.step(ack(3, 1));
  leader.drive();
  for (const to of [3, 9]) {
    leader.node.transferLeader(to);
    assert.equal(transferee(leader), 0);
    assert.equal(leader.node.hasReady(), false);
  }
});

test("a transfer to a peer that is removed or demoted meanwhile is aborted", () => {
  for (const type of ["remove-node", "add-learner"] as const) {
    const leader = leaderOfThree();
    leader.node.transferLeader(3);
    leader.node.applyConfChange({ type, peerId: 3, context: undefined });
    assert.equal(transferee(leader), 0);
  }
  const leader = leaderOfThree();
  leader.node.transferLeader(3);
  leader.node.applyConfChange({ type: "remove-node", peerId: 2, context: undefined });
  assert.equal(transferee(leader), 3);
});

test("a leader that is deposed transfers nothing any more", () => {
  const leader = leaderOfThree();
  leader.node.transferLeader(2);
  leader.step(message("heartbeat", { from: 3, term: 5 }));
  assert.equal(transferee(leader), 0);
});

test("a follower passes the wish on to its leader, without one it is dropped", () => {
  const network = Network.of(3);
  network.node(2).transferLeader(2);
  assert.equal(network.node(2).hasReady(), false);
  network.elect(1);
  network.node(2).transferLeader(3);
  network.settle();
  assert.deepEqual(network.leaders(), [3]);
});

test("who is no follower ignores the call to campaign at once", () => {
  const leader = leaderOfThree();
  leader.step(message("timeout-now", { from: 2, term: 1 }));
  assert.equal(leader.role, "leader");
  const candidate = single();
  candidate.node.campaign();
  candidate.drive();
  candidate.step(message("timeout-now", { from: 2, term: 1 }));
  assert.deepEqual([candidate.role, candidate.term], ["candidate", 1]);
});

test("while leadership is being transferred a joint configuration is not left", () => {
  const leader = leaderOfThree();
  leader.node.proposeConfChange({
    transition: "joint-implicit",
    changes: [{ type: "add-node", peerId: 4 }],
    context: undefined,
  });
  leader.drive();
  leader.node.transferLeader(3);
  leader.step(ack(2, 2));
  leader.drive();
  assert.deepEqual([leader.lastIndex, leader.node.status().confState.autoLeave], [2, true]);
  for (let i = 0; i < 10; i++) leader.node.tick();
  leader.node.propose(bytes("x"));
  leader.drive();
  for (const from of [2, 3]) leader.step(ack(from, 3));
  leader.drive();
  assert.equal(leader.lastIndex, 4, "the next applied entry tries again");
});
