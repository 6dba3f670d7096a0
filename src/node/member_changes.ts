/**
 * The change of a region's members that its leader has under way: one at a time (thesis §4.1), checked
 * before it is proposed, followed until it is applied.
 *
 * @module
 */

import {
  type ConfChange,
  ConfChangeError,
  type ConfChangeV2,
  type ConfState,
  decodeConfChange,
  type PeerId,
  ProposalDroppedError,
  type RaftLogEntry,
  type Status,
  toConfChangeV2,
} from "../raft/mod.ts";
import {
  MembershipError,
  NotLeaderError,
  type RequestError,
  StoppedError,
  TimedOutError,
} from "./errors.ts";
import type { PeerEffects } from "./events.ts";
import {
  decodeChangeContext,
  encodeChangeContext,
  type MemberBook,
  type MemberRecord,
} from "./member_book.ts";

/** What is to become of a member. */
export type MemberChange =
  | { readonly kind: "add-learner"; readonly member: MemberRecord }
  /** A member lives elsewhere from now on; its voice stays what it is. */
  | { readonly kind: "update"; readonly member: MemberRecord }
  | { readonly kind: "promote"; readonly peerId: PeerId }
  | { readonly kind: "remove"; readonly peerId: PeerId; readonly force: boolean }
  /** A learner takes the place of a voter, in one step. */
  | { readonly kind: "swap"; readonly removed: PeerId; readonly promoted: PeerId };

/** A change that a caller wants. Drivers extend it with what they need to answer. */
export class MemberChangeRequest {
  /** What is asked for. */
  readonly change: MemberChange;
  /** Where the members live, as far as the caller knows: recorded with the change. */
  readonly members: readonly MemberRecord[];
  /** When to give up, on the monotonic clock, in milliseconds. */
  readonly deadline: number;

  /** The deadline is a tick. */
  constructor(change: MemberChange, members: readonly MemberRecord[], deadline: number) {
    this.change = change;
    this.members = members;
    this.deadline = deadline;
  }
}

/** How far a learner may be behind the leader's log when it is promoted, in entries. */
export const PROMOTION_LAG_MAX = 1_024;

/** What of the core the changes need. */
export interface ChangeCore {
  status(): Status;
  proposeConfChange(change: ConfChange | ConfChangeV2): void;
}

/** What is known of other peers. */
export interface KnownPeers {
  /** The node a peer lives on, or 0. */
  nodeOf(peerId: PeerId): number;
  /** Whether the leader has heard from it lately. */
  isAlive(peerId: PeerId): boolean;
}

interface Pending {
  readonly request: MemberChangeRequest;
  readonly sequence: number;
  /** Where it was appended; 0 until it is seen on its way to the disk. */
  index: number;
  applied: boolean;
}

/** The change under way. */
export class MemberChanges {
  readonly #peerId: PeerId;
  readonly #epoch: number;
  readonly #core: () => ChangeCore;
  readonly #book: MemberBook;
  readonly #peers: KnownPeers;
  #pending: Pending | undefined;
  #sequence = 0;

  constructor(
    peerId: PeerId,
    epoch: number,
    core: () => ChangeCore,
    book: MemberBook,
    peers: KnownPeers,
  ) {
    this.#peerId = peerId;
    this.#epoch = epoch;
    this.#core = core;
    this.#book = book;
    this.#peers = peers;
  }

  /** Whether a change is under way. */
  get hasPending(): boolean {
    return this.#pending !== undefined;
  }

