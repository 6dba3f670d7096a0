/**
 * The sweeps over crashes, lost writes, damage and failing calls, each with a small count; the tasks
 * `crash:sweep`, `disk:sweep`, `corruption:sweep` and `fault:sweep` run them at length.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { corruptionSweep } from "../../scripts/sweeps/corruption_sweep.ts";
import { crashSweep } from "../../scripts/sweeps/crash_sweep.ts";
import { diskSweep, followerDiskSweep, restartDiskSweep } from "../../scripts/sweeps/disk_sweep.ts";
import { faultSweep, hiddenFaults } from "../../scripts/sweeps/fault_sweep.ts";
import { fullDiskSweep, fullStoreSweep } from "../../scripts/sweeps/full_disk_sweep.ts";
import { installSweep } from "../../scripts/sweeps/install_sweep.ts";
import { spoolSweep } from "../../scripts/sweeps/spool_sweep.ts";
import { storeSweep } from "../../scripts/sweeps/store_sweep.ts";
import { straceMissing } from "../../scripts/sweeps/sweep.ts";

/** They start many processes: generous where the machine is busy. */
const SLOW = { timeout: 300_000 };

/** Every run is another one; a failure names its seed's place in the sweep. */
const seed = Date.now() % 1_000_000;

const skip = straceMissing();

test(
  "a node killed 25 times while it writes loses nothing, and applies everything once",
  SLOW,
  async () => {
    const report = await crashSweep(25, seed);
    assert.equal((report["kills, writer direct"] ?? 0) + (report["kills, writer worker"] ?? 0), 25);
    assert.ok(report["puts acknowledged"] > 100);
  },
);

test(
  "a follower killed while it installs a snapshot has the old state or the new, and catches up",
  SLOW,
  async () => {
    const report = await installSweep(2, seed);
    assert.equal(Object.values(report).reduce((sum, times) => sum + times, 0), 2);
  },
);

test(
  "a disk that lost un-synced writes opens with everything acknowledged",
  { ...SLOW, skip },
  async () => {
    const report = await diskSweep(60, seed);
    assert.ok(report["images that lack writes"] > 10);
    assert.ok(report["recorded events"] > 200);
  },
);

test(
  "damage to any page or frame is found, harmless, or in the last transaction",
  SLOW,
  async () => {
    const report = await corruptionSweep(1, seed);
    assert.ok(report["frame: found by open and verify"] > 50);
    assert.ok(report["page: found by open and verify"] > 0);
  },
);

test(
  "damage to any page or frame of the key-value store is found, or no answer is another one",
  SLOW,
  async () => {
    const report = await storeSweep(1, seed);
    assert.ok(report["store's page: found by open and verify"] > 10);
    assert.ok(report["store's page: found by a read of the open store"] > 5);
    assert.ok(report["store's frame: the log ends there; the node's goes on"] > 100);
  },
);

test(
  "damage to any block of a snapshot that has arrived is found, or no state comes of it",
  SLOW,
  async () => {
    const report = await spoolSweep(1, seed);
    const times = (found: RegExp) =>
      Object.entries(report).reduce(
        (sum, [what, count]) => found.test(what) ? sum + count : sum,
        0,
      );
    const targets = times(/found by verify and start, (STATE_MACHINE|SNAPSHOT_SPOOL)$/);
    assert.ok(targets > 10);
    assert.equal(times(/not needed, and sent anew$/), targets);
    assert.ok(times(/block: the node that runs stops, STATE_MACHINE$/) > 5);
    assert.equal(times(/the node that runs/), targets);
  },
);

test(
  "a follower goes on from a disk that lost un-synced writes of its log, its store and its snapshots",
  { ...SLOW, skip },
  async () => {
    const report = await followerDiskSweep(60, seed);
    assert.ok(report["follower's images that lack writes"] > 10);
    assert.ok(report["follower's images with a store behind its log"] > 10);
    assert.ok(report["follower's recorded events"] > 200);
  },
);

test(
  "a log and a store go on after a sync that failed and a kill, and lose nothing in a later power cut",
  { ...SLOW, skip },
  async () => {
    const report = await restartDiskSweep(40, seed);
    assert.ok(report["restarted log's images that lack writes"] > 5);
    assert.ok(report["restarted store's images that lack writes"] > 5);
  },
);

test("any call that fails ends in a correct state or a typed stop", { ...SLOW, skip }, async () => {
  const report = await faultSweep({ count: 16, seed });
  assert.ok(report["runs in which a call failed"] > 8);
});

test(
  "a database whose write-ahead log fails as it is opened, or that opens for reading only, is refused",
  { ...SLOW, skip },
  async () => {
    const found = await hiddenFaults();
    assert.equal(found.logCreation, "failed STORAGE_IO opening 0");
    assert.equal(found.storeCreation, "failed KV_STORAGE opening 0");
    assert.equal(found.lock, "failed STORAGE_READ_ONLY opening 0");
    assert.equal(found.log, "failed STORAGE_READ_ONLY opening 0");
    assert.equal(found.logRewriting, "failed STORAGE_IO opening");
    assert.equal(found.storeCheckpoint, "failed KV_STORAGE running");
  },
);

test("a disk of any size that runs full ends in a typed stop", SLOW, async () => {
  const report = await fullDiskSweep(3);
  assert.ok(report["STORAGE_FULL"] > 1);
});

test(
  "a store of any size that runs full ends in a typed stop, and goes on with more",
  SLOW,
  async () => {
    const report = await fullStoreSweep(2);
    assert.ok(report["KV_STORAGE"] > 5);
  },
);
