/** Snapshots: Raft §7, their reports, and those that a follower asks for. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type ConfState,
  createConfState,
  createEntry,
  type Message,
  RaftInvariantError,
  type Snapshot,
  SnapshotRequestDroppedError,
  SnapshotTemporarilyUnavailableError,
} from "../../src/raft/mod.ts";
import {
  bytes,
  makeLeader,
  Member,
  type MemberOptions,
  message,
  Network,
  newStorage,
  single,
  write,
} from "./network.ts";

const THREE = createConfState({ voters: [1, 2, 3] });

const snapshotOf = (index: number, term: number, confState: ConfState = THREE): Snapshot => ({
  metadata: { index, term, confState },
  data: bytes(`state at ${index}`),
});

const entries = (from: number, ...terms: number[]) =>
  terms.map((term, i) => createEntry({ index: from + i, term }));

/** A follower with these entries, of which `commit` are committed. */
function followerWith(
  terms: readonly number[],
  commit: number,
  options: MemberOptions = {},
): Member {
  const member = single(options);
  write(member.storage, {
    entries: entries(1, ...terms),
    hardState: { currentTerm: terms.at(-1) ?? 0, votedFor: 0, commitIndex: commit },
  });
  member.restart();
  member.drive();
  return member;
}

/** A leader whose log begins after a snapshot of `index`, with peers 2 and 3 far behind. */
function compactedLeader(index = 10): Member {
  const member = new Member(1, newStorage(1, THREE, { index, term: 1 }));
  write(member.storage, { hardState: { currentTerm: 1, votedFor: 0, commitIndex: index } });
  member.restart();
  return makeLeader(member);
}

const progress = (leader: Member, id: number) => leader.node.status().progress!.get(id)!;
const answer = (member: Member) => member.drive().at(-1)!;
const refusal = (index: number, hint: number, fields: Partial<Message> = {}) =>
  message("append-response", { term: 2, index, reject: true, rejectHint: hint, ...fields });

/** Makes the leader send its snapshot to peer 2. */
function sendSnapshotTo2(leader: Member): Message {
  leader.step(refusal(leader.lastIndex - 1, 0));
  const sent = leader.drive().find((m) => m.type === "snapshot");
  assert.ok(sent !== undefined);
  return sent;
}

test("a follower installs a snapshot in place of its log and configuration (§7)", () => {
  const member = followerWith([1, 1], 1);
  const confState = createConfState({ voters: [1, 2], learners: [4] });
  member.step(message("snapshot", { term: 3, snapshot: snapshotOf(9, 2, confState) }));
  const ready = member.node.ready();
  assert.deepEqual(ready.snapshot?.metadata.index, 9);
  assert.deepEqual(ready.committedEntries, []);
  assert.deepEqual(ready.messagesAfterAppend.map((m) => [m.type, m.index]), [
    ["append-response", 9],
  ]);
  write(member.storage, ready);
  member.appliedIndex = 9;
  member.node.advance();
  const { applied, firstIndex, lastIndex, hardState } = member.node.basicStatus();
  assert.deepEqual([applied, firstIndex, lastIndex, hardState.commitIndex], [9, 10, 9, 9]);
  assert.deepEqual(member.node.status().confState, confState);
  member.step(
    message("append", { term: 3, index: 9, logTerm: 2, entries: entries(10, 3), commit: 10 }),
  );
  member.drive();
  assert.equal(member.commit, 10);
});

test("a follower whose log has it all only learns the commit index (§7)", () => {
  const member = followerWith([1, 1, 1], 1);
  member.step(message("snapshot", { term: 2, snapshot: snapshotOf(2, 1) }));
  const out = answer(member);
  assert.deepEqual([out.index, member.commit, member.lastIndex], [2, 2, 3]);
  assert.equal(member.storage.firstIndex(), 1);
});

test("an old snapshot is answered by the commit index", () => {
  const member = followerWith([1, 1, 1], 3);
  for (const index of [1, 2, 3]) {
    member.step(message("snapshot", { term: 2, snapshot: snapshotOf(index, 1) }));
    assert.deepEqual([answer(member).index, member.lastIndex], [3, 3]);
  }
  member.step(message("snapshot", { term: 2 }));
  assert.equal(answer(member).index, 3, "a snapshot message without a snapshot");
});

test("a snapshot from before the log begins is old as well", () => {
  const member = new Member(1, newStorage(1, THREE, { index: 10, term: 2 }));
  for (const index of [5, 9]) {
    member.step(message("snapshot", { term: 3, snapshot: snapshotOf(index, 1) }));
    assert.deepEqual([answer(member).index, member.lastIndex], [10, 10]);
  }
});

