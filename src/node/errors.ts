/**
 * The errors of the node room. Those that end a proposal or a read say whether what was asked may
 * still take effect, which is what a caller must know before it asks again.
 *
 * @module
 */

import { type PeerId, RaftError } from "../raft/mod.ts";

/** What every rejection of a proposal or a read shares. */
export class RequestError extends RaftError {
  /**
   * Whether the command may have been applied, or may still be. When false it never was and never
   * will be: to propose it again is safe. Always false for reads.
   */
  readonly mayHaveTakenEffect: boolean;

  /** Says what happened, and whether the request may still take effect. */
  constructor(
    code: string,
    message: string,
    mayHaveTakenEffect: boolean,
    options?: { cause?: unknown },
  ) {
    super(code, message, options);
    this.mayHaveTakenEffect = mayHaveTakenEffect;
  }
}

/**
 * Forwarding is off (`forwardProposals: false`) and this member does not lead. The command was not
 * taken; ask the leader.
 */
export class NotLeaderError extends RequestError {
  /** The peer that leads as far as this one knows, or 0. */
  readonly leaderPeerId: PeerId;
  /** The node that peer lives on, or 0. */
  readonly leaderNodeId: number;

  /** Names the leader as far as it is known; 0 when it is not. */
  constructor(leaderPeerId: PeerId, leaderNodeId: number) {
    const hint = leaderPeerId === 0
      ? "no leader is known"
      : `peer ${leaderPeerId} on node ${leaderNodeId} leads`;
    super("NOT_LEADER", `this member is not the leader: ${hint}`, false);
    this.leaderPeerId = leaderPeerId;
    this.leaderNodeId = leaderNodeId;
  }
}

/**
 * The command is certain never to take effect: a later term's entry was applied and the command was
 * not among those before it (see `proposals.ts` for why that is certain).
 */
export class DroppedError extends RequestError {
  /** Names the command's term and the one that replaced it. */
  constructor(term: number, appliedTerm: number) {
    super(
      "DROPPED",
      `the command, proposed in term ${term}, was lost when the leader changed: an entry of term ` +
        `${appliedTerm} has been applied, so it will not take effect`,
      false,
    );
  }
}

/** Too much is pending on this member; nothing was taken. Try again later, or elsewhere. */
export class OverloadedError extends RequestError {
  /** Names the limit and what is pending. */
  constructor(what: string, limit: number, current: number) {
    super(
      "OVERLOADED",
      `too many ${what} are pending: the limit is ${limit}, there are ${current}`,
      false,
    );
  }
}

/** The command is larger than `commandBytesMax`; it was not taken. */
export class CommandTooLargeError extends RequestError {
  /** Names the limit and the command's size, in bytes. */
  constructor(limit: number, bytes: number) {
    super(
      "COMMAND_TOO_LARGE",
      `the command must be at most ${limit} bytes: it has ${bytes}`,
      false,
    );
  }
}

/**
 * The deadline passed. The outcome of a command is unknown, unless it was still waiting for a
 * leader: then `mayHaveTakenEffect` is false.
 */
export class TimedOutError extends RequestError {
  /** Names what ran out of time. */
  constructor(what: string, mayHaveTakenEffect: boolean) {
    super(
      "TIMED_OUT",
      `the ${what} did not complete within its deadline` +
        (mayHaveTakenEffect ? ": its outcome is unknown" : " and has no effect"),
      mayHaveTakenEffect,
    );
  }
}

/** The caller's signal was aborted. */
export class CancelledError extends RequestError {
  /** Names what was given up. */
  constructor(what: string, mayHaveTakenEffect: boolean, options?: { cause?: unknown }) {
    super(
      "CANCELLED",
      `the ${what} was cancelled by its caller` +
        (mayHaveTakenEffect ? ": its outcome is unknown" : " and has no effect"),
      mayHaveTakenEffect,
      options,
    );
  }
}

/** The node stopped, or had stopped before it was asked; `cause` says why when it failed. */
export class StoppedError extends RequestError {
  /** `cause` is what stopped the node, if it failed. */
  constructor(mayHaveTakenEffect: boolean, options?: { cause?: unknown }) {
    const cause = options?.cause instanceof Error ? `: ${options.cause.message}` : "";
    super("STOPPED", `the node has stopped${cause}`, mayHaveTakenEffect, options);
  }
}

/**
 * Why the members were not changed:
 *
 * - `CHANGE_UNDER_WAY`: another change is not applied yet; try again.
 * - `NOT_TAKEN`: the leader takes no proposals now, as it hands leadership over, for one.
 * - `DROPPED`: the leader changed and the change was lost with it.
 * - `ALREADY_MEMBER`, `UNKNOWN_PEER`, `NOT_A_LEARNER`: the peer is not what the change needs it to be.
 * - `PEER_ID_USED`: the id belonged to a member that was removed.
 * - `NOT_CAUGHT_UP`: the learner is too far behind to vote; wait.
 * - `OUTCOME_UNKNOWN`: the leader was asked, and its answer was lost; look at the members before you
 *   ask again.
 * - `LAST_VOTER`: nobody would be left. `QUORUM_AT_RISK`: too few of those left are alive.
 */
