/**
 * Steered faults: they wait for telling moments, and strike then. Chance alone would bring about what
 * they do once in thousands of runs.
 *
 * @module
 */

import { hangAtNewTerm, keepSnapshotBack } from "./disks.ts";
import { forgetVoter, shortenTail, splitMajorities } from "./elections.ts";
import { campaignAgainstLease, delayEchoes, leadAgainOverRead } from "./reads.ts";
import type { Play, Script } from "./stage.ts";
import { Stage } from "./stage.ts";

export { type Script, Stage };

/** The kinds of steered faults. */
export const STEERED_KINDS = [
  "split-majorities",
  "shorten-tail",
  "hang-at-new-term",
  "keep-snapshot-back",
  "delay-echoes",
  "lead-again",
  "campaign-against-lease",
  "forget-voter",
] as const;

/** A kind of steered fault. */
export type SteeredKind = (typeof STEERED_KINDS)[number];

/** What each does. */
export const PLAYS: Readonly<Record<SteeredKind, Play>> = {
  "split-majorities": splitMajorities,
  "shorten-tail": shortenTail,
  "hang-at-new-term": hangAtNewTerm,
  "keep-snapshot-back": keepSnapshotBack,
  "delay-echoes": delayEchoes,
  "lead-again": leadAgainOverRead,
  "campaign-against-lease": campaignAgainstLease,
  "forget-voter": forgetVoter,
};
