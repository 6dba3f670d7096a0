/**
 * The data model of the consensus core: entries, messages, and the durable and volatile state that
 * a replica hands to its host. Everything here is plain data without behaviour.
 *
 * All 64-bit quantities are `number`: integers from 0 to 2^53-1. Whoever builds one of these values
 * from bytes (wire, disk, options) checks that first; the core relies on it.
 *
 * @module
 */

/** Identifies a replica within its region: an integer from 1 to {@linkcode PEER_ID_MAX}. Never used twice. */
export type PeerId = number;

/** The absence of a peer: no leader known, no vote cast. */
export const NO_PEER: PeerId = 0;

/** Pseudo-peer that receives `storage-append` messages (asynchronous storage writes). */
export const APPEND_THREAD: PeerId = Number.MAX_SAFE_INTEGER;

/** Pseudo-peer that receives `storage-apply` messages (asynchronous storage writes). */
export const APPLY_THREAD: PeerId = Number.MAX_SAFE_INTEGER - 1;

/** The largest id a peer may have; the two above it are the storage threads. */
export const PEER_ID_MAX: PeerId = Number.MAX_SAFE_INTEGER - 2;

/** What an entry carries: a command of the application, or a change of the configuration. */
export type EntryType = "normal" | "conf-change" | "conf-change-v2";

/**
 * One entry of the replicated log (Raft §5.3). Entries are immutable once built: the core, the
 * storage, the transport and the state machine share the same object and the same bytes.
 */
export interface RaftLogEntry {
  /** Position in the log, from 1, without gaps. */
  readonly index: number;
  /** Term of the leader that created the entry; never decreases along the log. */
  readonly term: number;
  /** What {@linkcode RaftLogEntry.command} holds. */
  readonly type: EntryType;
  /** The payload: bytes of the application, or an encoded configuration change. May be empty. */
  readonly command: Uint8Array;
  /** Opaque bytes that travel with the entry, next to the command (a proposal's id, for one). */
  readonly context: Uint8Array | undefined;
}

/** The state every replica must have on stable storage before it answers (Raft §5.1, figure 2). */
export interface HardState {
  /** The latest term the replica has seen; 0 at first. */
  readonly currentTerm: number;
  /** The candidate that received its vote in that term, or {@linkcode NO_PEER}. */
  readonly votedFor: PeerId;
  /** The highest index known to be committed. */
  readonly commitIndex: number;
}

/** A configuration of the group (thesis §4.3). Id lists are sorted and hold no id twice. */
export interface ConfState {
  /** The voters; in a joint configuration, those of the incoming half. */
  readonly voters: readonly PeerId[];
  /** Replicas that receive the log without a vote. */
  readonly learners: readonly PeerId[];
  /** The voters of the outgoing half; empty unless the configuration is joint. */
  readonly votersOutgoing: readonly PeerId[];
  /** Outgoing voters that turn into learners when the joint configuration is left. */
  readonly learnersNext: readonly PeerId[];
  /** Whether the leader leaves the joint configuration by itself once it is applied. */
  readonly autoLeave: boolean;
}

/** What a snapshot stands for: the log up to `index` and the configuration at that entry. */
export interface SnapshotMetadata {
  /** The last entry the snapshot includes. */
  readonly index: number;
  /** The term of that entry. */
  readonly term: number;
  /** The configuration as of that entry. */
  readonly confState: ConfState;
}

/** A snapshot (Raft §7). What `data` means is between the hosts; the core only carries it. */
export interface Snapshot {
  /** What it stands for. */
  readonly metadata: SnapshotMetadata;
  /** The state, as the hosts encode it; may be empty. */
  readonly data: Uint8Array;
}

/** The role of a replica. A `precandidate` asks whether it could win before it disturbs anyone (thesis §9.6). */
export type Role = "follower" | "candidate" | "leader" | "precandidate";

/** The volatile state a host may want to show: who leads, and what this replica is. Not persisted. */
export interface SoftState {
  /** The leader as far as this replica knows, or {@linkcode NO_PEER}. */
  readonly leader: PeerId;
  /** This replica's role. */
  readonly role: Role;
}

