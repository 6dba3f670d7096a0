/** Log replication: Raft §5.3, the in-flight window (thesis §10.2.1), the proposal quota. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  createConfState,
  createEntry,
  type Message,
  ProposalDroppedError,
} from "../../src/raft/mod.ts";
import {
  bytes,
  makeLeader,
  type Member,
  type MemberOptions,
  message,
  Network,
  single,
  text,
  write,
} from "./network.ts";

const ack = (from: number, index: number, fields: Partial<Message> = {}) =>
  message("append-response", { from, index, term: 1, ...fields });

/** A leader of 1, 2 and 3 at term 1 whose peer 2 replicates and has everything. */
function replicatingLeader(options: MemberOptions = {}): Member {
  const leader = makeLeader(single(options));
  leader.step(ack(2, 1));
  leader.step(ack(3, 1));
  leader.drive();
  leader.sent = [];
  return leader;
}

const progress = (leader: Member, id: number) => leader.node.status().progress!.get(id)!;
const indices = (m: Message) => m.entries.map((entry) => entry.index);

/** What the leader sends to `id` now. */
function appendsTo(leader: Member, id: number): Message[] {
  return leader.drive().filter((m) => m.to === id && m.type === "append");
}

/** A lone follower whose log has these terms, of which `commit` entries are committed. */
function followerWith(terms: readonly number[], commit = 0): Member {
  const member = single();
  write(member.storage, {
    entries: terms.map((term, i) => createEntry({ index: i + 1, term })),
    hardState: { currentTerm: terms.at(-1) ?? 0, votedFor: 0, commitIndex: commit },
  });
  member.restart();
  member.drive();
  return member;
}

const entries = (from: number, ...terms: number[]) =>
  terms.map((term, i) => createEntry({ index: from + i, term }));

test("what is proposed is applied by everyone in the same order (§5.3)", () => {
  const network = Network.of(3);
  network.elect(1);
  network.propose(1, "a", "b", "c");
  for (const member of network.members.values()) {
    assert.deepEqual(member.commands(), ["a", "b", "c"]);
  }
});

test("a new leader's first act is an empty entry of its term (§8)", () => {
  const leader = makeLeader(single());
  assert.equal(leader.lastIndex, 1);
  assert.equal(leader.storage.term(1), 1);
  assert.equal(leader.storage.entries(1, 2, Infinity)[0].command.length, 0);
});

test("a leader never overwrites or deletes its own entries (§5.3, leader append-only)", () => {
  const leader = replicatingLeader();
  leader.node.propose(bytes("x"));
  leader.drive();
  for (const from of [2, 3]) {
    leader.step(message("append", { from, term: 1, entries: entries(1, 1, 1), commit: 2 }));
    leader.step(message("heartbeat", { from, term: 1, commit: 2 }));
  }
  leader.drive();
  assert.deepEqual([leader.role, leader.lastIndex, leader.commit], ["leader", 2, 1]);
  assert.equal(text(leader.storage.entries(2, 3, Infinity)[0].command), "x");
});

test("logs that share an entry share all before it (§5.3, log matching)", () => {
  const follower = followerWith([1, 1, 2, 2]);
  const out = () => follower.drive().at(-1)!;
  // No entry at 6, and at 4 one of another term.
  follower.step(message("append", { term: 3, index: 6, logTerm: 3 }));
  assert.equal(out().reject, true);
  follower.step(message("append", { term: 3, index: 4, logTerm: 3, entries: entries(5, 3) }));
  assert.equal(out().reject, true);
  assert.deepEqual(follower.storedTerms(), [1, 1, 2, 2]);
  follower.step(message("append", { term: 3, index: 2, logTerm: 1, entries: entries(3, 3) }));
  assert.deepEqual([out().reject, follower.sent.at(-1)!.index], [false, 3]);
  assert.deepEqual(follower.storedTerms(), [1, 1, 3]);
});

