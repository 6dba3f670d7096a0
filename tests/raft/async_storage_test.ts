/** Asynchronous storage writes: appends and applies on queues of their own, and the ABA case. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { APPEND_THREAD, APPLY_THREAD, createConfState, createEntry } from "../../src/raft/mod.ts";
import { bytes, makeLeader, type Member, message, single } from "./network.ts";

const entries = (from: number, ...terms: number[]) =>
  terms.map((term, i) => createEntry({ index: from + i, term }));
const append = (term: number, index: number, logTerm: number, ...terms: number[]) =>
  message("append", { term, index, logTerm, entries: entries(index + 1, ...terms) });

/** A member whose storage threads work only when told to. */
function held(): Member {
  const member = single({ asyncStorageWrites: true });
  member.holdStorage = true;
  return member;
}

test("a write carries the entries, the hard state and the answers that wait for it", () => {
  const member = held();
  member.step(append(1, 0, 0, 1, 1));
  assert.deepEqual(member.drive(), []);
  const [write] = member.appendQueue;
  assert.deepEqual(
    [write.type, write.to, write.from, write.term, write.vote, write.commit],
    ["storage-append", APPEND_THREAD, 1, 1, 0, 0],
  );
  assert.deepEqual(write.entries.map((entry) => entry.index), [1, 2]);
  assert.deepEqual(write.responses!.map((m) => [m.type, m.to, m.index]), [
    ["append-response", 2, 2],
    ["storage-append-response", 1, 2],
  ]);
});

test("an unchanged hard state leaves its fields zero", () => {
  const member = held();
  member.step(append(1, 0, 0, 1));
  member.drive();
  member.step(append(1, 1, 1, 1));
  member.drive();
  const write = member.appendQueue[1];
  assert.deepEqual([write.term, write.vote, write.commit], [0, 0, 0]);
  assert.equal(write.entries.length, 1);
});

test("an answer that needs no write still waits for the writes before it", () => {
  const member = held();
  member.step(append(1, 0, 0, 1));
  member.drive();
  member.step(append(1, 0, 0, 1));
  assert.deepEqual(member.drive(), []);
  assert.deepEqual(member.appendQueue[1].entries, []);
  assert.equal(member.appendQueue[1].responses![0].type, "append-response");
});

test("an entry is applied only once it is stable here", () => {
  const member = held();
  member.step({ ...append(1, 0, 0, 1, 1), commit: 2 });
  member.drive();
  assert.deepEqual([member.commit, member.applyQueue.length], [2, 0]);
  member.workAppend();
  member.drive();
  assert.deepEqual(member.applyQueue[0].entries.map((entry) => entry.index), [1, 2]);
  assert.deepEqual([member.applyQueue[0].to, member.applyQueue[0].term], [APPLY_THREAD, 0]);
  assert.equal(member.node.basicStatus().applied, 0);
  member.workApply();
  assert.equal(member.node.basicStatus().applied, 2);
});

test("a leader's entry counts for itself only once its own write is done", () => {
  const leader = makeLeader(single({ asyncStorageWrites: true }));
  leader.holdStorage = true;
  leader.node.propose(bytes("x"));
  const out = leader.drive();
  assert.deepEqual(out.map((m) => m.type), [], "both peers are probed and wait");
  leader.step(message("append-response", { from: 2, index: 2, term: 1 }));
  assert.equal(leader.commit, 1);
  leader.workAppend();
  assert.equal(leader.commit, 2);
});

test("a vote for itself counts only once it is written", () => {
  const member = held();
  member.node.campaign();
  member.drive();
  member.step(message("vote-response", { from: 2, term: 1 }));
  assert.equal(member.role, "candidate");
  member.workAppend();
  assert.equal(member.role, "leader");
});

test("writes may be under way one behind the other", () => {
  const member = held();
  member.step(append(1, 0, 0, 1));
  member.drive();
  member.step(append(1, 1, 1, 1));
  member.drive();
  member.workAppend();
  assert.equal(member.node.status().lastIndex, 2);
  member.workAppend();
  assert.deepEqual(member.storedTerms(), [1, 1]);
  member.step(append(1, 2, 1, 1));
  member.drive();
  assert.equal(member.appendQueue[0].entries.length, 1, "nothing is written twice");
});

