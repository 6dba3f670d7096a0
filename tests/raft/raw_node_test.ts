/** `RawNode` itself: what it starts from, what a Ready holds, what it refuses of its host. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type Config,
  createConfState,
  createEntry,
  hardStatesEqual,
  isEmptyHardState,
  MessageRefusedError,
  RaftError,
  RaftInvariantError,
  RawNode,
} from "../../src/raft/mod.ts";
import {
  bytes,
  makeLeader,
  Member,
  message,
  newStorage,
  seededRandom,
  single,
  text,
  write,
} from "./network.ts";

const THREE = createConfState({ voters: [1, 2, 3] });
const entries = (from: number, ...terms: number[]) =>
  terms.map((term, i) => createEntry({ index: from + i, term }));

test("a fresh node has nothing to do", () => {
  const { node } = single();
  assert.equal(node.id, 1);
  assert.equal(node.hasReady(), false);
  assert.deepEqual(node.status(), {
    id: 1,
    hardState: { currentTerm: 0, votedFor: 0, commitIndex: 0 },
    softState: { leader: 0, role: "follower" },
    applied: 0,
    leadTransferee: 0,
    firstIndex: 1,
    lastIndex: 0,
    confState: THREE,
    progress: undefined,
  });
});

test("a restarted node goes on from its storage, and applies again what is above applied", () => {
  const storage = newStorage(1, THREE);
  write(storage, {
    entries: entries(1, 1, 1, 2),
    hardState: { currentTerm: 3, votedFor: 2, commitIndex: 2 },
  });
  const start = (applied: number) => new RawNode({ id: 1, storage, random: () => 0, applied });
  const node = start(1);
  assert.deepEqual(node.basicStatus().hardState, { currentTerm: 3, votedFor: 2, commitIndex: 2 });
  const ready = node.ready();
  assert.deepEqual(ready.committedEntries.map((entry) => entry.index), [2]);
  assert.deepEqual([ready.hardState, ready.entries, ready.mustSync], [undefined, [], false]);
  assert.equal(start(2).hasReady(), false);
});

test("what was applied was committed, though the commit index was not saved in time", () => {
  const storage = newStorage(1, THREE);
  write(storage, { entries: entries(1, 1, 1) });
  const node = new RawNode({ id: 1, storage, random: () => 0, applied: 2 });
  assert.deepEqual([node.basicStatus().applied, node.basicStatus().hardState.commitIndex], [2, 2]);
});

test("applied below the snapshot counts as the snapshot", () => {
  const storage = newStorage(1, THREE, { index: 7, term: 2 });
  const node = new RawNode({ id: 1, storage, random: () => 0, applied: 3 });
  assert.equal(node.basicStatus().applied, 7);
});

test("a storage that contradicts itself is refused at the start", () => {
  const start = (fields: Partial<Config["storage"]>, applied = 0) => {
    const storage = newStorage(1, THREE);
    return new RawNode({
      id: 1,
      random: () => 0,
      applied,
      storage: {
        initialState: () => storage.initialState(),
        entries: (low, high, sizeMax) => storage.entries(low, high, sizeMax),
        term: (index) => storage.term(index),
        firstIndex: () => storage.firstIndex(),
        lastIndex: () => storage.lastIndex(),
        snapshot: () => storage.snapshot(),
        ...fields,
      },
    });
  };
  const hardState = { currentTerm: 1, votedFor: 0, commitIndex: 5 };
  assert.throws(
    () => start({ initialState: () => ({ hardState, confState: THREE }) }),
    (error: unknown) => error instanceof RaftInvariantError && /out of range/.test(error.message),
  );
  assert.throws(
    () => start({}, 4),
    (error: unknown) =>
      error instanceof RaftInvariantError && /beyond the last index/.test(error.message),
  );
  const twice = { ...THREE, voters: [1, 1] };
  assert.throws(
    () => start({ initialState: () => ({ hardState, confState: twice }) }),
    (error: unknown) => error instanceof RaftError && error.code === "CONF_CHANGE",
  );
});

test("two Readys without an advance, and an advance without a Ready, are bugs of the host", () => {
  const { node } = single();
  assert.throws(() => node.advance(), RaftInvariantError);
  node.campaign();
  node.ready();
  assert.throws(() => node.ready(), RaftInvariantError);
  node.advance();
  assert.throws(() => node.advance(), RaftInvariantError);
  const asynchronous = single({ asyncStorageWrites: true });
  asynchronous.node.campaign();
  asynchronous.node.ready();
  assert.throws(() => asynchronous.node.advance(), /asynchronous/);
});

test("a Ready holds the soft state when it changed, and the hard state when it changed", () => {
  const { node } = single();
  node.campaign();
  const first = node.ready();
  assert.deepEqual(first.softState, { leader: 0, role: "candidate" });
  assert.deepEqual(first.hardState, { currentTerm: 1, votedFor: 1, commitIndex: 0 });
  assert.equal(first.mustSync, true);
  node.advance();
  assert.equal(node.hasReady(), false);
  node.step(message("heartbeat", { from: 2, term: 1 }));
  const second = node.ready();
  assert.deepEqual(second.softState, { leader: 2, role: "follower" });
  assert.deepEqual([second.hardState, second.mustSync], [undefined, false]);
});

test("only the commit index changed: it is written, but need not be synced", () => {
  const member = single();
  member.step(message("append", { term: 1, entries: entries(1, 1) }));
  member.drive();
  member.step(message("heartbeat", { term: 1, commit: 1 }));
  const ready = member.node.ready();
  assert.deepEqual([ready.hardState?.commitIndex, ready.mustSync], [1, false]);
});

test("with synchronous writes entries may be applied in the Ready that persists them", () => {
  const member = single();
  member.step(message("append", { term: 1, entries: entries(1, 1, 1), commit: 2 }));
  const ready = member.node.ready();
  assert.deepEqual(ready.entries.length, 2);
  assert.deepEqual(ready.committedEntries.map((entry) => entry.index), [1, 2]);
});

test("committed entries come in pages over several Readys", () => {
  const member = single({ maxCommittedSizePerReady: 1 });
  member.step(message("append", { term: 1, entries: entries(1, 1, 1, 1), commit: 3 }));
  const pages: number[][] = [];
  while (member.node.hasReady()) {
    const ready = member.node.ready();
    write(member.storage, ready);
    pages.push(ready.committedEntries.map((entry) => entry.index));
    member.node.advance();
  }
  assert.deepEqual(pages, [[1], [2], [3]]);
});

test("what arrives between a Ready and its advance is in the next Ready", () => {
  const member = single();
  member.step(message("append", { term: 1, entries: entries(1, 1) }));
  const ready = member.node.ready();
  member.step(message("append", { term: 1, index: 1, logTerm: 1, entries: entries(2, 1) }));
  write(member.storage, ready);
  member.node.advance();
  const next = member.node.ready();
  assert.deepEqual(next.entries.map((entry) => entry.index), [2]);
  assert.deepEqual([next.hardState, next.mustSync], [undefined, true]);
});

test("a command and its context travel to the applied entry unchanged", () => {
  const member = single({}, { voters: [1] });
  makeLeader(member);
  member.node.propose(bytes("command"), bytes("context"));
  member.drive();
  const applied = member.applied.at(-1)!;
  assert.deepEqual([text(applied.command), text(applied.context!)], ["command", "context"]);
});

test("a batch without proposals is refused", () => {
  const leader = makeLeader(single());
  assert.throws(() => leader.node.proposeBatch([]), MessageRefusedError);
});

test("the election timeout can be fixed, for tests and simulation", () => {
  const { node } = single();
  node.setRandomizedElectionTimeout(3);
  for (let i = 0; i < 2; i++) node.tick();
  assert.equal(node.basicStatus().softState.role, "follower");
  node.tick();
  assert.equal(node.basicStatus().softState.role, "candidate");
});

test("a leader's status shows each peer, ascending by id", () => {
  const leader = makeLeader(single({}, { voters: [3, 1], learners: [2] }));
  const { progress } = leader.node.status();
  assert.deepEqual([...progress!.keys()], [1, 2, 3]);
  assert.deepEqual(progress!.get(2), {
    matchIndex: 0,
    nextIndex: 1,
    state: "probe",
    pendingSnapshot: 0,
    recentActive: false,
    paused: true,
    learner: true,
    inflight: 0,
    inflightBytes: 0,
    inflightFull: false,
    commitGroup: 0,
  });
  assert.equal(progress!.get(1)!.state, "replicate");
});

test("a status is a copy: it does not change with the node", () => {
  const leader = makeLeader(single());
  const before = leader.node.status();
  const picture = structuredClone(before);
  leader.step(message("append-response", { from: 2, index: 1, term: 1 }));
  assert.deepEqual(before, picture);
});

test("hard states are compared by value", () => {
  const state = { currentTerm: 1, votedFor: 2, commitIndex: 3 };
  assert.equal(hardStatesEqual(state, { ...state }), true);
  for (const field of ["currentTerm", "votedFor", "commitIndex"] as const) {
    assert.equal(hardStatesEqual(state, { ...state, [field]: 9 }), false);
    assert.equal(
      isEmptyHardState({ currentTerm: 0, votedFor: 0, commitIndex: 0, [field]: 1 }),
      false,
    );
  }
  assert.equal(isEmptyHardState({ currentTerm: 0, votedFor: 0, commitIndex: 0 }), true);
});

test("a logger is told what happens, and the errors have names and codes", () => {
  const lines: string[] = [];
  const log = (line: string) => lines.push(line);
  const logger = { debug: log, info: log, warn: log, error: log };
  makeLeader(single({ logger }));
  assert.ok(lines.some((line) => line.includes("became leader at term 1")));
  const error = new MessageRefusedError("why");
  assert.deepEqual([error.name, error.code, error.message], [
    "MessageRefusedError",
    "MESSAGE_REFUSED",
    "why",
  ]);
});

test("the same inputs give the same outputs, always", () => {
  const run = () => {
    const random = seededRandom(7);
    const member = new Member(1, newStorage(1, THREE), { random, preVote: true });
    for (let i = 0; i < 200; i++) {
      member.node.tick();
      if (i % 7 === 0) {
        const term = member.term + (member.role === "precandidate" ? 1 : 0);
        const type = member.role === "precandidate" ? "pre-vote-response" : "vote-response";
        if (term > 0) member.step(message(type, { from: 2 + (i % 2), term }));
      }
      member.drive();
    }
    return [member.sent, member.node.status()];
  };
  assert.deepEqual(run(), run());
});
