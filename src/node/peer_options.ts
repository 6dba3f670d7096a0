/**
 * The options of a peer.
 *
 * @module
 */

import type { Logger, LogStorage, PeerId, ReadOnlyMode } from "../raft/mod.ts";
import type { PeerLimits } from "./limits.ts";
import type { SessionLimits } from "./sessions/limits.ts";
import type { ResultCodec } from "./state_machine.ts";

/** What a peer reads of its storage; a `RaftStorage` is one. */
export interface PeerStorage extends LogStorage {
  /** The index whose application made the stored configuration. */
  confStateIndex(): number;
}

/** What a peer needs to serve client sessions. */
export interface PeerSessionOptions {
  /** The node's own part of the state machine, which holds the sessions. */
  readonly nodeState: ReadonlyMap<string, Uint8Array>;
  /** The state machine's, which decides what is kept of a result. */
  readonly resultCodec: ResultCodec;
  /**
   * How often the leader lets the sessions' clock go on while there are any, in milliseconds. Default
   * 10,000.
   */
  readonly clockMs?: number;
  /**
   * Smaller limits, to be the same on every member and for the whole life of the region: for
   * simulations. Default: those of every node.
   */
  readonly limits?: SessionLimits;
}

/** The options of a `Peer`. */
export interface PeerOptions {
  /** This replica in its region. */
  readonly id: PeerId;
  /** The node it lives in. */
  readonly nodeId: number;
  /** The region it is a replica of. */
  readonly regionId: number;
  /** The log and state of the replica, for reading; writes leave as effects. */
  readonly storage: PeerStorage;
  /** The last index the state machine has applied, as `recoverLastApplied` tells it. */
  readonly lastApplied: number;
  /** Drawn anew at each start: an integer from 0 to 2^48-1 that this peer never used before. */
  readonly epoch: number;
  /** An integer from 0 to `bound - 1`: the source of election timeouts. */
  readonly random: (bound: number) => number;
  /** Default 10. */
  readonly electionTick?: number;
  /** Default 1. */
  readonly heartbeatTick?: number;
  /** Default true; see `NodeOptions`. */
  readonly preVote?: boolean;
  /** Default true; see `NodeOptions`. */
  readonly checkQuorum?: boolean;
  /**
   * How reads are confirmed. `lease-based` saves a round trip and is stale for up to two election
   * timeouts when the leader is cut off or paused, or hands leadership over: see `RaftConfig`. Default
   * `safe`.
   */
  readonly readOnly?: ReadOnlyMode;
  /** Forward proposals to the leader instead of rejecting them on other members. Default true. */
  readonly forwardProposals?: boolean;
  /** Propose again what was certainly lost. Default true. */
  readonly repeatDropped?: boolean;
  /**
   * Whether whoever drives the peer restores the state machine from a snapshot that a write carries,
   * before it answers with `appended`; never while a batch is under way. Otherwise snapshots with a
   * state are refused. Default false.
   */
  readonly installsSnapshots?: boolean;
  /**
   * Whether members that are added later always begin as learners. Then a replica without a log that
   * finds itself a voter has lost its data, and takes no part: see `lost_voter.ts`. Default false.
   */
  readonly beginsAsLearner?: boolean;
  /**
   * Whether snapshots travel apart from messages: the core is told of one that stands for what is
   * applied, without data; `PeerEffects.snapshots` says to whom to stream it, and those that arrive
   * come as `snapshot-received`. Default false: the storage's own snapshot travels as a message.
   */
  readonly streamsSnapshots?: boolean;
  /** Step down when a configuration is applied that leaves this leader out. Default false. */
  readonly stepDownOnRemoval?: boolean;
  /**
   * The node's own part of the state machine. With it the peer records members and used ids there,
   * voids changes that use an id again, and takes `change-members`. Default: none of that.
   */
  readonly nodeState?: ReadonlyMap<string, Uint8Array>;
  /**
   * Serves client sessions: `ProposalRequest.session`. The state machine must commit what
   * `nodeStateOf(batch, results)` says. Default: sessions are refused.
   */
  readonly sessions?: PeerSessionOptions;
  /** How much may wait, and how batches are cut. */
  readonly limits?: PeerLimits;
  /** The node a peer lives on, or 0: only for hints and status. Default: nobody is known. */
  readonly nodeOf?: (peerId: PeerId) => number;
  /** Where to log. Default: nowhere. */
  readonly logger?: Logger;
}
