/** The bounds that `deno task snapshot:large` holds a run against. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type BoundedReport, exceededBounds } from "../../scripts/snapshot_large/bounds.ts";

const process = {
  aboveIdleMib: 0,
  buffersAboveIdleMib: 0,
  highest: { residentMib: 0, heapMib: 0, buffersMib: 0 },
  longestBlockMs: 0,
  cpuMs: 0,
};

function report(
  sendingP99Ms: number,
  installingP99Ms: number,
  senderMib: number,
  receiverMib: number,
  count = 1000,
): BoundedReport {
  const writes = (p99Ms: number) => ({ writes: { count, p50Ms: 1, p99Ms }, process });
  return {
    before: writes(10),
    sending: { ...writes(sendingP99Ms), forMs: 1, resumptions: 3 },
    installing: { ...writes(installingP99Ms), forMs: 1 },
    sender: { aboveLoadMib: senderMib },
    receiver: { aboveLoadMib: receiverMib },
  };
}

test("a run at the bounds of a large snapshot keeps them", () => {
  assert.deepEqual(exceededBounds(report(30, 30, 64, 64), true), []);
});

test("every bound of a large snapshot that a run does not keep is named", () => {
  assert.deepEqual(exceededBounds(report(30.1, 31, 65, 66), true), [
    "the sender took 65 MiB above the same load without a transfer, more than 64",
    "the receiver took 66 MiB above the same load without a transfer, more than 64",
    "sending: the 99th percentile of writes was 30.1 ms, 3.01 times the 10 ms before, more than 3 times",
    "installing: the 99th percentile of writes was 31 ms, 3.10 times the 10 ms before, more than 3 times",
  ]);
});

test("memory does not count where it is not bounded, nor latency where nobody writes", () => {
  assert.deepEqual(exceededBounds(report(99, 99, 99, 99, 0), false), []);
});
