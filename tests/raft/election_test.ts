/** Elections: Raft §5.1, §5.2 and §5.4.1, pre-vote (thesis §9.6), leader lease (thesis §6.4.1), priority. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ConfigError, createEntry, RaftInvariantError } from "../../src/raft/mod.ts";
import type { Message } from "../../src/raft/mod.ts";
import { makeLeader, Member, message, Network, newStorage, single, write } from "./network.ts";
import { createConfState } from "../../src/raft/mod.ts";

const TRANSFER = new TextEncoder().encode("CampaignTransfer");

/** The last message of this kind that a member wanted to send. */
function lastSent(member: Member, type: Message["type"]): Message {
  const found = member.sent.filter((m) => m.type === type).at(-1);
  assert.ok(found !== undefined, `no ${type} was sent`);
  return found;
}

/** A vote request of an up-to-date candidate. */
const vote = (from: number, term: number, fields: Partial<Message> = {}) =>
  message("vote", { from, term, index: 0, logTerm: 0, ...fields });

function stepAndDrive(member: Member, what: Message): Message[] {
  member.step(what);
  return member.drive();
}

test("a replica starts as a follower that knows no leader (§5.2)", () => {
  const member = single();
  assert.deepEqual([member.role, member.leader, member.term, member.vote], ["follower", 0, 0, 0]);
});

test("a candidate with the votes of a majority leads its term (§5.2)", () => {
  const network = Network.of(5);
  network.isolate(5);
  network.isolate(4);
  network.elect(1);
  assert.deepEqual(network.leaders(), [1]);
  assert.equal(network.member(2).leader, 1);
  network.cut([3], [1, 2]);
  network.node(1).campaign();
  network.node(3).campaign();
  network.settle();
  assert.notEqual(network.member(3).role, "leader", "one vote of five is not enough");
});

test("a follower campaigns when it has not heard from a leader for its timeout (§5.2)", () => {
  const member = single({ electionTick: 10, random: () => 4 });
  for (let i = 0; i < 13; i++) member.node.tick();
  assert.equal(member.role, "follower");
  member.node.tick();
  assert.deepEqual([member.role, member.term, member.vote], ["candidate", 1, 1]);
});

test("a leader's word restarts a follower's timeout (§5.2)", () => {
  const member = single({ electionTick: 10 });
  for (const type of ["append", "heartbeat", "snapshot"] as const) {
    for (let i = 0; i < 9; i++) member.node.tick();
    member.step(message(type, { term: 1 }));
  }
  for (let i = 0; i < 9; i++) member.node.tick();
  assert.equal(member.role, "follower");
  member.node.tick();
  assert.equal(member.role, "candidate");
});

test("the timeout is drawn anew from [electionTick, 2·electionTick) for each term (§5.2)", () => {
  const bounds: number[] = [];
  let next = 0;
  const member = single({
    electionTick: 7,
    random: (bound) => {
      bounds.push(bound);
      return next++ % bound;
    },
  });
  const waits: number[] = [];
  for (let round = 0; round < 8; round++) {
    const before = member.term;
    let ticks = 0;
    while (member.term === before) {
      member.node.tick();
      ticks++;
    }
    waits.push(ticks);
    member.drive();
  }
  assert.ok(bounds.every((bound) => bound === 7));
  assert.deepEqual(waits, [7, 8, 9, 10, 11, 12, 13, 7]);
});

test("a random function that leaves its range is a bug of the host", () => {
  for (const bad of [10, -1, 0.5, NaN]) {
    assert.throws(() => single({ electionTick: 10, random: () => bad }), RaftInvariantError);
  }
});

test("a replica votes for at most one candidate a term, first come first served (§5.2)", () => {
  const member = single();
  stepAndDrive(member, vote(2, 1));
  assert.equal(lastSent(member, "vote-response").reject, false);
  stepAndDrive(member, vote(3, 1));
  assert.equal(lastSent(member, "vote-response").reject, true);
  stepAndDrive(member, vote(2, 1));
  assert.equal(lastSent(member, "vote-response").reject, false, "the same vote may be repeated");
  stepAndDrive(member, vote(3, 2));
  assert.equal(lastSent(member, "vote-response").reject, false, "another term, another vote");
  assert.equal(member.vote, 3);
});

test("a vote survives a restart (§5.1, figure 2)", () => {
  const member = single();
  stepAndDrive(member, vote(2, 1));
  member.restart();
  assert.deepEqual([member.term, member.vote], [1, 2]);
  stepAndDrive(member, vote(3, 1));
  assert.equal(lastSent(member, "vote-response").reject, true);
});

