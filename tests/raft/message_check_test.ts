/** What is refused before it is handled: typed, and without a trace. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  APPEND_THREAD,
  APPLY_THREAD,
  createConfState,
  createEntry,
  type EntryType,
  type Message,
  type MessageType,
  type RaftError,
} from "../../src/raft/mod.ts";
import { TERM_MAX } from "../../src/raft/raft.ts";
import { makeLeader, type Member, message, single, visibleState } from "./network.ts";

/** A follower of 2 at term 3 with entries 1 to 3, the first two committed. */
function follower(): Member {
  const member = single();
  const entries = [1, 2, 3].map((index) => createEntry({ index, term: 2 }));
  member.step(message("append", { term: 3, entries, commit: 2 }));
  member.drive();
  return member;
}

/** A leader of term 4 with the same log and its own entry. */
const leader = () => makeLeader(follower());

function candidate(): Member {
  const member = follower();
  member.node.campaign();
  member.drive();
  return member;
}

function assertRefused(member: Member, what: Message, code: string, why?: RegExp): void {
  const before = visibleState(member.node);
  const refusal = member.node.step(what) as RaftError | undefined;
  const label = `${what.type} ${JSON.stringify(what)}`;
  assert.equal(refusal?.code, code, label);
  if (why !== undefined) assert.match(refusal!.message, why);
  assert.deepEqual(visibleState(member.node), before, label);
}

/** Refuses `what` in every role. */
function assertRefusedByAll(what: Message, code: string, why?: RegExp): void {
  for (const make of [follower, candidate, leader]) assertRefused(make(), what, code, why);
}

const confState = createConfState({ voters: [1, 2, 3] });
const snapshot = (index: number, term: number, conf = confState) => ({
  metadata: { index, term, confState: conf },
  data: new Uint8Array(0),
});

test("kinds that only the local host makes are refused from anyone", () => {
  const local: MessageType[] = [
    "hup",
    "beat",
    "unreachable",
    "snapshot-status",
    "check-quorum",
    "forget-leader",
  ];
  for (const type of local) {
    for (const from of [0, 1, 2, APPEND_THREAD]) {
      assertRefusedByAll(message(type, { from, term: 3 }), "LOCAL_MESSAGE");
    }
  }
});

test("storage messages come from the storage threads, and nothing else does", () => {
  const storage: MessageType[] = [
    "storage-append",
    "storage-append-response",
    "storage-apply",
    "storage-apply-response",
  ];
  for (const type of storage) assertRefusedByAll(message(type, { term: 3 }), "LOCAL_MESSAGE");
  for (const from of [APPEND_THREAD, APPLY_THREAD]) {
    for (const type of ["append", "vote", "propose", "append-response"] as const) {
      assertRefusedByAll(message(type, { from, term: 3 }), "LOCAL_MESSAGE");
    }
  }
});

test("requests to the storage threads are no answers of theirs", () => {
  for (const type of ["storage-append", "storage-apply"] as const) {
    assertRefusedByAll(message(type, { from: APPEND_THREAD }), "MESSAGE_REFUSED", /unknown/);
  }
});

test("an answer from someone outside the configuration is refused", () => {
  const responses: MessageType[] = [
    "append-response",
    "vote-response",
    "heartbeat-response",
    "read-index-response",
    "pre-vote-response",
  ];
  for (const type of responses) {
    for (const from of [0, 9]) {
      assertRefusedByAll(message(type, { from, term: 9 }), "PEER_NOT_FOUND");
    }
  }
});

test("a kind that does not exist is refused", () => {
  const what = message("gossip" as MessageType, { term: 9 });
  assertRefusedByAll(what, "MESSAGE_REFUSED", /unknown message type gossip/);
});

test("a number that is no integer from 0 to 2^53-1 is refused in every field", () => {
  const fields = [
    "from",
    "term",
    "index",
    "logTerm",
    "commit",
    "rejectHint",
    "requestSnapshot",
    "commitTerm",
  ] as const;
  for (const field of fields) {
    for (const value of [-1, 0.5, NaN, Infinity, 2 ** 53, "7" as unknown as number]) {
      const what = message("vote", { term: 9, [field]: value });
      assertRefusedByAll(what, "MESSAGE_REFUSED", new RegExp(`${field} must be`));
    }
  }
  for (const value of [0.5, NaN, -(2 ** 53)]) {
    const what = message("vote", { term: 9, priority: value });
    assertRefusedByAll(what, "MESSAGE_REFUSED", /priority must be an integer/);
  }
  assert.equal(follower().step(message("vote", { term: 9, priority: -5 })), undefined);
});

test("a term after which there could be no election is refused", () => {
  const what = message("heartbeat", { term: TERM_MAX + 1 });
  assertRefusedByAll(what, "MESSAGE_REFUSED", /term must be at most/);
  const member = follower();
  assert.equal(member.step(message("heartbeat", { term: TERM_MAX })), undefined);
  assert.equal(member.term, TERM_MAX);
});

