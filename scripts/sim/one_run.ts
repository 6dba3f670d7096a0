/**
 * One run: replayed with a readable trace, or shrunk.
 *
 * @module
 */

import { writeFileSync } from "node:fs";
import {
  historyToJson,
  shrink,
  simulate,
  type SimulationOptions,
  type SimulationResult,
} from "../../src/sim/mod.ts";
import { commandOf, type SimArguments } from "./arguments.ts";

/** Writes a line. */
export type Print = (line: string) => void;

/** Runs one seed as the command line says; returns the exit code: 0 when all is known to be well. */
export function oneRun(run: SimulationOptions, args: SimArguments, print: Print): number {
  if (args.shrink) return shrinkRun(run, args, print);
  const result = simulate({ ...run, trace: args.verbose ? print : undefined });
  if (args.history !== undefined) writeHistories(args.history, result);
  describe(result, print);
  return result.violation === undefined && !result.isUndecided ? 0 : 1;
}

/** A file a region, as each has keys and moments of its own. */
function writeHistories(path: string, { histories }: SimulationResult): void {
  histories.forEach((history, position) => {
    writeFileSync(position === 0 ? path : `${path}.${position + 1}`, historyToJson(history));
  });
}

function shrinkRun(run: SimulationOptions, args: SimArguments, print: Print): number {
  const shrunk = shrink(run);
  if (shrunk === undefined) {
    print(`seed ${run.seed} does not fail`);
    return 0;
  }
  const { options, result, runs } = shrunk;
  if (args.history !== undefined) writeHistories(args.history, result);
  describe(result, print);
  print(`after ${runs} runs, what is left: ${commandOf(options)} --verbose`);
  return 1;
}

function describe(result: SimulationResult, print: Print): void {
  const faults = result.faults.map(({ number, kind, timeUs }) =>
    `  ${String(number).padStart(4)} ${(timeUs / 1000).toFixed(3).padStart(10)} ms  ${kind}`
  );
  print(`seed ${result.seed}: ${result.steps} events, trace hash ${result.traceHash}`);
  if (faults.length > 0) print(`faults:\n${faults.join("\n")}`);
  print(verdict(result));
}

function verdict({ violation, isUndecided }: SimulationResult): string {
  if (violation !== undefined) return `FAILED ${violation.message}`;
  if (isUndecided) {
    return "UNDECIDED no violation found, but the check of linearizability was given up";
  }
  return "no violation";
}
