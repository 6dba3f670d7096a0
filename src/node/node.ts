/**
 * `Node`: one process of a cluster. It hosts a peer for each of its regions, over one storage and one
 * transport. Promises, timers and streams live here only: it collects what arrives (messages,
 * completions, callers, ticks), hands it to the peers once a turn of the event loop, and carries
 * their effects out. Messages of all regions for one node leave in one batch, and what the regions
 * write in one turn reaches the storage together, which makes one transaction of it.
 *
 * The first failure of the storage, an exception of a state machine and a broken invariant end the
 * node: nothing is sent or acknowledged any more, every caller is told, and `stopped` says why.
 *
 * @module
 */

import { join } from "node:path";
import { setImmediate } from "node:timers";
import { ConfigError, type Message, type PeerId, RaftError } from "../raft/mod.ts";
import type { NodeStorage } from "../storage/contract.ts";
import type {
  IncomingSnapshot,
  RegionMessage,
  SnapshotSink,
  Transport,
} from "../transport/contract.ts";
import {
  type CheckedNodeOptions,
  type CheckedRegion,
  checkNodeOptions,
  checkPositive,
} from "./checked_options.ts";
import { Directory } from "./directory.ts";
import { EPOCH_BOUND } from "./envelope.ts";
import { InternalError, StoppedError, UnknownRegionError } from "./errors.ts";
import type { PeerEffects, ProposalRequest, ReadRequest } from "./events.ts";
import { type LocalMemberChange, NodeMembers } from "./node_members.ts";
import type { MemberChange } from "./member_changes.ts";
import { Notifier } from "./notifier.ts";
import type {
  Member,
  MemberChangeResult,
  MemberStatus,
  NodeOptions,
  ProposalResult,
  ReadResult,
  RemovalOptions,
  RequestOptions,
} from "./options.ts";
import { Peer } from "./peer.ts";
import { Random, unpredictableSeed } from "./random.ts";
import { finishInstallation, openRegion, recoverLastApplied } from "./recovery.ts";
import { Region } from "./region.ts";
import { deadlineOf, LocalProposal, LocalRead, reject, request, resolve } from "./requests.ts";
import { SnapshotArrivals } from "./snapshots/arrivals.ts";
import { SnapshotDepartures } from "./snapshots/departures.ts";
import { FileSpool } from "./snapshots/file_spool.ts";
import { MemorySpool } from "./snapshots/memory_spool.ts";
import type { SnapshotSpool } from "./snapshots/spool.ts";
import type { NodeCounters, NodeStatus } from "./status.ts";
import { Transfers } from "./transfers.ts";

/** How often a region is handled again in one turn when its work completed at once. */
const ROUNDS_PER_TURN_MAX = 4;

/** One process of a cluster. */
export class Node implements AsyncDisposable {
  /** This node. */
  readonly nodeId: number;
  /**
   * Resolves when the node has stopped and released everything: with undefined after `stop()`, with
   * the error that ended it otherwise. Never rejects.
   */
  readonly stopped: Promise<RaftError | undefined>;