test("an acknowledgement leaves only after the entries are durable (thesis §3.8)", () => {
  const follower = single();
  follower.step(message("append", { term: 1, entries: entries(1, 1) }));
  const ready = follower.node.ready();
  assert.equal(ready.mustSync, true);
  assert.equal(ready.messages.length, 0);
  assert.deepEqual(ready.messagesAfterAppend.map((m) => [m.type, m.index]), [
    ["append-response", 1],
  ]);
});

test("a leader counts its own entries only once they are durable", () => {
  const leader = replicatingLeader();
  leader.node.propose(bytes("x"));
  const ready = leader.node.ready();
  assert.deepEqual(ready.messages.map((m) => m.type), ["append", "append"], "sent meanwhile");
  leader.step(ack(2, 2));
  assert.equal(leader.commit, 1, "one of three, the leader's own is not durable");
  write(leader.storage, ready);
  leader.node.advance();
  assert.equal(leader.commit, 2);
});

test("a follower commits no further than the last entry the message vouches for (§5.3)", () => {
  const follower = followerWith([1, 1, 1]);
  follower.step(message("append", { term: 1, index: 1, logTerm: 1, commit: 3 }));
  assert.equal(follower.commit, 1);
  follower.step(
    message("append", { term: 1, index: 1, logTerm: 1, entries: entries(2, 1), commit: 3 }),
  );
  assert.equal(follower.commit, 2);
});

test("an append from before the commit index is answered by the commit index", () => {
  const follower = followerWith([1, 1, 1], 2);
  for (const old of [entries(1, 1), entries(1, 1, 1), []]) {
    follower.step(message("append", { term: 1, entries: old }));
    const answer = follower.drive().at(-1)!;
    assert.deepEqual([answer.type, answer.reject, answer.index], ["append-response", false, 2]);
  }
});

test("duplicated and reordered appends change nothing", () => {
  const follower = followerWith([]);
  const first = message("append", { term: 1, entries: entries(1, 1, 1), commit: 1 });
  const second = message("append", { term: 1, index: 2, logTerm: 1, entries: entries(3, 1) });
  for (const m of [first, second, first, second, first]) {
    follower.step(m);
    follower.drive();
  }
  assert.deepEqual([follower.storedTerms(), follower.commit], [[1, 1, 1], 1]);
});

test("a refusal says where the logs may match, skipping a whole term (§5.3, end)", () => {
  const follower = followerWith([1, 3, 3, 4, 4, 5]);
  follower.step(message("append", { term: 7, index: 5, logTerm: 3 }));
  const answer = follower.drive().at(-1)!;
  assert.deepEqual(
    [answer.reject, answer.index, answer.rejectHint, answer.logTerm],
    [true, 5, 3, 3],
  );
  follower.step(message("append", { term: 7, index: 9, logTerm: 7 }));
  const short = follower.drive().at(-1)!;
  assert.deepEqual([short.index, short.rejectHint, short.logTerm], [9, 6, 5]);
});

test("a leader skips the terms that cannot match after a refusal (§5.3, end)", () => {
  const leader = single();
  write(leader.storage, {
    entries: entries(1, 1, 3, 3, 3, 5, 5),
    hardState: { currentTerm: 5, votedFor: 0, commitIndex: 0 },
  });
  leader.restart();
  makeLeader(leader);
  // The follower's entry at the hint has term 2: only entry 1 of the leader's log can match.
  leader.step(ack(2, 6, { term: 6, reject: true, rejectHint: 4, logTerm: 2 }));
  const [probe] = appendsTo(leader, 2);
  assert.deepEqual([probe.index, probe.logTerm], [1, 1]);
});

