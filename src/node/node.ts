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

import { ConfigError, type PeerId, type RaftError } from "../raft/mod.ts";
import { type CheckedNodeOptions, checkNodeOptions, checkPositive } from "./checked_options.ts";
import { closeParts, releaseParts } from "./closing.ts";
import { ELECTION_TICK_DEFAULT } from "./core.ts";
import { StoppedError, UnknownRegionError } from "./errors.ts";
import type { MemberChange } from "./member_changes.ts";
import { openRegions, startTicking } from "./opening.ts";
import type {
  Member,
  MemberChangeResult,
  MemberStatus,
  NewMember,
  NodeOptions,
  ProposalOptions,
  ProposalResult,
  ReadResult,
  RemovalOptions,
  RequestOptions,
  SessionOptions,
} from "./options.ts";
import { createParts, type NodeParts } from "./parts.ts";
import type { Region } from "./region.ts";
import { deadlineOf, LocalProposal, LocalRead, request } from "./requests.ts";
import type { ClientSession } from "./sessions/client_session.ts";
import { atPosition, NO_COMMAND, openOperation } from "./sessions/client_sessions.ts";
import {
  formatSessionId,
  parseSessionId,
  type SessionKey,
  type SessionOperation,
} from "./sessions/operation.ts";
import type { NodeStatus } from "./status.ts";

/** One process of a cluster. */
export class Node implements AsyncDisposable {
  /** This node. */
  readonly nodeId: number;
  /**
   * Resolves when the node has stopped and released everything: with undefined after `stop()`, with
   * the error that ended it otherwise. Never rejects.
   */
  readonly stopped: Promise<RaftError | undefined>;

  readonly #parts: NodeParts;
  #stopTicks: () => void = () => {};
  /** Set as soon as the node is ending. */
  #ended: { readonly error: RaftError | undefined } | undefined;
  #reportStopped: (error: RaftError | undefined) => void = () => {};

