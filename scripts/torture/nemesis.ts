/**
 * Strikes the cluster with faults, many at a time, as a seed decides: from a deck in which every kind
 * is twice, but for those that take so long that they keep other faults away; in the first deck every
 * kind is once.
 *
 * @module
 */

import { Chance } from "../../src/sim/mod.ts";
import type { TortureCluster } from "./cluster.ts";
import { drawFault, type Fault, FAULT_KINDS, type FaultKind } from "./faults.ts";

const GAP_MS_MIN = 200;
const GAP_MS_MAX = 2_200;

/** How long a node may take to start, or members to change. */
const HEALING_MS_MAX = 150_000;

/** Kinds that are rarer than others. */
const RARE: readonly FaultKind[] = ["absence", "kill all", "lost disk", "removal"];

/** Chance is drawn in streams; clients have those from 0 on. */
const STREAM = 1_000_000;

/** Brings the faults. */
export class Nemesis {
  /** How many of each kind there were. */
  readonly counts: Record<FaultKind, number>;
  readonly #cluster: TortureCluster;
  readonly #chance: Chance;
  readonly #log: (text: string) => void;
  readonly #busy = new Set<number>();
  readonly #underWay = new Set<Promise<void>>();
  #deck: FaultKind[] = [];

  /** @param log gets every fault as a line. */
  constructor(cluster: TortureCluster, seed: number, log: (text: string) => void) {
    this.#cluster = cluster;
    this.#chance = new Chance(seed, STREAM);
    this.#log = log;
    this.counts = Object.fromEntries(FAULT_KINDS.map((kind) => [kind, 0])) as Record<
      FaultKind,
      number
    >;
  }

  /**
   * Strikes for so long, and on until each kind has come up; not once something happened that should
   * not have. All is healed when it resolves.
   */
  async run(durationMs: number): Promise<void> {
    const over = new AbortController();
    const end = performance.now() + durationMs;
    const isDue = () => FAULT_KINDS.some((kind) => this.counts[kind] === 0);
    while (this.#cluster.problems.length === 0) {
      const gapMs = this.#chance.between(GAP_MS_MIN, GAP_MS_MAX);
      const leftMs = end - performance.now();
      if (leftMs < gapMs && !isDue()) {
        await pause(Math.max(0, leftMs), over.signal);
        break;
      }
      await pause(gapMs, over.signal);
      this.#strike(over.signal);
    }
    over.abort();
    await Promise.all(this.#underWay);
  }

  #strike(over: AbortSignal): void {
    const kind = this.#draw();
    const fault = drawFault(kind, this.#chance, this.#cluster);
    if (fault.processes.some((id) => this.#busy.has(id))) {
      this.#deck.push(kind);
      return;
    }
    this.counts[kind]++;
    const underWay: Promise<void> = this.#carryOut(fault, over)
      .catch((error) => void this.#cluster.problems.push(`${fault.text}: ${error.stack}`))
      .finally(() => this.#underWay.delete(underWay));
    this.#underWay.add(underWay);
  }

  async #carryOut(fault: Fault, over: AbortSignal): Promise<void> {
    for (const id of fault.processes) this.#busy.add(id);
    try {
      this.#log(`${fault.text}${fault.durationMs > 0 ? `, for ${fault.durationMs} ms` : ""}`);
      const heal = await fault.begin(this.#cluster);
      await pause(fault.durationMs, over);
      const healing = Promise.resolve(heal());
      if (fault.durationMs > 0) this.#log(`over: ${fault.text}`);
      await within(HEALING_MS_MAX, healing);
    } finally {
      for (const id of fault.processes) this.#busy.delete(id);
    }
  }

  /** The next kind from a shuffled deck. */
  #draw(): FaultKind {
    if (this.#deck.length === 0) {
      const again = FAULT_KINDS.filter((kind) => this.counts[kind] > 0 && !RARE.includes(kind));
      this.#deck = [...FAULT_KINDS, ...again];
    }
    return this.#deck.splice(this.#chance.below(this.#deck.length), 1)[0];
  }
}

/** Waits for what must not take longer. @throws Error when it does. */
async function within(milliseconds: number, promise: Promise<unknown>): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    const error = new Error(`not healed after ${milliseconds} ms`);
    timer = setTimeout(() => reject(error), milliseconds);
  });
  try {
    await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Waits, but not longer than until `signal`. */
function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const end = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, milliseconds);
    signal.addEventListener("abort", end);
  });
}
