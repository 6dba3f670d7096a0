/** Changes of members that any member is asked for, or that nodes make by themselves. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { askStanding, NotLeaderError, TimedOutError } from "../../src/node/mod.ts";
import { decodeChangeOutcome, encodeMemberQuestion } from "../../src/node/member_questions.ts";
import { MemoryDisk, MemoryNodeStorage } from "../../src/storage/memory.ts";
import { type ClusterOptions, TestCluster, withResource } from "./cluster.ts";
import { command, emptyState } from "./machines.ts";
import { join, MemberMachine } from "./member_machine.ts";

const LONG = { deadlineMs: 60_000 };

async function withCluster(
  body: (cluster: TestCluster) => Promise<void>,
  options: ClusterOptions = {},
): Promise<void> {
  const cluster = await TestCluster.open({
    machine: (state) => new MemberMachine(state),
    ...options,
  });
  await withResource(cluster, body);
}

async function write(cluster: TestCluster, nodeId: number, count: number): Promise<void> {
  const texts = Array.from({ length: count }, (_, at) => `${at}`);
  await cluster.complete(
    Promise.all(texts.map((text) => cluster.node(nodeId).propose(command(text)))),
  );
}

/** The members as a node sees them: `1 2 3?`, learners with a question mark. */
function members(cluster: TestCluster, nodeId: number): string {
  return cluster.node(nodeId).members()
    .map(({ peerId, voter }) => `${peerId}${voter ? "" : "?"}`).join(" ");
}

test("a member that does not lead takes changes to the leader, which promotes what was added to vote", () =>
  withCluster(async (cluster) => {
    const leader = await cluster.leader();
    const [asked] = cluster.others(leader);
    const member = { peerId: 4, address: "memory", becomesVoter: true };
    const added = await cluster.complete(cluster.node(asked).addLearner(member, LONG));
    assert.deepEqual([added.voters, added.learners], [[1, 2, 3], [4]]);
    await join(cluster, member, "asked/4");
    await cluster.until("it votes", () => members(cluster, 4) === "1 2 3 4");
    const removed = await cluster.complete(cluster.node(4).remove(asked, LONG));
    assert.ok(!removed.voters.includes(asked));
    await write(cluster, 4, 3);
  }));

test("a learner that was added as one stays one", () =>
  withCluster(async (cluster) => {
    const leader = await cluster.leader();
    const member = { peerId: 4, address: "memory" };
    await cluster.complete(cluster.node(leader).addLearner(member));
    const joined = await join(cluster, member, "stays/4");
    await cluster.until("it has caught up", () => joined.status().lastApplied > 1);
    await cluster.ticks(60);
    assert.equal(members(cluster, leader), "1 2 3 4?");
  }));

test("without forwarding a member that does not lead names the one that does", () =>
  withCluster(async (cluster) => {
    const leader = await cluster.leader();
    const [asked] = cluster.others(leader);
    const error = await cluster.complete(cluster.node(asked).promote(2).catch((error) => error));
    assert.ok(error instanceof NotLeaderError && error.leaderNodeId === leader, String(error));
  }, { node: { forwardProposals: false } }));

test("a change that finds no leader ends with its deadline and has no effect", () =>
  withCluster(async (cluster) => {
    const leader = await cluster.leader();
    const [asked] = cluster.others(leader);
    for (const other of cluster.others(asked)) await cluster.crash(other);
    await cluster.until("none is known", () => cluster.node(asked).status().leaderNodeId === 0);
    const change = cluster.node(asked).remove(leader, { deadlineMs: 2_000 });
    const error = await cluster.complete(change.catch((error) => error));
    assert.ok(error instanceof TimedOutError, String(error));
    assert.equal(error.mayHaveTakenEffect, false);
    assert.equal(members(cluster, asked), "1 2 3");
  }));

