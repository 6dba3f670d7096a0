/**
 * Sends a snapshot of 1 GiB over gRPC to a follower with an empty log, cutting the connection three
 * times, while writes go on: `deno task snapshot:large`. Prints what the two processes took in memory,
 * and the latency of writes before and during the transfer. Options, with their defaults:
 *
 * - `--mib 1024`: the size of the snapshot; `--value-bytes 16384`: that of the values in it;
 * - `--cuts 3`: how often the connection is cut;
 * - `--writers 8`: how many clients write; none with 0;
 * - `--before-ms 5000`: how long they write before the transfer, and in each load of the control;
 * - `--loads 6`: at most so many loads of the control are measured, until memory grows no more;
 * - `--json`: prints the report in one line, and nothing else.
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
    loads: { type: "string", default: "6" },
    writers: { type: "string", default: "8" },
    json: { type: "boolean", default: false },
  },
});
const report = await runLargeSnapshot({
  bytes: Number(values.mib) * 1024 * 1024,
  valueBytes: Number(values["value-bytes"]),
  cuts: Number(values.cuts),
  beforeMs: Number(values["before-ms"]),
  loads: Number(values.loads),
  writers: Number(values.writers),
  log: (text) => console.error(text),
});
console.log(JSON.stringify(report, undefined, values.json ? undefined : 2));
if (!values.json) {
  const { sender, receiver, before, sending, installing } = report;
  for (const [who, memory] of Object.entries({ sender, receiver })) {
    console.log(
      `${who}: ${memory.aboveIdleMib} MiB above idle, ${memory.aboveLoadMib} MiB above the same load ` +
        `without a transfer, which took ${memory.loadAboveIdleMib} MiB; ` +
        `${memory.catchingUpAboveIdleMib} MiB above idle while the follower caught up`,
    );
  }
  const { p99Ms } = before.writes;
  for (const [phase, { writes, forMs }] of Object.entries({ sending, installing })) {
    const latency = writes.count === 0 ? "" : `; 99th percentile of writes ${writes.p99Ms} ms, ` +
      `${(writes.p99Ms / p99Ms).toFixed(2)} times the ${p99Ms} ms before`;
    console.log(`${phase}: ${forMs} ms${latency}`);
  }
}
process.exit(report.equal ? 0 : 1);
