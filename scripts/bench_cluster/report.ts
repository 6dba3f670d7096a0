/**
 * The figures as a table for a terminal, and as the Markdown that `docs/performance.md` holds.
 *
 * @module
 */

import type { Measurement, SystemResult } from "./benchmark.ts";

interface Column {
  readonly title: string;
  readonly cell: (measurement: Measurement) => string;
}

const COLUMNS: readonly Column[] = [
  { title: "load", cell: ({ operation }) => `${operation}s` },
  { title: "clients", cell: ({ clients }) => String(clients) },
  { title: "a second", cell: ({ callsPerSecond }) => count(callsPerSecond) },
  { title: "50 % ms", cell: ({ medianMs }) => fixed(medianMs, 1) },
  { title: "99 % ms", cell: ({ percentile99Ms }) => fixed(percentile99Ms, 1) },
  { title: "CPU s per 1,000", cell: ({ serverSecondsPer1000 }) => fixed(serverSecondsPer1000, 3) },
  { title: "cores", cell: ({ serverCores }) => fixed(serverCores, 2) },
  { title: "load's cores", cell: ({ loadCores }) => fixed(loadCores, 2) },
];

const BATCHING_COLUMNS: readonly Column[] = [
  { title: "entries a proposal", cell: ({ batching }) => fixed(batching?.entriesPerProposal, 1) },
  {
    title: "entries a transaction",
    cell: ({ batching }) => fixed(batching?.entriesPerTransaction, 1),
  },
  { title: "messages a frame", cell: ({ batching }) => fixed(batching?.messagesPerFrame, 1) },
  { title: "reads a round", cell: ({ batching }) => fixed(batching?.readsPerRound, 1) },
];

const ALL_COLUMNS = [...COLUMNS, ...BATCHING_COLUMNS];

/** The heading of the table for a terminal. */
export function headingLine(): string {
  return ALL_COLUMNS.map(({ title }) => title.padStart(width(title))).join("  ");
}

/** One line of it. */
export function measurementLine(measurement: Measurement): string {
  const line = ALL_COLUMNS
    .map(({ title, cell }) => cell(measurement).padStart(width(title))).join("  ");
  const { failed, firstFailure } = measurement;
  return failed === 0 ? line : `${line}  (${failed} calls failed, the first: ${firstFailure})`;
}

/** Everything as Markdown: `machine` says what it ran on. */
export function markdown(machine: string, results: readonly SystemResult[]): string {
  const parts = [`${machine}\n`];
  for (const { system, measurements, pairsVerified } of results) {
    const counted = measurements.some(({ batching }) => batching !== undefined);
    const columns = counted ? ALL_COLUMNS : COLUMNS;
    parts.push(
      `### ${system}\n`,
      row(columns.map(({ title }) => title)),
      row(columns.map(({ title }, at) => at === 0 ? "---" : `${"-".repeat(title.length - 1)}:`)),
      ...measurements.map((one) => row(columns.map(({ cell }) => cell(one)))),
      `\n${count(pairsVerified)} pairs were read back from the members and were right.\n`,
    );
  }
  return parts.join("\n");
}

function row(cells: readonly string[]): string {
  return `| ${cells.join(" | ")} |`;
}

function width(title: string): number {
  return Math.max(title.length, 7);
}

function count(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}

/** Ratios and times; a dash where there is nothing to show. */
function fixed(value: number | undefined, digits: number): string {
  return value === undefined || Number.isNaN(value) ? "–" : value.toFixed(digits);
}
