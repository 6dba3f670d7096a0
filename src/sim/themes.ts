/**
 * Worlds with a theme: fast and otherwise quiet clusters in which one kind of steered fault strikes
 * again and again, so that what needs several things in one order happens in a share of all runs.
 *
 * @module
 */

import type { Chance } from "./chance.ts";
import type { Environment, FaultKind } from "./environment.ts";

/** What makes a theme. */
export interface Theme {
  /** Weights of the kinds that exist. */
  readonly weights: Partial<Readonly<Record<FaultKind, number>>>;
  /** What its world has that others need not have. */
  readonly settings: Partial<Environment>;
  /** Whether reads rely on the leader's lease. */
  readonly leases: boolean;
}

const STEADY: Partial<Environment> = {
  preVote: true,
  checkQuorum: true,
  streamsSnapshots: true,
  entriesKept: 0,
  checkpointPerMille: 900,
};

/** The themes, all as likely. */
export const THEMES: readonly Theme[] = [
  {
    weights: { "split-majorities": 10, "compact": 1, "crash": 1 },
    settings: { beginsAsLearner: false },
    leases: false,
  },
  { weights: { "shorten-tail": 10, "compact": 1, "crash": 1 }, settings: {}, leases: false },
  { weights: { "hang-at-new-term": 10, "compact": 1, "replay": 1 }, settings: {}, leases: false },
  { weights: { "keep-snapshot-back": 10, "reset": 1 }, settings: STEADY, leases: false },
  { weights: { "delay-echoes": 10, "replay": 1, "compact": 1 }, settings: {}, leases: false },
  { weights: { "lead-again": 10, "compact": 1, "crash": 1 }, settings: {}, leases: false },
  {
    weights: { "campaign-against-lease": 10, "slow-machine": 1, "compact": 1 },
    settings: { checkQuorum: true },
    leases: true,
  },
  {
    weights: { "forget-voter": 10, "compact": 1, "add-learner": 2, "promote": 2 },
    settings: { recordsMembers: true, streamsSnapshots: true, beginsAsLearner: true },
    leases: false,
  },
];

/** The world of a theme, from one that was drawn. */
export function themedEnvironment(
  drawn: Environment,
  { settings, leases }: Theme,
  chance: Chance,
): Environment {
  return {
    ...drawn,
    readOnly: leases ? "lease-based" : "safe",
    preVote: drawn.preVote || !drawn.checkQuorum,
    electionTick: chance.between(7, 10),
    heartbeatTick: 1,
    limits: {},
    delayMaxUs: drawn.delayMinUs + 1_500,
    lossPerMille: leases ? 0 : Math.min(drawn.lossPerMille, 5),
    diskMaxUs: drawn.diskMinUs + 1_500,
    transactionWritesMax: chance.hits(500) ? 1 : Infinity,
    applyMaxUs: Math.min(drawn.applyMaxUs, 5_000),
    thinkMaxUs: chance.between(4_000, 15_000),
    faultIntervalUs: 30_000,
    ...settings,
  };
}
