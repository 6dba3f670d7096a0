/** The event sink: what a replica reports, with what validation of traces needs. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { messageEventName, type RaftEvent } from "../../src/raft/mod.ts";
import {
  bytes,
  makeLeader,
  Member,
  type MemberOptions,
  message,
  Network,
  newStorage,
  single,
} from "./network.ts";
import { createConfState } from "../../src/raft/mod.ts";

/** A lone member 1 of three, and what it reports from now on. */
function observed(options: MemberOptions = {}): { member: Member; take: () => RaftEvent[] } {
  const events: RaftEvent[] = [];
  const member = single({ ...options, events: (event) => events.push(event) });
  return { member, take: () => events.splice(0) };
}

const names = (events: readonly RaftEvent[]) => events.map((event) => event.name);

test("a replica reports its start, with the state it starts from", () => {
  const { take } = observed();
  assert.deepEqual(take(), [{
    name: "InitState",
    id: 1,
    role: "follower",
    term: 0,
    vote: 0,
    commit: 0,
    logLength: 0,
    configuration: [[1, 2, 3], []],
    message: undefined,
    changes: undefined,
  }]);
});

test("an election is reported step by step", () => {
  const { member, take } = observed();
  take();
  member.node.campaign();
  assert.deepEqual(names(take()), [
    "BecomeCandidate",
    "SendRequestVoteResponse",
    "SendRequestVoteRequest",
    "SendRequestVoteRequest",
  ]);
  member.drive();
  assert.deepEqual(names(take()), ["Ready", "ReceiveRequestVoteResponse"]);
  member.step(message("vote-response", { from: 2, term: 1 }));
  const events = take();
  assert.deepEqual(names(events), [
    "ReceiveRequestVoteResponse",
    "BecomeLeader",
    "Replicate",
    "SendAppendEntriesResponse",
    "SendAppendEntriesRequest",
    "SendAppendEntriesRequest",
  ]);
  assert.deepEqual([events[0].role, events[0].message?.from], ["candidate", 2]);
  assert.deepEqual([events[1].role, events[1].term, events[1].vote], ["leader", 1, 1]);
  assert.deepEqual([events[2].logLength, events[3].logLength], [0, 1]);
});

test("a pre-election is reported", () => {
  const { member, take } = observed({ preVote: true });
  take();
  member.node.campaign();
  assert.deepEqual(names(take()), [
    "BecomePreCandidate",
    "SendMessage",
    "SendMessage",
    "SendMessage",
  ]);
});

test("proposals, commits and what is received are reported with the message", () => {
  const { member, take } = observed();
  makeLeader(member);
  take();
  member.node.proposeBatch([{ command: bytes("a") }, { command: bytes("b") }]);
  assert.deepEqual(names(take()), [
    "ReceiveMessage",
    "Replicate",
    "Replicate",
    "SendAppendEntriesResponse",
  ]);
  member.drive();
  take();
  const ack = message("append-response", { from: 2, index: 3, term: 1 });
  member.step(ack);
  const events = take();
  assert.deepEqual(names(events).slice(0, 2), ["ReceiveAppendEntriesResponse", "Commit"]);
  assert.equal(events[0].message, ack);
  assert.deepEqual([events[0].commit, events[1].commit], [0, 3]);
});

test("stepping down, and following, are reported", () => {
  const { member, take } = observed();
  take();
  member.step(message("heartbeat", { from: 2, term: 4 }));
  const events = take();
  assert.deepEqual(names(events), [
    "ReceiveAppendEntriesRequest",
    "BecomeFollower",
    "SendAppendEntriesResponse",
  ]);
  assert.deepEqual([events[0].term, events[1].term], [0, 4]);
});

test("a configuration change is reported when proposed and when applied", () => {
  const { member, take } = observed();
  makeLeader(member);
  member.step(message("append-response", { from: 2, index: 1, term: 1 }));
  member.drive();
  take();
  member.node.proposeConfChange({
    transition: "joint-explicit",
    changes: [{ type: "add-node", peerId: 4 }, { type: "remove-node", peerId: 3 }],
    context: undefined,
  });
  const change = take().find((event) => event.name === "ChangeConf");
  assert.deepEqual(change?.changes, [
    { type: "add-node", peerId: 4 },
    { type: "remove-node", peerId: 3 },
  ]);
  member.drive();
  member.step(message("append-response", { from: 2, index: 2, term: 1 }));
  member.drive();
  const applied = take().find((event) => event.name === "ApplyConfChange");
  assert.deepEqual(applied?.configuration, [[1, 2, 4], [1, 2, 3]]);
});

test("a change that is not appended is not reported", () => {
  const { member, take } = observed();
  makeLeader(member);
  take();
  const change = { type: "add-node", peerId: 4, context: undefined } as const;
  for (let i = 0; i < 2; i++) member.node.proposeConfChange(change);
  assert.equal(names(take()).filter((name) => name === "ChangeConf").length, 1);
});

test("an installed snapshot reports the configuration it brings", () => {
  const { member, take } = observed();
  take();
  const confState = createConfState({ voters: [1, 2] });
  const snapshot = { metadata: { index: 5, term: 1, confState }, data: new Uint8Array(0) };
  member.step(message("snapshot", { term: 1, snapshot }));
  const applied = take().find((event) => event.name === "ApplyConfChange");
  assert.deepEqual([applied?.configuration, applied?.logLength], [[[1, 2], []], 5]);
});

test("requests that are passed on are reported", () => {
  const { member, take } = observed();
  member.step(message("heartbeat", { from: 2, term: 1 }));
  take();
  member.node.propose(bytes("a"));
  assert.deepEqual(names(take()), ["ReceiveMessage", "SendMessage"]);
});

test("kinds are named as the specification of Raft does", () => {
  const expected = {
    append: "AppendEntriesRequest",
    heartbeat: "AppendEntriesRequest",
    snapshot: "AppendEntriesRequest",
    "append-response": "AppendEntriesResponse",
    "heartbeat-response": "AppendEntriesResponse",
    vote: "RequestVoteRequest",
    "vote-response": "RequestVoteResponse",
    "pre-vote": "Message",
    "read-index": "Message",
  } as const;
  for (const [type, name] of Object.entries(expected)) {
    const kind = type as keyof typeof expected;
    assert.equal(messageEventName("Send", kind), `Send${name}`);
    assert.equal(messageEventName("Receive", kind), `Receive${name}`);
  }
});

test("watching changes nothing: the same run with and without a sink sends the same", () => {
  const run = (options: MemberOptions) => {
    const network = Network.of(3, options);
    network.elect(1);
    network.propose(1, "a", "b");
    network.elect(2);
    network.propose(3, "c");
    return [...network.members.values()].map((member) => [member.sent, member.storedTerms()]);
  };
  let count = 0;
  assert.deepEqual(run({ events: () => count++ }), run({}));
  assert.ok(count > 50);
});

test("a member that joins without a configuration reports an empty one", () => {
  const events: RaftEvent[] = [];
  new Member(7, newStorage(7, createConfState()), { events: (event) => events.push(event) });
  assert.deepEqual(events[0].configuration, [[], []]);
});
