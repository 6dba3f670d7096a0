/** Changes of the configuration: thesis §4.1 (one at a time), §4.2.1 (learners), §4.3 (joint consensus). */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type ConfChange,
  ConfChangeError,
  type ConfChangeV2,
  type ConfState,
  createConfState,
  createEntry,
  encodeConfChange,
} from "../../src/raft/mod.ts";
import { bytes, makeLeader, Member, message, Network, newStorage, single } from "./network.ts";

const change = (type: ConfChange["type"], peerId: number): ConfChange => ({
  type,
  peerId,
  context: undefined,
});
const changes = (
  transition: ConfChangeV2["transition"],
  ...steps: [ConfChange["type"], number][]
): ConfChangeV2 => ({
  transition,
  changes: steps.map(([type, peerId]) => ({ type, peerId })),
  context: undefined,
});
const LEAVE = changes("auto");

const conf = (network: Network, id: number): ConfState => network.node(id).status().confState;

/** The types of the stored entries from `from` on. */
const types = (member: Member, from: number) =>
  member.storage.entries(from, member.storage.lastIndex() + 1, Infinity).map((entry) => entry.type);

function proposeChange(network: Network, id: number, what: ConfChange | ConfChangeV2): void {
  network.node(id).proposeConfChange(what);
  network.settle();
}

test("a member that was added catches up and counts (thesis §4.1)", () => {
  const network = new Network();
  const alone = createConfState({ voters: [1] });
  const both = createConfState({ voters: [1, 2] });
  const first = network.add(new Member(1, newStorage(1, alone, { index: 10, term: 1 })));
  network.add(new Member(2, newStorage(2, createConfState())));
  network.isolate(2);
  network.elect(1);
  proposeChange(network, 1, change("add-node", 2));
  // What joins gets the configuration with a snapshot that has it.
  const metadata = { index: first.appliedIndex, term: 1, confState: both };
  first.storage.compact(first.appliedIndex, { metadata, data: new Uint8Array(0) }).catch(() => {});
  network.heal();
  for (let i = 0; i < 2; i++) {
    network.tick(1);
    network.settle();
  }
  network.propose(1, "b");
  assert.deepEqual(conf(network, 2), both);
  assert.deepEqual(network.member(2).commands(), ["b"]);
  network.isolate(2);
  network.propose(1, "not by one of two");
  assert.deepEqual(first.commands(), ["b"]);
});

test("a change takes effect when it is applied, not when it is appended", () => {
  const leader = makeLeader(single());
  leader.step(message("append-response", { index: 1, term: 1 }));
  leader.drive();
  leader.node.proposeConfChange(change("add-node", 4));
  leader.drive();
  assert.deepEqual(leader.node.status().confState.voters, [1, 2, 3]);
  leader.step(message("append-response", { index: 2, term: 1 }));
  leader.drive();
  assert.deepEqual(leader.node.status().confState.voters, [1, 2, 3, 4]);
});

test("a second change waits until the first is applied (thesis §4.1)", () => {
  const leader = makeLeader(single());
  leader.step(message("append-response", { index: 1, term: 1 }));
  leader.drive();
  leader.node.proposeConfChange(change("add-node", 4));
  leader.node.proposeConfChange(change("add-node", 5));
  leader.drive();
  assert.deepEqual(types(leader, 2), ["conf-change", "normal"]);
  leader.step(message("append-response", { index: 3, term: 1 }));
  leader.drive();
  leader.node.proposeConfChange(change("add-node", 5));
  leader.drive();
  assert.deepEqual(types(leader, 4), ["conf-change"]);
});

