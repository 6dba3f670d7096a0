/**
 * Makes a failing run smaller while it still breaks the same property: fewer faults, fewer steps, a
 * quieter world, fewer nodes and clients.
 *
 * @module
 */

import type { Environment } from "./environment.ts";
import { simulate, type SimulationOptions, type SimulationResult } from "./simulation.ts";

/** A failing run and how it fails. */
export interface Shrunk {
  /** The smallest options that still fail. */
  readonly options: SimulationOptions;
  /** What they come to. */
  readonly result: SimulationResult;
  /** Runs that were tried. */
  readonly runs: number;
}

/** Runs tried at most, by default. */
export const SHRINK_RUNS_MAX = 500;

const QUIETER: readonly Partial<Environment>[] = [
  { lossPerMille: 0 },
  { duplicatePerMille: 0 },
  { inOrder: true },
  { turnMaxUs: 0 },
  { batched: true },
  { limits: {} },
  { encodesMessages: false },
  { usesSessions: false },
  { sessionLimits: null },
];

/**
 * Shrinks a failing run. Returns undefined when it does not fail.
 *
 * @param runsMax runs tried at most.
 */
export function shrink(
  options: SimulationOptions,
  runsMax: number = SHRINK_RUNS_MAX,
): Shrunk | undefined {
  const result = simulate(options);
  if (result.violation === undefined) return undefined;
  return new Shrinking(options, result, runsMax).run();
}

class Shrinking {
  #options: SimulationOptions;
  #result: SimulationResult;
  #runs = 1;
  readonly #runsMax: number;

  constructor(options: SimulationOptions, result: SimulationResult, runsMax: number) {
    this.#options = options;
    this.#result = result;
    this.#runsMax = runsMax;
  }

  run(): Shrunk {
    this.#shortenSteps();
    this.#dropFaults();
    for (const quieter of QUIETER) {
      this.#try({ environment: { ...this.#options.environment, ...quieter } });
    }
    if ((this.#options.regions ?? 1) > 1) this.#try({ regions: 1 });
    if ((this.#options.nodes ?? 3) > 3) this.#try({ nodes: 3 });
    for (let clients = (this.#options.clients ?? 4) - 1; clients >= 0; clients--) {
      this.#try({ clients });
    }
    this.#dropFaults();
    this.#shortenSteps();
    return { options: this.#options, result: this.#result, runs: this.#runs };
  }

  /** Whether a run with these options still fails in the same way; it then takes the place. */
  #try(change: Partial<SimulationOptions>): boolean {
    if (this.#runs >= this.#runsMax) return false;
    this.#runs++;
    const options = { ...this.#options, ...change };
    const result = simulate(options);
    if (result.violation?.invariant !== this.#result.violation!.invariant) return false;
    this.#options = options;
    this.#result = result;
    return true;
  }

  #shortenSteps(): void {
    let step = this.#options.steps ?? this.#result.steps;
    if (this.#result.steps < step) {
      this.#try({ steps: this.#result.steps });
      step = this.#result.steps;
    }
    for (let cut = step >> 1; cut >= 8; cut >>= 1) {
      while (step - cut > 0 && this.#try({ steps: step - cut })) step -= cut;
    }
  }

  /** Leaves out faults: large parts first, then smaller ones, until each is needed. */
  #dropFaults(): void {
    let numbers = this.#result.faults.map((fault) => fault.number);
    if (numbers.length > 0 && this.#withOnly([])) return;
    for (let size = numbers.length >> 1; size >= 1; size >>= 1) {
      for (let start = 0; start < numbers.length;) {
        const rest = [...numbers.slice(0, start), ...numbers.slice(start + size)];
        if (this.#withOnly(rest)) numbers = rest;
        else start += size;
      }
    }
  }

  #withOnly(only: readonly number[]): boolean {
    return this.#try({ faults: { ...this.#options.faults, only } });
  }
}