  /** Takes a request: proposes it, or rejects it. */
  add(request: MemberChangeRequest, effects: PeerEffects): void {
    const status = this.#core().status();
    const refusal = this.#refusal(request.change, status);
    if (refusal !== undefined) return reject(request, refusal, effects);
    const sequence = ++this.#sequence;
    const context = encodeChangeContext({
      id: [this.#peerId, this.#epoch, sequence],
      members: request.members,
    });
    try {
      const { learners } = status.confState;
      this.#core().proposeConfChange(encode(request.change, learners, context));
    } catch (error) {
      if (!(error instanceof ProposalDroppedError || error instanceof ConfChangeError)) throw error;
      return reject(request, new MembershipError("NOT_TAKEN", error.message, false), effects);
    }
    this.#pending = { request, sequence, index: 0, applied: false };
  }

  /** Entries are on their way to the disk: a leader's change is among them, or was not taken. */
  appended(entries: readonly RaftLogEntry[]): void {
    const pending = this.#pending;
    if (pending === undefined || pending.index !== 0) return;
    pending.index = entries.find((entry) => this.#isPending(entry))?.index ?? 0;
  }

  /** All that follows from the events is under way. */
  settleRefused(effects: PeerEffects): void {
    const pending = this.#pending;
    if (pending === undefined || pending.index !== 0) return;
    this.#pending = undefined;
    const text = "the leader did not take the change: an earlier one may not be applied yet";
    reject(pending.request, new MembershipError("CHANGE_UNDER_WAY", text, false), effects);
  }

  /**
   * Entries have been applied to the state machine, those at the indexes `voided` without effect.
   * Whether a change had one is not told by the configuration: a snapshot may have brought a later one.
   */
  settleApplied(
    entries: readonly RaftLogEntry[],
    voided: readonly number[],
    effects: PeerEffects,
  ): void {
    const pending = this.#pending;
    if (pending === undefined) return;
    const entry = entries.find(({ index }) => index === pending.index);
    if (entry !== undefined && !this.#isPending(entry)) {
      this.#pending = undefined;
      const text = "the change was lost when the leader changed";
      return reject(pending.request, new MembershipError("DROPPED", text, false), effects);
    }
    if (entry !== undefined && voided.includes(entry.index)) {
      this.#pending = undefined;
      const text = "the change had no effect: the id of a removed member is never used again";
      return reject(pending.request, new MembershipError("PEER_ID_USED", text, false), effects);
    }
    if (entry !== undefined) pending.applied = true;
    if (!pending.applied) return;
    const { confState } = this.#core().status();
    // A change in two steps is done when the second is.
    if (confState.votersOutgoing.length > 0) return;
    this.#pending = undefined;
    effects.changed.push({ request: pending.request, index: pending.index, confState });
  }

  /** Rejects what has reached its deadline. */
  expire(now: number, effects: PeerEffects): void {
    if (this.#pending === undefined || this.#pending.request.deadline > now) return;
    reject(this.#pending.request, new TimedOutError("change of members", true), effects);
    this.#pending = undefined;
  }

  /** Rejects it. */
  stop(cause: unknown, effects: PeerEffects): void {
    if (this.#pending === undefined) return;
    reject(this.#pending.request, new StoppedError(true, { cause }), effects);
    this.#pending = undefined;
  }

  #isPending(entry: RaftLogEntry): boolean {
    if (entry.type === "normal") return false;
    const { context } = decodeConfChange(entry.type, entry.command);
    const id = decodeChangeContext(context)?.id;
    return id !== undefined && id[0] === this.#peerId && id[1] === this.#epoch &&
      id[2] === this.#pending?.sequence;
  }

  #refusal(change: MemberChange, status: Status): RequestError | undefined {
    const { softState, confState } = status;
    if (softState.role !== "leader") {
      return new NotLeaderError(softState.leader, this.#peers.nodeOf(softState.leader));
    }
    if (this.#pending !== undefined || confState.votersOutgoing.length > 0) {
      return new MembershipError("CHANGE_UNDER_WAY", "another change is under way", false);
    }
    switch (change.kind) {
      case "add-learner":
        return this.#refuseAdding(change.member, confState);
      case "update":
        return isMember(change.member.peerId, confState)
          ? undefined
          : unknownPeer(change.member.peerId);
      case "promote":
        return this.#refusePromotion(change.peerId, status);
      case "remove":
        return this.#refuseRemoval(change.peerId, change.force, status);
      case "swap":
        return this.#refusePromotion(change.promoted, status) ??
          (confState.voters.includes(change.removed) ? undefined : unknownPeer(change.removed));
    }
  }

  #refuseAdding({ peerId, nodeId }: MemberRecord, confState: ConfState): RequestError | undefined {
    if (this.#book.isRemoved(peerId)) {
      return new MembershipError(
        "PEER_ID_USED",
        `peer ${peerId} was a member and was removed: its id is never used again`,
        false,
      );
    }
    const members = [...confState.voters, ...confState.learners];
    if (isMember(peerId, confState)) {
      return new MembershipError("ALREADY_MEMBER", `peer ${peerId} is a member already`, false);
    }
    const other = members.find((member) => this.#peers.nodeOf(member) === nodeId);
    if (other === undefined) return undefined;
    const text = `node ${nodeId} has peer ${other} of this region already`;
    return new MembershipError("ALREADY_MEMBER", text, false);
  }

  #refusePromotion(
    peerId: PeerId,
    { confState, progress, lastIndex }: Status,
  ): RequestError | undefined {
    if (!confState.learners.includes(peerId)) {
      return confState.voters.includes(peerId)
        ? new MembershipError("NOT_A_LEARNER", `peer ${peerId} is a voter already`, false)
        : unknownPeer(peerId);
    }
    const replica = progress?.get(peerId);
    const lag = lastIndex - (replica?.matchIndex ?? 0);
    const alive = this.#peers.isAlive(peerId);
    if (alive && replica?.state === "replicate" && lag <= PROMOTION_LAG_MAX) {
      return undefined;
    }
    return new MembershipError(
      "NOT_CAUGHT_UP",
      `peer ${peerId} must be at most ${PROMOTION_LAG_MAX} entries behind to be promoted: it is ${lag} ` +
        `behind${alive ? "" : " and not heard from"}`,
      false,
    );
  }

  /** A removal must leave a voter, and a quorum of members that are alive, unless it is forced. */
  #refuseRemoval(
    peerId: PeerId,
    force: boolean,
    { id, confState }: Status,
  ): RequestError | undefined {
    if (confState.learners.includes(peerId)) return undefined;
    if (!confState.voters.includes(peerId)) return unknownPeer(peerId);
    const left = confState.voters.filter((voter) => voter !== peerId);
    if (left.length === 0) {
      return new MembershipError("LAST_VOTER", `peer ${peerId} is the last voter`, false);
    }
    const alive = left.filter((voter) => voter === id || this.#peers.isAlive(voter));
    const quorum = Math.floor(left.length / 2) + 1;
    if (force || alive.length >= quorum) return undefined;
    return new MembershipError(
      "QUORUM_AT_RISK",
      `without peer ${peerId} only ${alive.length} of the ${quorum} voters that make a quorum are alive`,
      false,
    );
  }
}

function unknownPeer(peerId: PeerId): MembershipError {
  return new MembershipError("UNKNOWN_PEER", `peer ${peerId} is not a member`, false);
}

function isMember(peerId: PeerId, { voters, learners }: ConfState): boolean {
  return voters.includes(peerId) || learners.includes(peerId);
}

function encode(
  change: MemberChange,
  learners: readonly PeerId[],
  context: Uint8Array,
): ConfChange | ConfChangeV2 {
  switch (change.kind) {
    case "add-learner":
      return { type: "add-learner", peerId: change.member.peerId, context };
    case "update": {
      // To make a member what it is already changes nothing but what the context says.
      const { peerId } = change.member;
      return { type: learners.includes(peerId) ? "add-learner" : "add-node", peerId, context };
    }
    case "promote":
      return { type: "add-node", peerId: change.peerId, context };
    case "remove":
      return { type: "remove-node", peerId: change.peerId, context };
    case "swap":
      return {
        transition: "auto",
        changes: [
          { type: "remove-node", peerId: change.removed },
          { type: "add-node", peerId: change.promoted },
        ],
        context,
      };
  }
}

function reject(request: MemberChangeRequest, error: RequestError, effects: PeerEffects): void {
  effects.changesRejected.push({ request, error });
}

/** A committed entry as a change. */
export function changeOf(entry: RaftLogEntry): ConfChangeV2 | undefined {
  if (entry.type === "normal") return undefined;
  return toConfChangeV2(decodeConfChange(entry.type, entry.command));
}