export type MembershipErrorCode =
  | "CHANGE_UNDER_WAY"
  | "NOT_TAKEN"
  | "DROPPED"
  | "ALREADY_MEMBER"
  | "UNKNOWN_PEER"
  | "NOT_A_LEARNER"
  | "PEER_ID_USED"
  | "NOT_CAUGHT_UP"
  | "OUTCOME_UNKNOWN"
  | "LAST_VOTER"
  | "QUORUM_AT_RISK";

/** The members were not changed; `code` says why. */
export class MembershipError extends RequestError {
  /** Says why the members stay as they are. */
  constructor(
    code: MembershipErrorCode,
    message: string,
    mayHaveTakenEffect: boolean,
    options?: { cause?: unknown },
  ) {
    super(code, message, mayHaveTakenEffect, options);
  }
}

/** What another node asked or answered is nothing that this version understands. */
export class QuestionError extends RaftError {
  /** Says what was found. */
  constructor(message: string, options?: { cause?: unknown }) {
    super("QUESTION", message, options);
  }
}

/**
 * Why a session did not serve:
 *
 * - `SESSION_EXPIRED`: there is no such session: it was not used for too long, gave way to others, was
 *   closed, or never was. Whether an earlier attempt took effect is not known any more. Open another.
 * - `SEQUENCE_PASSED`: the client had acknowledged this number or a higher one: an attempt that came late.
 * - `SEQUENCE_AHEAD`: the number is too far above what the client has acknowledged; the command is not
 *   applied.
 * - `RESULT_FORGOTTEN`: the command took effect once, and its result was too large to be kept.
 * - `SESSIONS_UNSUPPORTED`: the state machine has no `resultCodec`, and so no sessions.
 */
export type SessionErrorCode =
  | "SESSION_EXPIRED"
  | "SEQUENCE_PASSED"
  | "SEQUENCE_AHEAD"
  | "RESULT_FORGOTTEN"
  | "SESSIONS_UNSUPPORTED";

/** A request through a client session was refused: this attempt of it had no effect. */
export class SessionError extends RequestError {
  /** Says why; `mayHaveTakenEffect` is about earlier attempts of the same number. */
  constructor(
    code: SessionErrorCode,
    message: string,
    mayHaveTakenEffect: boolean,
    options?: { cause?: unknown },
  ) {
    super(code, message, mayHaveTakenEffect, options);
  }
}

/** A region was named that this node does not host. */
export class UnknownRegionError extends RequestError {
  /** Names the region. */
  constructor(regionId: number) {
    super("UNKNOWN_REGION", `region ${regionId} is not hosted by this node`, false);
  }
}

/** The state machine threw, or broke its contract; the node has stopped. See `cause`. */
export class StateMachineError extends RaftError {
  /** Says what happened. */
  constructor(message: string, options?: { cause?: unknown }) {
    super("STATE_MACHINE", message, options);
  }
}

/** The storage failed with an error that is not of this project; the node has stopped. See `cause`. */
export class StorageFailedError extends RaftError {
  /** Says what happened. */
  constructor(message: string, options?: { cause?: unknown }) {
    super("STORAGE_FAILED", message, options);
  }
}

/** Something threw that should not; a bug. The node has stopped. See `cause`. */
export class InternalError extends RaftError {
  /** Says what happened. */
  constructor(message: string, options?: { cause?: unknown }) {
    super("INTERNAL", message, options);
  }
}

/** What is on disk does not fit together, or does not fit the options; the node does not start. */
export class RecoveryError extends RaftError {
  /** Says what was found. */
  constructor(message: string) {
    super("RECOVERY", message);
  }
}

/**
 * The state of a snapshot that arrives cannot be kept or read again, or is not wanted any more; see
 * `cause`.
 */
export class SnapshotSpoolError extends RaftError {
  /** Says what happened. */
  constructor(message: string, options?: { cause?: unknown }) {
    super("SNAPSHOT_SPOOL", message, options);
  }
}

/** A log entry carries an envelope that this version must understand to apply it, and does not. */
export class EnvelopeError extends RaftError {
  /** Says what was found. */
  constructor(message: string) {
    super("ENVELOPE", message);
  }
}

/**
 * Why a message did not reach the core:
 *
 * - `TERM_MISSING`: it is of a kind that belongs to a term, and names none.
 * - `OWN_NAME`: it is an answer in the name of the receiver, whose only such answers are its own.
 * - `NOT_LEADING`: a forwarded proposal came to a member that does not lead.
 * - `STALE_PROPOSAL`: a forwarded proposal was repeated, or meant for another term.
 * - `SNAPSHOT_UNSUPPORTED`: a snapshot carries a state, which this host does not install.
 * - `VOTER_WITHOUT_LOG`: this replica is a voter to the others and has no log. New members begin as
 *   learners, so it has lost its data, with what it voted and acknowledged: it takes no part. Remove
 *   it and add a new one.
 */
export type MessageRejectionCode =
  | "TERM_MISSING"
  | "OWN_NAME"
  | "NOT_LEADING"
  | "STALE_PROPOSAL"
  | "SNAPSHOT_UNSUPPORTED"
  | "VOTER_WITHOUT_LOG";

/** A message was refused by the node before it reached the core; it changed nothing. */
export class MessageRejectedError extends RaftError {
  /** Says why, and names the message. */
  constructor(code: MessageRejectionCode, message: string) {
    super(code, message);
  }
}