test("a vote leaves only after it is durable (thesis §3.8)", () => {
  const member = single();
  member.step(vote(2, 1));
  const ready = member.node.ready();
  assert.equal(ready.mustSync, true);
  assert.deepEqual(ready.hardState, { currentTerm: 1, votedFor: 2, commitIndex: 0 });
  assert.deepEqual(ready.messages, []);
  assert.deepEqual(ready.messagesAfterAppend.map((m) => m.type), ["vote-response"]);
});

test("a candidate's own vote counts only once it is durable (thesis §3.8)", () => {
  const member = single({}, { voters: [1] });
  member.node.campaign();
  member.node.ready();
  assert.equal(member.role, "candidate");
  member.node.advance();
  assert.equal(member.role, "leader");
});

test("a vote is refused to a candidate whose log is less up to date (§5.4.1)", () => {
  const member = single();
  write(member.storage, {
    entries: [createEntry({ index: 1, term: 1 }), createEntry({ index: 2, term: 2 })],
    hardState: { currentTerm: 2, votedFor: 0, commitIndex: 0 },
  });
  member.restart();
  const cases: [index: number, logTerm: number, granted: boolean][] = [
    [1, 2, false],
    [5, 1, false],
    [2, 2, true],
    [3, 2, true],
    [1, 3, true],
  ];
  let term = 3;
  for (const [index, logTerm, granted] of cases) {
    stepAndDrive(member, vote(2, term++, { index, logTerm }));
    assert.equal(lastSent(member, "vote-response").reject, !granted, `${logTerm}/${index}`);
  }
});

test("no vote is given while a leader of the term is known", () => {
  const member = single();
  stepAndDrive(member, message("heartbeat", { from: 2, term: 1 }));
  stepAndDrive(member, vote(3, 1));
  assert.equal(lastSent(member, "vote-response").reject, true);
});

test("a vote given restarts the timeout, a refusal does not (§5.2)", () => {
  const member = single({ electionTick: 10 });
  // In the term already: entering it restarts the timeout as well.
  member.step(message("heartbeat-response", { from: 3, term: 1 }));
  for (let i = 0; i < 9; i++) member.node.tick();
  stepAndDrive(member, vote(2, 1));
  for (let i = 0; i < 9; i++) member.node.tick();
  stepAndDrive(member, vote(3, 1));
  assert.equal(member.role, "follower");
  member.node.tick();
  assert.equal(member.role, "candidate");
});

test("whoever sees a later term becomes a follower in it (§5.1)", () => {
  for (const type of ["append-response", "vote-response", "heartbeat-response"] as const) {
    const leader = makeLeader(single());
    leader.step(message(type, { term: 7, reject: true }));
    assert.deepEqual([leader.role, leader.term, leader.leader, leader.vote], ["follower", 7, 0, 0]);
  }
});

test("a leader's message of a later term names the leader at once", () => {
  for (const type of ["append", "heartbeat", "snapshot"] as const) {
    const member = single();
    member.node.campaign();
    member.step(message(type, { from: 3, term: 5 }));
    assert.deepEqual([member.role, member.term, member.leader], ["follower", 5, 3]);
  }
});

test("messages of an earlier term are ignored (§5.1)", () => {
  const leader = makeLeader(single());
  leader.step(message("vote", { term: 4, from: 3 }));
  leader.drive();
  leader.sent = [];
  const before = leader.node.status();
  for (
    const type of [
      "append",
      "heartbeat",
      "snapshot",
      "vote",
      "append-response",
      "timeout-now",
    ] as const
  ) {
    leader.step(message(type, { term: 1 }));
  }
  assert.deepEqual(leader.node.status(), before);
  assert.deepEqual(leader.drive(), []);
});

test("with pre-vote or check-quorum a deposed leader is told of the new term", () => {
  for (const options of [{ preVote: true }, { checkQuorum: true }]) {
    const member = single(options);
    member.step(message("heartbeat", { from: 3, term: 5 }));
    member.drive();
    const out = stepAndDrive(member, message("heartbeat", { from: 2, term: 4 }));
    assert.deepEqual(out.map((m) => [m.type, m.to, m.term]), [["append-response", 2, 5]]);
  }
});

test("a candidate yields to a leader of its own term (§5.2)", () => {
  const member = single();
  member.node.campaign();
  member.drive();
  stepAndDrive(member, message("append", { from: 2, term: 1 }));
  assert.deepEqual([member.role, member.leader, member.vote], ["follower", 2, 1]);
});