test("logs that diverge in any way end up the same (§5.3, figure 7)", () => {
  const logs = [
    [1, 1, 1, 4, 4, 5, 5, 6, 6],
    [1, 1, 1, 4],
    [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6],
    [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7],
    [1, 1, 1, 4, 4, 4, 4],
    [1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3],
  ];
  for (const terms of logs) {
    const network = Network.of(3);
    for (const [id, log] of [[1, [1, 1, 1, 4, 4, 5, 5, 6, 6, 6]], [2, terms]] as const) {
      const member = network.member(id);
      write(member.storage, {
        entries: entries(1, ...log),
        hardState: { currentTerm: 7, votedFor: 0, commitIndex: 0 },
      });
      member.restart();
    }
    network.elect(1);
    network.propose(1, "z");
    assert.deepEqual(network.member(2).storedTerms(), network.member(1).storedTerms());
    assert.deepEqual(network.member(3).storedTerms(), network.member(1).storedTerms());
    assert.equal(network.member(2).commit, 12);
  }
});

test("a peer is probed with one append until it answers", () => {
  const leader = makeLeader(single());
  leader.node.propose(bytes("a"));
  assert.deepEqual(appendsTo(leader, 2), []);
  assert.deepEqual([progress(leader, 2).state, progress(leader, 2).paused], ["probe", true]);
  leader.step(message("heartbeat-response", { from: 2, term: 1 }));
  assert.equal(appendsTo(leader, 2).length, 1, "a sign of life lets it try again");
  leader.step(ack(2, 1));
  assert.equal(progress(leader, 2).state, "replicate");
});

test("a refusal of anything but the probe that is out is stale", () => {
  const leader = makeLeader(single());
  const before = progress(leader, 2);
  leader.step(ack(2, 3, { reject: true, rejectHint: 0 }));
  assert.deepEqual(progress(leader, 2), { ...before, recentActive: true });
});

test("a refusal below what is known to match is stale", () => {
  const leader = replicatingLeader();
  leader.step(ack(2, 1, { reject: true, rejectHint: 0 }));
  assert.deepEqual([progress(leader, 2).state, progress(leader, 2).matchIndex], ["replicate", 1]);
  leader.node.propose(bytes("a"));
  leader.drive();
  leader.step(ack(2, 2, { reject: true, rejectHint: 1 }));
  assert.deepEqual([progress(leader, 2).state, progress(leader, 2).nextIndex], ["probe", 2]);
});

test("an old acknowledgement does not turn progress back", () => {
  const leader = replicatingLeader();
  leader.node.propose(bytes("a"));
  leader.node.propose(bytes("b"));
  leader.drive();
  leader.step(ack(2, 3));
  leader.step(ack(2, 2));
  assert.deepEqual([progress(leader, 2).matchIndex, progress(leader, 2).nextIndex], [3, 4]);
});

test("a replicating peer is sent to ahead of its acknowledgements (thesis §10.2.1)", () => {
  const leader = replicatingLeader();
  leader.node.propose(bytes("a"));
  leader.node.propose(bytes("b"));
  assert.deepEqual(appendsTo(leader, 2).map(indices), [[2], [3]]);
  assert.deepEqual([progress(leader, 2).inflight, progress(leader, 2).inflightBytes], [2, 2]);
});

test("no more than the window's count is under way, and an acknowledgement frees it", () => {
  const leader = replicatingLeader({ maxInflightMessages: 2, maxSizePerMessage: 0 });
  for (const command of ["a", "b", "c", "d"]) leader.node.propose(bytes(command));
  assert.deepEqual(appendsTo(leader, 2).map(indices), [[2], [3]]);
  assert.deepEqual([progress(leader, 2).inflightFull, progress(leader, 2).paused], [true, true]);
  leader.step(ack(2, 2));
  assert.deepEqual(appendsTo(leader, 2).flatMap(indices), [4]);
  leader.step(ack(2, 4));
  assert.deepEqual(appendsTo(leader, 2).flatMap(indices), [5]);
});

test("no more than the window's bytes are under way, but for the message that crosses them", () => {
  const leader = replicatingLeader({ maxInflightBytes: 100, maxSizePerMessage: 50 });
  for (let i = 0; i < 5; i++) leader.node.propose(new Uint8Array(45));
  assert.deepEqual(appendsTo(leader, 2).map(indices), [[2], [3], [4]]);
  assert.equal(progress(leader, 2).inflightBytes, 135);
  leader.step(ack(2, 2));
  assert.deepEqual(appendsTo(leader, 2).flatMap(indices), [5]);
});

