/**
 * Strikes the cluster with faults, many at a time, as a seed decides: from a deck in which every kind
 * is twice, but for those that take so long that they keep other faults away. In the first deck every
 * kind is once, and those that exclude each other come as soon as they can.
 *
 * @module
 */

import { Chance } from "../../src/sim/mod.ts";
import type { TortureCluster } from "./cluster.ts";
import { drawFault, type Fault, FAULT_KINDS, type FaultKind, MEMBERS } from "./faults.ts";

const GAP_MS_MIN = 200;
const GAP_MS_MAX = 2_200;

/** How long nodes may take to start and members to change, once nothing else is in their way. */
const HEALING_MS_MAX = 180_000;

/** Kinds of which only one is under way at a time. */
const EXCLUSIVE: readonly FaultKind[] = ["absence", "lost disk", "removal"];

/** Kinds that are rarer than others. */
const RARE: readonly FaultKind[] = [...EXCLUSIVE, "kill all"];

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
  /** Drawn, but another fault was in their way; back in the deck after the next one that was not. */
  #postponed: FaultKind[] = [];

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
   * Strikes for so long, and then on with kinds that have not come up; not once something happened that
   * should not have. All is healed when it resolves, or else the cluster has a problem more.
   */
  async run(durationMs: number): Promise<void> {
    const over = new AbortController();
    const { problems } = this.#cluster;
    const end = performance.now() + durationMs;
    while (problems.length === 0) {
      const gapMs = this.#chance.between(GAP_MS_MIN, GAP_MS_MAX);
      const leftMs = end - performance.now();
      if (leftMs < gapMs && this.#missing().length === 0) {
        await pause(Math.max(0, leftMs), over.signal);
        break;
      }
      if (leftMs < -HEALING_MS_MAX) problems.push(`there was no time for: ${this.#missing()}`);
      await pause(gapMs, over.signal);
      this.#strike(
        leftMs >= gapMs ? this.#draw() : this.#chance.pick(this.#missing()),
        over.signal,
      );
    }
    over.abort();
    const healed = await within(HEALING_MS_MAX, Promise.all(this.#underWay));
    if (!healed) problems.push(`not all is healed ${HEALING_MS_MAX} ms after the faults`);
  }

  /** The kinds that have not come up. */
  #missing(): FaultKind[] {
    return FAULT_KINDS.filter((kind) => this.counts[kind] === 0);
  }

  #strike(kind: FaultKind, over: AbortSignal): void {
    const fault = drawFault(kind, this.#chance, this.#cluster);
    if (fault.processes.some((id) => this.#busy.has(id))) {
      this.#postponed.push(kind);
      return;
    }
    this.#deck.push(...this.#postponed.splice(0));
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
      const healed = heal();
      if (fault.durationMs > 0) this.#log(`over: ${fault.text}`);
      await healed;
    } finally {
      for (const id of fault.processes) this.#busy.delete(id);
    }
  }

  /** The next kind from a shuffled deck. */
  #draw(): FaultKind {
    if (this.#deck.length === 0) {
      const kinds = FAULT_KINDS.filter((kind) => !this.#postponed.includes(kind));
      const again = kinds.filter((kind) => this.counts[kind] > 0 && !RARE.includes(kind));
      this.#deck = [...kinds, ...again];
    }
    const first = this.#busy.has(MEMBERS)
      ? []
      : this.#deck.filter((kind) => EXCLUSIVE.includes(kind) && this.counts[kind] === 0);
    const kind = this.#chance.pick(first.length > 0 ? first : this.#deck);
    this.#deck.splice(this.#deck.indexOf(kind), 1);
    return kind;
  }
}

/** Whether a promise resolves in time. */
async function within(milliseconds: number, promise: Promise<unknown>): Promise<boolean> {
  const inTime = new AbortController();
  promise = promise.finally(() => inTime.abort());
  await Promise.race([promise, pause(milliseconds, inTime.signal)]);
  return inTime.signal.aborted;
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
