/**
 * The options of a node, and of a call on it.
 *
 * @module
 */

import type { Logger, PeerId } from "../raft/mod.ts";
import type { NodeStorage } from "../storage/contract.ts";
import type { Transport } from "../transport/contract.ts";
import type { Clock } from "./clock.ts";
import type { CompactionOptions } from "./compaction.ts";
import type { PeerLimits } from "./limits.ts";
import type { Observer } from "./observer.ts";
import type { StateMachine } from "./state_machine.ts";

/** A first member of a region, and where it lives. */
export interface Member {
  /** The replica's id in the region: an integer from 1, never used twice. */
  readonly peerId: PeerId;
  /** The node it lives on. Default: the same number as `peerId`. */
  readonly nodeId?: number;
  /**
   * Where that node listens (`host:port`). Not needed for the node itself, except to tell members that
   * are added later.
   */
  readonly address?: string;
  /** Where that node listens for clients (`host:port`); only told to those who ask for the members. */
  readonly clientAddress?: string;
}

/** A member that is added to a region that runs. */
export interface NewMember extends Member {
  /** The leader makes it a voter as soon as it has caught up. Default false: when it is promoted. */
  readonly becomesVoter?: boolean;
  /** A voter whose place it takes as soon as it has caught up, in one step. Default: none. */
  readonly replaces?: PeerId;
}

/** A member of a region as one node sees it. */
export interface MemberStatus {
  /** The replica. */
  readonly peerId: PeerId;
  /** The node it lives on, or 0 when that is not known. */
  readonly nodeId: number;
  /** Where its node listens for peers, when that is known. */
  readonly address: string | undefined;
  /** Where its node listens for clients, when that is known. */
  readonly clientAddress: string | undefined;
  /** Whether it votes; a learner otherwise. */
  readonly voter: boolean;
  /** Whether it leads, as far as this node knows. */
  readonly leader: boolean;
}

/**
 * What a change of the members resolves with: the members it made, or later ones when a snapshot brought
 * those to the replica that was asked before it could answer.
 */
export interface MemberChangeResult {
  /** Where in the log the change is. */
  readonly index: number;
  /** Those with a vote, in ascending order. */
  readonly voters: readonly PeerId[];
  /** Those that receive the log without a vote, in ascending order. */
  readonly learners: readonly PeerId[];
}

/** A region of which a node hosts one replica. */
export interface RegionOptions {
  /** The region: an integer from 1. Default 1. */
  readonly regionId?: number;
  /** The id of the replica on this node. Default: the member whose node is this one. */
  readonly peerId?: PeerId;
  /** What the region's commands are applied to. The node owns it: it closes it when it stops. */
  readonly stateMachine: StateMachine;
  /**
   * The region's first members, this one included; the same on all of them. They start from a
   * common snapshot of the empty state, at index 1 and term 1, so all state machines must be empty
   * then. Once the region is on disk this list is only an address book.
   */
  readonly members: readonly Member[];
  /**
   * This replica joins a region that runs already: it starts without a configuration and waits to
   * be added by its leader (`Node.addLearner`). `members` then says where the others live; `peerId`
   * must be one that was never used. Default false.
   */
  readonly join?: boolean;
}

