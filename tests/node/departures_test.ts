/** When a leader's core learns that a streamed snapshot has arrived. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { createMessage, SILENT_LOGGER } from "../../src/raft/mod.ts";
import { type DepartureRegion, SnapshotDepartures } from "../../src/node/snapshots/departures.ts";
import type { SnapshotOutcome, Transport } from "../../src/transport/contract.ts";

const MIB = 1024 * 1024;
const METADATA = {
  index: 7,
  term: 2,
  confState: {
    voters: [1, 2],
    learners: [],
    votersOutgoing: [],
    learnersNext: [],
    autoLeave: false,
  },
};
const REQUEST = createMessage({
  type: "snapshot",
  from: 1,
  to: 2,
  term: 2,
  snapshot: { metadata: METADATA, data: new Uint8Array(0) },
});

/** A region whose peer 2 gets a snapshot of `bytes` at once. */
function sendTo(hears: () => boolean, bytes: number) {
  const told: boolean[] = [];
  const region: DepartureRegion = {
    regionId: 1,
    leadsIn: () => true,
    hasPeer: () => true,
    hears,
    openSnapshot: () => ({ metadata: METADATA, chunks: (async function* () {})() }),
    sent: (_peerId, ok) => void told.push(ok),
  };
  const outcome: SnapshotOutcome = { ok: true, bytes };
  const transport = {
    sendSnapshot: () => ({
      done: Promise.resolve(outcome),
      progress: () => ({ readBytes: bytes, storedBytes: bytes, resumptions: 0 }),
      abort() {},
    }),
  } as unknown as Transport;
  const departures = new SnapshotDepartures(transport, () => 2, 1, SILENT_LOGGER);
  departures.request(region, REQUEST);
  return { departures, region, told };
}

test("a small snapshot has arrived at once", async () => {
  const { told } = sendTo(() => true, 1000);
  await Promise.resolve();
  assert.deepEqual(told, [true]);
});

test("a large snapshot is not told to have arrived while its peer installs it", async () => {
  const { departures, told } = sendTo(() => true, 4 * MIB);
  await Promise.resolve();
  for (let tick = 0; tick < 31; tick++) departures.tick();
  assert.deepEqual(told, []);
  departures.tick();
  assert.deepEqual(told, [true], "in the end, as a peer that was started anew says nothing");
});

test("the largest snapshot is told to have arrived after 600 ticks", async () => {
  const { departures, told } = sendTo(() => true, 4096 * MIB);
  await Promise.resolve();
  for (let tick = 0; tick < 599; tick++) departures.tick();
  assert.deepEqual(told, []);
  departures.tick();
  assert.deepEqual(told, [true]);
});

test("a large snapshot has arrived once its peer falls silent", async () => {
  const { departures, told } = sendTo(() => false, 64 * MIB);
  await Promise.resolve();
  for (let tick = 0; tick < 4; tick++) departures.tick();
  assert.deepEqual(told, []);
  departures.tick();
  assert.deepEqual(told, [true]);
});

test("a new snapshot for the peer takes the place of what is to be told of the last", async () => {
  const { departures, region, told } = sendTo(() => true, 4 * MIB);
  await Promise.resolve();
  departures.tick();
  departures.request(region, createMessage({ ...REQUEST, term: 3 }));
  await Promise.resolve();
  for (let tick = 0; tick < 31; tick++) departures.tick();
  assert.deepEqual(told, [], "the time of the second began anew");
  departures.tick();
  assert.deepEqual(told, [true]);
});