test("a candidate that cannot win any more follows nobody and waits", () => {
  const member = single();
  member.node.campaign();
  member.drive();
  member.step(message("vote-response", { from: 2, term: 1, reject: true }));
  assert.equal(member.role, "candidate");
  member.step(message("vote-response", { from: 3, term: 1, reject: true }));
  assert.deepEqual([member.role, member.leader, member.term], ["follower", 0, 1]);
});

test("a voter's first answer counts, whatever comes later", () => {
  const member = single({}, { voters: [1, 2, 3, 4, 5] });
  member.node.campaign();
  member.drive();
  for (const reject of [true, false]) {
    member.step(message("vote-response", { from: 2, term: 1, reject }));
  }
  member.step(message("vote-response", { from: 3, term: 1 }));
  assert.equal(member.role, "candidate");
  member.step(message("vote-response", { from: 4, term: 1 }));
  assert.equal(member.role, "leader");
});

test("votes of learners and of earlier campaigns do not elect anyone", () => {
  const member = single({}, { voters: [1, 2, 3], learners: [4, 5] });
  member.node.campaign();
  member.drive();
  for (const from of [4, 5]) member.step(message("vote-response", { from, term: 1 }));
  assert.equal(member.role, "candidate");
  member.node.campaign();
  member.drive();
  member.step(message("vote-response", { from: 2, term: 1 }));
  assert.equal(member.role, "candidate", "that vote was for term 1");
});

test("split votes are settled by the next round (§5.2)", () => {
  const network = Network.of(3);
  for (const id of [1, 2, 3]) network.node(id).campaign();
  network.settle();
  assert.deepEqual(network.leaders(), []);
  network.elect(2);
  assert.deepEqual(network.leaders(), [2]);
});

test("a learner votes when asked, but never campaigns", () => {
  const member = single({ electionTick: 5 }, { voters: [2, 3], learners: [1] });
  for (let i = 0; i < 20; i++) member.node.tick();
  member.node.campaign();
  member.step(message("heartbeat", { from: 2, term: 1 }));
  member.step(message("timeout-now", { from: 2, term: 1 }));
  assert.deepEqual([member.role, member.term], ["follower", 1]);
  member.drive();
  stepAndDrive(member, vote(3, 2));
  assert.equal(lastSent(member, "vote-response").reject, false);
});

test("a replica outside the configuration never campaigns", () => {
  const member = single({ electionTick: 5 }, { voters: [2, 3] });
  for (let i = 0; i < 20; i++) member.node.tick();
  member.node.campaign();
  assert.deepEqual([member.role, member.term], ["follower", 0]);
});

test("no campaign while a committed configuration change is not applied (thesis §4.1)", () => {
  for (const type of ["conf-change", "conf-change-v2"] as const) {
    const member = single({ maxCommittedSizePerReady: 1 });
    const entries = [1, 2, 3].map((index) =>
      createEntry({ index, term: 1, type: index === 3 ? type : "normal" })
    );
    member.step(message("append", { term: 1, entries, commit: 3 }));
    member.node.campaign();
    assert.equal(member.role, "follower");
    member.step(message("timeout-now", { term: 1 }));
    assert.equal(member.role, "follower");
  }
});

test("committed commands that are not applied yet do not hinder a campaign", () => {
  const member = single();
  const entries = [createEntry({ index: 1, term: 1 }), createEntry({ index: 2, term: 1 })];
  member.step(message("append", { term: 1, entries, commit: 2 }));
  member.node.campaign();
  assert.equal(member.role, "candidate");
});

test("no campaign while a snapshot waits to be applied", () => {
  const member = single();
  const confState = createConfState({ voters: [1, 2, 3] });
  const snapshot = { metadata: { index: 5, term: 1, confState }, data: new Uint8Array(0) };
  member.step(message("snapshot", { term: 1, snapshot }));
  member.node.campaign();
  assert.equal(member.role, "follower");
  member.drive();
  member.node.campaign();
  assert.equal(member.role, "candidate");
});

test("a leader does not campaign", () => {
  const leader = makeLeader(single());
  leader.node.campaign();
  assert.deepEqual([leader.role, leader.term], ["leader", 1]);
  assert.equal(leader.node.hasReady(), false);
});

test("in a joint configuration an election needs both majorities (thesis §4.3)", () => {
  const fields = { voters: [1, 2, 3], votersOutgoing: [1, 4, 5], autoLeave: false };
  const member = single({}, fields);
  member.node.campaign();
  const asked = member.drive().filter((m) => m.type === "vote").map((m) => m.to);
  assert.deepEqual(asked, [2, 3, 4, 5]);
  for (const from of [2, 3]) member.step(message("vote-response", { from, term: 1 }));
  assert.equal(member.role, "candidate");
  member.step(message("vote-response", { from: 5, term: 1 }));
  assert.equal(member.role, "leader");
});

