/**
 * What is measured beside the calls themselves: the processor time of the members, what they count,
 * and how long a sync takes.
 *
 * @module
 */

import {
  closeSync,
  fdatasyncSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import type { Counters } from "../../src/etcd/mod.ts";

/** The unit of times in /proc, which is 1/100 s on every Linux in use. */
const TICKS_PER_SECOND = 100;
const USER_FIELD = 14;
const SYSTEM_FIELD = 15;

/** Seconds of processor time, user and system, that processes have used; NaN where no /proc tells. */
export function processorSeconds(pids: readonly number[]): number {
  let ticks = 0;
  for (const pid of pids) {
    let stat: string;
    try {
      stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    } catch {
      return NaN;
    }
    // The second field is the program's name, which may hold anything.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    ticks += Number(fields[USER_FIELD - 3]) + Number(fields[SYSTEM_FIELD - 3]);
  }
  return ticks / TICKS_PER_SECOND;
}

/** The counters of several members added up. */
export function sum(counters: readonly Counters[]): Counters {
  const total: Record<string, number> = {};
  for (const one of counters) {
    for (const [name, value] of Object.entries(one)) total[name] = (total[name] ?? 0) + value;
  }
  return total;
}

/** How well work is batched: each a ratio of counts over all members, NaN where nothing was counted. */
export interface Batching {
  /** Entries in each proposal message that is handed to the core. */
  readonly entriesPerProposal: number;
  /** Log entries in each transaction, and so in each sync. */
  readonly entriesPerTransaction: number;
  /** Raft messages in each frame on a connection between two members. */
  readonly messagesPerFrame: number;
  /** Reads that one round of ReadIndex serves. */
  readonly readsPerRound: number;
}

/** What was counted between two moments. */
export function difference(before: Counters, after: Counters): Counters {
  return Object.fromEntries(
    Object.entries(after).map(([name, value]) => [name, value - (before[name] ?? 0)]),
  );
}

/** The batching that counters of some time show. */
export function batching(counted: Counters): Batching {
  const ratio = (many: string, few: string): number => {
    const [part, whole] = [counted[many] ?? 0, counted[few] ?? 0];
    return whole > 0 ? part / whole : NaN;
  };
  return {
    entriesPerProposal: ratio("peer.proposalEntries", "peer.proposalMessages"),
    entriesPerTransaction: ratio("storage.entries", "storage.transactions"),
    messagesPerFrame: ratio("transport.messagesSent", "transport.framesSent"),
    readsPerRound: ratio("peer.reads", "peer.readRounds"),
  };
}

/** The value that a share of ascending values does not exceed; NaN for none. */
export function percentile(ascending: Float64Array, share: number): number {
  if (ascending.length === 0) return NaN;
  return ascending[Math.min(ascending.length - 1, Math.floor(ascending.length * share))];
}

/** The median time of a small write with its sync in a folder, in milliseconds. */
export function syncMs(directory: string, times = 50): number {
  const folder = mkdtempSync(join(directory, "flaredb-sync-"));
  const file = openSync(join(folder, "probe"), "w");
  try {
    const durations = Float64Array.from({ length: times }, () => {
      const start = performance.now();
      writeSync(file, new Uint8Array(4096));
      fdatasyncSync(file);
      return performance.now() - start;
    });
    return percentile(durations.sort(), 0.5);
  } finally {
    closeSync(file);
    rmSync(folder, { recursive: true, force: true });
  }
}
