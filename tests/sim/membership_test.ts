import assert from "node:assert/strict";
import { test } from "node:test";
import { ProposalRequest } from "../../src/node/mod.ts";
import { createEntry, type PeerId } from "../../src/raft/mod.ts";
import { Chance } from "../../src/sim/chance.ts";
import { Cluster } from "../../src/sim/cluster.ts";
import { converge } from "../../src/sim/convergence.ts";
import { drawEnvironment } from "../../src/sim/environment.ts";
import { Faults } from "../../src/sim/faults.ts";
import { KvMachine } from "../../src/sim/kv_machine.ts";
import { KvWorkload } from "../../src/sim/kv_workload.ts";
import type { Operation, Workload } from "../../src/sim/machine.ts";
import { Membership } from "../../src/sim/membership.ts";
import { OpenChanges } from "../../src/sim/open_changes.ts";
import { cutLinks } from "../../src/sim/partitions.ts";
import type { Replica } from "../../src/sim/replica.ts";
import { World } from "../../src/sim/world.ts";

const SEED = 1;
const STEPS_MAX = 20_000;

const createWorkload = (): Workload => new KvWorkload() as unknown as Workload;

const WRITE: Operation = {
  kind: "write",
  input: { compare: [], then: [{ type: "put", key: 1, value: 1 }], else: [] },
};

/** Three nodes without clients and faults, and an operator; who leads on alone when it is removed. */
function quietCluster(): Cluster {
  const drawn = drawEnvironment(new Chance(SEED, 0), { intervalUs: Infinity, lossPerMille: 0 });
  const world = new World({
    ...drawn,
    tickUs: 10_000,
    electionTick: 8,
    heartbeatTick: 1,
    preVote: true,
    checkQuorum: false,
    stepDownOnRemoval: false,
    forwardProposals: true,
    repeatDropped: false,
    recordsMembers: false,
    beginsAsLearner: false,
    usesSessions: false,
    readOnly: "safe",
    limits: {},
    delayMinUs: 300,
    delayMaxUs: 1_500,
    duplicatePerMille: 0,
    diskMinUs: 200,
    diskMaxUs: 1_500,
    turnMaxUs: 0,
    entriesKept: Infinity,
  });
  const createMachine = (): KvMachine => new KvMachine();
  const parts = { world, seed: SEED, nodes: 3, regions: 1, clients: 0 };
  const cluster = new Cluster({ ...parts, createMachine, createWorkload });
  new Faults(cluster, new Membership(cluster), SEED, undefined);
  return cluster;
}

function runUntil<T>({ world }: Cluster, find: () => T | undefined | false): T {
  for (let step = 0; step < STEPS_MAX; step++) {
    const found = find();
    if (found !== undefined && found !== false) return found;
    world.step();
  }
  return assert.fail(`not within ${STEPS_MAX} steps: ${find}`);
}

/** Cuts a replica off from all others. @returns what mends that. */
function cutOff({ network, hosts }: Cluster, { nodeId }: Replica): () => void {
  const others = [...hosts.keys()].filter((id) => id !== nodeId);
  const links = cutLinks([nodeId], others, "both");
  for (const [from, to] of links) network.link(from, to).cuts++;
  return () => {
    for (const [from, to] of links) network.link(from, to).cuts--;
  };
}

/** Only such a leader takes a change. */
function hasAppliedAll({ peer, written }: Replica): boolean {
  return peer!.lastApplied === written.lastIndex;
}

/** Asks a leader to remove a member. */
function remove(cluster: Cluster, leader: Replica, peerId: PeerId): void {
  const change = { type: "remove-node", peerId, context: undefined } as const;
  cluster.hostOf(leader).push(1, { type: "change-configuration", change });
}

/** What is left of a leader that was cut off: a change at an index that is high, and never committed. */
interface Stale {
  readonly first: Replica;
  readonly changeIndex: number;
  readonly mend: () => void;
}

/** A leader is cut off, writes a change after some commands, and another one is elected. */
function leaveStaleChange(cluster: Cluster): Stale & { readonly second: Replica } {
  const region = cluster.region(1);
  const { truth } = region;
  const first = runUntil(cluster, () => cluster.leaderOf(region));
  runUntil(cluster, () => hasAppliedAll(first));
  const mend = cutOff(cluster, first);
  for (let count = 0; count < 10; count++) {
    const { command } = truth.propose(createWorkload().encode(WRITE.input));
    const proposals = [new ProposalRequest(command, Infinity)];
    cluster.hostOf(first).push(1, { type: "proposals", proposals });
  }
  remove(cluster, first, truth.configuration.voters.find((id) => id !== first.peerId)!);
  assert.equal(first.written.entries.at(-1)!.type, "conf-change");
  assert.equal(truth.changesAreDecided, false);
  const changeIndex = first.written.lastIndex;
  const second = runUntil(cluster, () => {
    const leader = cluster.leaderOf(region);
    return leader !== first && leader;
  });
  runUntil(cluster, () => hasAppliedAll(second));
  assert.equal(truth.changesAreDecided, true);
  return { first, changeIndex, mend, second };
}

/** The leader is removed, goes on leading, and takes no proposal; its operator has to end it. */
function removeLeader(cluster: Cluster, leader: Replica, { changeIndex }: Stale): void {
  const { truth } = cluster.region(1);
  runUntil(cluster, () => hasAppliedAll(leader));
  remove(cluster, leader, leader.peerId);
  runUntil(cluster, () => !leader.confState.voters.includes(leader.peerId));
  assert.equal(leader.peer!.state, "leader");
  assert.ok(truth.commitIndex < changeIndex);
  converge(cluster, createWorkload(), WRITE);
  assert.equal(leader.isRetired, true);
}

test("a removed leader is ended although a change with a higher index was replaced everywhere", () => {
  const cluster = quietCluster();
  const { first, second, ...stale } = leaveStaleChange(cluster);
  stale.mend();
  runUntil(cluster, () => first.durable.lastIndex === second.written.lastIndex);
  removeLeader(cluster, second, { first, ...stale });
});

test("a removed leader is ended although a removed peer keeps a change that was replaced", () => {
  const cluster = quietCluster();
  const { first, second, ...stale } = leaveStaleChange(cluster);
  remove(cluster, second, first.peerId);
  runUntil(cluster, () => !second.confState.voters.includes(first.peerId));
  removeLeader(cluster, second, { first, ...stale });
  assert.equal(first.durable.lastIndex, stale.changeIndex);
  assert.equal(first.isRetired, true);
});

test("a change is open until it is committed, replaced, or a later term has committed anything", () => {
  const changes = new OpenChanges();
  assert.equal(changes.areDecided(1, 0), true);
  changes.add(createEntry({ index: 9, term: 2, type: "conf-change" }));
  assert.equal(changes.areDecided(1, 0), false);
  assert.equal(changes.areDecided(8, 1), false);
  assert.equal(changes.areDecided(8, 2), false, "its own leader may commit it next");
  assert.equal(changes.areDecided(9, 2), true);
  changes.add(createEntry({ index: 12, term: 2, type: "conf-change" }));
  changes.add(createEntry({ index: 11, term: 3, type: "conf-change" }));
  assert.equal(changes.areDecided(10, 3), false, "one of the later term is open");
  assert.equal(changes.areDecided(11, 3), true);
});