test("pre-vote asks for the next term without entering it (thesis §9.6)", () => {
  const member = single({ preVote: true });
  member.node.campaign();
  const out = member.drive();
  assert.deepEqual([member.role, member.term, member.vote], ["precandidate", 0, 0]);
  assert.deepEqual(out.map((m) => [m.type, m.to, m.term]), [["pre-vote", 2, 1], [
    "pre-vote",
    3,
    1,
  ]]);
  stepAndDrive(member, message("pre-vote-response", { from: 2, term: 1 }));
  assert.deepEqual([member.role, member.term, member.vote], ["candidate", 1, 1]);
});

test("a granted pre-vote changes neither the voter's term nor its vote (thesis §9.6)", () => {
  const member = single({ preVote: true });
  const out = stepAndDrive(member, message("pre-vote", { from: 2, term: 5 }));
  assert.deepEqual(out.map((m) => [m.type, m.term, m.reject]), [["pre-vote-response", 5, false]]);
  assert.deepEqual([member.term, member.vote], [0, 0]);
  stepAndDrive(member, message("pre-vote", { from: 3, term: 5 }));
  assert.equal(lastSent(member, "pre-vote-response").reject, false, "any number may be granted");
});

test("a pre-vote for a term in which another got the vote is refused", () => {
  const member = single();
  stepAndDrive(member, vote(2, 1));
  assert.equal(stepAndDrive(member, message("pre-vote", { from: 3, term: 1 }))[0].reject, true);
  assert.equal(stepAndDrive(member, message("pre-vote", { from: 3, term: 2 }))[0].reject, false);
});

test("only a campaign that the leader asked for says so", () => {
  const member = single();
  member.node.campaign();
  assert.deepEqual(member.drive().map((m) => m.context), [undefined, undefined]);
  member.step(message("heartbeat", { from: 2, term: 1 }));
  member.drive();
  member.step(message("timeout-now", { from: 2, term: 1 }));
  assert.deepEqual(member.drive().map((m) => m.context), [TRANSFER, TRANSFER]);
});

test("a granted pre-vote does not restart the timeout", () => {
  const member = single({ preVote: true, electionTick: 10 });
  for (let i = 0; i < 9; i++) member.node.tick();
  stepAndDrive(member, message("pre-vote", { from: 2, term: 5 }));
  member.node.tick();
  assert.equal(member.role, "precandidate");
});

test("a refused pre-vote of a later term makes the candidate a follower in it", () => {
  const member = single({ preVote: true });
  member.node.campaign();
  member.drive();
  member.step(message("pre-vote-response", { from: 2, term: 4, reject: true }));
  assert.deepEqual([member.role, member.term], ["follower", 4]);
});

test("a pre-vote for a past term is refused with the present one", () => {
  const member = single();
  member.step(message("heartbeat", { from: 3, term: 5 }));
  member.drive();
  const out = stepAndDrive(member, message("pre-vote", { from: 2, term: 3 }));
  assert.deepEqual(
    out.map((m) => [m.type, m.term, m.reject]),
    [["pre-vote-response", 5, true]],
  );
});

test("the answers to a pre-campaign do not count for the campaign, nor the other way round", () => {
  const member = single({ preVote: true }, { voters: [1, 2, 3, 4, 5] });
  member.node.campaign();
  member.drive();
  for (const from of [2, 3]) member.step(message("vote-response", { from, term: 1 }));
  assert.equal(member.role, "follower", "a vote of a later term only tells the term");
  const other = single({ preVote: true }, { voters: [1, 2, 3, 4, 5] });
  other.node.campaign();
  other.drive();
  for (const from of [2, 3]) other.step(message("pre-vote-response", { from, term: 1 }));
  other.drive();
  assert.equal(other.role, "candidate");
  for (const from of [4, 5]) other.step(message("pre-vote-response", { from, term: 1 }));
  assert.equal(other.role, "candidate");
});

test("a returning replica with pre-vote disturbs nobody (thesis §9.6)", () => {
  const network = Network.of(3, { preVote: true, checkQuorum: true });
  network.elect(1);
  network.isolate(3);
  network.tick(3, 50);
  network.propose(1, "a");
  assert.equal(network.member(3).term, 1);
  network.heal();
  network.tick(3, 1);
  network.settle();
  network.tick(1, 2);
  network.settle();
  assert.deepEqual([network.leaders(), network.member(1).term], [[1], 1]);
  assert.equal(network.member(3).leader, 1);
});

