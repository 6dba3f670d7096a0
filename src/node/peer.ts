/**
 * `Peer`: one replica of one region. It drives a `RawNode` and is synchronous and deterministic:
 * events and the time go in, effects come out; it has no clock, timer, promise, stream or randomness
 * of its own. A `Node` carries the effects out in production, a simulator in tests.
 *
 * All events of a call are handled before a Ready is taken: what has arrived together is written, sent
 * and applied together. That is where batching comes from; nothing waits for a timer. What a
 * peer does while its disk hangs is told in `disk_watch.ts`.
 *
 * @module
 */

import {
  type BasicStatus,
  type ConfChange,
  ConfChangeError,
  type ConfChangeV2,
  type Logger,
  type LogStorage,
  type Message,
  NO_PEER,
  type PeerId,
  ProposalDroppedError,
  RaftError,
  type RawNode,
  type Role,
  SILENT_LOGGER,
  type SnapshotMetadata,
} from "../raft/mod.ts";
import { Activity } from "./activity.ts";
import { AppendQueue } from "./append_queue.ts";
import { ApplyQueue } from "./apply_queue.ts";
import { Callers } from "./callers.ts";
import { createCore, ELECTION_TICK_DEFAULT } from "./core.ts";
import { CoreInput } from "./core_input.ts";
import { CoreOutput } from "./core_output.ts";
import { DiskWatch, mostAdvancedVoter } from "./disk_watch.ts";
import { InternalError } from "./errors.ts";
import {
  type ApplyWork,
  createPeerEffects,
  type PeerEffects,
  type PeerEvent,
  turnIntoFailure,
} from "./events.ts";
import { LeaderReport } from "./leader_report.ts";
import { checkLimits } from "./limits.ts";
import { MemberBook, type MemberRecord } from "./member_book.ts";
import { MemberChanges } from "./member_changes.ts";
import type { PeerOptions } from "./peer_options.ts";
import { ProposalQueue } from "./proposals.ts";
import { ReadQueue } from "./reads.ts";
import { committedTo } from "./recovery.ts";
import { PeerSessions } from "./sessions/peer_sessions.ts";
import { describeSnapshot, streamingSnapshots } from "./snapshot_metadata.ts";
import { createPeerCounters, describeCore, type PeerCounters, type PeerStatus } from "./status.ts";

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
  readonly #streamsSnapshots: boolean;
  readonly #storage: LogStorage;
  readonly #nodeOf: (peerId: PeerId) => number;
  readonly #logger: Logger;
  readonly #proposals: ProposalQueue;
  readonly #reads: ReadQueue;
  readonly #appends: AppendQueue;
  readonly #applies: ApplyQueue;
  readonly #output: CoreOutput;
  readonly #callers: Callers;
  readonly #input: CoreInput;
  readonly #activity: Activity;
  readonly #book: MemberBook | undefined;
  readonly #changes: MemberChanges | undefined;
  readonly #sessions: PeerSessions | undefined;
  #basic: BasicStatus;
  readonly #leaderReport = new LeaderReport();
  /** The highest term among applied entries. */
  #appliedTerm = 0;
  #stopped = false;

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
    this.#logger = options.logger ?? SILENT_LOGGER;
    const electionTick = options.electionTick ?? ELECTION_TICK_DEFAULT;
    this.#disk = new DiskWatch(electionTick, this.#logger, this.#name);
    this.#activity = new Activity(electionTick);
    this.#nodeOf = options.nodeOf ?? (() => 0);
    const limits = checkLimits(options.limits);
    const counters = this.#counters;
    this.#proposals = new ProposalQueue({
      peerId: options.id,
      epoch: options.epoch,
      limits,
      repeatDropped: options.repeatDropped ?? true,
      servesSessions: options.sessions !== undefined,
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
    this.#sessions = options.sessions && new PeerSessions(options.sessions, counters);
    this.#appends = new AppendQueue(storage.initialState().hardState, counters);
    this.#applies = new ApplyQueue(
      options.lastApplied,
      options.storage.confStateIndex(),
      counters,
      { book: this.#book, sessions: this.#sessions },
    );
    this.#core = createCore(options, storage, limits);
    this.#input = new CoreInput(options, this.#core, () => this.lastApplied, counters);
    this.#output = new CoreOutput({
      id: options.id,
      core: this.#core,
      appends: this.#appends,
      applies: this.#applies,
      reads: this.#reads,
      changes: this.#changes,
      counters,
      streamsSnapshots: this.#streamsSnapshots,
      isSilent: () => this.#isSilent(),
      step: (message, effects) => this.#input.step(message, effects),
    });
    this.#callers = new Callers({
      core: this.#core,
      proposals: this.#proposals,
      reads: this.#reads,
      changes: this.#changes,
      forwardProposals: options.forwardProposals ?? true,
      nodeOf: this.#nodeOf,
      logger: this.#logger,
      name: this.#name,
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
        if (this.#stopped) this.#callers.rejectLate(events[position], effects);
        else this.#take(events[position], now, effects);
      }
      if (!this.#stopped) this.#act(effects);
    } catch (error) {
      this.#fail(error, events.slice(position + 1), effects);
    }
    return effects;
  }

  /** What follows from the events: proposals and reads go out, and what the core says is carried out. */
  #act(effects: PeerEffects): void {
    this.#refresh();
    this.#callers.handOutProposals(this.#basic, this.#isSilent(), effects);
    this.#output.takeReady(effects);
    this.#refresh();
    this.#beginReads(effects);
    this.#changes?.settleRefused(effects);
    effects.apply = this.#nextApply();
    this.#reads.settleApplied(this.lastApplied, effects);
    effects.leaderState = this.#leaderReport.next(this.#basic);
  }

  /** Reads begin after what has arrived has confirmed others, which makes room for them at once. */
  #beginReads(effects: PeerEffects): void {
    this.#callers.handOutReads(this.#basic);
    this.#output.takeReady(effects);
    this.#refresh();
  }

  /**
   * What a snapshot stands for that holds what the state machine has applied up to `index`, which must
   * have been handed to it; undefined while that cannot be said: nothing is applied, a configuration
   * change is on its way into the state machine, or a snapshot is being installed.
   */
  snapshotMetadata(index: number): SnapshotMetadata | undefined {
    if (index === 0 || this.#output.installsSnapshot || index < this.#applies.confStateIndex) {
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

  /** The highest index that another peer was seen to have, since this one runs; 0 when there is none. */
  acknowledged(peerId: PeerId): number {
    return this.#input.acknowledged(peerId);
  }

  /** Whether an id belonged to a member that was removed. */
  isRemoved(peerId: PeerId): boolean {
    return this.#book?.isRemoved(peerId) ?? false;
  }

  /** A full picture of the peer; the progress of its followers on the leader. */
  status(): PeerStatus {
    return {
      regionId: this.regionId,
      peerId: this.id,
      nodeId: this.nodeId,
      ...describeCore(this.#core.status(), this.#nodeOf),
      lastApplied: this.lastApplied,
      pendingProposals: this.#proposals.count,
      pendingProposalBytes: this.#proposals.bytes,
      pendingReads: this.#reads.count,
      pendingAppends: this.#appends.count,
      sessions: this.#sessions?.table.size ?? 0,
      sessionResultBytes: this.#sessions?.table.resultBytes ?? 0,
      diskHangs: this.#disk.hangs,
      counters: { ...this.#counters },
    };
  }

  #refresh(): void {
    this.#basic = this.#core.basicStatus();
  }

  #take(event: PeerEvent, now: number, effects: PeerEffects): void {
    if (this.#callers.take(event, effects)) return;
    switch (event.type) {
      case "tick":
        return this.#tick(now, effects);
      case "messages":
        for (const message of event.messages) this.#input.receive(message, effects);
        return;
      case "appended":
        return this.#appended(event.id, event.nodeState, effects);
      case "snapshot-received":
        return this.#input.receiveSnapshot(event.message, effects);
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
      this.#input.refuse(error, effects);
    }
  }

  #tick(now: number, effects: PeerEffects): void {
    this.#callers.expire(now, effects);
    this.#reads.tick();
    const write = this.#appends.tick();
    if (write !== undefined) effects.appends.push(write);
    this.#watchDisk();
    if (this.#streamsSnapshots) this.#activity.tick(this.#core.status().progress);
    if (this.#disk.hangs) return;
    this.#core.tick();
    this.#sessions?.tick(now, this.#core);
  }

  #watchDisk(): void {
    if (this.#disk.observe(this.#appends.oldestTicks) !== "hangs") return;
    this.#counters.diskHangs++;
    const successor = mostAdvancedVoter(this.id, this.#core.status().progress);
    if (successor !== NO_PEER) this.#core.transferLeader(successor);
  }

  /** Why a snapshot that another member offers to stream must not come; undefined when it may. */
  refusalOf(message: Message): RaftError | undefined {
    return this.#input.refusalOf(message);
  }

  #isSilent(): boolean {
    return this.#disk.hangs && this.#core.basicStatus().softState.role === "leader";
  }

  #appended(
    id: number,
    nodeState: ReadonlyMap<string, Uint8Array> | undefined,
    effects: PeerEffects,
  ): void {
    const restored = (): void => {
      this.#proposals.forgetCertainty();
      if (nodeState === undefined) return;
      this.#book?.replace(nodeState);
      this.#sessions?.table.replace(nodeState);
    };
    this.#output.appended(id, restored, effects);
    if (this.#disk.hangs) this.#watchDisk();
  }

  #applied(commandResults: readonly unknown[], effects: PeerEffects): void {
    const { batch, entries, results, voided, sessions, responses } = this.#applies
      .applied(commandResults);
    effects.appliedBatch = batch;
    for (let position = 0; position < entries.length; position++) {
      const settled = this.#proposals.settleApplied(entries[position], results[position]);
      if (settled === undefined) continue;
      if (sessions === undefined) effects.applied.push(settled);
      else sessions.settle(position, settled, effects);
    }
    this.#changes?.settleApplied(entries, voided, effects);
    this.#output.deliver(responses, effects);
    const { term } = entries[entries.length - 1];
    if (term > this.#appliedTerm) {
      this.#appliedTerm = term;
      this.#proposals.settleLost(term, effects);
    }
  }

  #nextApply(): ApplyWork | undefined {
    return this.#applies.next((change) => this.#core.applyConfChange(change));
  }

  #stop(cause: RaftError | undefined, effects: PeerEffects): void {
    this.#stopped = true;
    this.#callers.stop(cause, effects);
  }

  /** Ends the peer because of an error. */
  #fail(error: unknown, rest: readonly PeerEvent[], effects: PeerEffects): void {
    const failure = error instanceof RaftError
      ? error
      : new InternalError(`an unexpected error in ${this.#name} ${error}`, { cause: error });
    this.#logger.error(`${this.#name} ends: ${failure.message}`);
    turnIntoFailure(effects, failure);
    this.#stop(failure, effects);
    for (const event of rest) this.#callers.rejectLate(event, effects);
  }

  get #name(): string {
    return `region ${this.regionId} peer ${this.id}:`;
  }
}
