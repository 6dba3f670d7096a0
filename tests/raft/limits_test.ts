/** The ends of the number ranges: the last term, the last index, the largest sizes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createConfState, createEntry, ProposalDroppedError } from "../../src/raft/mod.ts";
import { INDEX_MAX, TERM_MAX } from "../../src/raft/raft.ts";
import { bytes, makeLeader, Member, message, newStorage, single, write } from "./network.ts";

const THREE = createConfState({ voters: [1, 2, 3] });

/** A follower in a term, whose log ends at an index. */
function follower(term: number, index: number, options = {}): Member {
  const member = new Member(1, newStorage(1, THREE, { index, term: 1 }), options);
  write(member.storage, { hardState: { currentTerm: term, votedFor: 0, commitIndex: index } });
  member.restart();
  return member;
}

test("in the last term nobody campaigns any more, with or without pre-vote", () => {
  for (const preVote of [false, true]) {
    const member = follower(TERM_MAX, 5, { preVote });
    member.node.campaign();
    assert.deepEqual([member.role, member.term], ["follower", TERM_MAX]);
  }
});

test("the last term can be won and led", () => {
  const member = follower(TERM_MAX - 1, 5);
  makeLeader(member);
  assert.equal(member.term, TERM_MAX);
  member.node.propose(bytes("x"));
  assert.equal(member.lastIndex, 7);
});

test("a pre-vote for the last term may be asked and answered", () => {
  const member = follower(TERM_MAX - 1, 5, { preVote: true });
  member.node.campaign();
  assert.deepEqual(member.drive().map((m) => m.term), [TERM_MAX, TERM_MAX]);
  assert.equal(
    member.step(message("pre-vote", { term: TERM_MAX, index: 9, logTerm: 9 })),
    undefined,
  );
});

test("a log at its end elects nobody who could not append its first entry", () => {
  const full = follower(5, INDEX_MAX);
  full.node.campaign();
  assert.equal(full.role, "follower");
  const last = makeLeader(follower(5, INDEX_MAX - 1));
  assert.equal(last.lastIndex, INDEX_MAX);
});

test("a log at its end drops proposals, also those that would cross it", () => {
  const leader = makeLeader(follower(5, INDEX_MAX - 3));
  const batch = [{ command: bytes("a") }, { command: bytes("b") }, { command: bytes("c") }];
  assert.throws(() => leader.node.proposeBatch(batch), ProposalDroppedError);
  assert.equal(leader.lastIndex, INDEX_MAX - 2);
  leader.node.proposeBatch(batch.slice(1));
  assert.equal(leader.lastIndex, INDEX_MAX);
  assert.throws(() => leader.node.propose(bytes("a")), ProposalDroppedError);
});

test("a follower at the end of all indices answers and stays whole", () => {
  const member = follower(5, INDEX_MAX - 1);
  const entry = createEntry({ index: INDEX_MAX, term: 5 });
  member.step(
    message("append", {
      term: 5,
      index: INDEX_MAX - 1,
      logTerm: 1,
      entries: [entry],
      commit: INDEX_MAX,
    }),
  );
  member.drive();
  assert.deepEqual([member.lastIndex, member.commit, member.appliedIndex], [
    INDEX_MAX,
    INDEX_MAX,
    INDEX_MAX,
  ]);
  assert.equal(member.sent.at(-1)!.index, INDEX_MAX);
});

test("a snapshot of the last index is installed", () => {
  const member = single();
  const snapshot = {
    metadata: { index: INDEX_MAX, term: 2, confState: THREE },
    data: new Uint8Array(0),
  };
  member.step(message("snapshot", { term: 2, snapshot }));
  member.drive();
  assert.deepEqual([member.lastIndex, member.commit], [INDEX_MAX, INDEX_MAX]);
});
