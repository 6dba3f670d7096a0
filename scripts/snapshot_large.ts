/**
 * Sends a snapshot of 1 GiB over gRPC to a follower with an empty log, cutting the connection three
 * times, while writes go on: `deno task snapshot:large`. Prints what the two processes took in memory, for
 * how long their event loops stood still, and the latency of writes before and during the transfer. Ends
 * with 1, and says why, where the follower has not the same, or a bound of memory or latency is not kept.
 *
 * @module
 */

import process from "node:process";
import { integer, readCommandLine } from "./command_line.ts";
import { exceededBounds } from "./snapshot_large/bounds.ts";
import { runLargeSnapshot } from "./snapshot_large/run.ts";

const USAGE = `deno task snapshot:large [options]

  --mib N          how large the snapshot is (default 1024)
  --value-bytes N  how large the values in it are (default 16384)
  --cuts N         how often the connection is cut (default 3)
  --writers N      how many clients write meanwhile (default 8)
  --before-ms N    how long they write before, and in each load of the control (default 5000)
  --loads N        at most so many loads of the control, until memory grows no more (default 6)
  --json           print the report in one line, and nothing else; no bound is checked but that the
                   follower has the same
`;

const OPTIONS = {
  options: {
    mib: { type: "string", default: "1024" },
    "value-bytes": { type: "string", default: "16384" },
    cuts: { type: "string", default: "3" },
    writers: { type: "string", default: "8" },
    "before-ms": { type: "string", default: "5000" },
    loads: { type: "string", default: "6" },
    json: { type: "boolean", default: false },
  },
} as const;

const { json, ...options } = readCommandLine(USAGE, OPTIONS, ({ values }) => ({
  json: values.json,
  bytes: integer("mib", values.mib, 1, 1024 * 1024) * 1024 * 1024,
  valueBytes: integer("value-bytes", values["value-bytes"], 1, 1024 * 1024),
  cuts: integer("cuts", values.cuts, 0, 1000),
  writers: integer("writers", values.writers, 0, 1000),
  beforeMs: integer("before-ms", values["before-ms"], 1),
  loads: integer("loads", values.loads, 1),
}));
const report = await runLargeSnapshot({ ...options, log: (text) => console.error(text) });
console.log(JSON.stringify(report, undefined, json ? undefined : 2));
if (!json) {
  const { sender, receiver, before, sending, installing, catchingUp } = report;
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
  const blocks = { before, sending, installing, "catching up": catchingUp };
  for (const [phase, { process }] of Object.entries(blocks)) {
    console.log(
      `${phase}: the leader's event loop stood still for ${process.longestBlockMs} ms at most`,
    );
  }
  console.log(
    `the follower's event loop stood still for ${report.installed.longestBlockMs} ms at most until it had ` +
      `installed it, and for ${report.follower.process.longestBlockMs} ms while it caught up`,
  );
}
const failures = json ? [] : exceededBounds(report, process.versions.bun === undefined);
if (!report.equal) failures.push("the follower has not the same as the leader");
for (const failure of failures) console.error(`FAILED: ${failure}`);
process.exit(failures.length === 0 ? 0 : 1);