test("of two changes in one proposal only the first is taken, and places are kept", () => {
  const leader = makeLeader(single());
  leader.step(message("append-response", { index: 1, term: 1 }));
  leader.drive();
  const command = encodeConfChange(change("add-node", 4));
  const entries = [
    createEntry({ command: bytes("a") }),
    createEntry({ type: "conf-change", command }),
    createEntry({ type: "conf-change", command }),
    createEntry({ command: bytes("b") }),
  ];
  assert.equal(leader.step(message("propose", { entries })), undefined);
  leader.drive();
  assert.deepEqual(types(leader, 2), ["normal", "conf-change", "normal", "normal"]);
  assert.deepEqual(leader.storage.entries(5, 6, Infinity)[0].command, bytes("b"));
  // The pending index is that of the change, not of the end of the proposal.
  leader.step(message("append-response", { index: 3, term: 1 }));
  leader.drive();
  leader.node.proposeConfChange(change("add-node", 5));
  leader.drive();
  assert.deepEqual(types(leader, 6), ["conf-change"]);
});

test("a change dropped with its proposal is not pending", () => {
  const leader = makeLeader(single({ maxUncommittedSize: 3 }));
  leader.step(message("append-response", { index: 1, term: 1 }));
  leader.drive();
  leader.node.propose(bytes("abc"));
  assert.throws(() => leader.node.proposeConfChange(change("add-node", 4)));
  leader.drive();
  leader.step(message("append-response", { index: 2, term: 1 }));
  leader.drive();
  leader.node.proposeConfChange(change("add-node", 4));
  leader.drive();
  assert.deepEqual(types(leader, 3), ["conf-change"]);
});

test("a new leader takes no change before all that its log held is applied (thesis §4.1)", () => {
  const leader = single();
  leader.step(message("append", { term: 1, entries: [createEntry({ index: 1, term: 1 })] }));
  leader.drive();
  makeLeader(leader);
  leader.node.proposeConfChange(change("add-node", 4));
  leader.drive();
  assert.deepEqual(types(leader, 3), ["normal"]);
  leader.step(message("append-response", { index: 3, term: 2 }));
  leader.drive();
  leader.node.proposeConfChange(change("add-node", 4));
  leader.drive();
  assert.deepEqual(types(leader, 4), ["conf-change"]);
});

test("bytes that are no configuration change refuse the whole proposal", () => {
  const leader = makeLeader(single());
  leader.step(message("append-response", { index: 1, term: 1 }));
  leader.drive();
  for (const type of ["conf-change", "conf-change-v2"] as const) {
    const entries = [
      createEntry({ command: bytes("a") }),
      createEntry({ type, command: Uint8Array.of(0xff) }),
    ];
    assert.ok(leader.step(message("propose", { entries })) instanceof ConfChangeError);
    assert.deepEqual([leader.lastIndex, leader.node.hasReady()], [1, false]);
  }
});

test("changes that do not fit are replaced by empty entries", () => {
  const network = Network.of(2);
  network.elect(1);
  const misfits = [
    LEAVE,
    changes("joint-explicit"),
    changes("joint-explicit", ["remove-node", 1], ["remove-node", 2]),
  ];
  for (const misfit of misfits) {
    const before = network.member(1).lastIndex;
    proposeChange(network, 1, misfit);
    assert.deepEqual(types(network.member(1), before + 1), ["normal"]);
    assert.deepEqual(network.member(1).configurations, []);
  }
  proposeChange(network, 1, change("remove-node", 2));
  const before = network.member(1).lastIndex;
  proposeChange(network, 1, change("remove-node", 1));
  assert.deepEqual(types(network.member(1), before + 1), ["normal"], "no voter would be left");
});

test("without validation every change that can be read is appended", () => {
  const leader = makeLeader(single({ disableConfChangeValidation: true }));
  leader.node.proposeConfChange(change("add-node", 4));
  leader.node.proposeConfChange(LEAVE);
  leader.drive();
  assert.deepEqual(types(leader, 2), ["conf-change", "conf-change-v2"]);
  const broken = createEntry({ type: "conf-change", command: Uint8Array.of(0xff) });
  assert.ok(leader.step(message("propose", { entries: [broken] })) instanceof ConfChangeError);
});

test("an applied change that does not fit is refused, and nothing changes", () => {
  const leader = makeLeader(single());
  const before = leader.node.status();
  assert.throws(() => leader.node.applyConfChange(LEAVE), ConfChangeError);
  assert.deepEqual(leader.node.status(), before);
});

