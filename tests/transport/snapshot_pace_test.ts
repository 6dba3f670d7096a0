/** How fast a snapshot is read: within the limit, and with rests between. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { SnapshotPace } from "../../src/transport/snapshot_pace.ts";

/** A clock that stands still but for what is added to it; rests do not move it. */
class Clock {
  ms = 0;
  readonly now = (): number => this.ms;
}

test("a turn is over once it has worked for half a millisecond, and waiting is no work", async () => {
  const clock = new Clock();
  const pace = new SnapshotPace(2 ** 30, clock.now);
  pace.work(() => clock.ms += 0.4);
  clock.ms += 50;
  assert.equal(pace.isDue, false);
  pace.work(() => clock.ms += 0.1);
  assert.equal(pace.isDue, true);
  await pace.rest(1);
  assert.equal(pace.isDue, false);
});

test("a turn rests as long as its bytes may take, and four times as long as it worked", async () => {
  const rested = async (bytesPerSecondMax: number, bytes: number, workMs: number) => {
    let worked = 0;
    // Of the real clock, but for the work.
    const pace = new SnapshotPace(bytesPerSecondMax, () => performance.now() + worked);
    pace.work(() => worked += workMs);
    const start = performance.now();
    await pace.rest(bytes);
    return performance.now() - start;
  };
  // Timers may fire up to a millisecond early.
  assert.ok(await rested(1_000_000, 50_000, 0) >= 48, "50 KB at 1 MB/s take 50 ms");
  assert.ok(await rested(2 ** 30, 1, 10) >= 38, "10 ms of work ask for 40 ms");
});

test("what is read over many turns stays below the limit", async () => {
  const pace = new SnapshotPace(1_000_000, () => performance.now());
  const start = performance.now();
  for (let turn = 0; turn < 20; turn++) await pace.rest(5_000);
  assert.ok(performance.now() - start >= 90, "100 KB at 1 MB/s take 100 ms");
});
