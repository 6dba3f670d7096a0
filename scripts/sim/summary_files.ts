/**
 * Summaries of sweeps as JSON files, and the sum of several of them.
 *
 * @module
 */

import { readFileSync, writeFileSync } from "node:fs";
import { RARE_EVENTS, type RareEvent, type SimulationOptions } from "../../src/sim/mod.ts";
import { markdownReport, shortcomings } from "./report.ts";
import { addSummary, emptySummary, type Summary } from "./seeds.ts";

/** What a sweep was asked for. */
export interface Sweep {
  /** The first seed. */
  readonly from: number;
  /** How many seeds were to run. */
  readonly seeds: number;
  /** Options that held for every seed. */
  readonly options: Partial<SimulationOptions>;
}

/** A sweep that was written to a file. */
interface WrittenSweep {
  readonly path: string;
  readonly summary: Summary;
  /** Undefined in files of earlier versions. */
  readonly asked: Sweep | undefined;
}

/** Writes a summary to a file. */
export function writeSummary(path: string, summary: Summary, asked: Sweep, seconds: number): void {
  const coverage = Object.fromEntries(
    RARE_EVENTS.map((event, position) => [event, summary.coverage[position]]),
  );
  const { from, seeds, options } = asked;
  const written = { ...summary, coverage, seconds, asked: { from, seeds, options } };
  writeFileSync(path, `${JSON.stringify(written, null, 2)}\n`);
}

/**
 * The sum of sweeps that were written to files, as Markdown, and why a sweep of all their seeds would
 * have failed.
 *
 * @throws Error when a file cannot be read.
 */
export function mergeSummaries(paths: readonly string[]): { table: string; reasons: string[] } {
  const parts = paths.map(readSummary);
  const sum = emptySummary();
  for (const { summary } of parts) addSummary(sum, summary);
  const asked = parts.reduce((total, part) => total + (part.asked?.seeds ?? 0), 0);
  return { table: markdownReport(sum), reasons: [...shortcomings(sum, asked), ...overlaps(parts)] };
}

function readSummary(path: string): WrittenSweep {
  try {
    const { coverage, asked, ...summary } = JSON.parse(readFileSync(path, "utf8")) as
      & Omit<Summary, "coverage">
      & { coverage: Record<RareEvent, number>; asked?: Sweep };
    const counts = RARE_EVENTS.map((event) => coverage[event] ?? 0);
    return { path, summary: { ...summary, coverage: counts }, asked };
  } catch (cause) {
    throw new Error(`${path} must be the summary of a sweep: ${cause}`, { cause });
  }
}

/** The same seed of the same world counts once. */
function overlaps(parts: readonly WrittenSweep[]): string[] {
  const found: string[] = [];
  const earlier: { path: string; from: number; end: number; world: string }[] = [];
  for (const { path, summary, asked } of parts) {
    if (asked === undefined) {
      found.push(`${path} does not say which seeds it is of`);
      continue;
    }
    const { from } = asked;
    const end = from + summary.seeds;
    const world = JSON.stringify(asked.options);
    for (const other of earlier) {
      if (other.world !== world || end <= other.from || other.end <= from) continue;
      found.push(`${other.path} and ${path} are of the same seeds`);
    }
    earlier.push({ path, from, end, world });
  }
  return found;
}