/**
 * A read request that has been confirmed: once the state machine has applied `index`, it may answer
 * every read that was asked for before (thesis §6.4).
 */
export interface ReadState {
  /** The commit index to wait for. */
  readonly index: number;
  /** The context given to `readIndex`, unchanged. */
  readonly context: Uint8Array;
}

/**
 * The kinds of message. Those marked *local* never travel between
 * processes; the `storage-*` kinds travel between the core and its storage only.
 *
 * - `hup` (local): start an election. `beat` (local): send heartbeats. `check-quorum` (local).
 * - `propose`: entries to append; a follower forwards it to the leader.
 * - `append`, `append-response`: AppendEntries (§5.3). `heartbeat`, `heartbeat-response`.
 * - `vote`, `vote-response`: RequestVote (§5.2). `pre-vote`, `pre-vote-response` (thesis §9.6).
 * - `snapshot`: InstallSnapshot (§7). `snapshot-status`, `unreachable` (local): reports of the host.
 * - `transfer-leader`, `timeout-now`: leadership transfer (thesis §3.10). `forget-leader` (local).
 * - `read-index`, `read-index-response`: linearizable reads (thesis §6.4).
 * - `storage-append`, `storage-append-response`, `storage-apply`, `storage-apply-response`:
 *   asynchronous storage writes.
 */
export type MessageType =
  | "hup"
  | "beat"
  | "propose"
  | "append"
  | "append-response"
  | "vote"
  | "vote-response"
  | "snapshot"
  | "heartbeat"
  | "heartbeat-response"
  | "unreachable"
  | "snapshot-status"
  | "check-quorum"
  | "transfer-leader"
  | "timeout-now"
  | "read-index"
  | "read-index-response"
  | "pre-vote"
  | "pre-vote-response"
  | "storage-append"
  | "storage-append-response"
  | "storage-apply"
  | "storage-apply-response"
  | "forget-leader";

/**
 * A message between replicas. All messages have one shape, so that engines keep one hidden class;
 * a field that a kind does not use holds its zero. Build them with `createMessage`. A message is
 * immutable once it has been handed over.
 */
export interface Message {
  /** The kind of message, on which the meaning of all else depends. */
  readonly type: MessageType;
  /** The receiver. */
  readonly to: PeerId;
  /** The sender; for a local report (`unreachable`, `snapshot-status`), the peer it is about. */
  readonly from: PeerId;
  /** The sender's term; 0 marks a local or forwarded message, which no term rule applies to. */
  readonly term: number;
  /** The term of the entry at `index`. */
  readonly logTerm: number;
  /** Of `append`: the entry before the first of `entries`. Of a response: the index it is about. */
  readonly index: number;
  /** The entries it carries, in order. */
  readonly entries: readonly RaftLogEntry[];
  /** The sender's commit index, as far as the receiver may know it. */
  readonly commit: number;
  /** Of `storage-append`: the vote to persist. */
  readonly vote: PeerId;
  /** The snapshot it carries. */
  readonly snapshot: Snapshot | undefined;
  /** Whether a response refuses what was asked. */
  readonly reject: boolean;
  /** Of a refused `append`: where the sender's log may still match the leader's. */
  readonly rejectHint: number;
  /** Opaque bytes: a read's context, the position of a read round, the reason of a campaign. */
  readonly context: Uint8Array | undefined;
  /** Of storage messages: what to deliver once the work is done (in memory only). */
  readonly responses: readonly Message[] | undefined;
  /** Election priority of the sender (opt-in, as in tikv/raft-rs; may be negative). */
  readonly priority: number;
  /** Of a refused `append`: the index from which the follower asks for a snapshot (opt-in), or 0. */
  readonly requestSnapshot: number;
  /** The term of the entry at `commit` (opt-in, commit-by-vote), or 0. */
  readonly commitTerm: number;
}

/** What is done to one peer: make it a voter, remove it, note an update (no effect), make it a learner. */
export type ConfChangeType = "add-node" | "remove-node" | "update-node" | "add-learner";

