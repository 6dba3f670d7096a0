/**
 * Sends a snapshot of 1 GiB over gRPC to a follower with an empty log, cutting the connection three
 * times, while writes go on: `deno task snapshot:large [--mib N] [--cuts N] [--writers N]
 * [--json]`. Prints what the two processes took in memory, and the latency of writes before and during
 * the transfer.
 *
 * @module
 */

import process from "node:process";
import { parseArgs } from "node:util";
import { runLargeSnapshot } from "./snapshot_large/run.ts";

const { values } = parseArgs({
  options: {
    mib: { type: "string", default: "1024" },
    cuts: { type: "string", default: "3" },
    "value-bytes": { type: "string", default: "16384" },
    "before-ms": { type: "string", default: "5000" },
    writers: { type: "string", default: "8" },
    json: { type: "boolean", default: false },
  },
});
const report = await runLargeSnapshot({
  bytes: Number(values.mib) * 1024 * 1024,
  valueBytes: Number(values["value-bytes"]),
  cuts: Number(values.cuts),
  beforeMs: Number(values["before-ms"]),
  writers: Number(values.writers),
  log: (text) => console.error(text),
});
console.log(JSON.stringify(report, undefined, values.json ? undefined : 2));
if (!values.json) {
  const slower = report.during.writes.p99Ms / report.before.writes.p99Ms;
  console.log(`the 99th percentile of writes was ${slower.toFixed(2)} times what it was before`);
}
process.exit(report.equal ? 0 : 1);
