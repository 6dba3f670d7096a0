import assert from "node:assert/strict";
import { test } from "node:test";
import {
  Coverage,
  type Environment,
  type RareEvent,
  simulate,
  type SimulationOptions,
} from "../../src/sim/mod.ts";

const SEEDS = 30;

/** Runs seeds in a world, and returns what was broken and how often the rare events happened. */
function runs(
  environment: Partial<Environment>,
  faults: SimulationOptions["faults"] = {},
): { broken: Set<string>; count: (event: RareEvent) => number } {
  const coverage = new Coverage();
  const broken = new Set<string>();
  for (let seed = 0; seed < SEEDS; seed++) {
    const result = simulate({ seed, environment, faults });
    if (result.violation !== undefined) broken.add(result.violation.invariant);
    if (result.isUndecided) broken.add(`the check of seed ${seed} was given up`);
    coverage.addAll(result.coverage);
  }
  return { broken, count: (event) => coverage.get(event) };
}

const LEASES: Partial<Environment> = {
  readOnly: "lease-based",
  checkQuorum: true,
  delayMinUs: 200,
  delayMaxUs: 3_000,
  diskMinUs: 100,
  diskMaxUs: 3_000,
};

test("reads by lease are linearizable as long as leaders that live are heard", () => {
  const weights = { "crash": 1, "crash-leader": 1, "crash-in-turn": 1, "compact": 1 };
  const { broken, count } = runs(LEASES, { weights, lossPerMille: 0 });
  assert.deepEqual([...broken], []);
  assert.ok(count("reads answered by lease") > 100);
  assert.ok(count("elections") > SEEDS);
});

test("reads by lease are stale when leaders are cut off, and that is found", () => {
  const { broken } = runs(LEASES, { weights: { "isolate-leader": 1 } });
  assert.deepEqual([...broken], ["linearizability"]);
});

test("members change by requests, and used ids never come back", () => {
  const environment = { recordsMembers: true, streamsSnapshots: true, checkQuorum: true };
  const weights = { "add-learner": 4, "promote": 2, "remove": 2, "replace": 2, "demote": 1 };
  const { broken, count } = runs(environment, { weights, intervalUs: 20_000 });
  assert.deepEqual([...broken], []);
  assert.ok(count("requests to change members carried out") > SEEDS);
  assert.ok(count("requests to change members refused") > SEEDS);
  assert.ok(count("used peer ids offered again") > SEEDS / 4);
});

test("a run that sends bytes sees what one that hands over objects sees", () => {
  for (let seed = 0; seed < 10; seed++) {
    const asObjects = simulate({ seed, environment: { encodesMessages: false } });
    const asBytes = simulate({ seed, environment: { encodesMessages: true } });
    assert.equal(asBytes.violation, undefined);
    assert.equal(asBytes.traceHash, asObjects.traceHash);
    assert.deepEqual(asBytes.histories, asObjects.histories);
  }
});

test("commands that are repeated through sessions take effect once", () => {
  const sessionLimits = { sessionsMax: 3, sessionResultBytesMax: 150, resultBytesMax: 300 };
  const environment = { usesSessions: true, sessionLimits, sessionClockMs: 50 };
  const { broken, count } = runs(environment, { intervalUs: 15_000 });
  assert.deepEqual([...broken], []);
  for (
    const event of [
      "commands repeated through a session",
      "answers that were kept",
      "sessions expired",
      "sessions evicted",
      "commands of sessions that are gone",
    ] as const
  ) assert.ok(count(event) > 0, `${event} never happened`);
});

test("a voter that comes back without its data takes no part, and is replaced", () => {
  const environment = {
    recordsMembers: true,
    streamsSnapshots: true,
    beginsAsLearner: true,
    checkQuorum: true,
  };
  const weights = { "forget": 2, "crash": 1, "crash-leader": 1, "compact": 1 };
  const { broken, count } = runs(environment, { weights, intervalUs: 30_000 });
  assert.deepEqual([...broken], []);
  assert.ok(count("nodes that came back without their data") > SEEDS / 2);
  assert.ok(count("messages refused by voters without their data") > SEEDS);
});