/** One step of a configuration change. */
export interface ConfChangeSingle {
  /** What is done to the peer. */
  readonly type: ConfChangeType;
  /** The peer concerned. 0 makes the step a no-op. */
  readonly peerId: PeerId;
}

/**
 * How joint consensus is used (thesis §4.3). `auto`: only when more than one voter changes, left
 * automatically. `joint-implicit`: always, left automatically. `joint-explicit`: always, left when
 * the application proposes an empty change.
 */
export type ConfChangeTransition = "auto" | "joint-implicit" | "joint-explicit";

/** A change of a single peer: an entry of type `conf-change`. */
export interface ConfChange {
  /** What is done to the peer. */
  readonly type: ConfChangeType;
  /** The peer concerned. */
  readonly peerId: PeerId;
  /** Opaque bytes for the application. */
  readonly context: Uint8Array | undefined;
}

/**
 * A change of any number of peers: an entry of type `conf-change-v2`. Without changes it leaves a
 * joint configuration.
 */
export interface ConfChangeV2 {
  /** Whether the change goes through a joint configuration. */
  readonly transition: ConfChangeTransition;
  /** The changes, in order; none leaves a joint configuration. */
  readonly changes: readonly ConfChangeSingle[];
  /** Opaque bytes for the application. */
  readonly context: Uint8Array | undefined;
}

const NO_ENTRIES: readonly RaftLogEntry[] = Object.freeze([]);
const NO_BYTES = new Uint8Array(0);

/** Builds an entry; absent fields are zero, `normal` and empty. */
export function createEntry(fields: Partial<RaftLogEntry>): RaftLogEntry {
  return {
    index: fields.index ?? 0,
    term: fields.term ?? 0,
    type: fields.type ?? "normal",
    command: fields.command ?? NO_BYTES,
    context: fields.context,
  };
}

/** Builds a message of the one shape all messages have; absent fields hold their zero. */
export function createMessage(fields: Partial<Message> & { type: MessageType }): Message {
  return {
    type: fields.type,
    to: fields.to ?? NO_PEER,
    from: fields.from ?? NO_PEER,
    term: fields.term ?? 0,
    logTerm: fields.logTerm ?? 0,
    index: fields.index ?? 0,
    entries: fields.entries ?? NO_ENTRIES,
    commit: fields.commit ?? 0,
    vote: fields.vote ?? NO_PEER,
    snapshot: fields.snapshot,
    reject: fields.reject ?? false,
    rejectHint: fields.rejectHint ?? 0,
    context: fields.context,
    responses: fields.responses,
    priority: fields.priority ?? 0,
    requestSnapshot: fields.requestSnapshot ?? 0,
    commitTerm: fields.commitTerm ?? 0,
  };
}

/** Builds a configuration; absent lists are empty. The lists are copied and sorted. */
export function createConfState(fields: Partial<ConfState> = {}): ConfState {
  return {
    voters: sorted(fields.voters),
    learners: sorted(fields.learners),
    votersOutgoing: sorted(fields.votersOutgoing),
    learnersNext: sorted(fields.learnersNext),
    autoLeave: fields.autoLeave ?? false,
  };
}

/** The hard state of a replica that has never seen a term. */
export const EMPTY_HARD_STATE: HardState = Object.freeze({
  currentTerm: 0,
  votedFor: NO_PEER,
  commitIndex: 0,
});

/** Whether nothing has ever been recorded in `state`. */
export function isEmptyHardState(state: HardState): boolean {
  return state.currentTerm === 0 && state.votedFor === NO_PEER && state.commitIndex === 0;
}

/** Whether two hard states hold the same values. */
export function hardStatesEqual(a: HardState, b: HardState): boolean {
  return a.currentTerm === b.currentTerm && a.votedFor === b.votedFor &&
    a.commitIndex === b.commitIndex;
}

function sorted(ids: readonly PeerId[] | undefined): readonly PeerId[] {
  return ids === undefined ? [] : [...ids].sort((a, b) => a - b);
}
