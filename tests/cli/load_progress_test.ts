/** The lines that say how far a load is. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { initialLoadState } from "../../src/cli/load_pump.ts";
import { count, duration, LoadProgress } from "../../src/cli/load_progress.ts";

test("a line shows the share, the rate and the remaining time", () => {
  const progress = new LoadProgress(1000, 0);
  const state = { ...initialLoadState(), acknowledged: 5000, inputBytes: 250 };
  assert.equal(progress.line(state, 2000), "25 %, 5,000 keys, 2,500 keys/s, 6.0 s left");
});

test("the rate is that of the last seconds", () => {
  const progress = new LoadProgress(undefined, 0);
  const state = initialLoadState();
  for (let second = 1; second <= 10; second++) {
    state.acknowledged += 1000;
    progress.line(state, second * 1000);
  }
  assert.equal(progress.line(state, 15_000), "10,000 keys, 0 keys/s");
});

test("retries and failures appear once there are any", () => {
  const progress = new LoadProgress(undefined, 0);
  const state = { ...initialLoadState(), acknowledged: 10, retried: 3, failed: 1 };
  assert.equal(progress.line(state, 1000), "10 keys, 10 keys/s, 3 retries, 1 failed");
  assert.equal(
    progress.summary(state, 4000),
    "10 keys acknowledged in 4.0 s (3 keys/s), 3 retries, 1 failed",
  );
});

test("numbers and time spans are written for people", () => {
  assert.deepEqual([0, 999, 1000, 1234567].map(count), ["0", "999", "1,000", "1,234,567"]);
  assert.deepEqual(
    [0, 9_900, 10_000, 59_000, 61_000, 7_500_000].map(duration),
    ["0.0 s", "9.9 s", "10 s", "59 s", "1 min 1 s", "2 h 5 min"],
  );
});