  private constructor(options: NodeOptions, checked: CheckedNodeOptions) {
    this.nodeId = checked.nodeId;
    this.stopped = new Promise((resolve) => this.#reportStopped = resolve);
    this.#parts = createParts(options, checked, (error) => void this.#end(error));
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
      await openRegions(node.#parts);
      node.#stopTicks = await startTicking(node.#parts);
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
   *   `DroppedError`, `TimedOutError`, `CancelledError`, `StoppedError`, `UnknownRegionError`, and with
   *   `session` `SessionError`. Each says in `mayHaveTakenEffect` whether the command may still be
   *   applied. ConfigError by rejection when `session` is malformed.
   */
  propose<Result = unknown>(
    command: Uint8Array,
    options: ProposalOptions = {},
  ): Promise<ProposalResult<Result>> {
    if (!(command instanceof Uint8Array)) {
      return Promise.reject(
        new ConfigError(`command must be a Uint8Array: current value is ${String(command)}`),
      );
    }
    const { session } = options;
    if (session === undefined) return this.#propose(command, options, undefined);
    return atPosition(session, (operation) => this.#propose(command, options, operation));
  }

  /**
   * Opens a client session: commands that are proposed through it take effect once, however often they
   * are tried, across lost answers, leaders and restarts (thesis §6.3). Its methods work on this member;
   * its id on any (`ProposalOptions.session`). Close it when it is not needed any more.
   *
   * @throws SessionError by rejection, `SESSIONS_UNSUPPORTED`, when the state machine has no
   *   `resultCodec`; the errors of `propose`: what was opened and not learned of expires by itself.
   */
  openSession(options: SessionOptions = {}): Promise<ClientSession> {
    const { checked, sessions } = this.#parts;
    const { tickMs } = checked;
    const electionTick = this.#parts.options.electionTick ?? ELECTION_TICK_DEFAULT;
    return sessions.open({ attemptMs: 2 * electionTick * tickMs, ...options }, {
      now: () => checked.clock.now(),
      deadline: (call) => this.#deadline(call),
      propose: (command, call, operation) => this.#propose(command, call, operation),
    });
  }

  /**
   * Opens a client session for a remote client, which names it in `ProposalOptions.session`; nobody
   * keeps it alive but its commands.
   *
   * @returns its id, for any member.
   * @throws as `openSession`.
   */
  async openSessionId(options: RequestOptions & { timeoutMs?: number } = {}): Promise<string> {
    const operation = openOperation(options.timeoutMs);
    const { result } = await this.#propose<SessionKey>(NO_COMMAND, options, operation);
    return formatSessionId(result);
  }

  /**
   * Closes a session by its id; one that is not there is closed already.
   *
   * @throws the errors of `propose`; ConfigError when it is no id.
   */
  async closeSessionId(id: string, options: RequestOptions = {}): Promise<void> {
    const session = parseSessionId(id);
    await this.#propose(NO_COMMAND, options, { kind: "close", session });
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
    const { departures, arrivals, counters } = this.#parts;
    return {
      ...region.peer.status(),
      departingSnapshots: departures.status(region.regionId),
      arrivingSnapshot: arrivals.status(region.regionId),
      installingSnapshot: region.installingIndex,
      nodeCounters: { ...counters },
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
    return this.#parts.transfers.wait(region.regionId, to, deadline);
  }

  /** The members of a region, as this node sees them. */
  members(regionId?: number): MemberStatus[] {
    return this.#parts.members.list(this.#region(regionId));
  }

  /**
   * Adds a member that receives the log and does not vote yet. Its node is started with `join: true`.
   * As all changes of members it may be called on any member: one that does not lead asks the leader,
   * unless `forwardProposals` is false.
   *
   * @returns the configuration, once the leader has applied it.
   * @throws NotLeaderError, MembershipError, TimedOutError, StoppedError or UnknownRegionError by
   *   rejection; `mayHaveTakenEffect` says whether the change may still come.
   */
  addLearner(member: NewMember, options: RequestOptions = {}): Promise<MemberChangeResult> {
    const { peerId, nodeId = peerId, address, clientAddress, becomesVoter, replaces } = member;
    checkPositive("peerId", peerId);
    checkPositive("nodeId", nodeId);
    if (replaces !== undefined) checkPositive("replaces", replaces);
    const goal = becomesVoter || replaces !== undefined ? { becomesVoter: true, replaces } : {};
    const record = { peerId, nodeId, address, clientAddress, ...goal };
    return this.#changeMembers({ kind: "add-learner", member: record }, options);
  }

  /** An id for `addLearner` that no member of a region ever had, as far as this node has applied. */
  nextPeerId(regionId?: number): PeerId {
    return this.#parts.members.nextPeerId(this.#region(regionId));
  }

  /**
   * Records where a member listens from now on; what is left out stays as it is. The other members
   * use it at once, whatever their options said of it.
   *
   * @throws as `addLearner`.
   */
  updateMember(
    member: Pick<Member, "peerId" | "address" | "clientAddress">,
    options: RequestOptions = {},
  ): Promise<MemberChangeResult> {
    const { peerId, address, clientAddress } = member;
    checkPositive("peerId", peerId);
    const region = this.#regionFor(options);
    const nodeId = region instanceof Error ? 0 : this.#parts.members.nodeOf(region, peerId);
    const record = { peerId, nodeId: nodeId || peerId, address, clientAddress };
    return this.#changeMembers({ kind: "update", member: record }, options);
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
    by: NewMember,
    options: RequestOptions = {},
  ): Promise<MemberChangeResult> {
    const deadline = this.#deadline(options);
    const { members, checked } = this.#parts;
    const deadlineMs = Math.max(0, deadline - checked.clock.now());
    const { learners } = this.#region(options.regionId).peer.status();
    if (!learners.includes(by.peerId)) await this.addLearner(by, { ...options, deadlineMs });
    const swap = { kind: "swap", removed: peerId, promoted: by.peerId } as const;
    const change = (): Promise<MemberChangeResult> => {
      const region = this.#regionFor(options);
      if (region instanceof Error) return Promise.reject(region);
      return this.#parts.forwarding.change(region, swap, deadline);
    };
    return await members.retry(change, deadline);
  }

  /** Starts an election at this member now. Nothing happens when it leads, or may not be elected. */
  campaign(regionId?: number): void {
    this.#region(regionId).push({ type: "campaign" });
  }

  /** Makes a node known to the transport, or changes its address (`host:port`). */
  addNode(nodeId: number, address: string): void {
    if (nodeId !== this.nodeId) this.#parts.options.transport.addNode(nodeId, address);
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

  #propose<Result = unknown>(
    command: Uint8Array,
    options: RequestOptions,
    session: SessionOperation | undefined,
  ): Promise<ProposalResult<Result>> {
    const region = this.#regionFor(options);
    if (region instanceof Error) return Promise.reject(region);
    const deadline = this.#deadline(options);
    return request<ProposalResult, LocalProposal>(
      "proposal",
      options.signal,
      (answer) => new LocalProposal(command, deadline, session, answer),
      (proposal) => region.propose(proposal),
      (proposal, reason) => region.push({ type: "cancel", request: proposal, reason }),
    ) as Promise<ProposalResult<Result>>;
  }

  #changeMembers(change: MemberChange, options: RequestOptions): Promise<MemberChangeResult> {
    const region = this.#regionFor(options);
    if (region instanceof Error) return Promise.reject(region);
    return this.#parts.forwarding.change(region, change, this.#deadline(options));
  }

  #region(regionId: number | undefined): Region {
    const { regions } = this.#parts;
    const region = regionId === undefined ? regions.values().next().value : regions.get(regionId);
    if (region === undefined) throw new UnknownRegionError(regionId ?? 0);
    return region;
  }

  #regionFor(options: RequestOptions): Region | RaftError {
    if (this.#ended !== undefined) return new StoppedError(false, { cause: this.#ended.error });
    try {
      return this.#region(options.regionId);
    } catch (error) {
      if (error instanceof UnknownRegionError) return error;
      throw error;
    }
  }

  #deadline(options: RequestOptions): number {
    const { clock, requestTimeoutMs } = this.#parts.checked;
    return deadlineOf(options, clock.now(), requestTimeoutMs);
  }

  /** Ends the node, once: nothing leaves it from the first line on. */
  async #end(error: RaftError | undefined): Promise<void> {
    if (this.#ended !== undefined) {
      await this.stopped;
      return;
    }
    this.#ended = { error };
    const parts = this.#parts;
    this.#stopTicks();
    parts.turns.stop();
    parts.router.stop();
    const now = parts.checked.clock.now();
    for (const region of parts.regions.values()) parts.answers.reject(region.stop(error, now));
    parts.transfers.stop(error);
    parts.forwarding.stop();
    parts.members.tick();
    parts.departures.stop();
    parts.arrivals.stop();
    if (error !== undefined) parts.notifier.failed(error);
    await releaseParts(parts);
    parts.notifier.stopped(error);
    this.#reportStopped(error);
  }
}
