/** Members that are added, promoted, removed and replaced while the region serves. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { MembershipError } from "../../src/node/mod.ts";
import { settle, TestCluster, withResource } from "./cluster.ts";
import { command } from "./machines.ts";
import { join, machines, MemberMachine } from "./member_machine.ts";

const COMPACTION = { entriesMax: 20, keepEntries: 5 };

async function open(): Promise<TestCluster> {
  return await TestCluster.open({
    node: { compaction: COMPACTION },
    machine: (state) => new MemberMachine(state),
  });
}

async function write(cluster: TestCluster, nodeId: number, count: number): Promise<void> {
  const proposals = Array.from(
    { length: count },
    (_, at) => cluster.node(nodeId).propose(command(`${at}`)),
  );
  await cluster.complete(Promise.all(proposals));
}

async function refusal(cluster: TestCluster, promise: Promise<unknown>): Promise<string> {
  const error = await cluster.complete(promise.then(() => undefined, (error) => error));
  assert.ok(error instanceof MembershipError, `found ${error}`);
  assert.equal(error.mayHaveTakenEffect, false);
  return error.code;
}

test("a member is added as a learner, catches up by a snapshot, is promoted, and others are removed", async () => {
  await withResource(await open(), async (cluster) => {
    const leader = await cluster.leader();
    for (let round = 0; round < 6; round++) await write(cluster, leader, 10);
    await cluster.until(
      "the log is compacted",
      () => cluster.node(leader).status().firstIndex > 20,
    );

    const member = { peerId: 4, address: "memory" };
    const added = await cluster.complete(cluster.node(leader).addLearner(member));
    assert.deepEqual([added.voters, added.learners], [[1, 2, 3], [4]]);
    assert.equal(await refusal(cluster, cluster.node(leader).promote(4)), "NOT_CAUGHT_UP");

    const joined = await join(cluster, member, "added/4");
    await cluster.until(
      "it has caught up",
      () => joined.status().lastApplied >= cluster.node(leader).status().lastApplied - 2,
    );
    assert.equal(machines.get("added/4")!.applied.length, 60);
    assert.deepEqual(joined.members().map(({ peerId, voter }) => [peerId, voter]), [
      [1, true],
      [2, true],
      [3, true],
      [4, false],
    ]);

    const promoted = await cluster.complete(cluster.node(leader).promote(4));
    assert.deepEqual([promoted.voters, promoted.learners], [[1, 2, 3, 4], []]);
    const removed = cluster.others(leader).find((id) => id !== 4)!;
    const left = await cluster.complete(cluster.node(leader).remove(removed));
    assert.ok(!left.voters.includes(removed) && left.voters.length === 3);
    await cluster.crash(removed);
    await write(cluster, leader, 5);
    await cluster.until(
      "the new member has it",
      () => machines.get("added/4")!.applied.length === 65,
    );

    assert.equal(
      await refusal(cluster, cluster.node(leader).addLearner({ peerId: removed })),
      "PEER_ID_USED",
    );
  });
});

test("changes that do not fit are refused with the reason", async () => {
  await withResource(await open(), async (cluster) => {
    const leader = await cluster.leader();
    const node = cluster.node(leader);
    const [other] = cluster.others(leader);
    assert.equal(await refusal(cluster, node.addLearner({ peerId: other })), "ALREADY_MEMBER");
    assert.equal(
      await refusal(cluster, node.addLearner({ peerId: 9, nodeId: other })),
      "ALREADY_MEMBER",
    );
    assert.equal(await refusal(cluster, node.promote(other)), "NOT_A_LEARNER");
    assert.equal(await refusal(cluster, node.promote(9)), "UNKNOWN_PEER");
    assert.equal(await refusal(cluster, node.remove(9)), "UNKNOWN_PEER");

    const first = node.addLearner({ peerId: 7, address: "memory" });
    const second = refusal(cluster, node.addLearner({ peerId: 8, address: "memory" }));
    assert.equal(await second, "CHANGE_UNDER_WAY");
    assert.deepEqual((await cluster.complete(first)).learners, [7]);
  });
});

test("a removal that would leave too few that are alive is refused unless it is forced", async () => {
  await withResource(await open(), async (cluster) => {
    const leader = await cluster.leader();
    const [dead, alive] = cluster.others(leader);
    await cluster.crash(dead);
    await cluster.until("its silence is noticed", () => {
      const { progress } = cluster.node(leader).status();
      return progress!.get(dead)!.recentActive === false;
    });
    await cluster.ticks(15);
    assert.equal(await refusal(cluster, cluster.node(leader).remove(alive)), "QUORUM_AT_RISK");
    const left = await cluster.complete(cluster.node(leader).remove(dead));
    assert.equal(left.voters.length, 2);
  });
});

test("a leader that is removed steps down and the others go on", async () => {
  await withResource(await open(), async (cluster) => {
    const leader = await cluster.leader();
    const others = cluster.others(leader);
    const removed = await cluster.complete(cluster.node(leader).remove(leader));
    assert.deepEqual(removed.voters, others);
    const next = await cluster.leader(others);
    await write(cluster, next, 3);
    assert.equal(cluster.node(leader).status().role, "follower");
  });
});

test("a voter is replaced in one step, and all of it survives restarts", async () => {
  await withResource(await open(), async (cluster) => {
    const leader = await cluster.leader();
    const [replaced, kept] = cluster.others(leader);
    for (let round = 0; round < 5; round++) await write(cluster, leader, 10);
    await cluster.crash(replaced);
    const by = { peerId: 5, address: "memory" };
    await join(cluster, by, "replacing/5");
    const result = await cluster.complete(
      cluster.node(leader).replace(replaced, by, { deadlineMs: 60_000 }),
    );
    assert.deepEqual([...result.voters], [leader, kept, 5].sort((a, b) => a - b));

    for (const nodeId of [leader, kept, 5]) await cluster.crash(nodeId);
    for (const nodeId of [leader, kept]) await cluster.start(nodeId);
    // It knows the others from the log alone.
    machines.get("replacing/5");
    const again = await cluster.start(5, {
      regions: [{
        peerId: 5,
        join: true,
        members: [],
        stateMachine: new MemberMachine(machines.get("replacing/5")!),
      }],
    });
    const next = await cluster.leader([leader, kept, 5]);
    await write(cluster, next, 3);
    await write(cluster, 5, 1);
    await settle();
    assert.deepEqual(again.members().map(({ peerId }) => peerId), [...result.voters]);
    assert.equal(again.members().every(({ address }) => address === "memory"), true);
    const error = await cluster.complete(
      cluster.node(next).addLearner({ peerId: replaced }).catch((error) => error),
    );
    assert.equal(error.code, "PEER_ID_USED");
  });
});
