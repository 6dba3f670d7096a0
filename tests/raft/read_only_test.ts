/** Linearizable reads: ReadIndex by position and by lease (thesis §6.4). */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  createConfState,
  createEntry,
  JointQuorum,
  MajorityQuorum,
  type Message,
  type PeerId,
} from "../../src/raft/mod.ts";
import { ReadOnly } from "../../src/raft/read_only.ts";
import {
  bytes,
  makeLeader,
  type Member,
  type MemberOptions,
  message,
  Network,
  single,
  text,
} from "./network.ts";

const voters = (...ids: PeerId[]) => new JointQuorum(new MajorityQuorum(ids));
const request = (name: string) =>
  message("read-index", { entries: [createEntry({ command: bytes(name) })] });
const names = (reads: readonly { request: Message }[]) =>
  reads.map((read) => text(read.request.entries[0].command));
const position = (value: number) => Uint8Array.from([value, 0, 0, 0, 0, 0, 0, 0]);

test("an echo confirms every request up to its position, in order", () => {
  const reads = new ReadOnly();
  assert.equal(reads.heartbeatContext(), undefined);
  for (const name of ["a", "b", "c"]) reads.add(5, request(name), 1);
  assert.deepEqual(reads.heartbeatContext(), position(3));
  assert.deepEqual(reads.takeConfirmed(voters(1, 2, 3)), []);
  reads.receiveAck(2, position(2));
  assert.deepEqual(names(reads.takeConfirmed(voters(1, 2, 3))), ["a", "b"]);
  assert.deepEqual(reads.takeConfirmed(voters(1, 2, 3)), []);
  reads.add(6, request("d"), 1);
  assert.deepEqual(reads.heartbeatContext(), position(4));
  reads.receiveAck(3, position(4));
  assert.deepEqual(names(reads.takeConfirmed(voters(1, 2, 3))), ["c", "d"]);
  assert.equal(reads.heartbeatContext(), undefined);
});

test("a late echo does not take back a newer one", () => {
  const reads = new ReadOnly();
  for (const name of ["a", "b"]) reads.add(5, request(name), 1);
  reads.receiveAck(2, position(2));
  reads.receiveAck(2, position(1));
  assert.deepEqual(names(reads.takeConfirmed(voters(1, 2, 3))), ["a", "b"]);
});

test("a position that was never issued, or no position at all, confirms nothing", () => {
  const reads = new ReadOnly();
  reads.add(5, request("a"), 1);
  const useless = [
    position(2),
    new Uint8Array(8).fill(255),
    new Uint8Array(8).fill(0),
    new Uint8Array(0),
    new Uint8Array(7).fill(1),
  ];
  for (const context of useless) reads.receiveAck(2, context);
  assert.deepEqual(reads.takeConfirmed(voters(1, 2, 3)), []);
  reads.receiveAck(2, Uint8Array.from([...position(1), 9, 9]));
  assert.deepEqual(names(reads.takeConfirmed(voters(1, 2, 3))), ["a"]);
});

test("a position wider than a byte is encoded little endian and read back", () => {
  const reads = new ReadOnly();
  for (let i = 0; i < 258; i++) reads.add(5, request("a"), 1);
  assert.deepEqual([...reads.heartbeatContext()!], [2, 1, 0, 0, 0, 0, 0, 0]);
  reads.receiveAck(2, reads.heartbeatContext()!);
  assert.equal(reads.takeConfirmed(voters(1, 2, 3)).length, 258);
});

test("in a joint configuration both majorities must confirm a read", () => {
  const reads = new ReadOnly();
  const joint = new JointQuorum(new MajorityQuorum([1, 2, 3]), new MajorityQuorum([4, 5, 6]));
  reads.add(5, request("a"), 1);
  for (const id of [2, 3, 4]) reads.receiveAck(id, position(1));
  assert.deepEqual(reads.takeConfirmed(joint), []);
  reads.receiveAck(5, position(1));
  assert.deepEqual(names(reads.takeConfirmed(joint)), ["a"]);
});