test("a change that the leader refuses is refused with the same code wherever it is asked for", () =>
  withCluster(async (cluster) => {
    const leader = await cluster.leader();
    const [asked] = cluster.others(leader);
    const node = cluster.node(asked);
    const cases: [() => Promise<unknown>, string][] = [
      [() => node.promote(9), "UNKNOWN_PEER"],
      [() => node.promote(leader), "NOT_A_LEARNER"],
      [() => node.addLearner({ peerId: leader }), "ALREADY_MEMBER"],
      [() => node.updateMember({ peerId: 9, address: "memory" }), "UNKNOWN_PEER"],
    ];
    for (const [change, code] of cases) {
      const error = await cluster.complete(change().then(() => undefined, (error) => error));
      assert.deepEqual([error?.code, error?.mayHaveTakenEffect], [code, false]);
    }
  }));

test("a dead voter's place is taken by a new member as soon as that has caught up", () =>
  withCluster(async (cluster) => {
    const leader = await cluster.leader();
    const [dead, asked] = cluster.others(leader);
    await write(cluster, leader, 5);
    await cluster.crash(dead);
    const member = { peerId: 4, address: "memory", replaces: dead };
    await cluster.complete(cluster.node(asked).addLearner(member, LONG));
    await join(cluster, member, "place/4");
    const expected = [leader, asked, 4].sort().join(" ");
    await cluster.until("it has", () => members(cluster, 4) === expected);
    await write(cluster, 4, 5);
  }));

test("an address that is recorded anew counts on all members, and changes nobody's voice", () =>
  withCluster(async (cluster) => {
    const leader = await cluster.leader();
    const [asked, moved] = cluster.others(leader);
    const learner = { peerId: 4, address: "memory" };
    await cluster.complete(cluster.node(leader).addLearner(learner));
    for (const peerId of [moved, 4]) {
      const update = { peerId, address: "elsewhere", clientAddress: `client-${peerId}` };
      await cluster.complete(cluster.node(asked).updateMember(update, LONG));
    }
    assert.equal(members(cluster, leader), "1 2 3 4?");
    const known = (nodeId: number, peerId: number) => {
      const { address, clientAddress } = cluster.node(nodeId).members()
        .find((member) => member.peerId === peerId)!;
      return `${address} ${clientAddress}`;
    };
    await cluster.until(
      "all know it",
      () =>
        [leader, asked].every((nodeId) =>
          [moved, 4].every((peerId) => known(nodeId, peerId) === `elsewhere client-${peerId}`)
        ),
    );
  }));

test("a node tells where its clients reach it when something else is recorded", () =>
  withCluster(async (cluster) => {
    const leader = await cluster.leader();
    const member = { peerId: 4, address: "memory" };
    await cluster.complete(cluster.node(leader).addLearner(member));
    await join(cluster, member, "tells/4", {
      members: [...cluster.members, { ...member, clientAddress: "clients:1" }],
    });
    await cluster.until(
      "the leader knows",
      () =>
        cluster.node(leader).members().some(({ clientAddress }) => clientAddress === "clients:1"),
    );
  }));

test("whoever joins needs to know one member, not the leader", () =>
  withCluster(async (cluster) => {
    const leader = await cluster.leader();
    const [known] = cluster.others(leader);
    const member = { peerId: 4, address: "memory", becomesVoter: true };
    await cluster.complete(cluster.node(leader).addLearner(member));
    await join(cluster, member, "knows/4", { members: [{ peerId: known, address: "memory" }] });
    await cluster.until("it votes", () => members(cluster, leader) === "1 2 3 4");
  }));

