/**
 * `Peer`: one replica of one region. It drives a `RawNode` and is synchronous and deterministic:
 * events and the time go in, effects come out; it has no clock, timer, promise, stream or randomness
 * of its own. A `Node` carries the effects out in production, a simulator in tests.
 *
 * All events of a call are handled before one Ready is taken: what has arrived together is written,
 * sent and applied together. That is where batching comes from; nothing waits for a timer. What a
 * peer does while its disk hangs is told in `disk_watch.ts`.
 *
 * @module
 */

import {
  type BasicStatus,
  type ConfChange,
  ConfChangeError,
  type ConfChangeV2,
  createMessage,
  type Logger,
  type LogStorage,
  type Message,
  NO_PEER,
  type PeerId,
  ProposalDroppedError,
  RaftError,
  RawNode,
  type Role,
  SILENT_LOGGER,
  type Snapshot,
  type SnapshotMetadata,
} from "../raft/mod.ts";
import { Activity } from "./activity.ts";
import { Admission } from "./admission.ts";
import { AppendQueue } from "./append_queue.ts";
import { ApplyQueue } from "./apply_queue.ts";
import { DiskWatch, mostAdvancedVoter } from "./disk_watch.ts";
import { InternalError, StoppedError } from "./errors.ts";
import {
  type ApplyWork,
  createPeerEffects,
  type PeerEffects,
  type PeerEvent,
  ProposalRequest,
  turnIntoFailure,
} from "./events.ts";
import { checkLimits } from "./limits.ts";
import { MemberBook, type MemberRecord } from "./member_book.ts";
import { MemberChanges } from "./member_changes.ts";
import type { PeerOptions } from "./peer_options.ts";
import { ProposalQueue } from "./proposals.ts";
import { ReadQueue } from "./reads.ts";
import { committedTo } from "./recovery.ts";
import { describeSnapshot, streamingSnapshots } from "./snapshot_metadata.ts";
import { createPeerCounters, type PeerCounters, type PeerStatus } from "./status.ts";

const NO_MEMBERS: ReadonlyMap<PeerId, MemberRecord> = new Map();

/** One replica of one region. */
export class Peer {
  /** The replica. */
  readonly id: PeerId;
  /** The node it lives on. */
  readonly nodeId: number;
  /** The region it belongs to. */
  readonly regionId: number;
  /** Counters since the start. */
  readonly counters: Readonly<PeerCounters>;

  readonly #counters: PeerCounters = createPeerCounters();
  readonly #core: RawNode;
  readonly #disk: DiskWatch;
  readonly #forwardProposals: boolean;
  readonly #streamsSnapshots: boolean;
  readonly #storage: LogStorage;
  readonly #nodeOf: (peerId: PeerId) => number;
  readonly #logger: Logger;
  readonly #proposals: ProposalQueue;
  readonly #reads: ReadQueue;
  readonly #appends: AppendQueue;
  readonly #applies: ApplyQueue;
  readonly #admission: Admission;
  readonly #activity: Activity;
  readonly #book: MemberBook | undefined;
  readonly #changes: MemberChanges | undefined;
  #basic: BasicStatus;
  /** What `leaderState` said last; it is said at the first call in any case. */
  #reported = { leaderPeerId: NO_PEER, role: "follower" as Role, term: -1 };
  /** The highest term among applied entries. */
  #appliedTerm = 0;
  #stopped = false;
  /** A snapshot that is being written, by the id of its write. */
  #snapshot: { readonly appendId: number; readonly snapshot: Snapshot } | undefined;