test("a full window whose messages were all lost is noticed by an empty append", () => {
  const leader = replicatingLeader({ maxInflightMessages: 1 });
  leader.node.propose(bytes("a"));
  leader.node.propose(bytes("b"));
  assert.deepEqual(appendsTo(leader, 2).map(indices), [[2]]);
  leader.step(message("heartbeat-response", { from: 2, term: 1 }));
  const [probe] = appendsTo(leader, 2);
  assert.deepEqual([indices(probe), probe.index], [[], 2]);
  // The peer has only entry 1, so it refuses, and is sent the rest.
  leader.step(ack(2, 2, { reject: true, rejectHint: 1, logTerm: 1 }));
  assert.deepEqual(appendsTo(leader, 2).map(indices), [[2, 3]]);
});

test("appends are paged by size, and a single larger entry travels alone", () => {
  const leader = makeLeader(single({ maxSizePerMessage: 60 }));
  for (const size of [20, 20, 100, 20]) leader.node.propose(new Uint8Array(size));
  leader.drive();
  leader.step(ack(2, 1));
  assert.deepEqual(appendsTo(leader, 2).map(indices), [[2, 3], [4], [5]]);
});

test("an acknowledgement of a probe sends all that fits the window", () => {
  const leader = makeLeader(single({ maxSizePerMessage: 0, maxInflightMessages: 3 }));
  for (const command of ["a", "b", "c", "d"]) leader.node.propose(bytes(command));
  leader.drive();
  leader.step(ack(2, 1));
  assert.deepEqual(appendsTo(leader, 2).flatMap(indices), [2, 3, 4]);
});

test("a peer reported unreachable is probed again", () => {
  const leader = replicatingLeader();
  leader.node.propose(bytes("a"));
  leader.drive();
  leader.node.reportUnreachable(2);
  assert.deepEqual([progress(leader, 2).state, progress(leader, 2).nextIndex], ["probe", 2]);
  leader.node.reportUnreachable(9);
  const follower = single();
  follower.node.reportUnreachable(2);
  assert.equal(follower.node.hasReady(), false);
});

test("a peer that is probed although it has everything replicates again when it says so", () => {
  const leader = replicatingLeader();
  leader.node.reportUnreachable(2);
  leader.step(message("heartbeat-response", { from: 2, term: 1 }));
  const [probe] = appendsTo(leader, 2);
  assert.deepEqual([probe.index, indices(probe)], [1, []]);
  leader.step(ack(2, 1));
  assert.equal(progress(leader, 2).state, "replicate");
});

test("a commit is told to a peer that has the entries, but only once", () => {
  const leader = replicatingLeader();
  leader.node.propose(bytes("a"));
  leader.drive();
  leader.step(ack(2, 2));
  const told = leader.drive().filter((m) => m.type === "append" && m.to === 3);
  assert.deepEqual(told.map((m) => m.commit), [2]);
  leader.step(ack(3, 2));
  assert.deepEqual(leader.drive(), [], "3 was told to commit 2 before");
});

test("heartbeats carry no more commit than the peer is known to have", () => {
  const leader = replicatingLeader();
  leader.node.propose(bytes("a"));
  leader.drive();
  leader.step(ack(2, 2));
  leader.drive();
  leader.node.tick();
  const beats = leader.drive().filter((m) => m.type === "heartbeat");
  assert.deepEqual(beats.map((m) => [m.to, m.commit]), [[2, 2], [3, 1]]);
});

test("heartbeats leave every heartbeatTick ticks", () => {
  const leader = makeLeader(single({ heartbeatTick: 3, electionTick: 10 }));
  const counts = Array.from({ length: 6 }, () => {
    leader.node.tick();
    return leader.drive().filter((m) => m.type === "heartbeat").length;
  });
  assert.deepEqual(counts, [0, 0, 2, 0, 0, 2]);
});

