/**
 * `RawNode`: the face of the core. It owns one replica's state and exchanges plain data with its
 * host; see the module documentation of `mod.ts` for how to drive it.
 *
 * @module
 */

import type { Config } from "./config.ts";
import {
  ConfigError,
  LocalMessageError,
  MessageRefusedError,
  PeerNotFoundError,
  type RaftError,
  RaftInvariantError,
  SnapshotRequestDroppedError,
} from "./errors.ts";
import {
  encodeConfChange,
  encodeConfChangeV2,
  isConfChangeV2,
  toConfChangeV2,
} from "./membership/mod.ts";
import { checkMessage } from "./message_check.ts";
import { Raft } from "./raft.ts";
import type { Ready } from "./ready.ts";
import { advanceCommit } from "./roles/committing.ts";
import { ordinaryCampaign, startCampaign } from "./roles/election.ts";
import { forgetLeader, sendSnapshotRequest } from "./roles/follower.ts";
import { noteSnapshotSent, noteUnreachable } from "./roles/leader.ts";
import { applyConfChange } from "./roles/reconfiguring.ts";
import { entriesSize } from "./size.ts";
import { type BasicStatus, basicStatus, type Status, status } from "./status.ts";
import { step } from "./step.ts";
import {
  needsAppend,
  type StableWrite,
  storageAppend,
  storageAppendResponse,
  storageApply,
  storageApplyResponse,
} from "./storage_messages.ts";
import { tick } from "./tick.ts";
import {
  APPEND_THREAD,
  APPLY_THREAD,
  type ConfChange,
  type ConfChangeV2,
  type ConfState,
  createEntry,
  createMessage,
  type HardState,
  type Message,
  type MessageType,
  NO_PEER,
  type PeerId,
  type RaftLogEntry,
  type ReadState,
  type SoftState,
} from "./types.ts";

/** One proposed command. */
export interface Proposal {
  /** The payload of the entry. */
  readonly command: Uint8Array;
  /** Opaque bytes that travel with it; see `RaftLogEntry.context`. */
  readonly context?: Uint8Array;
}

/** Kinds that only the local host makes, by the methods of their names. */
const LOCAL_TYPES: ReadonlySet<MessageType> = new Set<MessageType>([
  "hup",
  "beat",
  "unreachable",
  "snapshot-status",
  "check-quorum",
  "forget-leader",
]);

/** Kinds that only the storage threads answer with. */
const STORAGE_TYPES: ReadonlySet<MessageType> = new Set<MessageType>([
  "storage-append",
  "storage-append-response",
  "storage-apply",
  "storage-apply-response",
]);

/** Kinds that answer a request, and so come from a member. */
const RESPONSE_TYPES: ReadonlySet<MessageType> = new Set<MessageType>([
  "append-response",
  "vote-response",
  "heartbeat-response",
  "read-index-response",
  "pre-vote-response",
]);

const NO_READ_STATES: readonly ReadState[] = Object.freeze([]);
const NO_MESSAGES: readonly Message[] = Object.freeze([]);

/** One replica of one group. Not reentrant: calls must not be made from its event sink or logger. */
export class RawNode {
  readonly #raft: Raft;
  readonly #async: boolean;
  #softState: SoftState;
  #hardState: HardState;
  /** With synchronous writes: what `advance` steps. Undefined while no Ready is outstanding. */
  #onAdvance: Message[] | undefined = undefined;

  /**
   * @throws ConfigError for a bad option, {@linkcode RaftInvariantError} or
   * {@linkcode ConfChangeError} when what is in storage contradicts itself.
   */
  /** Starts from what the storage holds. @throws ConfigError when an option does not fit. */
  constructor(config: Config) {
    this.#raft = new Raft(config);
    this.#async = this.#raft.config.asyncStorageWrites;
    this.#softState = { leader: this.#raft.leader, role: this.#raft.role };
    this.#hardState = this.#raft.hardState();
  }

  /** This replica's id. */
  get id(): PeerId {
    return this.#raft.id;
  }