/** A leader of 1, 2 and 3 that has committed an entry of its term. */
function servingLeader(options: MemberOptions = {}): Member {
  const leader = makeLeader(single(options));
  leader.step(message("append-response", { from: 2, index: 1, term: 1 }));
  leader.step(message("append-response", { from: 3, index: 1, term: 1 }));
  leader.drive();
  leader.sent = [];
  return leader;
}

const echo = (leader: Member, from: PeerId, context: Uint8Array | undefined) => {
  leader.step(message("heartbeat-response", { from, term: leader.term, context }));
  return leader.drive();
};
const readNames = (member: Member) => member.readStates.map((read) => text(read.context));

test("a read is served at the commit index of its arrival, after a quorum confirmed the leader", () => {
  const leader = servingLeader();
  leader.node.readIndex(bytes("r"));
  const beats = leader.drive();
  assert.deepEqual(beats.map((m) => [m.type, m.context]), [
    ["heartbeat", position(1)],
    ["heartbeat", position(1)],
  ]);
  assert.deepEqual(leader.readStates, []);
  leader.node.propose(bytes("x"));
  leader.drive();
  leader.step(message("append-response", { from: 2, index: 2, term: 1 }));
  leader.drive();
  echo(leader, 2, beats[0].context);
  assert.deepEqual(leader.readStates, [{ index: 1, context: bytes("r") }]);
});

test("equal contexts of the users do not confirm each other (etcd#20418)", () => {
  const leader = servingLeader();
  leader.node.readIndex(bytes("same"));
  const [first] = leader.drive();
  leader.node.readIndex(bytes("same"));
  leader.drive();
  echo(leader, 2, first.context);
  assert.deepEqual(readNames(leader), ["same"]);
});

test("the echoes of learners do not confirm a read", () => {
  const leader = makeLeader(single({}, { voters: [1, 2, 3], learners: [4] }));
  leader.step(message("append-response", { from: 2, index: 1, term: 1 }));
  leader.drive();
  leader.node.readIndex(bytes("r"));
  const [beat] = leader.drive();
  echo(leader, 4, beat.context);
  assert.deepEqual(leader.readStates, []);
  echo(leader, 3, beat.context);
  assert.deepEqual(readNames(leader), ["r"]);
});

test("a context of any length from a peer is harmless", () => {
  const leader = servingLeader();
  leader.node.readIndex(bytes("r"));
  leader.drive();
  for (const length of [0, 1, 7, 9, 5000]) echo(leader, 2, new Uint8Array(length).fill(7));
  assert.deepEqual(leader.readStates, []);
  assert.deepEqual(leader.refusals, []);
});

test("a heartbeat whose echo was lost is repeated while reads wait", () => {
  const leader = servingLeader();
  leader.node.readIndex(bytes("r"));
  leader.drive();
  leader.node.tick();
  const [beat] = leader.drive();
  assert.deepEqual(beat.context, position(1));
  echo(leader, 3, beat.context);
  assert.deepEqual(readNames(leader), ["r"]);
  leader.node.tick();
  assert.equal(leader.drive()[0].context, undefined);
});

test("before the first commit of its term a leader lets reads wait (Raft §8)", () => {
  const leader = makeLeader(single());
  leader.node.readIndex(bytes("r"));
  assert.deepEqual(leader.drive(), []);
  leader.step(message("append-response", { from: 2, index: 1, term: 1 }));
  const beats = leader.drive().filter((m) => m.type === "heartbeat");
  assert.deepEqual(beats.map((m) => m.context), [position(1), position(1)]);
  echo(leader, 2, beats[0].context);
  assert.deepEqual(leader.readStates, [{ index: 1, context: bytes("r") }]);
});

test("reads that wait are forgotten when the leader is deposed", () => {
  const leader = makeLeader(single());
  leader.node.readIndex(bytes("postponed"));
  leader.step(message("append-response", { from: 2, index: 1, term: 1 }));
  leader.drive();
  leader.node.readIndex(bytes("unconfirmed"));
  leader.drive();
  leader.step(message("heartbeat", { from: 2, term: 2 }));
  makeLeader(leader);
  leader.step(message("append-response", { from: 2, index: 2, term: 3 }));
  leader.drive();
  echo(leader, 2, position(1));
  assert.deepEqual(leader.readStates, []);
});

