/**
 * The limits of a replica: how much may wait, and how much goes into one message.
 *
 * @module
 */

import { ConfigError } from "../raft/mod.ts";

/** How much a replica lets wait, and how it cuts its batches. All have defaults. */
export interface PeerLimits {
  /** Most proposals of callers that are not settled. Default 16,384; at most 32,768. */
  readonly pendingProposalsMax?: number;
  /** Most bytes of their commands. Default 64 MiB. */
  readonly pendingProposalBytesMax?: number;
  /** Most reads of callers that are not settled. Default 65,536. */
  readonly pendingReadsMax?: number;
  /** Most bytes of one command. Default 1.5 MiB. */
  readonly commandBytesMax?: number;
  /** Most entries in one proposal message. Default 1,024. */
  readonly proposalEntriesMax?: number;
  /** Most bytes of commands in one proposal message; a single larger one goes alone. Default 1 MiB. */
  readonly proposalBytesMax?: number;
  /** Most bytes of entries in one append message. Default 1 MiB. */
  readonly appendBytesMax?: number;
  /** Most append messages under way to one follower. Default 256. */
  readonly inflightMessagesMax?: number;
  /**
   * Most bytes of commands under way to one follower. It is also the most that one turn reads from the
   * disk for a follower that lags: about 10 ms a MiB of small entries, which nothing else should wait
   * for longer. More helps only where a round trip takes as long as sending so much. Default 8 MiB.
   */
  readonly inflightBytesMax?: number;
  /**
   * Most bytes of commands in a leader's uncommitted tail. Beyond it the leader's own proposals wait,
   * and forwarded ones are dropped, which ends them at their deadline. Default 128 MiB.
   */
  readonly uncommittedBytesMax?: number;
  /** Most bytes of committed entries handed to the state machine and not yet applied. Default 4 MiB. */
  readonly applyBytesMax?: number;
}

/** Limits with every default filled in. */
export type CheckedLimits = Required<PeerLimits>;

const MIB = 1024 * 1024;

const DEFAULTS: CheckedLimits = {
  pendingProposalsMax: 16_384,
  pendingProposalBytesMax: 64 * MIB,
  pendingReadsMax: 65_536,
  commandBytesMax: 1.5 * MIB,
  proposalEntriesMax: 1024,
  proposalBytesMax: MIB,
  appendBytesMax: MIB,
  inflightMessagesMax: 256,
  inflightBytesMax: 8 * MIB,
  uncommittedBytesMax: 128 * MIB,
  applyBytesMax: 4 * MIB,
};

/** The largest `pendingProposalsMax`: more could not be told apart by a leader (see `forwarded.ts`). */
export const PENDING_PROPOSALS_BOUND = 32_768;

/**
 * Checks limits and fills in the defaults.
 *
 * @throws ConfigError naming the limit, what it must be and what it is.
 */
export function checkLimits(limits: PeerLimits = {}): CheckedLimits {
  const checked = { ...DEFAULTS };
  for (const name of Object.keys(DEFAULTS) as (keyof PeerLimits)[]) {
    const value = limits[name] ?? DEFAULTS[name];
    if (!Number.isSafeInteger(value) || value < 1) {
      throw new ConfigError(`${name} must be an integer >= 1: current value is ${String(value)}`);
    }
    checked[name] = value;
  }
  if (checked.pendingProposalsMax > PENDING_PROPOSALS_BOUND) {
    throw new ConfigError(
      `pendingProposalsMax must be at most ${PENDING_PROPOSALS_BOUND}: ` +
        `current value is ${checked.pendingProposalsMax}`,
    );
  }
  return checked;
}