test("a snapshot that contradicts what is committed is not installed", () => {
  const member = followerWith([1, 1, 1], 3);
  member.step(message("snapshot", { term: 3, snapshot: snapshotOf(3, 2) }));
  assert.deepEqual([answer(member).index, member.storage.firstIndex()], [3, 1]);
});

test("a snapshot that leaves this replica out is not installed", () => {
  const member = followerWith([1], 1);
  const others = createConfState({ voters: [2, 3] });
  member.step(message("snapshot", { term: 2, snapshot: snapshotOf(9, 2, others) }));
  assert.deepEqual([answer(member).index, member.lastIndex], [1, 1]);
  for (
    const fields of [{ voters: [2], learners: [1] }, {
      voters: [2],
      votersOutgoing: [1],
      learnersNext: [1],
    }]
  ) {
    const other = followerWith([1], 1);
    const confState = createConfState(fields);
    other.step(message("snapshot", { term: 2, snapshot: snapshotOf(9, 2, confState) }));
    assert.equal(answer(other).index, 9);
  }
});

test("a snapshot replaces a log that conflicts with it", () => {
  const member = followerWith([1, 1, 1, 1], 1);
  member.step(message("snapshot", { term: 2, snapshot: snapshotOf(3, 2) }));
  assert.equal(answer(member).index, 3);
  assert.deepEqual([member.storage.firstIndex(), member.storage.lastIndex()], [4, 3]);
});

test("a peer whose next entries are gone gets the snapshot, and nothing else meanwhile", () => {
  const leader = compactedLeader();
  const sent = sendSnapshotTo2(leader);
  assert.equal(sent.snapshot?.metadata.index, 10);
  const { state, pendingSnapshot, nextIndex, paused } = progress(leader, 2);
  assert.deepEqual([state, pendingSnapshot, nextIndex, paused], ["snapshot", 10, 11, true]);
  leader.node.propose(bytes("a"));
  leader.step(message("heartbeat-response", { term: 2 }));
  assert.deepEqual(leader.drive().filter((m) => m.to === 2), []);
});

test("a peer that was not heard from lately gets no snapshot", () => {
  const member = new Member(1, newStorage(1, THREE, { index: 10, term: 1 }), {
    checkQuorum: true,
    electionTick: 5,
  });
  write(member.storage, { hardState: { currentTerm: 1, votedFor: 0, commitIndex: 10 } });
  member.restart();
  const leader = makeLeader(member);
  const original = leader.storage.snapshot.bind(leader.storage);
  leader.storage.snapshot = () => {
    throw new SnapshotTemporarilyUnavailableError();
  };
  leader.step(refusal(10, 0));
  for (let i = 0; i < 5; i++) {
    leader.node.tick();
    leader.step(message("heartbeat-response", { from: 3, term: 2 }));
  }
  leader.storage.snapshot = original;
  leader.node.propose(bytes("a"));
  assert.deepEqual(leader.drive().filter((m) => m.type === "snapshot"), []);
  leader.step(message("heartbeat-response", { term: 2 }));
  assert.equal(leader.drive().filter((m) => m.type === "snapshot").length, 1);
});

test("while a snapshot is being prepared nothing is sent, and it is tried again", () => {
  const leader = compactedLeader();
  const original = leader.storage.snapshot.bind(leader.storage);
  leader.storage.snapshot = () => {
    throw new SnapshotTemporarilyUnavailableError();
  };
  leader.step(refusal(10, 0));
  assert.deepEqual(leader.drive().filter((m) => m.type === "snapshot"), []);
  assert.equal(progress(leader, 2).state, "probe");
  leader.storage.snapshot = original;
  leader.step(message("heartbeat-response", { term: 2 }));
  assert.equal(leader.drive().filter((m) => m.type === "snapshot").length, 1);
});

test("any other failure to read a snapshot, and an empty one, stop the replica", () => {
  for (
    const [snapshot, expected] of [
      [() => {
        throw new TypeError("broken");
      }, TypeError],
      [() => snapshotOf(0, 0), RaftInvariantError],
    ] as const
  ) {
    const leader = compactedLeader();
    leader.storage.snapshot = snapshot;
    assert.throws(() => leader.node.step(refusal(10, 0)), expected);
  }
});

test("after a reported success the leader waits for the peer's own word", () => {
  const leader = compactedLeader();
  sendSnapshotTo2(leader);
  leader.node.reportSnapshot(2, "finish");
  const { state, nextIndex, paused } = progress(leader, 2);
  assert.deepEqual([state, nextIndex, paused], ["probe", 11, true]);
  leader.step(message("append-response", { term: 2, index: 10 }));
  assert.equal(progress(leader, 2).state, "replicate");
});

