/**
 * The options of a replica's core, their defaults and their checks.
 *
 * @module
 */

import { ConfigError } from "./errors.ts";
import type { EventSink } from "./events.ts";
import type { LogStorage } from "./storage.ts";
import { PEER_ID_MAX, type PeerId } from "./types.ts";

/**
 * How linearizable reads are confirmed (thesis §6.4). `safe`: a round of heartbeats to a quorum.
 * `lease-based`: by the leader's lease alone, without messages; correct only while clocks run at
 * bounded rates, and only with `checkQuorum`.
 */
export type ReadOnlyMode = "safe" | "lease-based";

/** Where the core writes what it does and why. Texts are for people and may change. */
export interface Logger {
  /** For those who look for a fault. */
  debug(text: string): void;
  /** What an operator may want to know. */
  info(text: string): void;
  /** What an operator should look at. */
  warn(text: string): void;
  /** What must not happen. */
  error(text: string): void;
}

/** A logger that says nothing. */
export const SILENT_LOGGER: Logger = {
  debug() {},
  info() {},
  warn() {},
  error() {},
};

/** The options of a `RawNode`. */
export interface Config {
  /** This replica's id: from 1 to `PEER_ID_MAX`, never used twice in the region. */
  readonly id: PeerId;
  /** The stable log and the state to start from. */
  readonly storage: LogStorage;
  /**
   * Chooses the randomized election timeout: returns an integer from 0 to `bound - 1`. The core has
   * no randomness of its own, so that a run can be repeated.
   */
  readonly random: (bound: number) => number;
  /**
   * Ticks without a word from the leader after which a follower campaigns; the actual timeout is
   * drawn from [electionTick, 2·electionTick). Must exceed `heartbeatTick`; ten times is usual.
   * Default 10.
   */
  readonly electionTick?: number;
  /** Ticks between heartbeats of a leader. Default 1. */
  readonly heartbeatTick?: number;
  /**
   * The last index the state machine has applied; committed entries are handed out after it. Below
   * the snapshot in storage it counts as that. Default 0: hand out everything.
   */
  readonly applied?: number;
  /**
   * Hand storage work out as messages (`storage-append`, `storage-apply`) whose responses are
   * stepped back, instead of a `Ready` that `advance` concludes. Default false.
   */
  readonly asyncStorageWrites?: boolean;
  /**
   * Most bytes of entries in one `append` message, by `entrySize`; a single larger entry is sent
   * alone. Small values limit the loss when a message is lost and the time to recover a probing
   * follower, large ones save round trips. 0: one entry a message. Default 1 MiB.
   */
  readonly maxSizePerMessage?: number;
  /**
   * Most bytes of committed entries handed out and not yet applied. Default (and for 0):
   * `maxSizePerMessage`.
   */
  readonly maxCommittedSizePerReady?: number;
  /**
   * Most bytes of commands in a leader's uncommitted tail; proposals beyond it are dropped. 0 or
   * absent: no limit, and a leader cut off from its quorum grows without bound.
   */
  readonly maxUncommittedSize?: number;
  /** Most `append` messages under way to one follower. At least 1. Default 256. */
  readonly maxInflightMessages?: number;
  /**
   * Most bytes of commands under way to one follower; at least `maxSizePerMessage`. The message that
   * crosses the limit is still sent. 0 or absent: no limit.
   */
  readonly maxInflightBytes?: number;
  /**
   * A leader that has not heard from a quorum for an election timeout steps down, and followers
   * that hear from a leader ignore candidates (leader lease, thesis §6.2, §6.4.1). Default false.
   */
  readonly checkQuorum?: boolean;
  /** Ask for votes without a new term first, so that a returning replica disturbs nobody (thesis §9.6). Default false. */
  readonly preVote?: boolean;
  /** How reads are confirmed. `lease-based` needs `checkQuorum`. Default `safe`. */
  readonly readOnly?: ReadOnlyMode;
  /** Drop proposals on followers instead of forwarding them to the leader. Default false. */
  readonly disableProposalForwarding?: boolean;
  /**
   * Append every configuration change instead of replacing those that do not fit the configuration
   * the leader knows by empty entries. Dangerous: the host must then refuse misfits when it applies
   * them, the same way on all replicas. Default false.
   */
  readonly disableConfChangeValidation?: boolean;
  /** A leader that applies its own removal or demotion steps down at once. Default false. */
  readonly stepDownOnRemoval?: boolean;
  /**
   * Election priority (as in tikv/raft-rs): a replica of a higher priority refuses its vote to a
   * candidate of a lower one, unless the candidate's log is strictly longer than its own. The same
   * on all replicas switches it off. Default 0.
   */
  readonly priority?: number;
  /**
   * Commit only what is stored in at least two commit groups, zones for one, besides on a quorum
   * (as in tikv/raft-rs; see `RawNode.assignCommitGroups`). Default false.
   */
  readonly groupCommit?: boolean;
  /**
   * Let vote requests and refusals carry the commit index and its term, so that a replica that lost
   * the message may still learn what is committed (as in tikv/raft-rs; etcd#12359). Default false.
   */
  readonly commitByVote?: boolean;
  /** Where to log. Default: nowhere. */
  readonly logger?: Logger;
  /** Told of every step of the protocol, for validation of traces and for tests. Default: nobody, at no cost. */
  readonly events?: EventSink;
}

