/** `Peer` in a world of seeded faults: safe whatever happens, live when it stops, always the same. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { World, type WorldOptions } from "./peer_world.ts";

const STEPS = 2_500;
/** On a busy machine; usually about a second. */
const LONG = { timeout: 60_000 };

async function run(options: WorldOptions): Promise<World> {
  const world = new World(options);
  for (let step = 0; step < STEPS; step++) world.step();
  await world.finish();
  return world;
}

/** Runs many seeds; a failure names its seed. Returns what happened in all of them. */
async function sweep(seeds: number, options: Omit<WorldOptions, "seed">) {
  const counts: Record<string, number> = { acknowledged: 0 };
  for (let seed = 0; seed < seeds; seed++) {
    try {
      const world = await run({ seed, ...options });
      counts.acknowledged += world.acknowledged.size;
      for (const [what, count] of Object.entries(world.counts)) {
        counts[what] = (counts[what] ?? 0) + count;
      }
    } catch (error) {
      throw new Error(`seed ${seed}`, { cause: error });
    }
  }
  return counts;
}

function assertReached(counts: Record<string, number>, events: readonly string[]): void {
  for (const event of events) {
    assert.ok((counts[event] ?? 0) > 0, `${event} never happened: ${JSON.stringify(counts)}`);
  }
}

test("without faults every proposal is acknowledged and every read answered", LONG, async () => {
  const world = await run({ seed: 1 });
  assertReached({ ...world.counts, acknowledged: world.acknowledged.size }, [
    "acknowledged",
    "reads",
  ]);
});

test("lost, repeated and reordered messages break nothing", LONG, async () => {
  const counts = await sweep(15, { lose: 100, repeat: 100 });
  assertReached(counts, ["acknowledged", "reads", "repeatedProposals", "TIMED_OUT", "lost"]);
});

test("crashes at any step break nothing", LONG, async () => {
  const counts = await sweep(15, { lose: 30, repeat: 50, crash: 6 });
  assertReached(counts, ["acknowledged", "reads", "STOPPED", "crashes", "repeatedProposals"]);
});

test("what is rejected as dropped never takes effect", LONG, async () => {
  const counts = await sweep(15, { lose: 100, repeat: 100, crash: 3, repeatDropped: false });
  assertReached(counts, ["acknowledged", "DROPPED", "STALE_PROPOSAL"]);
});

test("configuration changes are stored before any state machine passes them", LONG, async () => {
  const counts = await sweep(15, {
    peers: 4,
    lose: 30,
    repeat: 50,
    crash: 6,
    changeConfiguration: true,
  });
  assertReached(counts, ["acknowledged", "configurations", "crashes"]);
});

test("the same seed makes the same run", LONG, async () => {
  const options = { seed: 7, lose: 50, repeat: 50, crash: 4, changeConfiguration: true };
  const first = await run(options);
  const second = await run(options);
  assert.equal(first.trace, second.trace);
  const other = await run({ ...options, seed: 8 });
  assert.notEqual(other.trace, first.trace);
});