test("after a reported failure the peer is probed from what is known to match", () => {
  const leader = compactedLeader();
  sendSnapshotTo2(leader);
  leader.node.reportSnapshot(2, "failure");
  const { state, nextIndex, paused } = progress(leader, 2);
  assert.deepEqual([state, nextIndex, paused], ["probe", 1, true]);
});

test("a report about a peer that awaits no snapshot changes nothing", () => {
  const leader = compactedLeader();
  const before = leader.node.status();
  leader.node.reportSnapshot(2, "finish");
  leader.node.reportSnapshot(9, "failure");
  assert.deepEqual(leader.node.status(), before);
  const follower = single();
  follower.node.reportSnapshot(2, "finish");
  assert.equal(follower.node.hasReady(), false);
});

test("a peer that caught up by whatever snapshot replicates again", () => {
  const leader = compactedLeader();
  sendSnapshotTo2(leader);
  leader.step(message("append-response", { term: 2, index: 9 }));
  assert.equal(progress(leader, 2).state, "snapshot", "entry 10 is not at hand");
  assert.deepEqual(leader.drive().filter((m) => m.to === 2), [], "nor is it sent again");
  leader.step(message("append-response", { term: 2, index: 10 }));
  const { state, matchIndex, nextIndex } = progress(leader, 2);
  assert.deepEqual([state, matchIndex, nextIndex], ["replicate", 10, 12]);
});

test("a replica that missed everything catches up by snapshot and log", () => {
  const network = Network.of(3);
  network.elect(1);
  network.isolate(3);
  network.propose(1, "a", "b", "c");
  const { storage, appliedIndex } = network.member(1);
  const snapshot = snapshotOf(appliedIndex - 1, 1);
  storage.compact(appliedIndex - 1, snapshot).catch(() => {});
  network.heal();
  network.tick(1);
  network.settle();
  network.propose(1, "d");
  const { applied, hardState } = network.node(3).basicStatus();
  assert.deepEqual([applied, hardState.commitIndex], [5, 5]);
  assert.deepEqual(network.member(3).commands(), ["c", "d"]);
});

test("after a restart the state begins with the snapshot", () => {
  const member = followerWith([1], 1);
  member.step(message("snapshot", { term: 3, snapshot: snapshotOf(9, 2) }));
  member.drive();
  member.restart();
  const { applied, firstIndex, hardState } = member.node.basicStatus();
  assert.deepEqual([applied, firstIndex, hardState.commitIndex, member.term], [9, 10, 9, 3]);
  assert.equal(member.node.hasReady(), false);
});

test("a snapshot that was applied while another was on its way does not complete that one", () => {
  const member = followerWith([1], 1, { asyncStorageWrites: true });
  member.holdStorage = true;
  member.step(message("snapshot", { term: 3, snapshot: snapshotOf(9, 2) }));
  member.drive();
  member.step(message("snapshot", { term: 3, snapshot: snapshotOf(20, 2) }));
  member.drive();
  member.workAppend();
  assert.equal(member.node.basicStatus().applied, 9);
  member.node.campaign();
  assert.equal(member.role, "follower", "the other snapshot still waits");
  member.workAppend();
  assert.equal(member.node.basicStatus().applied, 20);
});

test("a follower may ask for a snapshot, and refuses appends until it arrives", () => {
  const member = followerWith([1, 1, 1], 3);
  member.step(message("heartbeat", { term: 1, commit: 3 }));
  member.drive();
  member.node.requestSnapshot();
  const out = answer(member);
  assert.deepEqual(
    [out.type, out.reject, out.index, out.rejectHint, out.requestSnapshot],
    ["append-response", true, 3, 3, 3],
  );
  member.step(message("append", { term: 1, index: 3, logTerm: 1, entries: entries(4, 1) }));
  assert.deepEqual([answer(member).requestSnapshot, member.lastIndex], [3, 3]);
  member.step(message("heartbeat", { term: 1, commit: 3 }));
  assert.equal(answer(member).requestSnapshot, 3);
  // Its index is committed and its term matches: all the same it is installed, once.
  member.step(message("snapshot", { term: 1, snapshot: snapshotOf(3, 1) }));
  assert.equal(answer(member).index, 3);
  assert.equal(member.storage.firstIndex(), 4);
  member.step(message("append", { term: 1, index: 3, logTerm: 1, entries: entries(4, 1) }));
  assert.deepEqual([answer(member).reject, member.lastIndex], [false, 4]);
});

test("a snapshot older than the request throws nothing away that was acknowledged", () => {
  const member = followerWith([1, 1, 1, 1], 2);
  member.step(message("heartbeat", { term: 1, commit: 2 }));
  member.drive();
  member.node.requestSnapshot();
  member.drive();
  member.step(message("snapshot", { term: 1, snapshot: snapshotOf(3, 1) }));
  member.drive();
  assert.deepEqual([member.lastIndex, member.storage.firstIndex(), member.commit], [4, 1, 3]);
  assert.throws(() => member.node.requestSnapshot(), SnapshotRequestDroppedError);
});

