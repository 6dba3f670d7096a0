/** A large snapshot between two processes on the real parts. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { runLargeSnapshot } from "../../scripts/snapshot_large/run.ts";

const MIB = 1024 * 1024;

test(
  "a follower with an empty log gets a snapshot of 64 MiB over a connection that is cut three times",
  { timeout: 300_000 },
  async () => {
    const report = await runLargeSnapshot({
      bytes: 64 * MIB,
      valueBytes: 64 * 1024,
      cuts: 3,
      beforeMs: 1_000,
      log: () => {},
    });
    console.log(
      `64 MiB: memory above idle: ${report.leaderMemoryMib} MiB sending, ` +
        `${report.followerMemoryMib} MiB receiving; 99th percentile of writes ` +
        `${report.before.p99Ms} ms before, ${report.during.p99Ms} ms during the transfer`,
    );
    assert.ok(report.equal, "the follower has exactly what the leader has");
    assert.ok(report.resumptions >= 3, `found ${report.resumptions} resumptions`);
    assert.ok(report.snapshotIndex > 1_000);
    // Far below what the state takes several times; the exact figures are the task's.
    assert.ok(report.leaderMemoryMib < 192 && report.followerMemoryMib < 192);
    assert.ok(report.during.count > 0, "writes went on");
  },
);