test("with check-quorum a follower ignores candidates while its leader is alive (§6.4.1)", () => {
  for (const type of ["vote", "pre-vote"] as const) {
    const member = single({ checkQuorum: true, electionTick: 10 });
    member.step(message("heartbeat", { from: 2, term: 1 }));
    member.drive();
    for (let i = 0; i < 9; i++) member.node.tick();
    assert.deepEqual(stepAndDrive(member, message(type, { from: 3, term: 2 })), []);
    assert.equal(member.term, 1);
    // The lease ends with the shortest election timeout, not with this replica's own.
    member.node.setRandomizedElectionTimeout(19);
    member.node.tick();
    const out = stepAndDrive(member, message(type, { from: 3, term: 2 }));
    assert.deepEqual(out.map((m) => m.reject), [false]);
  }
});

test("a vote asked for by a transfer of leadership overrides the lease (§6.4.1)", () => {
  const member = single({ checkQuorum: true });
  member.step(message("heartbeat", { from: 2, term: 1 }));
  member.drive();
  const almost = TRANSFER.slice(1);
  assert.deepEqual(stepAndDrive(member, vote(3, 2, { context: almost })), []);
  const out = stepAndDrive(member, vote(3, 2, { context: TRANSFER }));
  assert.deepEqual(out.map((m) => [m.type, m.reject]), [["vote-response", false]]);
});

test("without check-quorum a later term wins at once", () => {
  const member = single();
  member.step(message("heartbeat", { from: 2, term: 1 }));
  member.drive();
  assert.equal(stepAndDrive(member, vote(3, 2))[0].reject, false);
});

test("a leader that has not heard from a quorum for an election timeout steps down (§6.2)", () => {
  const leader = makeLeader(single({ checkQuorum: true, electionTick: 10 }));
  leader.step(message("heartbeat-response", { from: 3, term: 1 }));
  for (let i = 0; i < 10; i++) leader.node.tick();
  assert.equal(leader.role, "leader");
  for (let i = 0; i < 9; i++) leader.node.tick();
  assert.equal(leader.role, "leader");
  leader.node.tick();
  assert.deepEqual([leader.role, leader.leader, leader.term], ["follower", 0, 1]);
});

test("learners do not keep a leader alive", () => {
  const leader = makeLeader(
    single({ checkQuorum: true, electionTick: 5 }, { voters: [1, 2, 3], learners: [4, 5] }),
  );
  for (let i = 0; i < 5; i++) {
    leader.node.tick();
    for (const from of [4, 5]) leader.step(message("heartbeat-response", { from, term: 1 }));
  }
  assert.equal(leader.role, "follower");
});

test("a replica of a higher priority refuses its vote unless the log is longer", () => {
  const member = single({ priority: 2 });
  const ask = (term: number, fields: Partial<Message>) =>
    stepAndDrive(member, vote(2, term, fields))[0].reject;
  assert.equal(ask(1, { priority: 1 }), true);
  assert.equal(ask(2, { priority: 2 }), false);
  assert.equal(ask(3, { priority: 1, index: 1, logTerm: 1 }), false);
  member.node.setPriority(-1);
  assert.equal(ask(4, { priority: 0 }), false);
  assert.equal(ask(5, { priority: -2 }), true);
});

test("a candidate tells its priority", () => {
  for (const preVote of [false, true]) {
    const member = single({ priority: -3, preVote });
    member.node.campaign();
    assert.deepEqual(member.drive().map((m) => m.priority), [-3, -3]);
  }
  assert.throws(() => single().node.setPriority(0.5), ConfigError);
});

test("a follower told to forget its leader may vote for another at once", () => {
  const member = single({ checkQuorum: true });
  member.step(message("heartbeat", { from: 2, term: 1 }));
  member.drive();
  member.node.forgetLeader();
  assert.equal(member.leader, 0);
  assert.equal(stepAndDrive(member, vote(3, 1))[0].reject, false);
});

test("forgetting the leader is refused with lease-based reads, and does nothing on others", () => {
  const member = single({ checkQuorum: true, readOnly: "lease-based" });
  member.step(message("heartbeat", { from: 2, term: 1 }));
  member.node.forgetLeader();
  assert.equal(member.leader, 2);
  const leader = makeLeader(single());
  leader.node.forgetLeader();
  assert.equal(leader.leader, 1);
  const candidate = single();
  candidate.node.campaign();
  candidate.node.forgetLeader();
  assert.equal(candidate.role, "candidate");
});

test("a single voter elects itself, learners or not", () => {
  const member = new Member(1, newStorage(1, createConfState({ voters: [1], learners: [2] })));
  member.node.campaign();
  member.drive();
  assert.deepEqual([member.role, member.commit], ["leader", 1]);
});
