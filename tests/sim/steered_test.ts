import assert from "node:assert/strict";
import { test } from "node:test";
import { Coverage, type Environment, type RareEvent, simulate } from "../../src/sim/mod.ts";
import { STEERED_KINDS, type SteeredKind } from "../../src/sim/steered/mod.ts";
import { THEMES } from "../../src/sim/themes.ts";

const SEEDS = 10;

/** What each is there to bring about. */
const REACHES: Readonly<Record<SteeredKind, RareEvent>> = {
  "split-majorities": "partitions along the two majorities of a joint configuration",
  "shorten-tail": "leaders again with a shorter log",
  "hang-at-new-term": "disks that hung between the term and the entries of a new leader",
  "keep-snapshot-back": "snapshots wanted of a leader whose disk hangs",
  "delay-echoes": "reads asked of a leader that was replaced",
  "lead-again": "reads that waited until their leader led again",
  "campaign-against-lease": "campaigns against a leader that is heard",
  "forget-voter": "voters without their data that a majority depends on",
};

const FAST: Partial<Environment> = {
  preVote: true,
  checkQuorum: true,
  readOnly: "safe",
  electionTick: 10,
  heartbeatTick: 1,
  limits: {},
  delayMinUs: 300,
  delayMaxUs: 1_500,
  diskMinUs: 200,
  diskMaxUs: 1_500,
  transactionWritesMax: 1,
  applyMaxUs: 3_000,
  thinkMaxUs: 8_000,
  beginsAsLearner: false,
};

for (const kind of STEERED_KINDS) {
  test(`${kind} comes about within ${SEEDS} seeds, and breaks nothing`, () => {
    const theme = THEMES.find(({ weights }) => weights[kind] !== undefined)!;
    const readOnly = theme.leases ? "lease-based" : "safe";
    const environment = { ...FAST, readOnly, ...theme.settings } as const;
    const faults = { weights: theme.weights, intervalUs: 30_000, lossPerMille: 0 };
    const coverage = new Coverage();
    for (let seed = 0; seed < SEEDS; seed++) {
      const result = simulate({ seed, nodes: 5, environment, faults });
      assert.equal(result.violation, undefined, `seed ${seed}`);
      assert.equal(result.isUndecided, false, `seed ${seed}`);
      coverage.addAll(result.coverage);
    }
    assert.ok(coverage.get(REACHES[kind]) > 0, REACHES[kind]);
  });
}
