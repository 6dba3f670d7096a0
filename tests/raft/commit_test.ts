/** Commitment: Raft §5.3, §5.4.2 and figure 8, group commit, commit-by-vote. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ConfigError, createConfState, createEntry } from "../../src/raft/mod.ts";
import {
  bytes,
  makeLeader,
  Member,
  message,
  Network,
  newStorage,
  single,
  write,
} from "./network.ts";

const ack = (from: number, index: number, term = 1) =>
  message("append-response", { from, index, term });

test("an entry is committed once a majority has stored it (§5.3)", () => {
  const leader = makeLeader(single({}, { voters: [1, 2, 3, 4, 5] }));
  leader.step(ack(2, 1));
  assert.equal(leader.commit, 0);
  leader.step(ack(3, 1));
  assert.equal(leader.commit, 1);
});

test("entries of older terms are not committed by counting copies (§5.4.2, figure 8)", () => {
  const leader = single({ maxSizePerMessage: 0 });
  write(leader.storage, {
    entries: [createEntry({ index: 1, term: 1 }), createEntry({ index: 2, term: 2 })],
    hardState: { currentTerm: 3, votedFor: 0, commitIndex: 0 },
  });
  leader.restart();
  makeLeader(leader);
  assert.equal(leader.term, 4);
  leader.step(ack(2, 2, 4));
  leader.step(ack(3, 2, 4));
  assert.equal(leader.commit, 0, "all have entry 2, but it is of term 2");
  leader.step(ack(2, 3, 4));
  assert.equal(leader.commit, 3, "its own entry commits all before it");
});

test("an entry of figure 8 that is replaced was never committed (figure 8)", () => {
  const network = Network.of(5);
  const start = (id: number, ...terms: number[]) => {
    const member = network.member(id);
    write(member.storage, {
      entries: terms.map((term, i) => createEntry({ index: i + 1, term })),
      hardState: { currentTerm: terms.at(-1)!, votedFor: 0, commitIndex: 0 },
    });
    member.restart();
  };
  // (c): server 1 is elected again and has brought the entry of term 2 to a majority.
  start(1, 1, 2);
  start(2, 1, 2);
  start(3, 1, 2);
  start(4, 1);
  start(5, 1, 3);
  // (d): server 5 wins with the votes of 2, 3 and 4? Not of those whose log is more up to date by
  // term: 3 beats 2, so it does, and replaces the entry everywhere.
  network.elect(5);
  for (const member of network.members.values()) {
    assert.deepEqual(member.storedTerms().slice(0, 2), [1, 3]);
    assert.equal(member.commit, 3);
  }
});

test("in a joint configuration both majorities must have stored an entry (thesis §4.3)", () => {
  const fields = { voters: [1, 2, 3], votersOutgoing: [1, 4, 5], autoLeave: false };
  const leader = makeLeader(single({}, fields));
  for (const from of [2, 3]) leader.step(ack(from, 1));
  assert.equal(leader.commit, 0);
  leader.step(ack(4, 1));
  assert.equal(leader.commit, 1);
});

test("a commit is told to everyone at once", () => {
  const leader = makeLeader(single());
  leader.step(ack(2, 1));
  const told = leader.drive().filter((m) => m.type === "append");
  assert.deepEqual(told.map((m) => [m.to, m.commit]), [[2, 1]], "3 is probed and waits");
});

test("group commit waits until two groups hold the entry", () => {
  const leader = makeLeader(single({ groupCommit: true }));
  leader.node.assignCommitGroups([[1, 1], [2, 1], [3, 2], [9, 3]]);
  leader.step(ack(2, 1));
  assert.equal(leader.commit, 0, "a majority, but one group");
  leader.step(ack(3, 1));
  assert.equal(leader.commit, 1);
});

test("group commit with one group is the plain majority", () => {
  const leader = makeLeader(single({ groupCommit: true }));
  leader.node.assignCommitGroups([[1, 1], [2, 1], [3, 1]]);
  leader.step(ack(2, 1));
  assert.equal(leader.commit, 1);
});

test("voters without a group hold group commit back to what all have", () => {
  const leader = makeLeader(single({ groupCommit: true }));
  leader.step(ack(2, 1));
  assert.equal(leader.commit, 0);
  leader.step(ack(3, 1));
  assert.equal(leader.commit, 1);
});

test("assigning groups commits what they allow at once, and keeps over terms", () => {
  const leader = makeLeader(single({ groupCommit: true }));
  leader.step(ack(2, 1));
  assert.equal(leader.commit, 0);
  leader.node.assignCommitGroups([[1, 1], [2, 2], [3, 2]]);
  assert.equal(leader.commit, 1);
  assert.equal(leader.node.status().progress!.get(2)!.commitGroup, 2);
  leader.step(message("heartbeat", { from: 2, term: 5 }));
  makeLeader(leader);
  assert.equal(leader.node.status().progress!.get(2)!.commitGroup, 2);
});

test("without the option groups do not matter, and a bad group is refused", () => {
  const leader = makeLeader(single());
  leader.node.assignCommitGroups([[1, 1], [2, 1], [3, 2]]);
  leader.step(ack(2, 1));
  assert.equal(leader.commit, 1);
  for (const group of [0, -1, 1.5]) {
    assert.throws(() => leader.node.assignCommitGroups([[2, group]]), ConfigError);
  }
});

/** A replica with entries of these terms, of which one is committed. */
function behind(commitByVote: boolean, ...terms: number[]): Member {
  const member = new Member(1, newStorage(1, createConfState({ voters: [1, 2, 3] })), {
    commitByVote,
  });
  write(member.storage, {
    entries: terms.map((term, i) => createEntry({ index: i + 1, term })),
    hardState: { currentTerm: terms.at(-1)!, votedFor: 0, commitIndex: 1 },
  });
  member.restart();
  member.drive();
  return member;
}