  readonly #options: CheckedNodeOptions;
  readonly #storage: NodeStorage;
  readonly #transport: Transport;
  readonly #notifier: Notifier;
  readonly #directory = new Directory();
  readonly #regions = new Map<number, Region>();
  readonly #counters: NodeCounters = {
    turns: 0,
    transportBatches: 0,
    messagesSent: 0,
    messagesMisrouted: 0,
    messagesOverflowed: 0,
    messagesUndeliverable: 0,
  };
  #outbox = new Map<number, RegionMessage[]>();
  readonly #transfers = new Transfers();
  readonly #spool: SnapshotSpool;
  readonly #arrivals: SnapshotArrivals;
  readonly #departures: SnapshotDepartures;
  readonly #members: NodeMembers;
  /** Those who wait for the next tick. */
  #tickWaiters: (() => void)[] = [];
  #turnScheduled = false;
  #stopTicks: () => void = () => {};
  /** Set as soon as the node is ending. */
  #ended: { readonly error: RaftError | undefined } | undefined;
  #reportStopped: (error: RaftError | undefined) => void = () => {};

  private constructor(options: NodeOptions, checked: CheckedNodeOptions) {
    this.nodeId = checked.nodeId;
    this.#options = checked;
    this.#storage = options.storage;
    this.#transport = options.transport;
    this.#notifier = new Notifier(checked.nodeId, checked.logger, options.observer ?? {});
    const { directory, snapshotSendsMax, logger } = checked;
    this.#spool = directory === undefined
      ? new MemorySpool()
      : new FileSpool(join(directory, "snapshots"));
    this.#arrivals = new SnapshotArrivals(this.#spool, logger);
    this.#departures = new SnapshotDepartures(
      options.transport,
      (regionId, peerId) => this.#directory.nodeOf(regionId, peerId),
      snapshotSendsMax,
      logger,
    );
    this.#members = new NodeMembers(checked.nodeId, this.#directory, options.transport);
    this.stopped = new Promise((resolve) => this.#reportStopped = resolve);
  }

  /**
   * Opens a node: recovers its regions from the storage, or creates them, and starts to listen. The
   * node owns the storage, the transport and the state machines from here on, also when this rejects.
   *
   * @throws ConfigError when an option is invalid; RecoveryError when storage, state machine and
   *   options do not fit together; StorageError when the disk fails; what the transport rejects with
   *   when it cannot listen.
   */
  static async open(options: NodeOptions): Promise<Node> {
    let checked: CheckedNodeOptions;
    try {
      checked = checkNodeOptions(options);
    } catch (error) {
      await closeParts(options);
      throw error;
    }
    const node = new Node(options, checked);
    try {
      for (const region of checked.regions) await node.#openRegion(region, options);
      await node.#spool.clean();
      await node.#start();
    } catch (error) {
      await node.#end(undefined);
      throw error;
    }
    return node;
  }

  /**
   * Replicates a command. It may be called on any member; a follower forwards to the leader, and
   * while there is none the command waits.
   *
   * @param command the bytes for the state machine; they must not change afterwards.
   * @returns where it is in the log and what the local state machine returned for it, once applied.
   * @throws RequestError by rejection: `OverloadedError`, `CommandTooLargeError`, `NotLeaderError`,
   *   `DroppedError`, `TimedOutError`, `CancelledError`, `StoppedError`, `UnknownRegionError`. Each
   *   says in `mayHaveTakenEffect` whether the command may still be applied.
   */
  propose<Result = unknown>(
    command: Uint8Array,
    options: RequestOptions = {},
  ): Promise<ProposalResult<Result>> {
    const region = this.#regionFor(options);
    if (region instanceof Error) return Promise.reject(region);
    if (!(command instanceof Uint8Array)) {
      return Promise.reject(
        new ConfigError(`command must be a Uint8Array: current value is ${String(command)}`),
      );
    }
    const deadline = this.#deadline(options);
    return request<ProposalResult, LocalProposal>(
      "proposal",
      options.signal,
      (answer) => new LocalProposal(command, deadline, answer),
      (proposal) => region.propose(proposal),
      (proposal, reason) => region.push({ type: "cancel", request: proposal, reason }),
    ) as Promise<ProposalResult<Result>>;
  }

  /**
   * A linearizable barrier, on any member: once it resolves, the local state machine holds everything
   * that was acknowledged anywhere before the call, and may answer reads (thesis §6.4).
   *
   * @throws RequestError by rejection: `OverloadedError`, `TimedOutError`, `CancelledError`,
   *   `StoppedError`, `UnknownRegionError`.
   */
  read(options: RequestOptions = {}): Promise<ReadResult> {
    const region = this.#regionFor(options);
    if (region instanceof Error) return Promise.reject(region);
    const deadline = this.#deadline(options);
    return request<ReadResult, LocalRead>(
      "read",
      options.signal,
      (answer) => new LocalRead(deadline, answer),
      (read) => region.read(read),
      (read, reason) => region.push({ type: "cancel", request: read, reason }),
    );
  }

  /**
   * The state of this node's replica of a region, the first one by default.
   *
   * @throws UnknownRegionError when the region is not hosted here, StoppedError when the node has
   *   stopped.
   */
  status(regionId?: number): NodeStatus {
    if (this.#ended !== undefined) throw new StoppedError(false, { cause: this.#ended.error });
    const region = this.#region(regionId);
    return {
      ...region.peer.status(),
      departingSnapshots: this.#departures.status(region.regionId),
      arrivingSnapshot: this.#arrivals.status(region.regionId),
      installingSnapshot: region.installingIndex,
      nodeCounters: { ...this.#counters },
    };
  }

  /**
   * Asks the leader to hand leadership over; may be called on any member. Resolves once this member
   * sees the new leader.
   *
   * @throws TimedOutError by rejection, when that did not happen in time: leadership may still pass.
   */
  transferLeader(to: PeerId, options: RequestOptions = {}): Promise<void> {
    const region = this.#regionFor(options);
    if (region instanceof Error) return Promise.reject(region);
    if (region.peer.leader === to) return Promise.resolve();
    const deadline = this.#deadline(options);
    region.push({ type: "transfer-leader", to });
    return this.#transfers.wait(region.regionId, to, deadline);
  }

  /** The members of a region, as this node sees them. */
  members(regionId?: number): MemberStatus[] {
    return this.#members.list(this.#region(regionId));
  }

  /**
   * Adds a member that receives the log and does not vote yet. Its node is started with `join: true`.
   * Must be called on the leader, as all changes of members.
   *
   * @returns the configuration, once this member has applied it.
   * @throws NotLeaderError, MembershipError, TimedOutError, StoppedError or UnknownRegionError by
   *   rejection; `mayHaveTakenEffect` says whether the change may still come.
   */
  addLearner(member: Member, options: RequestOptions = {}): Promise<MemberChangeResult> {
    const { peerId, nodeId = peerId, address, clientAddress } = member;
    checkPositive("peerId", peerId);
    checkPositive("nodeId", nodeId);
    const record = { peerId, nodeId, address, clientAddress };
    return this.#changeMembers({ kind: "add-learner", member: record }, options);
  }

  /**
   * Makes a learner a voter, once it is at most 1,024 entries behind.
   *
   * @throws as `addLearner`; MembershipError `NOT_CAUGHT_UP` while it is further behind.
   */
  promote(peerId: PeerId, options: RequestOptions = {}): Promise<MemberChangeResult> {
    return this.#changeMembers({ kind: "promote", peerId }, options);
  }

  /**
   * Removes a member. Its id is never used again. A leader that is removed steps down.
   *
   * @throws as `addLearner`; MembershipError `QUORUM_AT_RISK` when too few of the others seem alive.
   */
  remove(peerId: PeerId, options: RemovalOptions = {}): Promise<MemberChangeResult> {
    return this.#changeMembers({ kind: "remove", peerId, force: options.force ?? false }, options);
  }

  /**
   * Puts a new member in the place of a voter: adds it as a learner unless it is one, waits until it
   * has caught up, and exchanges the two in one step (joint consensus, thesis §4.3), so that there are
   * never fewer voters. To call it again after a failure goes on where it was.
   *
   * @throws as `addLearner`.
   */
  async replace(
    peerId: PeerId,
    by: Member,
    options: RequestOptions = {},
  ): Promise<MemberChangeResult> {
    const deadline = this.#deadline(options);
    const left = (): RequestOptions => ({
      ...options,
      deadlineMs: Math.max(0, deadline - this.#options.clock.now()),
    });
    const { learners } = this.#region(options.regionId).peer.status();
    if (!learners.includes(by.peerId)) await this.addLearner(by, left());
    const swap = { kind: "swap", removed: peerId, promoted: by.peerId } as const;
    for (;;) {
      try {
        return await this.#changeMembers(swap, left());
      } catch (error) {
        if (!(error instanceof RaftError) || !isWorthWaiting(error)) throw error;
        if (this.#options.clock.now() >= deadline) throw error;
      }
      await new Promise<void>((resolve) => this.#tickWaiters.push(resolve));
    }
  }

  /** Starts an election at this member now. Nothing happens when it leads, or may not be elected. */
  campaign(regionId?: number): void {
    this.#region(regionId).push({ type: "campaign" });
  }

  /** Makes a node known to the transport, or changes its address (`host:port`). */
  addNode(nodeId: number, address: string): void {
    if (nodeId !== this.nodeId) this.#transport.addNode(nodeId, address);
  }

  /**
   * Stops: rejects every caller, closes the transport, waits for what is being written and applied,
   * closes the state machines and the storage. Idempotent.
   */
  async stop(): Promise<void> {
    await this.#end(undefined);
  }

  /** The same as `stop`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #openRegion(region: CheckedRegion, options: NodeOptions): Promise<void> {
    const { regionId, peerId, stateMachine, members } = region;
    const storage = await openRegion(this.#storage, region);
    await finishInstallation(storage, stateMachine, this.#spool, this.#options.logger);
    const lastApplied = recoverLastApplied(storage, stateMachine);
    this.#members.tell(regionId, members);
    const random = new Random((this.#options.seed + regionId) % Number.MAX_SAFE_INTEGER);
    const peer = new Peer({
      id: peerId,
      nodeId: this.nodeId,
      regionId,
      storage,
      lastApplied,
      epoch: unpredictableSeed() % EPOCH_BOUND,
      random: (bound) => random.below(bound),
      electionTick: options.electionTick,
      heartbeatTick: options.heartbeatTick,
      preVote: options.preVote,
      checkQuorum: options.checkQuorum,
      forwardProposals: options.forwardProposals,
      repeatDropped: options.repeatDropped,
      streamsSnapshots: true,
      nodeState: stateMachine.nodeState(),
      stepDownOnRemoval: true,
      limits: options.limits,
      nodeOf: (peer) => this.#directory.nodeOf(regionId, peer),
      logger: this.#options.logger,
    });
    const opened = new Region({
      peer,
      storage,
      stateMachine,
      compaction: this.#options.compaction,
      logger: this.#options.logger,
      wake: () => this.#wake(),
      fail: (error) => void this.#end(error),
    });
    this.#regions.set(regionId, opened);
    this.#members.refresh(opened);
  }

  async #start(): Promise<void> {
    await this.#transport.start({
      receive: (fromNodeId, batch) => this.#receive(fromNodeId, batch),
      unreachable: (nodeId) => this.#unreachable(nodeId),
      snapshotSent: (_nodeId, regionId, peerId, ok) =>
        this.#regions.get(regionId)?.push({ type: "snapshot-sent", peerId, ok }),
      receiveSnapshot: (fromNodeId, snapshot) => this.#receiveSnapshot(fromNodeId, snapshot),
    });
    this.#stopTicks = this.#options.clock.every(this.#options.tickMs, () => {
      for (const region of this.#regions.values()) {
        region.tick(this.#departures.lowestIndex(region.regionId));
      }
      this.#departures.tick();
      this.#releaseTickWaiters();
    });
    this.#wake();
  }

  #releaseTickWaiters(): void {
    for (const resolve of this.#tickWaiters.splice(0)) resolve();
  }

  #changeMembers(change: MemberChange, options: RequestOptions): Promise<MemberChangeResult> {
    const region = this.#regionFor(options);
    if (region instanceof Error) return Promise.reject(region);
    return this.#members.change(region, change, this.#deadline(options));
  }

  #region(regionId: number | undefined): Region {
    const region = regionId === undefined
      ? this.#regions.values().next().value
      : this.#regions.get(regionId);
    if (region === undefined) throw new UnknownRegionError(regionId ?? 0);
    return region;
  }

  #regionFor(options: RequestOptions): Region | RaftError {
    if (this.#ended !== undefined) return new StoppedError(false, { cause: this.#ended.error });
    try {
      return this.#region(options.regionId);
    } catch (error) {
      if (error instanceof RaftError) return error;
      throw error;
    }
  }

  #deadline(options: RequestOptions): number {
    return deadlineOf(options, this.#options.clock.now(), this.#options.requestTimeoutMs);
  }

  #receive(fromNodeId: number, batch: readonly RegionMessage[]): void {
    if (this.#ended !== undefined) return;
    for (const { regionId, message } of batch) {
      const region = this.#regions.get(regionId);
      if (region === undefined || region.peerId !== message.to) {
        this.#counters.messagesMisrouted++;
        this.#notifier.warnOnce(
          `misrouted ${regionId}/${message.to}`,
          `node ${fromNodeId} sent a ${message.type} for peer ${message.to} of region ${regionId}, ` +
            "which this node does not host",
        );
        continue;
      }
      this.#directory.learn(regionId, message.from, fromNodeId);
      if (!region.receive(message)) {
        this.#counters.messagesOverflowed++;
        this.#notifier.warnOnce(
          `overflow ${regionId}`,
          `region ${regionId} has too many messages waiting: the newest are dropped`,
        );
      }
    }
  }

  #receiveSnapshot(fromNodeId: number, snapshot: IncomingSnapshot): SnapshotSink | string {
    const { regionId, message } = snapshot;
    if (this.#ended !== undefined) return "the node stops";
    const region = this.#regions.get(regionId);
    if (region?.peerId !== message.to) {
      this.#counters.messagesMisrouted++;
      return `peer ${message.to} of region ${regionId} does not live on node ${this.nodeId}`;
    }
    this.#directory.learn(regionId, message.from, fromNodeId);
    return this.#arrivals.receive(region, fromNodeId, snapshot);
  }

  #unreachable(nodeId: number): void {
    for (const region of this.#regions.values()) {
      for (const peerId of this.#directory.peersOn(region.regionId, nodeId)) {
        region.push({ type: "unreachable", peerId });
      }
    }
  }

  /** Lets a turn come once everything that has arrived with the current event is collected. */
  #wake(): void {
    if (this.#turnScheduled || this.#ended !== undefined) return;
    this.#turnScheduled = true;
    setImmediate(() => {
      this.#turnScheduled = false;
      try {
        this.#turn();
      } catch (cause) {
        void this.#end(new InternalError(`an unexpected error in a turn: ${cause}`, { cause }));
      }
    });
  }

  /** Handles what has arrived, and what completes at once because of it. */
  #turn(): void {
    this.#counters.turns++;
    const now = this.#options.clock.now();
    for (let round = 0; round < ROUNDS_PER_TURN_MAX && this.#ended === undefined; round++) {
      if (!this.#handleRegions(now)) break;
    }
    this.#transfers.expire(now);
  }

  /** Sends and writes first, over all regions, as applying may take its time. */
  #handleRegions(now: number): boolean {
    const handled: { region: Region; effects: PeerEffects }[] = [];
    for (const region of this.#regions.values()) {
      if (!region.hasEvents) continue;
      const effects = region.handle(now);
      handled.push({ region, effects });
      for (const message of effects.messages) this.#post(region.regionId, message);
    }
    const failure = handled.find(({ effects }) => effects.failure !== undefined)?.effects.failure;
    if (failure === undefined) {
      this.#flushOutbox();
      for (const { region, effects } of handled) {
        effects.appends.forEach((work) => region.append(work));
      }
    }
    for (const { region, effects } of handled) this.#answer(region, effects);
    if (failure !== undefined) {
      void this.#end(failure);
      return false;
    }
    for (const { region, effects } of handled) {
      if (effects.apply !== undefined && this.#ended === undefined) region.apply(effects.apply);
    }
    return handled.length > 0;
  }

  #post(regionId: number, message: Message): void {
    const nodeId = this.#directory.nodeOf(regionId, message.to);
    if (nodeId === 0 || nodeId === this.nodeId) {
      this.#counters.messagesUndeliverable++;
      this.#notifier.warnOnce(
        `undeliverable ${regionId}/${message.to}`,
        `the node of peer ${message.to} of region ${regionId} is not known: its messages are dropped`,
      );
      return;
    }
    const batch = this.#outbox.get(nodeId);
    if (batch === undefined) this.#outbox.set(nodeId, [{ regionId, message }]);
    else batch.push({ regionId, message });
  }

  #flushOutbox(): void {
    if (this.#outbox.size === 0) return;
    const outbox = this.#outbox;
    this.#outbox = new Map();
    for (const [nodeId, batch] of outbox) {
      this.#counters.transportBatches++;
      this.#counters.messagesSent += batch.length;
      this.#transport.send(nodeId, batch);
    }
  }

  /** Answers callers and tells the observer. */
  #answer(region: Region, effects: PeerEffects): void {
    for (const { proposal, index, term, result } of effects.applied) {
      resolve((proposal as LocalProposal).answer, { index, term, result });
    }
    for (const { read, index } of effects.readable) resolve((read as LocalRead).answer, { index });
    for (const { request, error } of effects.rejected) rejectRequest(request, error);
    for (const message of effects.snapshots) this.#departures.request(region, message);
    this.#answerChanges(effects);
    if (region.membersRestored || (effects.appliedBatch?.nodeState.length ?? 0) > 0) {
      region.membersRestored = false;
      this.#members.refresh(region);
    }
    for (const error of effects.refused) this.#notifier.messageRefused(region.peer, error);
    if (effects.appliedBatch !== undefined) {
      this.#notifier.applied(region.peer, effects.appliedBatch);
    }
    if (effects.leaderState !== undefined) {
      const { leaderPeerId } = effects.leaderState;
      const leaderNodeId = this.#directory.nodeOf(region.regionId, leaderPeerId);
      this.#notifier.leaderState(region.peer, effects.leaderState, leaderNodeId);
      this.#transfers.settle(region.regionId, leaderPeerId);
    }
  }

  #answerChanges({ changed, changesRejected }: PeerEffects): void {
    for (const { request, index, confState: { voters, learners } } of changed) {
      (request as LocalMemberChange).resolve({ index, voters, learners });
    }
    for (const { request, error } of changesRejected) (request as LocalMemberChange).reject(error);
  }

  /** Ends the node, once: nothing leaves it from the first line on. */
  async #end(error: RaftError | undefined): Promise<void> {
    if (this.#ended !== undefined) {
      await this.stopped;
      return;
    }
    this.#ended = { error };
    this.#stopTicks();
    this.#outbox.clear();
    const now = this.#options.clock.now();
    for (const region of this.#regions.values()) this.#stopRegion(region, error, now);
    this.#transfers.stop(error);
    this.#releaseTickWaiters();
    this.#departures.stop();
    this.#arrivals.stop();
    if (error !== undefined) this.#notifier.failed(error);
    await this.#release();
    this.#notifier.stopped(error);
    this.#reportStopped(error);
  }

  #stopRegion(region: Region, error: RaftError | undefined, now: number): void {
    const effects = region.stop(error, now);
    this.#answerChanges(effects);
    const { rejected } = effects;
    for (const { request, error } of rejected) rejectRequest(request, error);
  }

  async #release(): Promise<void> {
    await this.#closeQuietly("the transport", () => this.#transport.close());
    for (const region of this.#regions.values()) await region.idle;
    for (const { stateMachine } of this.#options.regions) {
      await this.#closeQuietly("a state machine", () => stateMachine.close?.());
    }
    await this.#closeQuietly("the storage", () => this.#storage.close());
  }

  async #closeQuietly(what: string, close: () => void | Promise<void>): Promise<void> {
    try {
      await close();
    } catch (error) {
      this.#notifier.warnOnce(`close ${what}`, `${what} could not be closed: ${error}`);
    }
  }
}

/** What a replacement waits for. */
function isWorthWaiting({ code }: RaftError): boolean {
  return code === "NOT_CAUGHT_UP" || code === "CHANGE_UNDER_WAY";
}

function rejectRequest(
  request: ProposalRequest | ReadRequest,
  error: PeerEffects["rejected"][0]["error"],
) {
  reject((request as LocalProposal | LocalRead).answer, error);
}

/** Closes what a node was given when it cannot be built; the error that prevents it counts more. */
async function closeParts({ transport, storage, regions }: NodeOptions): Promise<void> {
  const machines = Array.isArray(regions) ? regions.map((region) => region.stateMachine) : [];
  for (const part of [transport, ...machines, storage]) {
    try {
      await part?.close?.();
    } catch {
      // The caller is told about the options.
    }
  }
}