/** The options of `Node.open`. */
export interface NodeOptions {
  /** This node: an integer from 1. Must be what the storage says. */
  readonly nodeId: number;
  /** The cluster, when it shall be checked against what the storage says. */
  readonly clusterId?: string;
  /** The node's database. The node owns it: it closes it when it stops. */
  readonly storage: NodeStorage;
  /** The node's network. The node owns it: it starts it, and closes it when it stops. */
  readonly transport: Transport;
  /**
   * A folder of the node, in which `snapshots` is made to keep what arrives until it is installed;
   * usually that of its database. Without one such states are kept in memory, up to 64 MiB.
   */
  readonly directory?: string;
  /** Most snapshots that are streamed to other nodes at a time; others wait. Default 2. */
  readonly snapshotSendsMax?: number;
  /** The regions it hosts, at least one. */
  readonly regions: readonly RegionOptions[];
  /** Length of a tick in milliseconds. Default 100. */
  readonly tickMs?: number;
  /** Ticks without a word from the leader after which a follower campaigns; up to twice as many. Default 10. */
  readonly electionTick?: number;
  /** Ticks between heartbeats. Default 1. */
  readonly heartbeatTick?: number;
  /**
   * Ask for votes without a new term first (thesis §9.6). Default true. Where members change, leave this
   * or `checkQuorum` on: with neither, a member that campaigned in vain among members that are gone may
   * be in a later term than the leader and ignore it, until somebody is elected in a higher one.
   */
  readonly preVote?: boolean;
  /**
   * A leader that has not heard from a quorum for an election timeout steps down. Default true; see
   * `preVote`.
   */
  readonly checkQuorum?: boolean;
  /** Forward proposals to the leader; otherwise other members reject them with `NotLeaderError`. Default true. */
  readonly forwardProposals?: boolean;
  /**
   * Propose again what is certain to have been lost with its leader, until the deadline; otherwise
   * reject it with `DroppedError`. It cannot be applied twice either way. Default true.
   */
  readonly repeatDropped?: boolean;
  /** How long a proposal or a read may take unless the call says otherwise, in milliseconds. Default 5,000. */
  readonly requestTimeoutMs?: number;
  /**
   * How often a leader lets the clock go on by which client sessions expire, in milliseconds, while there
   * are any: each time costs an entry. Default 10,000.
   */
  readonly sessionClockMs?: number;
  /** When the logs are compacted, and what is kept. */
  readonly compaction?: CompactionOptions;
  /** How much may wait, and how batches are cut. */
  readonly limits?: PeerLimits;
  /** Where to log. Default: nowhere. */
  readonly logger?: Logger;
  /** Told what happens. Default: nobody. */
  readonly observer?: Observer;
  /** Seed of the election timeouts: an integer from 0. Default: unpredictable. */
  readonly seed?: number;
  /** The clock. Default: the machine's. */
  readonly clock?: Clock;
}

/** The options of a call on a node. */
export interface RequestOptions {
  /** The region. Default: the first of the node. */
  readonly regionId?: number;
  /** Gives up when aborted, with `CancelledError`. */
  readonly signal?: AbortSignal;
  /** Gives up after this many milliseconds, with `TimedOutError`. Checked at each tick. */
  readonly deadlineMs?: number;
}

/** A command's place in a client session, for services that carry the sessions of remote clients. */
export interface SessionPosition {
  /** The session, as `ClientSession.id` or `Node.openSessionId` said. */
  readonly id: string;
  /** Numbers the command in its session: an integer from 1, above `acknowledged`. */
  readonly sequence: number;
  /**
   * The client waits for no result of a number up to this one: an integer from 0. At most 4,096 below
   * `sequence`.
   */
  readonly acknowledged: number;
}

/** The options of a proposal. */
export interface ProposalOptions extends RequestOptions {
  /**
   * The command takes effect once, however often it is proposed with this session and sequence number, by
   * whichever member; each time with the result of that once.
   */
  readonly session?: SessionPosition;
}

/** The options of a session that is opened. */
export interface SessionOptions extends RequestOptions {
  /**
   * How long it lives unused, in milliseconds, on a clock that stands still while nobody leads and has a
   * resolution of 10 seconds: at most 30 days. Default 300,000.
   */
  readonly timeoutMs?: number;
  /**
   * How long one attempt of a command may take before it is made again, in milliseconds. Default: two
   * election timeouts.
   */
  readonly attemptMs?: number;
  /** Keep it alive while it is not used, until it is closed. Default true. */
  readonly keepsAlive?: boolean;
}

/** The options of the removal of a member. */
export interface RemovalOptions extends RequestOptions {
  /** Remove it even when too few of the others seem alive to make a quorum. Default false. */
  readonly force?: boolean;
}

/** What a proposal resolves with. */
export interface ProposalResult<Result = unknown> {
  /** Where in the log the command is. */
  readonly index: number;
  /** The term it was appended in. */
  readonly term: number;
  /** What the state machine returned for it. */
  readonly result: Result;
}

/** What a read resolves with. */
export interface ReadResult {
  /**
   * The read index. The local state machine has applied at least this much, which includes
   * everything that was acknowledged anywhere before the read was asked for.
   */
  readonly index: number;
}