test("a follower's read is answered by its leader, in the follower's name", () => {
  const network = Network.of(3);
  network.elect(1);
  network.propose(1, "a");
  network.node(3).readIndex(bytes("r"));
  network.settle();
  assert.deepEqual(network.member(3).readStates, [{ index: 2, context: bytes("r") }]);
  assert.deepEqual(network.member(1).readStates, []);
});

test("a read without a leader is dropped", () => {
  const lone = single();
  lone.node.readIndex(bytes("r"));
  assert.equal(lone.node.hasReady(), false);
  lone.node.campaign();
  lone.drive();
  lone.node.readIndex(bytes("r"));
  assert.equal(lone.node.hasReady(), false);
});

test("a leader that was cut off serves no read in safe mode", () => {
  const network = Network.of(3);
  network.elect(1);
  network.isolate(1);
  network.elect(2);
  network.propose(2, "newer");
  network.node(1).readIndex(bytes("stale"));
  network.settle();
  network.tick(1, 5);
  network.settle();
  assert.deepEqual(network.member(1).readStates, []);
});

test("with a lease a leader serves reads at once, without messages (thesis §6.4.1)", () => {
  const leader = servingLeader({ checkQuorum: true, readOnly: "lease-based" });
  leader.node.readIndex(bytes("r"));
  assert.deepEqual(leader.drive(), []);
  assert.deepEqual(leader.readStates, [{ index: 1, context: bytes("r") }]);
  leader.step(request("remote"));
  const [answer] = leader.drive();
  assert.deepEqual([answer.type, answer.to, answer.index], ["read-index-response", 2, 1]);
  assert.equal(text(answer.entries[0].command), "remote");
});

test("with a lease a new leader still waits for its first commit", () => {
  const leader = makeLeader(single({ checkQuorum: true, readOnly: "lease-based" }));
  leader.node.readIndex(bytes("r"));
  leader.drive();
  assert.deepEqual(leader.readStates, []);
});

test("the only voter serves reads alone, but only once its term has committed", () => {
  const member = single({}, { voters: [1] });
  member.node.campaign();
  member.node.ready();
  member.node.advance();
  assert.equal(member.role, "leader");
  member.node.readIndex(bytes("r"));
  assert.equal(member.readStates.length, 0);
  member.drive();
  assert.deepEqual(member.readStates, [{ index: 1, context: bytes("r") }]);
});

test("the only incoming voter of a joint configuration does not serve reads alone", () => {
  const fields = { voters: [1], votersOutgoing: [1, 2, 3], autoLeave: false };
  const leader = makeLeader(single({}, fields));
  leader.step(message("append-response", { from: 2, index: 1, term: 1 }));
  leader.drive();
  leader.node.readIndex(bytes("r"));
  const [beat] = leader.drive();
  assert.deepEqual(leader.readStates, []);
  echo(leader, 2, beat.context);
  assert.deepEqual(readNames(leader), ["r"]);
});

test("a leader that was removed does not answer for the one voter that is left", () => {
  const network = Network.of(2);
  network.elect(1);
  network.node(1).proposeConfChange({ type: "remove-node", peerId: 1, context: undefined });
  network.settle();
  assert.equal(network.member(1).role, "leader");
  network.isolate(1);
  network.node(1).readIndex(bytes("stale"));
  network.settle();
  assert.deepEqual(network.member(1).readStates, []);
});

test("a follower hands on the answer to its read", () => {
  const follower = single();
  follower.step(message("heartbeat", { term: 1 }));
  follower.step(
    message("read-index-response", {
      term: 1,
      index: 7,
      entries: [createEntry({ command: bytes("r") })],
    }),
  );
  follower.drive();
  assert.deepEqual(follower.readStates, [{ index: 7, context: bytes("r") }]);
  assert.deepEqual(follower.node.status().confState, createConfState({ voters: [1, 2, 3] }));
});
