/**
 * Strikes the cluster with faults, many at a time, as a seed decides: from a deck in which every kind
 * is twice, but for the end of all processes, as the time to start them all is lost for other faults;
 * in the first deck every kind is once.
 *
 * @module
 */

import { Chance } from "../../src/sim/mod.ts";
import type { TortureCluster } from "./cluster.ts";
import { drawFault, type Fault, FAULT_KINDS, type FaultKind } from "./faults.ts";

const GAP_MS_MIN = 200;
const GAP_MS_MAX = 2_200;

/** How long a node may take to start before faults go on, or the rest begins. */
const HEALING_MS_MAX = 60_000;

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
      const healed = new AbortController();
      void Promise.resolve(heal()).finally(() => healed.abort());
      if (fault.durationMs > 0) this.#log(`over: ${fault.text}`);
      await pause(HEALING_MS_MAX, healed.signal);
    } finally {
      for (const id of fault.processes) this.#busy.delete(id);
    }
  }

  /** The next kind from a shuffled deck. */
  #draw(): FaultKind {
    if (this.#deck.length === 0) {
      const again = FAULT_KINDS.filter((kind) => this.counts[kind] > 0 && kind !== "kill all");
      this.#deck = [...FAULT_KINDS, ...again];
    }
    return this.#deck.splice(this.#chance.below(this.#deck.length), 1)[0];
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
