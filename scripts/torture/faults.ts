/**
 * The faults, each as what it does to the cluster and for how long. Most look for the leader, as that
 * is where they hurt.
 *
 * @module
 */

import { EtcdClient, EtcdError } from "../../src/etcd/mod.ts";
import type { Chance } from "../../src/sim/mod.ts";
import { ELECTION_TIMEOUT_MS, type TortureCluster } from "./cluster.ts";
import { removeAndAdd, replaceLost } from "./membership.ts";
import type { PathFault } from "./network.ts";

/** A fault about to happen. */
export interface Fault {
  /** For people. */
  readonly text: string;
  /** Nodes whose process it stops or ends, or `MEMBERS`; no two such faults meet on one of them. */
  readonly processes: readonly number[];
  /** In milliseconds; 0 for what happens in a moment. */
  readonly durationMs: number;
  /** Begins it. Resolves with what ends it. */
  begin(cluster: TortureCluster): Heal | Promise<Heal>;
}

/** Ends a fault; a promise resolves when other faults of processes may follow. */
export type Heal = () => void | Promise<unknown>;

/** Stands among a fault's processes for the list of members: one change of that at a time. */
export const MEMBERS = 0;

/** The kinds of faults. */
export const FAULT_KINDS = [
  "partition",
  "one-way partition",
  "cut path",
  "delay",
  "stall",
  "reset",
  "transfer",
  "pause",
  "kill",
  "absence",
  "kill all",
  "lost disk",
  "removal",
] as const;

/** A kind of fault. */
export type FaultKind = (typeof FAULT_KINDS)[number];

const TRANSFER_DEADLINE_MS = 1_000;
const NOTHING: Heal = () => {};

/** Draws the facts of a fault of a kind. */
export function drawFault(kind: FaultKind, chance: Chance, cluster: TortureCluster): Fault {
  const { ids, leader } = cluster;
  const victim = leader !== 0 && chance.hits(600) ? leader : chance.pick(ids);
  const others = ids.filter((id) => id !== victim);
  const other = chance.pick(others);
  const onNetwork = (text: string, durationMs: number, faults: PathFault[]): Fault => ({
    text,
    processes: [],
    durationMs,
    begin: ({ network }) => network.apply(faults),
  });
  switch (kind) {
    case "partition": {
      const paths = others.flatMap((id) => [held(victim, id), held(id, victim)]);
      const fault = onNetwork(`node ${victim} is cut off`, chance.between(500, 4_000), paths);
      return chance.hits(500) ? fault : resetAfter(fault, [victim, others]);
    }
    case "one-way partition": {
      const inward = chance.hits(500);
      const paths = others.map((id) => inward ? held(id, victim) : held(victim, id));
      const text = `node ${victim} ${inward ? "hears nobody" : "is not heard"}`;
      return onNetwork(text, chance.between(500, 4_000), paths);
    }
    case "cut path": {
      const paths = [held(victim, other), held(other, victim)];
      const text = `nodes ${victim} and ${other} do not reach each other`;
      return onNetwork(text, chance.between(500, 4_000), paths);
    }
    case "delay": {
      const delayMs = chance.skewed(5, 300);
      const jitterMs = chance.skewed(0, 300);
      const slow = (from: number, to: number): PathFault => ({
        ...{ from, to, held: false },
        ...{ delayMs, jitterMs },
      });
      const paths = others.flatMap((id) => [slow(victim, id), slow(id, victim)]);
      const text = `what node ${victim} sends and gets takes ${delayMs} to ${
        delayMs + jitterMs
      } ms`;
      return onNetwork(text, chance.between(500, 4_000), paths);
    }
    case "stall": {
      const paths = [held(victim, other)];
      return onNetwork(`the path ${victim} to ${other} stalls`, chance.between(100, 2_000), paths);
    }
    case "reset":
      return {
        text: `the connections of nodes ${victim} and ${other} are reset`,
        processes: [],
        durationMs: 0,
        begin: ({ network }) => {
          network.cut(victim, other);
          return NOTHING;
        },
      };
    case "transfer":
      return {
        text: `leadership is to pass to node ${other}`,
        processes: [],
        durationMs: 0,
        begin: () => transfer(cluster, other),
      };
    case "pause":
      return pause(victim, chance.between(ELECTION_TIMEOUT_MS, 3 * ELECTION_TIMEOUT_MS));
    case "kill":
      return kill([victim], chance.skewed(0, 3_000), chance.hits(300));
    case "absence":
      return absence(victim, chance.between(3_000, 8_000));
    case "kill all":
      return kill(ids, chance.skewed(0, 500), chance.hits(300));
    case "lost disk":
      return loseDisk(victim, chance.skewed(0, 3_000));
    case "removal":
      return {
        text: `member ${victim} is removed, and another one added`,
        processes: [MEMBERS, victim],
        durationMs: 0,
        begin: (cluster) => () => removeAndAdd(cluster, victim),
      };
  }
}

/** The path from one node to another passes nothing. */
export function held(from: number, to: number): PathFault {
  return { from, to, held: true, delayMs: 0, jitterMs: 0 };
}

/** What was under way when it heals is lost, with its connections. */
function resetAfter(fault: Fault, [victim, others]: [number, readonly number[]]): Fault {
  return {
    ...fault,
    text: `${fault.text}, with its connections`,
    begin: async (cluster) => {
      const end = await fault.begin(cluster);
      return () => {
        for (const id of others) cluster.network.cut(victim, id);
        return end();
      };
    },
  };
}

/** Asks any member, which may not know who leads, or be of no help. */
async function transfer({ endpoints }: TortureCluster, target: number): Promise<Heal> {
  const client = new EtcdClient({ endpoints, deadlineMs: TRANSFER_DEADLINE_MS });
  try {
    await client.moveLeader(BigInt(target));
  } catch (error) {
    if (!(error instanceof EtcdError)) throw error;
  } finally {
    client.close();
  }
  return NOTHING;
}

function pause(id: number, durationMs: number): Fault {
  return {
    text: `node ${id} stands still`,
    processes: [id],
    durationMs,
    begin: (cluster) => {
      cluster.signal(id, "SIGSTOP");
      return () => cluster.signal(id, "SIGCONT");
    },
  };
}

/** @param again whether what follows may strike while they start. */
function kill(ids: readonly number[], durationMs: number, again: boolean): Fault {
  return {
    text: ids.length === 1 ? `node ${ids[0]} is killed` : `nodes ${ids.join(", ")} are killed`,
    processes: ids,
    durationMs,
    begin: async (cluster) => {
      await Promise.all(ids.map((id) => cluster.kill(id)));
      return () => {
        const serving = Promise.all(ids.map((id) => cluster.startNode(id)));
        return again ? undefined : serving;
      };
    },
  };
}

/** Long enough to need a snapshot; not while members change, as then nothing would be served. */
function absence(id: number, durationMs: number): Fault {
  const text = `node ${id} is killed and stays away`;
  return { ...kill([id], durationMs, false), text, processes: [MEMBERS, id] };
}

/** The others vote without it until another member has its place. */
function loseDisk(id: number, durationMs: number): Fault {
  return {
    text: `node ${id} is killed and its disk is gone`,
    processes: [MEMBERS, id],
    durationMs,
    begin: async (cluster) => {
      const lost = await cluster.lose(id);
      return () => replaceLost(cluster, lost);
    },
  };
}