test("leaders and candidates have an id, are somebody else and act in a term", () => {
  const types: MessageType[] = ["append", "heartbeat", "snapshot", "vote", "pre-vote"];
  for (const type of types) {
    assertRefusedByAll(message(type, { from: 0, term: 9 }), "MESSAGE_REFUSED", /sender is missing/);
    assertRefusedByAll(message(type, { from: 1, term: 9 }), "MESSAGE_REFUSED", /this very replica/);
    assertRefusedByAll(message(type, { term: 0 }), "MESSAGE_REFUSED", /term is missing/);
  }
});

test("an answer without a term counts for the current one", () => {
  const member = leader();
  const { lastIndex } = member.node.basicStatus();
  assert.equal(member.step(message("append-response", { term: 0, index: lastIndex })), undefined);
  assert.equal(member.node.status().progress?.get(2)?.matchIndex, lastIndex);
  const beyond = message("append-response", { term: 0, index: lastIndex + 1 });
  assert.equal(member.step(beyond)?.code, "MESSAGE_REFUSED");
});

test("a replica that has seen no term yet may refuse a pre-vote", () => {
  const member = single({ preVote: true });
  member.node.campaign();
  member.drive();
  for (const from of [2, 3]) {
    const what = message("pre-vote-response", { from, term: 0, reject: true });
    assert.equal(member.step(what), undefined);
  }
  assert.equal(member.role, "follower");
});

test("an answer in a replica's own name is refused where it would send to itself", () => {
  assertRefusedByAll(
    message("heartbeat-response", { from: 1, term: 4 }),
    "MESSAGE_REFUSED",
    /this very replica/,
  );
  assertRefusedByAll(
    message("append-response", { from: 1, term: 4, reject: true, index: 9, requestSnapshot: 3 }),
    "MESSAGE_REFUSED",
    /this very replica/,
  );
});

test("a piece of log has no gap, and terms that rise to the leader's at most", () => {
  const append = (fields: Partial<Message>) => message("append", { term: 9, ...fields });
  const entry = (index: number, term: number, type: EntryType = "normal") =>
    createEntry({ index, term, type });
  const cases: [Partial<Message>, RegExp][] = [
    [{ index: 3, logTerm: 2, entries: [entry(5, 2)] }, /5 does not follow 3/],
    [{ index: 3, logTerm: 2, entries: [entry(4, 2), entry(6, 2)] }, /6 does not follow 4/],
    [{ index: 3, logTerm: 2, entries: [entry(3, 2)] }, /3 does not follow 3/],
    [{ index: 3, logTerm: 3, entries: [entry(4, 2)] }, /term 2 cannot follow term 3/],
    [{ index: 3, logTerm: 2, entries: [entry(4, 4), entry(5, 3)] }, /cannot follow/],
    [{ index: 3, logTerm: 2, entries: [entry(4, 10)] }, /cannot follow/],
    [{ index: 3, logTerm: 2, entries: [entry(4, 2.5)] }, /cannot follow/],
    [{ index: 3, logTerm: 2, entries: [entry(4, NaN)] }, /cannot follow/],
    [{ index: 3, logTerm: 10 }, /log term 10 is beyond/],
    [{ index: 3, logTerm: 2, entries: [entry(4, 9, "none" as EntryType)] }, /unknown entry type/],
    [
      { index: Number.MAX_SAFE_INTEGER, logTerm: 2, entries: [entry(2 ** 53, 2)] },
      /beyond 2\^53-1/,
    ],
  ];
  for (const [fields, why] of cases) assertRefusedByAll(append(fields), "MESSAGE_REFUSED", why);
});

test("a heartbeat does not commit what this replica does not have", () => {
  for (const make of [follower, candidate]) {
    const what = message("heartbeat", { term: 4, commit: 4 });
    assertRefused(make(), what, "MESSAGE_REFUSED", /commit 4 is beyond the last index 3/);
  }
  const late = message("heartbeat", { term: 2, commit: 4 });
  assert.equal(follower().step(late), undefined, "of an earlier term it is only ignored");
});

test("a snapshot is of a term that was, and of a configuration that can be", () => {
  const of = (what: ReturnType<typeof snapshot>) =>
    message("snapshot", { term: 9, snapshot: what });
  assertRefusedByAll(of(snapshot(9, 10)), "MESSAGE_REFUSED", /snapshot of term 10, beyond 9/);
  assertRefusedByAll(of(snapshot(0.5, 3)), "MESSAGE_REFUSED", /snapshot index must be/);
  assertRefusedByAll(of(snapshot(9, -1)), "MESSAGE_REFUSED", /snapshot term must be/);
  const invalid = [
    { voters: [1, 1] },
    { voters: [1], learners: [1] },
    { learners: [1] },
    { voters: [1], learnersNext: [2] },
    { voters: [1], autoLeave: true },
    { votersOutgoing: [1] },
    { voters: [0] },
  ];
  for (const fields of invalid) {
    const what = of(snapshot(9, 3, createConfState(fields)));
    assertRefusedByAll(what, "MESSAGE_REFUSED", /invalid configuration/);
  }
});

