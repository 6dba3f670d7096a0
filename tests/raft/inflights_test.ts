/** The in-flight window against a plain queue. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Inflights, RaftInvariantError } from "../../src/raft/mod.ts";

type Step = { readonly add: number; readonly size: number } | { readonly free: number } | "reset";

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      add: fc.integer({ min: 0, max: 3 }),
      size: fc.integer({ min: 0, max: 40 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ free: fc.double({ min: 0, max: 1.1, noNaN: true }) }) },
  { weight: 1, arbitrary: fc.constant("reset" as const) },
);

test("the window behaves as a plain queue with limits on count and bytes", () => {
  const limits = fc.tuple(
    fc.constantFrom(1, 3, 200),
    fc.constantFrom(50, 1000, Infinity),
  );
  fc.assert(
    fc.property(limits, fc.array(step, { maxLength: 400 }), ([countMax, bytesMax], steps) => {
      const window = new Inflights(countMax, bytesMax);
      let queue: { index: number; size: number }[] = [];
      let last = 0;
      for (const what of steps) {
        const bytes = queue.reduce((sum, item) => sum + item.size, 0);
        const isFull = queue.length >= countMax || bytes >= bytesMax;
        assert.equal(window.isFull(), isFull);
        assert.equal(window.count, queue.length);
        assert.equal(window.bytes, bytes);
        if (what === "reset") {
          window.reset();
          queue = [];
        } else if ("free" in what) {
          const first = queue[0]?.index ?? last;
          const upTo = Math.round(first - 1 + (last - first + 2) * what.free);
          window.freeUpTo(upTo);
          queue = queue.filter((item) => item.index > upTo);
        } else if (isFull) {
          assert.throws(() => window.add(last + what.add, what.size), RaftInvariantError);
        } else {
          last += what.add;
          window.add(last, what.size);
          queue.push({ index: last, size: what.size });
        }
      }
    }),
    { numRuns: 300 },
  );
});

test("the message that crosses the byte limit still fits", () => {
  const window = new Inflights(10, 100);
  window.add(1, 99);
  assert.equal(window.isFull(), false);
  window.add(2, 1000);
  assert.equal(window.isFull(), true);
});

test("an acknowledgement releases all messages before it as well", () => {
  const window = new Inflights(3, Infinity);
  for (const index of [5, 9, 12]) window.add(index, 10);
  window.freeUpTo(4);
  assert.equal(window.count, 3);
  window.freeUpTo(9);
  assert.deepEqual([window.count, window.bytes], [1, 10]);
});

test("a long-lived window keeps its memory bounded and its order", () => {
  const window = new Inflights(1000, Infinity);
  for (let i = 1; i <= 100_000; i++) {
    window.add(i, 1);
    if (i > 500) window.freeUpTo(i - 500);
  }
  assert.deepEqual([window.count, window.bytes], [500, 500]);
  window.freeUpTo(100_000);
  assert.deepEqual([window.count, window.bytes], [0, 0]);
});
