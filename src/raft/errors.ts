/**
 * The errors of the consensus core. Every error of this project is a class of its own with a
 * `code`; the message says what was expected and what was found.
 *
 * @module
 */

/** What all errors of this project share. */
export class RaftError extends Error {
  /** A stable, machine-readable name of the cause, such as `"PROPOSAL_DROPPED"`. */
  readonly code: string;

  /** Says what was expected and what was found. */
  constructor(code: string, message: string, options?: { cause?: unknown }) {
    super(message, options as ErrorOptions);
    this.name = new.target.name;
    this.code = code;
  }
}

/** An option is missing, of the wrong type or out of its range. */
export class ConfigError extends RaftError {
  /** Says what was expected and what was found. */
  constructor(message: string) {
    super("INVALID_CONFIG", message);
  }
}

/**
 * The proposal was not taken and will never take effect: no leader is known, leadership is being
 * transferred, this replica was removed, or a quota is full. It may be proposed again.
 */
export class ProposalDroppedError extends RaftError {
  /** Why: for logs and metrics. */
  readonly reason: string;
  /** Says why. */
  constructor(reason: string) {
    super("PROPOSAL_DROPPED", "raft proposal dropped");
    this.reason = reason;
  }
}

/** A response came from a peer that is not part of the configuration. */
export class PeerNotFoundError extends RaftError {
  constructor() {
    super("PEER_NOT_FOUND", "raft: cannot step as peer not found");
  }
}

/** A message of a local kind came from elsewhere. */
export class LocalMessageError extends RaftError {
  constructor() {
    super("LOCAL_MESSAGE", "raft: cannot step raft local message");
  }
}

/** A message is malformed or impossible; it was refused and changed nothing. */
export class MessageRefusedError extends RaftError {
  /** Says what was expected and what was found. */
  constructor(message: string) {
    super("MESSAGE_REFUSED", message);
  }
}

/** A configuration change does not fit the current configuration, or its bytes cannot be read. */
export class ConfChangeError extends RaftError {
  /** Says what was expected and what was found. */
  constructor(message: string, options?: { cause?: unknown }) {
    super("CONF_CHANGE", message, options);
  }
}

/** The requested entries were discarded by compaction; a snapshot stands in their place. */
export class CompactedError extends RaftError {
  constructor() {
    super("COMPACTED", "requested index is unavailable due to compaction");
  }
}

/** The requested entries are beyond the end of the log. */
export class UnavailableError extends RaftError {
  constructor() {
    super("UNAVAILABLE", "requested entry at index is unavailable");
  }
}

/** A snapshot is being prepared; ask again later. */
export class SnapshotTemporarilyUnavailableError extends RaftError {
  constructor() {
    super("SNAPSHOT_TEMPORARILY_UNAVAILABLE", "snapshot is temporarily unavailable");
  }
}

/** A snapshot cannot be asked for now; the reason says why. Ask again later. */
export class SnapshotRequestDroppedError extends RaftError {
  /** Says why. */
  constructor(reason: string) {
    super("SNAPSHOT_REQUEST_DROPPED", `cannot request a snapshot: ${reason}`);
  }
}

/**
 * An invariant of the core does not hold: a bug in the core, or a storage that broke its promise.
 * The replica must stop; going on could lose data.
 */
export class RaftInvariantError extends RaftError {
  /** Says what was expected and what was found. */
  constructor(message: string) {
    super("INVARIANT", message);
  }
}