test("commit-by-vote tells the commit index in vote requests and refusals (etcd#12359)", () => {
  const member = behind(true, 1, 1);
  member.node.campaign();
  const [request] = member.drive();
  assert.deepEqual([request.type, request.commit, request.commitTerm], ["vote", 1, 1]);
  const voter = behind(true, 1, 1);
  voter.step(message("vote", { term: 2, index: 1, logTerm: 1 }));
  const [refusal] = voter.drive();
  assert.deepEqual([refusal.reject, refusal.commit, refusal.commitTerm], [true, 1, 1]);
});

test("commit-by-vote raises the commit index where the very entry is held", () => {
  const voter = behind(true, 1, 1, 1);
  voter.step(message("vote", { term: 2, index: 2, logTerm: 1, commit: 3, commitTerm: 2 }));
  assert.equal(voter.commit, 1, "another entry at 3");
  voter.step(message("vote", { term: 3, index: 2, logTerm: 1, commit: 4, commitTerm: 1 }));
  assert.equal(voter.commit, 1, "no entry at 4");
  voter.step(message("vote", { term: 4, index: 2, logTerm: 1, commit: 2, commitTerm: 1 }));
  assert.equal(voter.commit, 2);
  const candidate = behind(true, 1, 1, 1);
  candidate.node.campaign();
  candidate.drive();
  const refusal = { term: 2, reject: true, commit: 3, commitTerm: 1 };
  candidate.step(message("vote-response", refusal));
  assert.deepEqual([candidate.role, candidate.commit], ["candidate", 3]);
});

test("a candidate that learns of a committed configuration change steps down first", () => {
  const candidate = behind(true, 1);
  const change = createEntry({ index: 2, term: 1, type: "conf-change-v2" });
  candidate.step(message("append", { term: 1, index: 1, logTerm: 1, entries: [change] }));
  candidate.drive();
  candidate.node.campaign();
  candidate.drive();
  candidate.step(message("vote-response", { term: 2, reject: true, commit: 2, commitTerm: 1 }));
  assert.deepEqual([candidate.role, candidate.commit], ["follower", 2]);
});

test("commit-by-vote is off by default: nothing is told and nothing believed", () => {
  const member = behind(false, 1, 1);
  member.step(message("vote", { term: 2, index: 1, logTerm: 1, commit: 2, commitTerm: 1 }));
  const [refusal] = member.drive();
  assert.deepEqual([member.commit, refusal.commit, refusal.commitTerm], [1, 0, 0]);
});

test("a leader learns nothing from the votes of others", () => {
  const leader = behind(true, 1, 1);
  makeLeader(leader);
  leader.step(
    message("vote", { from: 3, term: 2, index: 1, logTerm: 1, commit: 2, commitTerm: 1 }),
  );
  assert.equal(leader.commit, 1);
});

test("what was committed stays, whoever leads next (§5.4.3, leader completeness)", () => {
  const network = Network.of(5);
  for (let round = 1; round <= 5; round++) {
    network.heal();
    network.elect(round);
    network.cut([round, (round % 5) + 1], [1, 2, 3, 4, 5]);
    network.heal();
    network.propose(round, `round ${round}`);
    network.isolate(round);
    network.node(round).propose(bytes(`lost ${round}`));
    network.settle();
  }
  network.heal();
  network.elect(1);
  network.propose(1, "end");
  const commands = network.member(1).commands();
  assert.deepEqual(
    commands.filter((c) => c.startsWith("round")),
    [1, 2, 3, 4, 5].map((r) => `round ${r}`),
  );
  for (const member of network.members.values()) assert.deepEqual(member.commands(), commands);
});
