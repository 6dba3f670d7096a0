/** How traces print entries, messages, Ready and states, down to the last space. */

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  describeEntry,
  describeMessage,
  describePeer,
  describeProgress,
  describeReady,
  MESSAGE_NAMES,
  messageTypeNamed,
} from "../../scripts/conformance/printing.ts";
import { encodeConfChange, encodeConfChangeV2 } from "../../src/raft/mod.ts";
import {
  APPEND_THREAD,
  APPLY_THREAD,
  createConfState,
  createEntry,
  createMessage,
  type Ready,
  type Snapshot,
} from "../../src/raft/mod.ts";

const EMPTY_READY: Ready = {
  softState: undefined,
  hardState: undefined,
  readStates: [],
  entries: [],
  snapshot: undefined,
  committedEntries: [],
  messages: [],
  messagesAfterAppend: [],
  mustSync: false,
};

const SNAPSHOT: Snapshot = {
  metadata: {
    index: 12,
    term: 3,
    confState: createConfState({
      voters: [2, 1],
      votersOutgoing: [3],
      learners: [10],
      learnersNext: [3],
      autoLeave: true,
    }),
  },
  data: new Uint8Array(0),
};

function entry(index: number, text: string) {
  return createEntry({ term: 1, index, command: new TextEncoder().encode(text) });
}

test("an entry of data is quoted", () => {
  assert.equal(describeEntry(entry(4, "")), '1/4 EntryNormal ""');
  assert.equal(describeEntry(entry(5, '"x"')), '1/5 EntryNormal "\\"x\\""');
});

test("a configuration change shows its steps", () => {
  const single = encodeConfChange({ type: "add-node", peerId: 2, context: undefined });
  const several = encodeConfChangeV2({
    transition: "joint-explicit",
    changes: [{ type: "add-learner", peerId: 17 }, { type: "remove-node", peerId: 3 }],
    context: undefined,
  });
  assert.equal(
    describeEntry(createEntry({ term: 2, index: 7, type: "conf-change", command: single })),
    "2/7 EntryConfChange v2",
  );
  assert.equal(
    describeEntry(createEntry({ term: 2, index: 8, type: "conf-change-v2", command: several })),
    "2/8 EntryConfChangeV2 l17 r3",
  );
});

test("a change without steps has no text and no space", () => {
  const leave = createEntry({ term: 1, index: 9, type: "conf-change-v2" });
  assert.equal(describeEntry(leave), "1/9 EntryConfChangeV2");
});

test("a message shows only what is neither zero nor empty", () => {
  assert.equal(
    describeMessage(createMessage({ type: "heartbeat", from: 1, to: 2 })),
    "1->2 MsgHeartbeat Term:0 Log:0/0",
  );
  const full = createMessage({
    type: "append",
    from: 10,
    to: 255,
    term: 4,
    logTerm: 3,
    index: 11,
    commit: 10,
    vote: 12,
    entries: [entry(12, "a")],
    context: Uint8Array.of(1),
  });
  assert.equal(
    describeMessage(full),
    'a->ff MsgApp Term:4 Log:3/11 Commit:10 Vote:12 Entries:[1/12 EntryNormal "a"]',
  );
});

test("a rejection shows its hint, also when that is 0", () => {
  const rejection = createMessage({ type: "append-response", from: 2, to: 1, reject: true });
  assert.equal(describeMessage(rejection), "2->1 MsgAppResp Term:0 Log:0/0 Rejected (Hint: 0)");
});

test("several entries, a snapshot and responses have lines of their own", () => {
  const message = createMessage({
    type: "storage-append",
    from: 1,
    to: APPEND_THREAD,
    entries: [entry(12, "a"), entry(13, "b")],
    snapshot: SNAPSHOT,
    responses: [
      createMessage({
        type: "append-response",
        from: 1,
        to: 2,
        entries: [entry(1, ""), entry(2, "")],
      }),
      createMessage({ type: "storage-append-response", from: APPEND_THREAD, to: 1 }),
    ],
  });
  assert.equal(
    describeMessage(message),
    `1->AppendThread MsgStorageAppend Term:0 Log:0/0 Entries:[
  1/12 EntryNormal "a"
  1/13 EntryNormal "b"
]
  Snapshot: Index:12 Term:3 ConfState:Voters:[1 2] VotersOutgoing:[3] Learners:[10] LearnersNext:[3] AutoLeave:true Responses:[
  1->2 MsgAppResp Term:0 Log:0/0 Entries:[
    1/1 EntryNormal ""
    1/2 EntryNormal ""
  ]
  AppendThread->1 MsgStorageAppendResp Term:0 Log:0/0
]`,
  );
});

test("the storage threads and nobody have names", () => {
  const ids = [0, 9, 10, APPEND_THREAD, APPLY_THREAD];
  assert.deepEqual(ids.map(describePeer), ["None", "9", "a", "AppendThread", "ApplyThread"]);
});

test("every kind of message has a name of its own, found by that name", () => {
  const names = Object.values(MESSAGE_NAMES);
  assert.equal(names.length, 24);
  assert.equal(new Set(names).size, 24);
  for (const [type, name] of Object.entries(MESSAGE_NAMES)) {
    assert.equal(messageTypeNamed(name), type);
  }
  assert.equal(messageTypeNamed("MsgNone"), undefined);
  assert.equal(messageTypeNamed("toString"), undefined);
});

test("an empty Ready says so, without a line end", () => {
  assert.equal(describeReady(EMPTY_READY, []), "<empty Ready>");
});

test("a Ready shows its parts in their order", () => {
  const ready: Ready = {
    ...EMPTY_READY,
    softState: { leader: 16, role: "precandidate" },
    hardState: { currentTerm: 2, votedFor: 0, commitIndex: 4 },
    readStates: [
      { index: 4, context: Uint8Array.of(99, 0, 255) },
      { index: 5, context: new Uint8Array(0) },
    ],
    entries: [entry(5, "a")],
    snapshot: SNAPSHOT,
    committedEntries: [entry(4, "b")],
    mustSync: true,
  };
  assert.equal(
    describeReady(ready, [createMessage({ type: "vote", from: 1, to: 2, term: 2 })]),
    `Ready MustSync=true:
Lead:16 State:StatePreCandidate
HardState Term:2 Commit:4
ReadStates [{4 [99 0 255]} {5 []}]
Entries:
1/5 EntryNormal "a"
Snapshot Index:12 Term:3 ConfState:Voters:[1 2] VotersOutgoing:[3] Learners:[10] LearnersNext:[3] AutoLeave:true
CommittedEntries:
1/4 EntryNormal "b"
Messages:
1->2 MsgVote Term:2 Log:0/0
`,
  );
});

test("a peer's progress shows what is out of the ordinary", () => {
  const quiet = {
    state: "replicate",
    matchIndex: 11,
    nextIndex: 12,
    learner: false,
    paused: false,
    pendingSnapshot: 0,
    recentActive: true,
    inflight: 0,
    inflightFull: false,
  } as const;
  assert.equal(describeProgress(10, quiet), "10: StateReplicate match=11 next=12\n");
  const loud = {
    ...quiet,
    state: "snapshot",
    learner: true,
    paused: true,
    pendingSnapshot: 9,
    recentActive: false,
    inflight: 3,
    inflightFull: true,
  } as const;
  assert.equal(
    describeProgress(3, loud),
    "3: StateSnapshot match=11 next=12 learner paused pendingSnap=9 inactive inflight=3[full]\n",
  );
});