  /**
   * Starts from what the storage holds.
   *
   * @throws ConfigError when an option is invalid, RaftInvariantError when the storage is.
   */
  constructor(options: PeerOptions) {
    this.id = options.id;
    this.nodeId = options.nodeId;
    this.regionId = options.regionId;
    this.counters = this.#counters;
    const electionTick = options.electionTick ?? 10;
    this.#disk = new DiskWatch(electionTick);
    this.#activity = new Activity(electionTick);
    this.#forwardProposals = options.forwardProposals ?? true;
    this.#admission = new Admission(options.id, options.installsSnapshots ?? false);
    this.#nodeOf = options.nodeOf ?? (() => 0);
    this.#logger = options.logger ?? SILENT_LOGGER;
    const limits = checkLimits(options.limits);
    const counters = this.#counters;
    this.#proposals = new ProposalQueue({
      peerId: options.id,
      epoch: options.epoch,
      limits,
      repeatDropped: options.repeatDropped ?? true,
      counters,
    });
    this.#reads = new ReadQueue(options.epoch, limits, counters);
    this.#streamsSnapshots = options.streamsSnapshots ?? false;
    const committed = committedTo(options.storage, options.lastApplied);
    const storage = this.#streamsSnapshots
      ? streamingSnapshots(committed, () => this.snapshotMetadata(this.lastApplied))
      : committed;
    this.#storage = storage;
    if (options.nodeState !== undefined) {
      this.#book = new MemberBook(options.nodeState);
      this.#changes = new MemberChanges(
        options.id,
        options.epoch,
        () => this.#core,
        this.#book,
        { nodeOf: this.#nodeOf, isAlive: (peerId) => this.isAlive(peerId) },
      );
    }
    this.#appends = new AppendQueue(storage.initialState().hardState, counters);
    this.#applies = new ApplyQueue(
      options.lastApplied,
      options.storage.confStateIndex(),
      counters,
      this.#book,
    );
    this.#core = new RawNode({
      id: options.id,
      storage,
      random: options.random,
      electionTick,
      heartbeatTick: options.heartbeatTick ?? 1,
      applied: options.lastApplied,
      asyncStorageWrites: true,
      maxSizePerMessage: limits.appendBytesMax,
      maxCommittedSizePerReady: limits.applyBytesMax,
      maxUncommittedSize: limits.uncommittedBytesMax,
      maxInflightMessages: limits.inflightMessagesMax,
      maxInflightBytes: Math.max(limits.inflightBytesMax, limits.appendBytesMax),
      preVote: options.preVote ?? true,
      checkQuorum: options.checkQuorum ?? true,
      disableProposalForwarding: !this.#forwardProposals,
      stepDownOnRemoval: options.stepDownOnRemoval ?? false,
      logger: this.#logger,
    });
    this.#basic = this.#core.basicStatus();
  }

  /** Its role. */
  get state(): Role {
    return this.#basic.softState.role;
  }

  /** The latest term it has seen. */
  get term(): number {
    return this.#basic.hardState.currentTerm;
  }

  /** The highest index known to be committed. */
  get commitIndex(): number {
    return this.#basic.hardState.commitIndex;
  }

  /** The last index the state machine has applied. */
  get lastApplied(): number {
    return this.#applies.lastApplied;
  }

  /** The peer that leads as far as this one knows, or 0. */
  get leader(): PeerId {
    return this.#basic.softState.leader;
  }

  /**
   * Handles what has happened, and says what is to be done.
   *
   * @param now the monotonic clock, in milliseconds; never less than at the call before.
   * @returns what is to be done; with `failure` set when the peer has ended by itself.
   */
  handle(events: readonly PeerEvent[], now: number): PeerEffects {
    const effects = createPeerEffects();
    let position = 0;
    try {
      for (; position < events.length; position++) {
        if (this.#stopped) this.#rejectLate(events[position], effects);
        else this.#take(events[position], now, effects);
      }
      if (!this.#stopped) this.#act(effects);
    } catch (error) {
      this.#fail(error, events.slice(position + 1), effects);
    }
    return effects;
  }

  /** What follows from the events: proposals and reads go out, and one Ready is taken. */
  #act(effects: PeerEffects): void {
    this.#refresh();
    this.#handOutProposals(effects);
    this.#beginReadRound();
    this.#takeReady(effects);
    this.#changes?.settleRefused(effects);
    this.#refresh();
    effects.apply = this.#nextApply();
    this.#reads.settleApplied(this.lastApplied, effects);
    this.#reportLeader(effects);
  }

  /**
   * What a snapshot stands for that holds what the state machine has applied up to `index`, which must
   * have been handed to it; undefined while that cannot be said: nothing is applied, a configuration
   * change is on its way into the state machine, or a snapshot is being installed.
   */
  snapshotMetadata(index: number): SnapshotMetadata | undefined {
    if (index === 0 || this.#snapshot !== undefined || index < this.#applies.confStateIndex) {
      return undefined;
    }
    return describeSnapshot(this.#storage, index, this.#core.status().confState);
  }

  /** The members that are recorded in the state machine, with `PeerOptions.nodeState`. */
  get recordedMembers(): ReadonlyMap<PeerId, MemberRecord> {
    return this.#book?.members ?? NO_MEMBERS;
  }

  /**
   * Whether this leader has heard from a follower within so many election timeouts, with
   * `streamsSnapshots`.
   */
  isAlive(peerId: PeerId, timeouts = 1): boolean {
    return this.#activity.isAlive(peerId, timeouts);
  }

  /** Whether an id belonged to a member that was removed. */
  isRemoved(peerId: PeerId): boolean {
    return this.#book?.isRemoved(peerId) ?? false;
  }

  /** A full picture of the peer; the progress of its followers on the leader. */
  status(): PeerStatus {
    const status = this.#core.status();
    const { leader, role } = status.softState;
    return {
      regionId: this.regionId,
      peerId: this.id,
      nodeId: this.nodeId,
      role,
      leaderPeerId: leader,
      leaderNodeId: leader === NO_PEER ? 0 : this.#nodeOf(leader),
      term: status.hardState.currentTerm,
      commitIndex: status.hardState.commitIndex,
      lastApplied: this.lastApplied,
      firstIndex: status.firstIndex,
      lastIndex: status.lastIndex,
      voters: status.confState.voters,
      learners: status.confState.learners,
      progress: status.progress,
      pendingProposals: this.#proposals.count,
      pendingProposalBytes: this.#proposals.bytes,
      pendingReads: this.#reads.count,
      pendingAppends: this.#appends.count,
      diskHangs: this.#disk.hangs,
      counters: { ...this.#counters },
    };
  }

  #refresh(): void {
    this.#basic = this.#core.basicStatus();
  }

  #take(event: PeerEvent, now: number, effects: PeerEffects): void {
    switch (event.type) {
      case "tick":
        return this.#tick(now, effects);
      case "messages":
        for (const message of event.messages) this.#receive(message, effects);
        return;
      case "proposals":
        for (const proposal of event.proposals) this.#proposals.add(proposal, effects);
        return;
      case "reads":
        for (const read of event.reads) this.#reads.add(read, effects);
        return;
      case "cancel":
        if (event.request instanceof ProposalRequest) {
          return this.#proposals.cancel(event.request, event.reason, effects);
        }
        return this.#reads.cancel(event.request, event.reason, effects);
      case "appended":
        return this.#appended(event.id, event.nodeState, effects);
      case "snapshot-received":
        this.#counters.messagesReceived++;
        return this.#step(event.message, effects);
      case "applied":
        return this.#applied(event.results, effects);
      case "configuration-saved":
        return this.#applies.configurationSaved();
      case "unreachable":
        return this.#core.reportUnreachable(event.peerId);
      case "snapshot-sent":
        return this.#core.reportSnapshot(event.peerId, event.ok ? "finish" : "failure");
      case "transfer-leader":
        return this.#core.transferLeader(event.to);
      case "change-configuration":
        return this.#changeConfiguration(event.change, effects);
      case "change-members":
        return this.#changes?.add(event.request, effects);
      case "campaign":
        return this.#core.campaign();
      case "stop":
        return this.#stop(event.cause, effects);
    }
  }

  #changeConfiguration(change: ConfChange | ConfChangeV2, effects: PeerEffects): void {
    try {
      this.#core.proposeConfChange(change);
    } catch (error) {
      if (!(error instanceof ProposalDroppedError || error instanceof ConfChangeError)) throw error;
      this.#refused(error, effects);
    }
  }

  #tick(now: number, effects: PeerEffects): void {
    this.#proposals.expire(now, effects);
    this.#reads.expire(now, effects);
    this.#changes?.expire(now, effects);
    this.#reads.tick();
    const write = this.#appends.tick();
    if (write !== undefined) effects.appends.push(write);
    this.#watchDisk();
    if (this.#streamsSnapshots) this.#activity.tick(this.#core.status().progress);
    if (!this.#disk.hangs) this.#core.tick();
  }

  #watchDisk(): void {
    const change = this.#disk.observe(this.#appends.oldestTicks);
    if (change === "answers") this.#logger.info(`${this.#name} the disk answers again`);
    if (change !== "hangs") return;
    this.#counters.diskHangs++;
    this.#logger.warn(
      `${this.#name} a write has been under way for ${this.#appends.oldestTicks} ticks: ` +
        "the disk hangs",
    );
    const successor = mostAdvancedVoter(this.id, this.#core.status().progress);
    if (successor !== NO_PEER) this.#core.transferLeader(successor);
  }

  #receive(message: Message, effects: PeerEffects): void {
    this.#counters.messagesReceived++;
    if (!this.#admission.concerns(message)) return this.#step(message, effects);
    const status = this.#core.basicStatus();
    const admitted = this.#admission.admit(message, status, this.lastApplied);
    if (admitted.refusal !== undefined) this.#refused(admitted.refusal, effects);
    if (admitted.message !== undefined) this.#step(admitted.message, effects);
  }

  #refused(error: RaftError, effects: PeerEffects): void {
    this.#counters.messagesRefused++;
    effects.refused.push(error);
  }

  #step(message: Message, effects: PeerEffects): void {
    const error = this.#core.step(message);
    if (error !== undefined) this.#refused(error, effects);
  }

  #handOutProposals(effects: PeerEffects): void {
    if (!this.#proposals.hasWaiting) return;
    const { softState, hardState, leadTransferee } = this.#basic;
    if (!this.#forwardProposals && softState.role !== "leader") {
      const nodeId = softState.leader === NO_PEER ? 0 : this.#nodeOf(softState.leader);
      return this.#proposals.rejectWaiting(softState.leader, nodeId, effects);
    }
    if (softState.leader === NO_PEER || leadTransferee !== NO_PEER) return;
    if (this.#isSilent()) return;
    try {
      this.#proposals.handOut(
        hardState.currentTerm,
        (entries) => this.#core.proposeBatch(entries),
      );
    } catch (error) {
      if (!(error instanceof ProposalDroppedError)) throw error;
      this.#logger.debug(`${this.#name} proposals wait: ${error.reason}`);
    }
  }

  #beginReadRound(): void {
    const { softState, hardState } = this.#basic;
    if (softState.leader === NO_PEER) return;
    this.#reads.beginRound(
      softState.leader,
      hardState.currentTerm,
      (context) => this.#core.readIndex(context),
    );
  }

  #isSilent(): boolean {
    return this.#disk.hangs && this.#core.basicStatus().softState.role === "leader";
  }

  /** Takes a Ready, and a further one only when there are answers that no write delays. */
  #takeReady(effects: PeerEffects): void {
    while (this.#core.hasReady()) {
      const ready = this.#core.ready();
      const silent = this.#isSilent();
      let answers: readonly Message[] = [];
      for (const message of waitForTerm(ready.messages)) {
        if (message.type === "storage-append") {
          answers = this.#append(message, effects);
        } else if (message.type === "storage-apply") {
          this.#applies.push(message);
        } else if (!silent || message.type === "timeout-now") {
          this.#send(message, effects);
        }
      }
      for (const state of ready.readStates) this.#reads.confirm(state);
      if (answers.length === 0) return;
      this.#deliver(answers, effects);
    }
  }

  #append(message: Message, effects: PeerEffects): readonly Message[] {
    this.#changes?.appended(message.entries);
    const answers = this.#appends.push(message, effects.appends);
    if (message.snapshot !== undefined) {
      const work = effects.appends[effects.appends.length - 1];
      this.#snapshot = { appendId: work.id, snapshot: message.snapshot };
      this.#applies.supersede(message.snapshot.metadata.index);
    }
    return answers;
  }

  #send(message: Message, effects: PeerEffects): void {
    this.#counters.messagesSent++;
    if (this.#streamsSnapshots && message.type === "snapshot") effects.snapshots.push(message);
    else effects.messages.push(message);
  }

  /** Delivers what waited for the storage: to the core, or to other peers. */
  #deliver(messages: readonly Message[], effects: PeerEffects): void {
    for (const message of messages) {
      if (message.to === this.id) this.#step(message, effects);
      else this.#send(message, effects);
    }
  }

  #appended(
    id: number,
    nodeState: ReadonlyMap<string, Uint8Array> | undefined,
    effects: PeerEffects,
  ): void {
    const responses = this.#appends.complete(id);
    let superseded: readonly Message[] = [];
    if (this.#snapshot?.appendId === id) {
      superseded = this.#applies.restored(this.#snapshot.snapshot.metadata.index);
      this.#proposals.forgetCertainty();
      if (nodeState !== undefined) this.#book?.replace(nodeState);
      this.#snapshot = undefined;
    }
    this.#deliver(responses, effects);
    this.#deliver(superseded, effects);
    if (this.#disk.hangs) this.#watchDisk();
  }

  #applied(commandResults: readonly unknown[], effects: PeerEffects): void {
    const { batch, entries, results, responses } = this.#applies.applied(commandResults);
    effects.appliedBatch = batch;
    for (let position = 0; position < entries.length; position++) {
      const settled = this.#proposals.settleApplied(entries[position], results[position]);
      if (settled !== undefined) effects.applied.push(settled);
    }
    this.#changes?.settleApplied(entries, effects);
    this.#deliver(responses, effects);
    const { term } = entries[entries.length - 1];
    if (term > this.#appliedTerm) {
      this.#appliedTerm = term;
      this.#proposals.settleLost(term, effects);
    }
  }

  #nextApply(): ApplyWork | undefined {
    return this.#applies.next((change) => this.#core.applyConfChange(change));
  }

  #reportLeader(effects: PeerEffects): void {
    const { softState, hardState } = this.#basic;
    const now = {
      leaderPeerId: softState.leader,
      role: softState.role,
      term: hardState.currentTerm,
    };
    const before = this.#reported;
    if (
      now.leaderPeerId === before.leaderPeerId && now.role === before.role &&
      now.term === before.term
    ) return;
    this.#reported = now;
    effects.leaderState = now;
  }

  #stop(cause: RaftError | undefined, effects: PeerEffects): void {
    this.#stopped = true;
    this.#proposals.stop(cause, effects);
    this.#reads.stop(cause, effects);
    this.#changes?.stop(cause, effects);
  }

  /** Ends the peer because of an error. */
  #fail(error: unknown, rest: readonly PeerEvent[], effects: PeerEffects): void {
    const failure = error instanceof RaftError
      ? error
      : new InternalError(`an unexpected error in ${this.#name} ${error}`, { cause: error });
    this.#logger.error(`${this.#name} ends: ${failure.message}`);
    turnIntoFailure(effects, failure);
    this.#stop(failure, effects);
    for (const event of rest) this.#rejectLate(event, effects);
  }

  #rejectLate(event: PeerEvent, effects: PeerEffects): void {
    if (event.type === "proposals") {
      for (const proposal of event.proposals) this.#proposals.add(proposal, effects);
      this.#proposals.stop(undefined, effects);
    } else if (event.type === "reads") {
      for (const read of event.reads) this.#reads.add(read, effects);
      this.#reads.stop(undefined, effects);
    } else if (event.type === "change-members") {
      const error = new StoppedError(false);
      effects.changesRejected.push({ request: event.request, error });
    }
  }

  get #name(): string {
    return `region ${this.regionId} peer ${this.id}:`;
  }
}

/**
 * Requests for a vote wait until the term and the candidate's own vote are durable (thesis §3.8). A
 * candidate that could forget them could win by the votes of others, append, crash, and be elected
 * again in the same term with another log: two entries of equal index and term. The core hands them
 * out before the write of the same Ready that saves that term.
 */
function waitForTerm(messages: readonly Message[]): readonly Message[] {
  if (messages.length === 0 || !messages.some(({ type }) => type === "vote")) return messages;
  const requests = messages.filter(({ type }) => type === "vote");
  const rest = messages.filter(({ type }) => type !== "vote" && type !== "storage-append");
  const write = messages.find(({ type }) => type === "storage-append") ??
    createMessage({ type: "storage-append" });
  const responses = [...requests, ...(write.responses ?? [])];
  return [...rest, createMessage({ ...write, responses })];
}