test("a snapshot cannot be asked for by a leader, without one, twice, or in a term without entries", () => {
  const dropped = (member: Member, why: RegExp) =>
    assert.throws(
      () => member.node.requestSnapshot(),
      (error: unknown) => error instanceof SnapshotRequestDroppedError && why.test(error.message),
    );
  dropped(makeLeader(single()), /leads/);
  dropped(single(), /no leader/);
  const member = followerWith([1], 1);
  member.step(message("heartbeat", { term: 2 }));
  dropped(member, /no entry of the current term/);
  member.step(message("append", { term: 2, index: 1, logTerm: 1, entries: entries(2, 2) }));
  member.node.requestSnapshot();
  dropped(member, /pending/);
});

test("a candidate and a leader have forgotten the request for a snapshot", () => {
  const member = followerWith([1], 1);
  member.step(message("heartbeat", { term: 1 }));
  member.node.requestSnapshot();
  member.node.campaign();
  member.drive();
  member.step(message("append", { term: 3, index: 1, logTerm: 1, entries: entries(2, 3) }));
  assert.equal(answer(member).reject, false);
});

/** A leader whose storage has a snapshot of its log's middle, and a peer 2 that has everything. */
function leaderWithSnapshot(index: number): Member {
  const leader = makeLeader(single());
  for (const command of ["a", "b", "c"]) leader.node.propose(bytes(command));
  leader.drive();
  for (const from of [2, 3]) leader.step(message("append-response", { from, term: 1, index: 4 }));
  leader.drive();
  leader.storage.compact(0, snapshotOf(index, 1)).catch(() => {});
  return leader;
}

test("a leader sends the snapshot a peer asked for, though the log is at hand", () => {
  const leader = leaderWithSnapshot(4);
  leader.step(refusal(4, 4, { term: 1, requestSnapshot: 4 }));
  const out = leader.drive();
  assert.deepEqual(out.map((m) => [m.type, m.snapshot?.metadata.index]), [["snapshot", 4]]);
  // The acknowledgement brings no new index and still ends the wait, and the request.
  leader.step(message("append-response", { term: 1, index: 4 }));
  assert.equal(progress(leader, 2).state, "replicate");
  leader.node.propose(bytes("d"));
  assert.deepEqual(leader.drive().filter((m) => m.to === 2).map((m) => m.type), ["append"]);
  leader.node.reportSnapshot(2, "finish");
  assert.equal(progress(leader, 2).state, "replicate");
});

test("a report ends the request for a snapshot as well", () => {
  const leader = leaderWithSnapshot(4);
  leader.step(refusal(4, 4, { term: 1, requestSnapshot: 4 }));
  leader.drive();
  leader.node.reportSnapshot(2, "finish");
  leader.step(message("heartbeat-response", { term: 1 }));
  assert.deepEqual(leader.drive().map((m) => m.type), ["append"]);
});

test("no snapshot is sent that is older than the request, or than what is acknowledged", () => {
  const leader = leaderWithSnapshot(3);
  leader.step(refusal(4, 4, { term: 1, requestSnapshot: 4 }));
  assert.deepEqual(leader.drive(), []);
  const other = leaderWithSnapshot(3);
  other.step(refusal(4, 4, { term: 1, requestSnapshot: 2 }));
  assert.deepEqual(other.drive(), []);
  other.storage.compact(0, snapshotOf(4, 1)).catch(() => {});
  other.step(message("heartbeat-response", { term: 1 }));
  assert.deepEqual(other.drive().map((m) => m.type), ["snapshot"]);
});

test("a snapshot must reach what was asked for, whatever is known of the peer", () => {
  const leader = makeLeader(single());
  for (const command of ["a", "b", "c"]) leader.node.propose(bytes(command));
  leader.drive();
  leader.step(message("append-response", { from: 3, term: 1, index: 4 }));
  leader.drive();
  leader.storage.compact(0, snapshotOf(2, 1)).catch(() => {});
  leader.step(refusal(0, 3, { term: 1, requestSnapshot: 3 }));
  assert.deepEqual(leader.drive().filter((m) => m.to === 2), []);
  leader.storage.compact(0, snapshotOf(3, 1)).catch(() => {});
  leader.step(message("heartbeat-response", { term: 1 }));
  assert.deepEqual(leader.drive().map((m) => m.type), ["snapshot"]);
});

test("a request from before what is known to match is stale", () => {
  const leader = leaderWithSnapshot(4);
  leader.step(refusal(3, 3, { term: 1, requestSnapshot: 3 }));
  assert.deepEqual(leader.drive(), []);
  assert.equal(progress(leader, 2).state, "replicate");
});
