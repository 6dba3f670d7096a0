/**
 * What a transfer may take: the bounds that the project promises, held against a report.
 *
 * @module
 */

import type { LargeSnapshotReport } from "./run.ts";

/** Most memory of either process beyond what the same writes take without a transfer, in MiB. */
const ABOVE_LOAD_MIB_MAX = 64;

/** Most that the 99th percentile of writes may grow. */
const P99_GROWTH_MAX = 3;

/** What a report is held against. */
export type BoundedReport =
  & Pick<LargeSnapshotReport, "before" | "sending" | "installing">
  & { readonly [side in "sender" | "receiver"]: { readonly aboveLoadMib: number } };

/**
 * The bounds that a run did not keep, each as a sentence.
 *
 * @param boundsMemory whether memory counts: the engine of Bun counts as in use what it has not come to
 *   collect, and cannot be told to hold little of it.
 */
export function exceededBounds(report: BoundedReport, boundsMemory: boolean): string[] {
  const failures: string[] = [];
  const { sender, receiver, before, sending, installing } = report;
  for (const [who, { aboveLoadMib }] of Object.entries({ sender, receiver })) {
    if (!boundsMemory || aboveLoadMib <= ABOVE_LOAD_MIB_MAX) continue;
    failures.push(
      `the ${who} took ${aboveLoadMib} MiB above the same load without a transfer, more than ` +
        `${ABOVE_LOAD_MIB_MAX}`,
    );
  }
  for (const [phase, { writes }] of Object.entries({ sending, installing })) {
    if (before.writes.count === 0 || writes.count === 0) continue;
    const growth = writes.p99Ms / before.writes.p99Ms;
    if (growth <= P99_GROWTH_MAX) continue;
    failures.push(
      `${phase}: the 99th percentile of writes was ${writes.p99Ms} ms, ${
        growth.toFixed(2)
      } times the ` +
        `${before.writes.p99Ms} ms before, more than ${P99_GROWTH_MAX} times`,
    );
  }
  return failures;
}