/** A `Config` with every default filled in; "no limit" is `Infinity`. */
export type CheckedConfig = Required<Omit<Config, "events">> & {
  readonly events: EventSink | undefined;
};

const MESSAGE_BYTES_DEFAULT = 1024 * 1024;

/**
 * Checks the options and fills in the defaults.
 *
 * @throws ConfigError naming the option, what it must be and what it is.
 */
export function checkConfig(config: Config): CheckedConfig {
  const maxSizePerMessage = config.maxSizePerMessage ?? MESSAGE_BYTES_DEFAULT;
  const checked: CheckedConfig = {
    id: config.id,
    storage: config.storage,
    random: config.random,
    electionTick: config.electionTick ?? 10,
    heartbeatTick: config.heartbeatTick ?? 1,
    applied: config.applied ?? 0,
    asyncStorageWrites: config.asyncStorageWrites ?? false,
    maxSizePerMessage,
    maxCommittedSizePerReady: config.maxCommittedSizePerReady || maxSizePerMessage || 1,
    maxUncommittedSize: config.maxUncommittedSize || Infinity,
    maxInflightMessages: config.maxInflightMessages ?? 256,
    maxInflightBytes: config.maxInflightBytes || Infinity,
    checkQuorum: config.checkQuorum ?? false,
    preVote: config.preVote ?? false,
    readOnly: config.readOnly ?? "safe",
    disableProposalForwarding: config.disableProposalForwarding ?? false,
    disableConfChangeValidation: config.disableConfChangeValidation ?? false,
    stepDownOnRemoval: config.stepDownOnRemoval ?? false,
    priority: config.priority ?? 0,
    groupCommit: config.groupCommit ?? false,
    commitByVote: config.commitByVote ?? false,
    logger: config.logger ?? SILENT_LOGGER,
    events: config.events,
  };
  checkInteger("id", checked.id, 1, PEER_ID_MAX);
  checkInteger("heartbeatTick", checked.heartbeatTick, 1, Number.MAX_SAFE_INTEGER);
  checkInteger("electionTick", checked.electionTick, 1, Number.MAX_SAFE_INTEGER);
  checkInteger("applied", checked.applied, 0, Number.MAX_SAFE_INTEGER);
  checkInteger("maxInflightMessages", checked.maxInflightMessages, 1, Number.MAX_SAFE_INTEGER);
  checkInteger("priority", checked.priority, -Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
  checkSize("maxSizePerMessage", checked.maxSizePerMessage);
  checkSize("maxCommittedSizePerReady", checked.maxCommittedSizePerReady);
  checkSize("maxUncommittedSize", checked.maxUncommittedSize);
  checkSize("maxInflightBytes", checked.maxInflightBytes);
  if (checked.electionTick <= checked.heartbeatTick) {
    throw new ConfigError(
      `electionTick must be greater than heartbeatTick (${checked.heartbeatTick}): ` +
        `current value is ${checked.electionTick}`,
    );
  }
  if (checked.maxInflightBytes < checked.maxSizePerMessage) {
    throw new ConfigError(
      `maxInflightBytes must be at least maxSizePerMessage (${checked.maxSizePerMessage}): ` +
        `current value is ${checked.maxInflightBytes}`,
    );
  }
  if (checked.readOnly !== "safe" && checked.readOnly !== "lease-based") {
    throw new ConfigError(
      `readOnly must be "safe" or "lease-based": current value is ${String(checked.readOnly)}`,
    );
  }
  if (checked.readOnly === "lease-based" && !checked.checkQuorum) {
    throw new ConfigError(
      "checkQuorum must be enabled when readOnly is lease-based: current value is false",
    );
  }
  if (typeof checked.storage !== "object" || checked.storage === null) {
    throw new ConfigError(
      `storage must be a LogStorage: current value is ${String(config.storage)}`,
    );
  }
  if (typeof checked.random !== "function") {
    throw new ConfigError(`random must be a function: current value is ${String(config.random)}`);
  }
  return checked;
}

function checkInteger(name: string, value: number, min: number, max: number): void {
  if (!Number.isSafeInteger(value) || value < min || value > max) {
    throw new ConfigError(
      `${name} must be an integer from ${min} to ${max}: current value is ${String(value)}`,
    );
  }
}

function checkSize(name: string, value: number): void {
  if (value !== Infinity && (!Number.isSafeInteger(value) || value < 0)) {
    throw new ConfigError(
      `${name} must be a number of bytes >= 0, or Infinity: current value is ${String(value)}`,
    );
  }
}
