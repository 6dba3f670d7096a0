/**
 * The errors of the simulator: a broken promise of the simulated system, and a wrong option.
 *
 * @module
 */

import { RaftError } from "../raft/mod.ts";

/** The properties a run is checked for. */
export type Invariant =
  /** At most one leader a term (Raft §5.2). */
  | "election-safety"
  /** A leader never overwrites or deletes entries of its log (Raft §5.3). */
  | "leader-append-only"
  /** Entries of equal index and term are equal, and so is all before them (Raft §5.3). */
  | "log-matching"
  /** A leader has every entry committed in an earlier term (Raft §5.4). */
  | "leader-completeness"
  /** No two replicas apply different commands at one index (Raft §5.4.3). */
  | "state-machine-safety"
  /** Term, vote and commit index never go back, not across restarts either. */
  | "monotonicity"
  /** applied <= commit <= last. */
  | "index-order"
  /** What is acknowledged or committed is durable where it must be. */
  | "durability"
  /** At most one configuration change is not applied (thesis §4.1). */
  | "one-configuration-change"
  /** Quorums of consecutive configurations overlap (thesis §4.3). */
  | "overlapping-quorums"
  /** The id of a member that was removed is never used again. */
  | "unique-peers"
  /** Equal applied index, equal state. */
  | "equal-state"
  /** A command is applied once; one that was reported without effect is never applied. */
  | "exactly-once"
  /** Reads and writes take effect at one moment between call and answer. */
  | "linearizability"
  /** Nothing throws; a peer never ends by itself. */
  | "no-exception"
  /** Once the faults stop, the group comes to rest and serves. */
  | "convergence";

/** A property does not hold: a bug in the simulated system, or in the simulator. */
export class InvariantViolation extends RaftError {
  /** The property. */
  readonly invariant: Invariant;

  /** Names the invariant and the facts. */
  constructor(invariant: Invariant, message: string, options?: { cause?: unknown }) {
    super("SIM_INVARIANT", `${invariant}: ${message}`, options);
    this.invariant = invariant;
  }
}

/** Ends a run: `invariant` does not hold. */
export function violated(invariant: Invariant, message: string, cause?: unknown): never {
  throw new InvariantViolation(invariant, message, { cause });
}