test("more than one voter changes by way of a joint configuration, left automatically (§4.3)", () => {
  const network = Network.with({ voters: [1, 2, 3] });
  network.elect(1);
  proposeChange(network, 1, changes("auto", ["add-learner", 2], ["remove-node", 3]));
  assert.deepEqual(network.member(1).configurations, [
    createConfState({
      voters: [1],
      votersOutgoing: [1, 2, 3],
      learnersNext: [2],
      autoLeave: true,
    }),
    createConfState({ voters: [1], learners: [2] }),
  ]);
  assert.deepEqual(conf(network, 2), createConfState({ voters: [1], learners: [2] }));
});

test("an implicit joint change is left automatically even when it is small", () => {
  const network = Network.of(2);
  network.elect(1);
  proposeChange(network, 1, changes("joint-implicit", ["add-learner", 2]));
  assert.equal(network.member(1).configurations.length, 2);
  assert.deepEqual(conf(network, 1), createConfState({ voters: [1], learners: [2] }));
});

test("an explicit joint configuration is left when the application says so, and not before", () => {
  const network = Network.of(3);
  network.elect(1);
  proposeChange(network, 1, changes("joint-explicit", ["remove-node", 3]));
  network.propose(1, "a", "b");
  assert.deepEqual(conf(network, 1).votersOutgoing, [1, 2, 3]);
  const before = network.member(1).lastIndex;
  proposeChange(network, 1, change("add-node", 4));
  assert.deepEqual(types(network.member(1), before + 1), ["normal"], "must leave first");
  proposeChange(network, 1, LEAVE);
  assert.deepEqual(conf(network, 1), createConfState({ voters: [1, 2] }));
});

test("a joint configuration is left by the leader's entry once it is applied, not before", () => {
  const leader = makeLeader(single());
  leader.step(message("append-response", { index: 1, term: 1 }));
  leader.drive();
  leader.node.proposeConfChange(changes("auto", ["add-node", 4], ["remove-node", 3]));
  leader.drive();
  leader.step(message("append-response", { index: 2, term: 1 }));
  leader.drive();
  // Both majorities, {1,2,4} and {1,2,3}, are needed to commit the leaving; 1 and 2 are both.
  assert.deepEqual(leader.node.status().confState.votersOutgoing, [1, 2, 3]);
  assert.deepEqual(types(leader, 3), ["conf-change-v2"]);
  leader.node.propose(bytes("x"));
  leader.drive();
  assert.deepEqual(types(leader, 3), ["conf-change-v2", "normal"], "once is enough");
  leader.step(message("append-response", { index: 4, term: 1 }));
  leader.drive();
  assert.deepEqual(leader.node.status().confState, createConfState({ voters: [1, 2, 4] }));
});

test("while the leaving is under way it is not proposed again", () => {
  const leader = makeLeader(single());
  leader.step(message("append-response", { index: 1, term: 1 }));
  leader.drive();
  leader.node.proposeConfChange(changes("auto", ["add-node", 4], ["remove-node", 3]));
  leader.node.propose(bytes("x"));
  leader.drive();
  leader.step(message("append-response", { index: 2, term: 1 }));
  leader.drive();
  assert.deepEqual(types(leader, 2), ["conf-change-v2", "normal", "conf-change-v2"]);
  leader.step(message("append-response", { index: 3, term: 1 }));
  leader.drive();
  assert.deepEqual([leader.node.basicStatus().applied, leader.lastIndex], [3, 4]);
});

test("a joint configuration whose leader died is left by the next one", () => {
  const network = Network.with({ voters: [1, 2, 3], learners: [4] });
  network.elect(1);
  // The entry that leaves the joint configuration gets lost with its leader.
  network.loses = (m) =>
    m.entries.some((entry) => entry.type === "conf-change-v2" && entry.command.length === 0);
  proposeChange(network, 1, changes("auto", ["add-learner", 3], ["add-node", 4]));
  assert.deepEqual(conf(network, 2).votersOutgoing, [1, 2, 3]);
  network.heal();
  network.isolate(1);
  network.elect(2);
  assert.deepEqual(conf(network, 2), createConfState({ voters: [1, 2, 4], learners: [3] }));
  assert.deepEqual(conf(network, 4), conf(network, 2));
});