test("a follower learns the commit index by heartbeat and echoes its context", () => {
  const follower = followerWith([1, 1]);
  follower.step(message("heartbeat", { term: 1, commit: 2, context: bytes("12345678") }));
  const answer = follower.drive().at(-1)!;
  assert.equal(follower.commit, 2);
  assert.deepEqual([answer.type, answer.context], ["heartbeat-response", bytes("12345678")]);
});

test("proposals beyond the uncommitted quota are dropped until some are applied", () => {
  const leader = makeLeader(single({ maxUncommittedSize: 10 }));
  leader.node.propose(new Uint8Array(20));
  assert.throws(() => leader.node.propose(bytes("x")), ProposalDroppedError);
  leader.node.propose(new Uint8Array(0));
  assert.equal(leader.lastIndex, 3, "an empty command always fits");
  leader.drive();
  leader.step(ack(2, 3));
  leader.drive();
  leader.node.propose(new Uint8Array(6));
  leader.node.propose(new Uint8Array(4));
  assert.throws(() => leader.node.propose(bytes("x")), ProposalDroppedError);
});

test("a proposal of several commands is appended as a whole or not at all", () => {
  const leader = makeLeader(single({ maxUncommittedSize: 10 }));
  leader.node.proposeBatch([{ command: bytes("aaaa") }, {
    command: bytes("b"),
    context: bytes("c"),
  }]);
  assert.equal(leader.lastIndex, 3);
  const tooMuch = [{ command: bytes("123") }, { command: bytes("456") }];
  assert.throws(() => leader.node.proposeBatch(tooMuch), ProposalDroppedError);
  assert.equal(leader.lastIndex, 3);
});

test("a follower forwards proposals to its leader, and nobody takes them without one", () => {
  const network = Network.of(3);
  network.elect(1);
  network.propose(2, "from 2");
  assert.deepEqual(network.member(3).commands(), ["from 2"]);
  const lone = single();
  assert.throws(() => lone.node.propose(bytes("x")), ProposalDroppedError);
  lone.node.campaign();
  assert.throws(() => lone.node.propose(bytes("x")), ProposalDroppedError);
});

test("with forwarding off a follower drops proposals", () => {
  const network = Network.of(3, { disableProposalForwarding: true });
  network.elect(1);
  assert.throws(() => network.node(2).propose(bytes("x")), ProposalDroppedError);
  network.propose(1, "x");
  assert.deepEqual(network.member(2).commands(), ["x"]);
});

test("a follower that was cut off catches up", () => {
  const network = Network.of(3, { maxSizePerMessage: 30, maxInflightMessages: 2 });
  network.elect(1);
  network.isolate(3);
  for (let i = 0; i < 20; i++) network.propose(1, `command ${i}`);
  network.heal();
  for (let i = 0; i < 3; i++) {
    network.tick(1);
    network.settle();
  }
  assert.deepEqual(network.member(3).commands(), network.member(1).commands());
});

test("a removed peer's late acknowledgement is refused", () => {
  const leader = makeLeader(single());
  assert.equal(leader.step(ack(9, 1))?.code, "PEER_NOT_FOUND");
});

test("a learner receives the log and does not count (thesis §4.2.1)", () => {
  const leader = makeLeader(single({}, { voters: [1, 2], learners: [3] }));
  assert.equal(leader.commit, 0);
  leader.step(ack(3, 1));
  assert.equal(leader.commit, 0);
  leader.step(ack(2, 1));
  assert.equal(leader.commit, 1);
});

test("what is replicated to a learner is applied there as well", () => {
  const network = Network.with({ voters: [1], learners: [2] });
  network.elect(1);
  network.propose(1, "a");
  assert.deepEqual(network.member(2).commands(), ["a"]);
  assert.deepEqual(
    network.node(2).status().confState,
    createConfState({ voters: [1], learners: [2] }),
  );
});