  /** Lets one tick of logical time pass; the host calls it at a fixed interval. */
  tick(): void {
    tick(this.#raft);
  }

  /** Starts an election now, unless this replica leads or must not campaign. */
  campaign(): void {
    startCampaign(this.#raft, ordinaryCampaign(this.#raft));
  }

  /**
   * Proposes a command. It is committed once it appears in `Ready.committedEntries`, or never.
   *
   * @param context opaque bytes that travel with it.
   * @throws ProposalDroppedError when it was not taken.
   */
  propose(command: Uint8Array, context?: Uint8Array): void {
    this.#propose([createEntry({ command, context })]);
  }

  /**
   * Proposes several commands as one message: they are appended together or not at all.
   *
   * @throws ProposalDroppedError when they were not taken, MessageRefusedError when there are none.
   */
  proposeBatch(proposals: readonly Proposal[]): void {
    this.#propose(proposals.map(({ command, context }) => createEntry({ command, context })));
  }

  /**
   * Proposes a change of the configuration. One that does not fit when the leader takes it is
   * replaced by an empty entry; when the entry is applied, call {@linkcode applyConfChange}.
   *
   * @throws ProposalDroppedError when it was not taken, ConfChangeError when it cannot be encoded.
   */
  proposeConfChange(change: ConfChange | ConfChangeV2): void {
    const entry = isConfChangeV2(change)
      ? createEntry({ type: "conf-change-v2", command: encodeConfChangeV2(change) })
      : createEntry({ type: "conf-change", command: encodeConfChange(change) });
    this.#propose([entry]);
  }

  /**
   * Applies a committed configuration change, and returns the configuration to save. Call it for each
   * such entry when applying it, except when the application voids the change, the same way on all
   * replicas.
   *
   * @throws ConfChangeError when it does not fit the configuration; nothing changes then.
   */
  applyConfChange(change: ConfChange | ConfChangeV2): ConfState {
    return applyConfChange(this.#raft, toConfChangeV2(change));
  }

  /**
   * Handles a message from a peer, or an answer of the storage threads. Never throws because of what
   * is in it: a message that is malformed, impossible or not taken is refused and the refusal
   * returned.
   *
   * @returns undefined, or PeerNotFoundError, LocalMessageError, MessageRefusedError,
   * ProposalDroppedError or ConfChangeError.
   * @throws RaftInvariantError for a bug of the core or a storage that broke its promise.
   */
  step(message: Message): RaftError | undefined {
    const { type, from } = message;
    const fromStorage = from === APPEND_THREAD || from === APPLY_THREAD;
    if (LOCAL_TYPES.has(type) || STORAGE_TYPES.has(type) !== fromStorage) {
      return new LocalMessageError();
    }
    if (RESPONSE_TYPES.has(type) && this.#raft.tracker.get(from) === undefined) {
      return new PeerNotFoundError();
    }
    return checkMessage(this.#raft, message) ?? step(this.#raft, message);
  }

  /** Whether there is work for the host. */
  hasReady(): boolean {
    const raft = this.#raft;
    return raft.messages.length > 0 || raft.messagesAfterAppend.length > 0 ||
      raft.log.unstable.hasNextEntries() || raft.log.hasNextCommitted(!this.#async) ||
      raft.readStates.length > 0 || raft.log.unstable.nextSnapshot() !== undefined ||
      raft.role !== this.#softState.role || raft.leader !== this.#softState.leader ||
      !this.#isHardStateSaved();
  }

  /**
   * Takes the outstanding work. With synchronous storage writes it must be carried out and concluded
   * by {@linkcode advance} before the next call.
   *
   * @throws RaftInvariantError when the previous Ready was not concluded.
   */
  ready(): Ready {
    if (this.#onAdvance !== undefined) {
      throw new RaftInvariantError("two accepted Ready structs without a call to advance");
    }
    const raft = this.#raft;
    const write: StableWrite = {
      entries: raft.log.unstable.nextEntries(),
      hardState: this.#isHardStateSaved() ? undefined : raft.hardState(),
      snapshot: raft.log.unstable.nextSnapshot(),
    };
    const committedEntries = raft.log.nextCommitted(!this.#async);
    const ready: Ready = {
      softState: this.#takeSoftState(),
      hardState: write.hardState,
      readStates: raft.readStates.length > 0 ? raft.readStates : NO_READ_STATES,
      entries: write.entries,
      snapshot: write.snapshot,
      committedEntries,
      messages: this.#async ? this.#messagesWithStorage(write, committedEntries) : raft.messages,
      messagesAfterAppend: this.#async
        ? NO_MESSAGES
        : raft.messagesAfterAppend.filter((message) => message.to !== raft.id),
      mustSync: write.entries.length > 0 || raft.term !== this.#hardState.currentTerm ||
        raft.vote !== this.#hardState.votedFor,
    };
    if (!this.#async) this.#onAdvance = this.#stepsOnAdvance(write, committedEntries);
    this.#accept(write, committedEntries);
    return ready;
  }

  /**
   * Concludes the outstanding Ready: all of it is persisted and applied. Only with synchronous
   * storage writes.
   *
   * @throws RaftInvariantError when no Ready is outstanding, or writes are asynchronous.
   */
  advance(): void {
    const messages = this.#onAdvance;
    if (messages === undefined) {
      throw new RaftInvariantError(
        this.#async
          ? "advance must not be called with asynchronous storage writes"
          : "advance without a Ready",
      );
    }
    this.#onAdvance = undefined;
    for (const message of messages) step(this.#raft, message);
  }

  /**
   * Asks for a linearizable read: once `Ready.readStates` holds `context`, wait until its index is
   * applied, then read. Without a leader the request is dropped silently; ask again after a while.
   */
  readIndex(context: Uint8Array): void {
    step(
      this.#raft,
      createMessage({ type: "read-index", entries: [createEntry({ command: context })] }),
    );
  }

  /** Hands leadership to `to` (thesis §3.10). Nothing happens when it is no voter or no leader is known. */
  transferLeader(to: PeerId): void {
    if (to === NO_PEER) return;
    step(this.#raft, createMessage({ type: "transfer-leader", from: to }));
  }

  /**
   * Makes a follower forget its leader, so that it may vote for another before its election timeout.
   * Nothing happens on other roles and with lease-based reads.
   */
  forgetLeader(): void {
    forgetLeader(this.#raft);
  }

  /** Reports that messages to a peer were lost. */
  reportUnreachable(peer: PeerId): void {
    noteUnreachable(this.#raft, peer);
  }

  /** Reports how sending a snapshot to a peer ended. Must be called, or the peer gets nothing more. */
  reportSnapshot(peer: PeerId, outcome: "finish" | "failure"): void {
    noteSnapshotSent(this.#raft, peer, outcome === "finish");
  }

  /**
   * Asks the leader for a snapshot although the log is at hand, because the state behind it is damaged
   * (as in tikv/raft-rs). Appends are refused until it arrives.
   *
   * @throws SnapshotRequestDroppedError on a leader, without one, while one is pending, or before an
   * entry of the current term arrived.
   */
  requestSnapshot(): void {
    const raft = this.#raft;
    const why = raft.role === "leader"
      ? "this replica leads"
      : raft.leader === NO_PEER
      ? "no leader is known"
      : raft.log.unstable.snapshot !== undefined || raft.pendingRequestSnapshot !== 0
      ? "one is pending"
      : raft.log.lastTerm() !== raft.term
      ? "no entry of the current term has arrived"
      : undefined;
    if (why !== undefined) throw new SnapshotRequestDroppedError(why);
    raft.pendingRequestSnapshot = raft.log.lastIndex();
    sendSnapshotRequest(raft);
  }

  /**
   * Assigns peers to commit groups (see `Config.groupCommit`). Kept in memory only: assign again after
   * a restart and after a snapshot was installed. Unknown peers are skipped.
   *
   * @throws ConfigError for a group that is not an integer from 1.
   */
  assignCommitGroups(groups: readonly (readonly [peer: PeerId, group: number])[]): void {
    for (const [peer, group] of groups) {
      if (!Number.isSafeInteger(group) || group < 1) {
        throw new ConfigError(`the group of peer ${peer} must be an integer >= 1: found ${group}`);
      }
    }
    for (const [peer, group] of groups) {
      const state = this.#raft.tracker.get(peer);
      if (state !== undefined) state.commitGroup = group;
    }
    if (this.#raft.role === "leader" && this.#raft.tracker.groupCommit) advanceCommit(this.#raft);
  }

  /** Changes the election priority; see `Config.priority`. */
  setPriority(priority: number): void {
    if (!Number.isSafeInteger(priority)) {
      throw new ConfigError(`priority must be an integer: current value is ${priority}`);
    }
    this.#raft.priority = priority;
  }

  /** Fixes the election timeout of the current term, in ticks; for tests and simulation. */
  setRandomizedElectionTimeout(ticks: number): void {
    this.#raft.randomizedElectionTimeout = ticks;
  }

  /** Role, term, positions. Cheap. */
  basicStatus(): BasicStatus {
    return basicStatus(this.#raft);
  }

  /** All of it, with the leader's view of each peer. */
  status(): Status {
    return status(this.#raft);
  }

  #propose(entries: readonly RaftLogEntry[]): void {
    if (entries.length === 0) throw new MessageRefusedError("a proposal needs an entry");
    const message = createMessage({ type: "propose", from: this.id, entries });
    const refusal = step(this.#raft, message);
    if (refusal !== undefined) throw refusal;
  }

  #isHardStateSaved(): boolean {
    const raft = this.#raft;
    const saved = this.#hardState;
    return raft.term === saved.currentTerm && raft.vote === saved.votedFor &&
      raft.log.committed === saved.commitIndex;
  }

  #takeSoftState(): SoftState | undefined {
    const { leader, role } = this.#raft;
    if (leader === this.#softState.leader && role === this.#softState.role) return undefined;
    this.#softState = { leader, role };
    return this.#softState;
  }

  #messagesWithStorage(write: StableWrite, committed: readonly RaftLogEntry[]): Message[] {
    const raft = this.#raft;
    const { messages } = raft;
    if (needsAppend(raft, write)) messages.push(storageAppend(raft, write));
    if (committed.length > 0) messages.push(storageApply(raft, committed));
    return messages;
  }

  #stepsOnAdvance(write: StableWrite, committed: readonly RaftLogEntry[]): Message[] {
    const raft = this.#raft;
    const messages = raft.messagesAfterAppend.filter((message) => message.to === raft.id);
    const stored = storageAppendResponse(raft, write);
    if (stored !== undefined) messages.push(stored);
    if (committed.length > 0) messages.push(storageApplyResponse(raft, committed));
    return messages;
  }

  #accept(write: StableWrite, committedEntries: readonly RaftLogEntry[]): void {
    const raft = this.#raft;
    if (write.hardState !== undefined) this.#hardState = write.hardState;
    raft.readStates = [];
    raft.messages = [];
    raft.messagesAfterAppend = [];
    raft.log.unstable.acceptInProgress();
    const last = committedEntries[committedEntries.length - 1];
    if (last !== undefined) {
      raft.log.acceptApplying(last.index, entriesSize(committedEntries), !this.#async);
    }
    raft.emit("Ready");
  }
}
