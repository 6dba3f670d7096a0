/**
 * Runs a range of seeds in this process and sums up what happened.
 *
 * @module
 */

import { Coverage, RARE_EVENTS, simulate, type SimulationOptions } from "../../src/sim/mod.ts";
import { commandOf, runOfSeed } from "./arguments.ts";

/** A seed that broke a property. */
export interface FailedSeed {
  readonly seed: number;
  readonly message: string;
  /** The command that repeats it. */
  readonly command: string;
}

/** What became of some seeds. */
export interface Summary {
  seeds: number;
  events: number;
  /** Checks of linearizability that were given up. */
  undecided: number;
  /** Counts of `RARE_EVENTS`, in their order. */
  coverage: number[];
  /** Faults that struck, by kind. */
  faults: Record<string, number>;
  failed: FailedSeed[];
}

/** A summary of nothing. */
export function emptySummary(): Summary {
  const coverage = RARE_EVENTS.map(() => 0);
  return { seeds: 0, events: 0, undecided: 0, coverage, faults: {}, failed: [] };
}

/** Adds a summary to another. */
export function addSummary(sum: Summary, part: Summary): void {
  sum.seeds += part.seeds;
  sum.events += part.events;
  sum.undecided += part.undecided;
  const coverage = new Coverage();
  coverage.addAll(sum.coverage);
  coverage.addAll(part.coverage);
  sum.coverage = coverage.counts;
  for (const [kind, count] of Object.entries(part.faults)) {
    sum.faults[kind] = (sum.faults[kind] ?? 0) + count;
  }
  sum.failed.push(...part.failed);
}

/** Runs the seeds from `from` to `to - 1`. */
export function runSeeds(from: number, to: number, options: Partial<SimulationOptions>): Summary {
  const sum = emptySummary();
  for (let seed = from; seed < to; seed++) {
    const run = runOfSeed(seed, options);
    const result = simulate(run);
    const part = emptySummary();
    part.seeds = 1;
    part.events = result.steps;
    part.undecided = result.isUndecided ? 1 : 0;
    part.coverage = [...result.coverage];
    for (const { kind } of result.faults) part.faults[kind] = (part.faults[kind] ?? 0) + 1;
    if (result.violation !== undefined) {
      const { message } = result.violation;
      part.failed.push({ seed, message, command: commandOf(run) });
    }
    addSummary(sum, part);
  }
  return sum;
}
