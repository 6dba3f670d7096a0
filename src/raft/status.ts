/**
 * What a replica tells about itself, for status pages, metrics and tests.
 *
 * @module
 */

import type { Raft } from "./raft.ts";
import type { ReplicationMode, ReplicationState } from "./replication/mod.ts";
import type { ConfState, HardState, PeerId, SoftState } from "./types.ts";

/** The cheap part of a replica's status. */
export interface BasicStatus {
  /** The replica. */
  readonly id: PeerId;
  /** What it must not forget. */
  readonly hardState: HardState;
  /** Its role, and who leads. */
  readonly softState: SoftState;
  /** The highest index known to be applied. */
  readonly applied: number;
  /** The peer that leadership is being transferred to; 0 when it is not. */
  readonly leadTransferee: PeerId;
  /** The first index at hand; what lies before was compacted. */
  readonly firstIndex: number;
  /** The last index of the log, durable or not. */
  readonly lastIndex: number;
}

/** The leader's view of one peer. */
export interface ReplicationStatus {
  /** The highest index known to be stored on the peer. */
  readonly matchIndex: number;
  /** The next index to send. */
  readonly nextIndex: number;
  /** How entries are sent to it. */
  readonly state: ReplicationMode;
  /** The index of the snapshot on its way; 0 when none is. */
  readonly pendingSnapshot: number;
  /** Heard from since the last check of the quorum. */
  readonly recentActive: boolean;
  /** Nothing is sent at the moment. */
  readonly paused: boolean;
  /** Whether it has no vote. */
  readonly learner: boolean;
  /** Appends under way. */
  readonly inflight: number;
  /** Bytes of commands under way. */
  readonly inflightBytes: number;
  /** Whether the window is full. */
  readonly inflightFull: boolean;
  /** Its commit group; 0 when none is assigned. */
  readonly commitGroup: number;
}

/** The whole status of a replica. */
export interface Status extends BasicStatus {
  /** The configuration in force. */
  readonly confState: ConfState;
  /** On the leader, the peers in ascending order of id; undefined elsewhere. */
  readonly progress: ReadonlyMap<PeerId, ReplicationStatus> | undefined;
}

/** The status without the peers. */
export function basicStatus(raft: Raft): BasicStatus {
  return {
    id: raft.id,
    hardState: raft.hardState(),
    softState: { leader: raft.leader, role: raft.role },
    applied: raft.log.applied,
    leadTransferee: raft.leadTransferee,
    firstIndex: raft.log.firstIndex(),
    lastIndex: raft.log.lastIndex(),
  };
}

/** The status with the peers, as copies. */
export function status(raft: Raft): Status {
  return {
    ...basicStatus(raft),
    confState: raft.tracker.confState,
    progress: raft.role === "leader"
      ? new Map(raft.tracker.peers.map((peer) => [peer.id, replicationStatus(peer)]))
      : undefined,
  };
}

function replicationStatus(peer: ReplicationState): ReplicationStatus {
  return {
    matchIndex: peer.matchIndex,
    nextIndex: peer.nextIndex,
    state: peer.state,
    pendingSnapshot: peer.pendingSnapshot,
    recentActive: peer.recentActive,
    paused: peer.isPaused(),
    learner: peer.isLearner,
    inflight: peer.inflights.count,
    inflightBytes: peer.inflights.bytes,
    inflightFull: peer.inflights.isFull(),
    commitGroup: peer.commitGroup,
  };
}