test("a smaller quorum commits what it allows as soon as it is applied", () => {
  const network = Network.of(2);
  network.elect(1);
  network.node(1).proposeConfChange(change("remove-node", 2));
  network.settle();
  const { commit, lastIndex } = network.member(1);
  assert.equal(commit, lastIndex);
  network.member(2).down = true;
  network.propose(1, "alone");
  assert.deepEqual(network.member(1).commands(), ["alone"]);
});

test("applying a removal commits the entries behind it, and serves the reads that waited", () => {
  const leader = makeLeader(single({}, { voters: [1, 2, 3, 4] }));
  leader.node.readIndex(bytes("r"));
  leader.step(message("append-response", { from: 2, index: 1, term: 1 }));
  leader.drive();
  assert.equal(leader.commit, 0, "two of four");
  // The host applies a change that it learned of elsewhere: the quorum shrinks to two.
  leader.node.applyConfChange(change("remove-node", 4));
  assert.equal(leader.commit, 1);
  const beats = leader.drive().filter((m) => m.type === "heartbeat");
  assert.equal(beats.length, 2, "the postponed read asks for its confirmation");
});

test("a new peer is sent to at once", () => {
  const leader = makeLeader(single());
  for (const from of [2, 3]) {
    leader.step(message("append-response", { from, index: 1, term: 1 }));
  }
  leader.drive();
  leader.node.applyConfChange(change("add-node", 4));
  assert.deepEqual(leader.drive().map((m) => [m.type, m.to]), [["append", 4]]);
});

test("a leader that was removed goes on until it is replaced, without counting itself", () => {
  const network = Network.of(3);
  network.elect(1);
  proposeChange(network, 1, change("remove-node", 1));
  const leader = network.member(1);
  assert.equal(leader.role, "leader");
  assert.throws(() => leader.node.propose(bytes("x")));
  assert.equal(network.member(2).role, "follower");
  network.elect(2);
  network.propose(2, "y");
  assert.deepEqual(network.member(3).commands(), ["y"]);
});

test("a leader steps down at its removal or demotion when told to", () => {
  for (const what of [change("remove-node", 1), change("add-learner", 1)]) {
    const network = Network.of(3, { stepDownOnRemoval: true });
    network.elect(1);
    proposeChange(network, 1, what);
    assert.deepEqual([network.member(1).role, network.member(1).leader], ["follower", 0]);
    network.node(1).campaign();
    assert.equal(network.member(1).role, "follower");
  }
  const staying = Network.of(3, { stepDownOnRemoval: true });
  staying.elect(1);
  proposeChange(staying, 1, change("remove-node", 3));
  assert.equal(staying.member(1).role, "leader");
});

test("a learner that is promoted votes and counts (thesis §4.2.1)", () => {
  const network = Network.with({ voters: [1], learners: [2] });
  network.elect(1);
  proposeChange(network, 1, change("add-node", 2));
  assert.deepEqual(conf(network, 2), createConfState({ voters: [1, 2] }));
  network.isolate(2);
  network.propose(1, "x");
  assert.deepEqual(network.member(1).commands(), []);
  network.heal();
  network.tick(1);
  network.settle();
  assert.deepEqual(network.member(2).commands(), ["x"]);
  network.elect(2);
});

test("adding what is there already changes nothing", () => {
  const network = Network.of(2);
  network.elect(1);
  proposeChange(network, 1, change("add-node", 2));
  assert.deepEqual(conf(network, 1), createConfState({ voters: [1, 2] }));
  proposeChange(network, 1, change("remove-node", 7));
  assert.deepEqual(conf(network, 1), createConfState({ voters: [1, 2] }));
});

test("a step of id 0 is one that the application voided", () => {
  const leader = makeLeader(single());
  const confState = leader.node.applyConfChange(change("remove-node", 0));
  assert.deepEqual(confState, createConfState({ voters: [1, 2, 3] }));
});