test("nobody acknowledges, or asks for, what the leader does not have", () => {
  const ack = message("append-response", { term: 4, index: 5 });
  assertRefused(leader(), ack, "MESSAGE_REFUSED", /index 5 is beyond the last index 4/);
  const request = message("append-response", {
    term: 4,
    index: 2,
    reject: true,
    requestSnapshot: 5,
  });
  assertRefused(leader(), request, "MESSAGE_REFUSED", /snapshot of 5 is beyond/);
  assert.equal(leader().step(message("append-response", { term: 4, index: 4 })), undefined);
});

test("a proposal has entries, of kinds that exist", () => {
  assertRefusedByAll(message("propose"), "MESSAGE_REFUSED", /needs an entry/);
  const entries = [createEntry({}), createEntry({ type: "none" as EntryType })];
  assertRefusedByAll(message("propose", { entries }), "MESSAGE_REFUSED", /unknown entry type none/);
});

test("a read and its answer carry one context", () => {
  for (const type of ["read-index", "read-index-response"] as const) {
    for (const entries of [[], [createEntry({}), createEntry({})]]) {
      const what = message(type, { term: 4, entries });
      assertRefusedByAll(what, "MESSAGE_REFUSED", /exactly one entry/);
    }
  }
});

test("the storage threads cannot have done what they were not given", () => {
  const stored = (fields: Partial<Message>) =>
    message("storage-append-response", { from: APPEND_THREAD, ...fields });
  const applied = (fields: Partial<Message>) =>
    message("storage-apply-response", { from: APPLY_THREAD, ...fields });
  assertRefused(follower(), stored({ snapshot: snapshot(3, 2) }), "MESSAGE_REFUSED", /handed out/);
  const entries = [createEntry({ index: 3, term: 2 })];
  assertRefused(follower(), applied({ entries }), "MESSAGE_REFUSED", /entry 3 was never handed/);
  const half = snapshot(0.5, 2);
  assertRefused(follower(), stored({ snapshot: half }), "MESSAGE_REFUSED", /snapshot index must/);
  const odd = [createEntry({ index: 1.5, term: 2 })];
  assertRefused(follower(), applied({ entries: odd }), "MESSAGE_REFUSED", /entry index must be/);
  assertRefusedByAll(stored({ term: 9 }), "MESSAGE_REFUSED", /term 9 is beyond/);
  assertRefusedByAll(applied({ term: 9 }), "MESSAGE_REFUSED", /term 9 is beyond/);
});

test("entries count as applied only once they were handed out to be applied", () => {
  const member = single({ asyncStorageWrites: true, maxCommittedSizePerReady: 1 });
  const log = [1, 2, 3].map((index) => createEntry({ index, term: 2 }));
  member.step(message("append", { term: 3, entries: log, commit: 3 }));
  member.holdStorage = true;
  member.drive();
  member.workAppend();
  member.drive();
  // Entry 1 is being applied; 2 and 3 are committed and wait.
  const early = message("storage-apply-response", { from: APPLY_THREAD, entries: log.slice(0, 2) });
  assertRefused(member, early, "MESSAGE_REFUSED", /entry 2 was never handed out/);
});

test("a number of a wrong kind in an answer of the storage does not keep it from ending", () => {
  const entries = [createEntry({ index: 1, term: Infinity })];
  const what = message("storage-apply-response", { from: APPLY_THREAD, entries });
  assert.equal(follower().step(what), undefined);
});

test("late and repeated answers of the storage threads are harmless", () => {
  const member = follower();
  const before = member.node.status();
  const entries = [createEntry({ index: 1, term: 2 })];
  member.step(message("storage-apply-response", { from: APPLY_THREAD, entries }));
  member.step(message("storage-apply-response", { from: APPLY_THREAD }));
  for (const term of [0, 1, 3]) {
    const what = { from: APPEND_THREAD, term, index: 3, logTerm: 2, snapshot: snapshot(1, 2) };
    member.step(message("storage-append-response", what));
  }
  assert.deepEqual(member.refusals, []);
  assert.deepEqual(member.node.status(), before);
});

test("a candidate cannot have an entry of a term that it has not seen", () => {
  const why = /its last entry is of term 6, beyond 5/;
  for (const type of ["vote", "pre-vote"] as const) {
    assertRefusedByAll(message(type, { term: 5, logTerm: 6, index: 9 }), "MESSAGE_REFUSED", why);
  }
});
