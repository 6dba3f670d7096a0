import assert from "node:assert/strict";
import { test } from "node:test";
import { runSeeds } from "../../scripts/sim/seeds.ts";
import { Coverage, RARE_EVENTS, type SimulationOptions } from "../../src/sim/mod.ts";

const SEEDS = 500;
/** What 500 seeds reach for certain, as they reach each many times over. */
const OFTEN = 20;

test("500 seeds of 3 and 5 nodes keep every promise, with three elections each on average", () => {
  const summary = runSeeds(0, SEEDS, {});
  assert.deepEqual(summary.failed, []);
  assert.equal(summary.seeds, SEEDS);
  assert.equal(summary.undecided, 0);
  assert.ok(summary.events >= 2000 * SEEDS, `only ${summary.events} events`);
  const coverage = new Coverage();
  coverage.addAll(summary.coverage);
  assert.ok(coverage.get("elections") >= 3 * SEEDS, `${coverage.get("elections")} elections`);
  const reached = RARE_EVENTS.filter((event) => coverage.get(event) >= OFTEN).length;
  assert.ok(reached >= RARE_EVENTS.length * 0.8, `only ${reached} rare events reached often`);
  console.log(`${summary.events} events, ${coverage.get("elections")} elections`);
});

/** A world of three nodes whose disks stall while their members are replaced one after the other. */
const REPLACING: Partial<SimulationOptions> = {
  nodes: 3,
  regions: 1,
  steps: 2000,
  faults: {
    intervalUs: 12_000,
    weights: {
      "disk-stall": 4,
      "slow-machine": 1,
      "add-learner": 5,
      "promote": 1,
      "replace": 8,
      "remove": 1,
      "compact": 2,
    },
  },
  environment: {
    recordsMembers: true,
    streamsSnapshots: true,
    beginsAsLearner: true,
    checkpointPerMille: 900,
    thinkMaxUs: 15_000,
    delayMinUs: 300,
    diskMinUs: 200,
    diskMaxUs: 1_500,
    applyMaxUs: 3_000,
  },
};

/**
 * Runs that once broke a promise, with what it was. Smoke tests: worlds have changed since, and a seed
 * need not reach its old situation any more. What 671 showed is a rule of the mutation task, what 80
 * showed is held by `tests/node/overtaken_changes_test.ts`; the others were flaws of the simulator.
 */
const REGRESSIONS: readonly (readonly [
  seed: number,
  what: string,
  options?: Partial<SimulationOptions>,
])[] = [
  [671, "a candidate that forgot its term was elected again in it"],
  [3177, "the writes at the end had no deadline, and filled the queues of all members"],
  [39113, "a check took the state machine of a new region to be behind the initial index"],
  [46369, "an election by hand beat a leader's lease before all had heard the leader"],
  [80, "a change that a snapshot had overtaken was answered as one without effect", REPLACING],
  [196359, "nobody but a removed leader knew that it was removed, and all waited for its vote", {
    steps: 2000,
  }],
  [175682, "a node that crashed in a turn within a turn went on with the outer one", {
    steps: 2000,
  }],
  [124649, "operators did not see a leader that was a learner and had lost its data", {
    steps: 2000,
  }],
];

for (const [seed, what, options] of REGRESSIONS) {
  test(`seed ${seed} passes: ${what}`, () => {
    const { failed, undecided } = runSeeds(seed, seed + 1, options ?? {});
    assert.deepEqual(failed, []);
    assert.equal(undecided, 0);
  });
}
