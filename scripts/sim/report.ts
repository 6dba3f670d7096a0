/**
 * How a sweep is shown.
 *
 * @module
 */

import { RARE_EVENTS } from "../../src/sim/mod.ts";
import type { FailedSeed, Summary } from "./seeds.ts";

/** Sweeps of fewer seeds may miss a rare event without being wrong. */
export const SEEDS_FOR_RARE_EVENTS = 5_000;

/** How many of a thousand checks of linearizability may be given up, where more than one is. */
const UNDECIDED_PER_MILLE = 2;

const FAILURES_SHOWN = 20;

/** One line about how far a sweep is. */
export function progressLine(summary: Summary, seconds: number): string {
  const { seeds, events, failed } = summary;
  return `${seeds} seeds, ${(seeds / seconds).toFixed(0)} seeds/s, ` +
    `${(events / seconds / 1000).toFixed(0)}k events/s, ${failed.length} failed`;
}

/** The rare events that a sweep never reached. */
export function missedEvents(summary: Summary): string[] {
  return RARE_EVENTS.filter((_, position) => summary.coverage[position] === 0);
}

/** Why a sweep that was to run so many seeds fails: nothing when all is well. */
export function shortcomings(summary: Summary, asked: number): string[] {
  const { seeds, undecided, failed } = summary;
  const found: string[] = [];
  if (failed.length > 0) found.push(`${failed.length} seeds broke a property`);
  if (seeds < asked) found.push(`${seeds} of ${asked} seeds ran`);
  if (undecided > 1 && undecided * 1000 > seeds * UNDECIDED_PER_MILLE) {
    found.push(`${undecided} checks of linearizability were given up: too many to say much`);
  }
  const missed = missedEvents(summary);
  if (seeds >= SEEDS_FOR_RARE_EVENTS && missed.length > 0) {
    found.push(`never reached: ${missed.join("; ")}`);
  }
  return found;
}

/** The table of rare events, the faults and the failures. */
export function fullReport(summary: Summary): string {
  const lines = ["", "rare event                                              times   a seed"];
  RARE_EVENTS.forEach((event, position) => {
    const count = summary.coverage[position];
    const perSeed = (count / Math.max(1, summary.seeds)).toFixed(3);
    lines.push(`${event.padEnd(52)}${String(count).padStart(9)}${perSeed.padStart(9)}`);
  });
  lines.push("", "fault                                                   times");
  for (const [kind, count] of Object.entries(summary.faults).sort()) {
    lines.push(`${kind.padEnd(52)}${String(count).padStart(9)}`);
  }
  lines.push("", `checks of linearizability given up: ${summary.undecided}`);
  for (const failed of summary.failed.slice(0, FAILURES_SHOWN)) {
    lines.push("", failureLines(failed));
  }
  return lines.join("\n");
}

/** The same as Markdown, for the documentation. */
export function markdownReport(summary: Summary): string {
  const { seeds, events, undecided, failed } = summary;
  const lines = [
    `${seeds} seeds, ${events} events, ${failed.length} violations, ${undecided} checks of ` +
    "linearizability given up.",
    "",
    "| rare event | times | a seed |",
    "| --- | ---: | ---: |",
  ];
  RARE_EVENTS.forEach((event, position) => {
    const count = summary.coverage[position];
    lines.push(`| ${event} | ${count} | ${(count / Math.max(1, seeds)).toFixed(3)} |`);
  });
  lines.push("", "| fault | times |", "| --- | ---: |");
  for (const [kind, count] of Object.entries(summary.faults).sort()) {
    lines.push(`| ${kind} | ${count} |`);
  }
  return lines.join("\n");
}

/** A failing seed, and the command that repeats it. */
export function failureLines({ message, command }: FailedSeed): string {
  return `FAILED ${message}\n  ${command} --verbose`;
}
