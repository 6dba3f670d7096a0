/**
 * The command behind `deno task sim`.
 *
 * @module
 */

import process from "node:process";
import { HELP, parseSimArguments, runOfSeed, type SimArguments } from "./arguments.ts";
import { oneRun } from "./one_run.ts";
import { failureLines, fullReport, missedEvents, progressLine, shortcomings } from "./report.ts";
import type { Summary } from "./seeds.ts";
import { mergeSummaries, writeSummary } from "./summary_files.ts";
import { sweep } from "./sweep.ts";

const PROGRESS_INTERVAL_SECONDS = 5;

/** Where the command prints. */
export type Output = Pick<Console, "log" | "error">;

/** Runs the command; returns its exit code. */
export async function main(args: readonly string[], output: Output = console): Promise<number> {
  let parsed: SimArguments;
  try {
    parsed = parseSimArguments(args);
  } catch (error) {
    output.error(`${error instanceof Error ? error.message : error}\n\n${HELP}`);
    return 2;
  }
  if (parsed.help) {
    output.log(HELP);
    return 0;
  }
  if (parsed.merge !== undefined) return merge(parsed.merge, output);
  if (parsed.seed !== undefined) {
    return oneRun(runOfSeed(parsed.seed, parsed.options), parsed, (line) => output.log(line));
  }
  return await runSweep(parsed, output);
}

async function runSweep(args: SimArguments, output: Output): Promise<number> {
  let shown = 0;
  let seconds = 0;
  let failuresShown = 0;
  const ending = new AbortController();
  const end = (): void => ending.abort();
  process.once("SIGINT", end).once("SIGTERM", end);
  const report = (sum: Summary, elapsed: number): void => {
    seconds = elapsed;
    for (; failuresShown < sum.failed.length; failuresShown++) {
      output.log(failureLines(sum.failed[failuresShown]));
    }
    if (elapsed < shown + PROGRESS_INTERVAL_SECONDS) return;
    shown = elapsed;
    output.log(progressLine(sum, elapsed));
  };
  const summary = await sweep(args, report, ending.signal);
  process.off("SIGINT", end).off("SIGTERM", end);
  output.log(fullReport(summary));
  output.log(`\n${progressLine(summary, seconds)}, ${seconds.toFixed(0)} s`);
  if (args.json !== undefined) writeSummary(args.json, summary, args, seconds);
  const reasons = shortcomings(summary, args.seeds);
  const missed = missedEvents(summary);
  if (reasons.length === 0 && missed.length > 0) {
    output.log(`not reached by so few seeds: ${missed.join("; ")}`);
  }
  return verdict(reasons, output);
}

function merge(paths: readonly string[], output: Output): number {
  try {
    const { table, reasons } = mergeSummaries(paths);
    output.log(table);
    return verdict(reasons, output);
  } catch (error) {
    output.error(error instanceof Error ? error.message : error);
    return 2;
  }
}

/** The exit code of a sweep. */
function verdict(reasons: readonly string[], output: Output): number {
  for (const reason of reasons) output.error(`FAILED: ${reason}`);
  return reasons.length > 0 ? 1 : 0;
}
