/** A large snapshot between two processes on the real parts, each with a memory of its own. */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import process from "node:process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { LargeSnapshotReport } from "../../scripts/snapshot_large/run.ts";

const PROGRAM = fileURLToPath(new URL("../../scripts/snapshot_large.ts", import.meta.url));
const TIMEOUT_MS = 280_000;

/**
 * Most bytes in buffers above idle, in MiB, garbage included: what the project promises. What a runtime
 * takes besides for its code and its heap once it works is printed, as it varies by as much.
 */
const BUFFERS_MIB_MAX = 64;

async function send(...options: string[]): Promise<LargeSnapshotReport> {
  const runs = process.versions.deno === undefined ? [] : ["run", "-A", "--no-check"];
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [...runs, PROGRAM, "--json", ...options],
    { timeout: TIMEOUT_MS, killSignal: "SIGKILL" },
  );
  return JSON.parse(stdout);
}

test(
  "a follower with an empty log gets a snapshot of 64 MiB over a connection that is cut three times",
  { timeout: TIMEOUT_MS + 20_000 },
  async () => {
    const report = await send("--mib", "64", "--value-bytes", "65536", "--before-ms", "1000");
    const { before, during, follower } = report;
    console.log(
      `64 MiB: memory above idle: ${during.process.aboveIdleMib} MiB sending, ` +
        `${follower.process.aboveIdleMib} MiB receiving; of it buffers ` +
        `${during.process.buffersAboveIdleMib} and ${follower.process.buffersAboveIdleMib}; 99th percentile of writes ` +
        `${before.writes.p99Ms} ms before, ${during.writes.p99Ms} ms during the transfer`,
    );
    assert.ok(report.equal, "the follower has exactly what the leader has");
    assert.ok(during.resumptions >= 3, `found ${during.resumptions} resumptions`);
    assert.ok(follower.snapshotIndex > 1_000);
    assert.ok(during.process.buffersAboveIdleMib <= BUFFERS_MIB_MAX, "memory of the sender");
    assert.ok(follower.process.buffersAboveIdleMib <= BUFFERS_MIB_MAX, "memory of the receiver");
    assert.ok(during.writes.count > 0, "writes went on");
  },
);