test("a replica that was removed is told once, also when it was down then", () =>
  withCluster(async (cluster) => {
    const leader = await cluster.leader();
    const told: number[] = [];
    const observer = { removed: ({ peerId }: { peerId: number }) => void told.push(peerId) };
    for (const peerId of [4, 5]) {
      const member = { peerId, address: "memory" };
      await cluster.complete(cluster.node(leader).addLearner(member));
      const joined = await join(cluster, member, `told/${peerId}`, { observer });
      await cluster.until("it has caught up", () => joined.status().lastApplied > 1);
    }
    await cluster.crash(5);
    await cluster.complete(cluster.node(leader).remove(4));
    await cluster.complete(cluster.node(leader).remove(5));
    await cluster.until("the one that ran is told", () => told.length === 1);
    assert.deepEqual(told, [4]);
    await join(cluster, { peerId: 5, address: "memory" }, "told/5", { observer });
    await cluster.until("the other is told", () => told.length === 2);
    await cluster.ticks(60);
    assert.deepEqual(told, [4, 5]);
  }));

test("a voter that lost its data takes no part, and the others go on", () =>
  withCluster(async (cluster) => {
    const leader = await cluster.leader();
    const [lost, other] = cluster.others(leader);
    await write(cluster, leader, 5);
    await cluster.crash(lost);
    const codes = new Set<string>();
    const node = await cluster.start(lost, {
      storage: new MemoryNodeStorage({ clusterId: "test", nodeId: lost }, new MemoryDisk()),
      regions: [{
        peerId: lost,
        join: true,
        members: cluster.members,
        stateMachine: new MemberMachine(emptyState()),
      }],
      observer: { messageRefused: (_peer, error) => void codes.add(error.code) },
    });
    await write(cluster, leader, 5);
    await cluster.until("it is found out", () => codes.has("VOTER_WITHOUT_LOG"));
    const { lastIndex, commitIndex } = node.status();
    assert.deepEqual([lastIndex, commitIndex], [0, 0]);
    // Its voice is needed now, and it must not be given.
    await cluster.crash(leader);
    await cluster.ticks(100);
    assert.equal(cluster.node(other).status().leaderNodeId, 0, "it is not elected");
  }));

test("a node that is no member cannot change the members", () =>
  withCluster(async (cluster) => {
    const leader = await cluster.leader();
    const stranger = cluster.network.transport(9);
    await stranger.start({ receive() {}, unreachable() {}, snapshotSent() {} });
    stranger.addNode(leader, "memory");
    const change = { kind: "remove", peerId: leader, force: true } as const;
    const question = { ask: "change", regionId: 1, change, deadlineMs: 1_000 } as const;
    const asked = stranger.ask(leader, encodeMemberQuestion(question), 10_000);
    const answer = await cluster.complete(asked);
    assert.throws(() => decodeChangeOutcome(answer), { code: "NOT_TAKEN" });
    assert.equal(members(cluster, leader), "1 2 3");
    await stranger.close();
  }));

test("a member that led says what another had, when it leads no more", () =>
  withCluster(async (cluster) => {
    const leader = await cluster.leader();
    const [next, lost] = cluster.others(leader);
    await write(cluster, leader, 5);
    await cluster.until("it has them", () => cluster.node(lost).status().lastApplied >= 6);
    await cluster.crash(lost);
    await cluster.complete(cluster.node(leader).transferLeader(next));
    const stranger = cluster.network.transport(lost);
    await stranger.start({ receive() {}, unreachable() {}, snapshotSent() {} });
    const ask = async (nodeId: number) => {
      stranger.addNode(nodeId, "memory");
      const asked = askStanding(stranger, nodeId, 1, lost, 10_000);
      const { role, matchIndex } = await cluster.complete(asked);
      return { role, has: matchIndex >= 6 };
    };
    assert.deepEqual(await ask(leader), { role: "voter", has: true });
    assert.deepEqual(await ask(next), { role: "voter", has: false });
    await stranger.close();
  }));

test("the next id is one that no member ever had", () =>
  withCluster(async (cluster) => {
    const leader = await cluster.leader();
    const node = cluster.node(leader);
    assert.equal(node.nextPeerId(), 4);
    for (const peerId of [4, 5]) {
      await cluster.complete(node.addLearner({ peerId, address: "memory" }));
      await cluster.complete(node.remove(peerId));
    }
    assert.equal(node.nextPeerId(), 6);
  }));
