/**
 * The command behind `deno task sim`.
 *
 * @module
 */

import { readFileSync, writeFileSync } from "node:fs";
import process from "node:process";
import { RARE_EVENTS, type RareEvent } from "../../src/sim/mod.ts";
import { HELP, parseSimArguments, runOfSeed, type SimArguments } from "./arguments.ts";
import { oneRun } from "./one_run.ts";
import {
  failureLines,
  fullReport,
  markdownReport,
  missedEvents,
  progressLine,
  SEEDS_FOR_RARE_EVENTS,
} from "./report.ts";
import { addSummary, emptySummary, type Summary } from "./seeds.ts";
import { sweep } from "./sweep.ts";

const PROGRESS_INTERVAL_SECONDS = 5;

/** Runs the command; returns its exit code. */
export async function main(args: readonly string[]): Promise<number> {
  let parsed: SimArguments;
  try {
    parsed = parseSimArguments(args);
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : error}\n\n${HELP}`);
    return 2;
  }
  if (parsed.help) {
    console.log(HELP);
    return 0;
  }
  if (parsed.merge !== undefined) {
    console.log(mergedTable(parsed.merge.map((path) => readSummary(path))));
    return 0;
  }
  if (parsed.seed !== undefined) {
    return oneRun(runOfSeed(parsed.seed, parsed.options), parsed, (line) => console.log(line));
  }
  return await runSweep(parsed);
}

async function runSweep(args: SimArguments): Promise<number> {
  let shown = 0;
  let seconds = 0;
  let failuresShown = 0;
  const ending = new AbortController();
  const end = (): void => ending.abort();
  process.once("SIGINT", end).once("SIGTERM", end);
  const report = (sum: Summary, elapsed: number): void => {
    seconds = elapsed;
    for (; failuresShown < sum.failed.length; failuresShown++) {
      console.log(failureLines(sum.failed[failuresShown]));
    }
    if (elapsed < shown + PROGRESS_INTERVAL_SECONDS) return;
    shown = elapsed;
    console.log(progressLine(sum, elapsed));
  };
  const summary = await sweep(args, report, ending.signal);
  process.off("SIGINT", end).off("SIGTERM", end);
  console.log(fullReport(summary));
  console.log(`\n${progressLine(summary, seconds)}, ${seconds.toFixed(0)} s`);
  if (args.json !== undefined) writeSummary(args.json, summary, seconds);
  const missed = missedEvents(summary);
  const mustReachAll = summary.seeds >= SEEDS_FOR_RARE_EVENTS;
  if (missed.length > 0) {
    console.log(`never reached: ${missed.join("; ")}`);
  }
  return summary.failed.length > 0 || (mustReachAll && missed.length > 0) ? 1 : 0;
}

/** Reads what `writeSummary` wrote. */
function readSummary(path: string): Summary {
  const { coverage, ...summary } = JSON.parse(readFileSync(path, "utf8")) as
    & Omit<Summary, "coverage">
    & { coverage: Record<RareEvent, number> };
  return { ...summary, coverage: RARE_EVENTS.map((event) => coverage[event] ?? 0) };
}

/** The sum of several sweeps as Markdown. */
function mergedTable(parts: readonly Summary[]): string {
  const sum = emptySummary();
  for (const part of parts) addSummary(sum, part);
  return markdownReport(sum);
}

function writeSummary(path: string, summary: Summary, seconds: number): void {
  const events = Object.fromEntries(
    RARE_EVENTS.map((event, position) => [event, summary.coverage[position]]),
  );
  writeFileSync(path, `${JSON.stringify({ ...summary, coverage: events, seconds }, null, 2)}\n`);
}