test("stable entries are read from storage, unstable ones from memory (ABA)", () => {
  const member = held();
  // Entries of term 1, then others of term 2 in their place, then those of term 1 again, from a
  // leader of term 3: three writes under way.
  member.step(append(1, 0, 0, 1, 1));
  member.drive();
  member.step(append(2, 0, 0, 2, 2));
  member.drive();
  member.step(append(3, 0, 0, 1, 1));
  member.drive();
  assert.equal(member.appendQueue.length, 3);
  member.workAppend();
  // The first write is done. Its entries look just like those in memory, but the second write is
  // about to replace them: they must not count as stable.
  member.workAppend();
  assert.deepEqual(member.storedTerms(), [2, 2]);
  member.step({ ...append(3, 2, 1), commit: 2 });
  member.drive();
  assert.equal(member.applyQueue.length, 0, "nothing may be applied from what storage shows now");
  while (member.appendQueue.length > 0) member.workAppend();
  member.drive();
  assert.deepEqual(member.storedTerms(), [1, 1]);
  assert.deepEqual(member.applyQueue[0].entries.map((entry) => entry.term), [1, 1]);
});

test("after a change of term the tail is let go of by the write that saves the term", () => {
  const member = held();
  member.step(append(1, 0, 0, 1));
  member.drive();
  member.step(message("heartbeat", { from: 3, term: 2 }));
  member.drive();
  member.workAppend();
  member.step(message("heartbeat", { from: 3, term: 2, commit: 1 }));
  member.drive();
  assert.equal(member.applyQueue.length, 0, "the answer of term 1 does not count");
  member.workAppend();
  member.drive();
  assert.equal(member.applyQueue.length, 1);
});

test("a snapshot is written by the append thread, and applied with its answer", () => {
  const member = held();
  const confState = createConfState({ voters: [1, 2, 3] });
  const snapshot = { metadata: { index: 9, term: 1, confState }, data: new Uint8Array(0) };
  member.step(message("snapshot", { term: 1, snapshot }));
  member.drive();
  assert.equal(member.appendQueue[0].snapshot, snapshot);
  member.step({ ...append(1, 9, 1, 1), commit: 10 });
  member.drive();
  assert.equal(member.applyQueue.length, 0);
  member.workAppend();
  assert.equal(member.node.basicStatus().applied, 9);
  member.workAppend();
  member.drive();
  assert.deepEqual(member.applyQueue[0].entries.map((entry) => entry.index), [10]);
});

test("a snapshot counts as applied even when its answer comes in a later term", () => {
  const member = held();
  const confState = createConfState({ voters: [1, 2, 3] });
  const snapshot = { metadata: { index: 9, term: 1, confState }, data: new Uint8Array(0) };
  member.step(message("snapshot", { term: 1, snapshot }));
  member.drive();
  member.step(message("heartbeat", { from: 3, term: 2 }));
  member.drive();
  member.workAppend();
  assert.equal(member.node.basicStatus().applied, 9);
});

test("what is being applied is bounded by size, and the next page follows each answer", () => {
  const member = single({ asyncStorageWrites: true, maxCommittedSizePerReady: 1 });
  member.step({ ...append(1, 0, 0, 1, 1, 1), commit: 3 });
  member.holdStorage = true;
  member.drive();
  member.workAppend();
  for (const index of [1, 2, 3]) {
    member.drive();
    assert.deepEqual(member.applyQueue.flatMap((m) => m.entries.map((e) => e.index)), [index]);
    member.workApply();
  }
  assert.equal(member.node.basicStatus().applied, 3);
});

test("a crash between the writes loses nothing that was acknowledged", () => {
  const member = held();
  member.step(append(1, 0, 0, 1));
  member.drive();
  const acknowledged = member.workAppend().map((m) => m.index);
  member.step(append(1, 1, 1, 1));
  member.drive();
  member.restart();
  assert.deepEqual([acknowledged, member.lastIndex], [[1], 1]);
});

test("nothing is to be done twice: a taken Ready leaves none behind", () => {
  const member = held();
  member.step(append(1, 0, 0, 1));
  member.drive();
  assert.equal(member.node.hasReady(), false);
  assert.equal(member.appendQueue.length, 1);
});
