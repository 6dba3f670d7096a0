/**
 * What a node tells about itself: the state of each region's replica, and counters that show where
 * the work goes.
 *
 * @module
 */

import {
  NO_PEER,
  type PeerId,
  type ReplicationStatus,
  type Role,
  type Status,
} from "../raft/mod.ts";
import type { SessionCounters } from "./sessions/table.ts";

/** Counters of one replica since its start. Ratios of them show how well work is batched. */
export interface PeerCounters extends SessionCounters {
  /** Proposals taken from callers on this member. */
  proposals: number;
  /** Proposals that were lost with their leader and proposed again. */
  proposalsRepeated: number;
  /** Proposal messages handed to the core; `proposals / proposalMessages` is the batching. */
  proposalMessages: number;
  /** Entries in those messages. */
  proposalEntries: number;
  /** Writes handed to the storage. */
  appends: number;
  /** Entries in those writes. */
  appendEntries: number;
  /** Batches handed to the state machine. */
  applyBatches: number;
  /** Commands in those batches. */
  applyCommands: number;
  /** Reads taken from callers on this member. */
  reads: number;
  /** ReadIndex rounds begun for them. */
  readRounds: number;
  /** Rounds begun again because no answer came, or the leader changed. */
  readRoundsRepeated: number;
  /** Messages received from other peers. */
  messagesReceived: number;
  /** Messages to other peers. */
  messagesSent: number;
  /** Received messages that were refused; see the log for the first of each kind. */
  messagesRefused: number;
  /** How often leadership was given up because the disk hung. */
  diskHangs: number;
}

/** All counters at zero. */
export function createPeerCounters(): PeerCounters {
  return {
    proposals: 0,
    proposalsRepeated: 0,
    proposalMessages: 0,
    proposalEntries: 0,
    appends: 0,
    appendEntries: 0,
    applyBatches: 0,
    applyCommands: 0,
    reads: 0,
    readRounds: 0,
    readRoundsRepeated: 0,
    messagesReceived: 0,
    messagesSent: 0,
    messagesRefused: 0,
    diskHangs: 0,
    sessionsOpened: 0,
    sessionsExpired: 0,
    sessionsEvicted: 0,
    sessionDuplicates: 0,
    sessionRefusals: 0,
    sessionResultsForgotten: 0,
  };
}

/** The state of one replica at one moment. */
export interface PeerStatus {
  /** The region. */
  readonly regionId: number;
  /** The replica. */
  readonly peerId: PeerId;
  /** The node it lives on. */
  readonly nodeId: number;
  /** Its role. The data model of FlareDB calls it `state`; the two are the same. */
  readonly role: Role;
  /** The peer that leads as far as this one knows, or 0. */
  readonly leaderPeerId: PeerId;
  /** The node that peer lives on, or 0. */
  readonly leaderNodeId: number;
  /** Its term. */
  readonly term: number;
  /** The highest index it knows to be committed. */
  readonly commitIndex: number;
  /** The last index the state machine has applied. */
  readonly lastApplied: number;
  /** The first index in the log. */
  readonly firstIndex: number;
  /** The last index in the log, what is still being written included. */
  readonly lastIndex: number;
  /** Those with a vote, in ascending order. */
  readonly voters: readonly PeerId[];
  /** Those that receive the log without a vote, in ascending order. */
  readonly learners: readonly PeerId[];
  /** How far each peer is, on the leader only. */
  readonly progress: ReadonlyMap<PeerId, ReplicationStatus> | undefined;
  /** Proposals of callers on this member that are not settled. */
  readonly pendingProposals: number;
  /** Bytes of their commands. */
  readonly pendingProposalBytes: number;
  /** Reads of callers on this member that are not settled. */
  readonly pendingReads: number;
  /** Writes handed to the storage that have not returned. */
  readonly pendingAppends: number;
  /** Whether the oldest of them has been under way for an election timeout or longer. */
  readonly diskHangs: boolean;
  /** Client sessions of the region. */
  readonly sessions: number;
  /** Bytes of results that are kept for them. */
  readonly sessionResultBytes: number;
  /** What the replica has counted since it was opened. */
  readonly counters: Readonly<PeerCounters>;
}

/** What a peer's status says of its core. @param nodeOf the node a peer lives on, or 0. */
export function describeCore(status: Status, nodeOf: (peerId: PeerId) => number) {
  const { softState, hardState, confState, firstIndex, lastIndex, progress } = status;
  const { leader, role } = softState;
  return {
    role,
    leaderPeerId: leader,
    leaderNodeId: leader === NO_PEER ? 0 : nodeOf(leader),
    term: hardState.currentTerm,
    commitIndex: hardState.commitIndex,
    firstIndex,
    lastIndex,
    voters: confState.voters,
    learners: confState.learners,
    progress,
  };
}

/** Counters of a node since its start. */
export interface NodeCounters {
  /** Turns of the event loop in which something was handled. */
  turns: number;
  /** Batches handed to the transport; `messagesSent / transportBatches` is the batching. */
  transportBatches: number;
  /** Messages in those batches, over all regions. */
  messagesSent: number;
  /** Messages for a region or a peer that this node does not host. */
  messagesMisrouted: number;
  /** Messages dropped because a region had too many waiting. */
  messagesOverflowed: number;
  /** Messages to peers whose node is not known. */
  messagesUndeliverable: number;
}

/** All counters at zero. */
export function createNodeCounters(): NodeCounters {
  return {
    turns: 0,
    transportBatches: 0,
    messagesSent: 0,
    messagesMisrouted: 0,
    messagesOverflowed: 0,
    messagesUndeliverable: 0,
  };
}

/** A snapshot on its way to another node. */
export interface DepartingSnapshotStatus {
  /** Who it is for, and the node that peer lives on. */
  readonly peerId: PeerId;
  /** The node it lives on. */
  readonly nodeId: number;
  /** What it stands for. */
  readonly index: number;
  /** Whether it waits for its turn. */
  readonly waiting: boolean;
  /** Bytes of its state that are known to have arrived. */
  readonly storedBytes: number;
  /** How often its connection broke and it went on over another. */
  readonly resumptions: number;
}

/** A snapshot on its way to this node. */
export interface ArrivingSnapshotStatus {
  /** The node it comes from. */
  readonly fromNodeId: number;
  /** What it stands for. */
  readonly index: number;
  /** Bytes of its state that have arrived. */
  readonly receivedBytes: number;
}

/** The state of a node's replica of one region, with the counters of the node. */
export interface NodeStatus extends PeerStatus {
  /** Snapshots on their way to other nodes. */
  readonly departingSnapshots: readonly DepartingSnapshotStatus[];
  /** The snapshot on its way to this node. */
  readonly arrivingSnapshot: ArrivingSnapshotStatus | undefined;
  /** The index of the snapshot that is being installed, or 0. */
  readonly installingSnapshot: number;
  /** What the node has counted since it was opened. */
  readonly nodeCounters: Readonly<NodeCounters>;
}
