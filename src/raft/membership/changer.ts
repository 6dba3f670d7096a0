/**
 * The changer: what a configuration becomes by a change (thesis §4.1 for single changes, §4.3 for
 * joint consensus). A pure function of the configuration and the peers' states: it returns new ones
 * or throws, and never touches what it was given.
 *
 * @module
 */

import { ConfChangeError, RaftInvariantError } from "../errors.ts";
import { type Progress, ReplicationState, type WindowLimits } from "../replication/mod.ts";
import {
  type ConfChangeSingle,
  type ConfChangeV2,
  type ConfState,
  createConfState,
  type PeerId,
} from "../types.ts";

/** A configuration and the replication states of exactly its peers. */
export interface Membership {
  /** The configuration. */
  readonly confState: ConfState;
  /** The leader's view of its peers. */
  readonly progress: Progress;
}

/** What new peers start from. */
export interface NewPeers {
  /** The last index of the log: new peers are probed from there. */
  readonly lastIndex: number;
  /** The limits of the window of each peer. */
  readonly limits: WindowLimits;
}

/**
 * Applies a change of the general kind, by the protocol it asks for: an empty one leaves the joint
 * configuration, more than one step (or an explicit wish) enters one, a single step is simple.
 *
 * @throws ConfChangeError when the change does not fit the configuration.
 */
export function applyChange(from: Membership, change: ConfChangeV2, peers: NewPeers): Membership {
  const { transition, changes } = change;
  if (transition === "auto" && changes.length === 0) return leaveJoint(from);
  if (transition === "auto" && changes.length === 1) return applySimple(from, changes, peers);
  return enterJoint(from, transition !== "joint-explicit", changes, peers);
}

/**
 * Applies changes that together change at most one voter. Quorums of the old and the new
 * configuration then overlap, so no joint configuration is needed (thesis §4.1).
 *
 * @throws ConfChangeError when the configuration is joint, more than one voter changes, or none is left.
 */
export function applySimple(
  from: Membership,
  changes: readonly ConfChangeSingle[],
  peers: NewPeers,
): Membership {
  const draft = new Draft(from);
  if (draft.isJoint()) {
    throw new ConfChangeError("can't apply simple config change in joint config");
  }
  draft.apply(changes, peers);
  if (symmetricDifference(from.confState.voters, draft.incoming) > 1) {
    throw new ConfChangeError("more than one voter changed without entering joint config");
  }
  return draft.finish();
}

/**
 * Enters a joint configuration: today's voters become the outgoing half, and the changes make the
 * incoming half (thesis §4.3, C_old,new).
 *
 * @throws ConfChangeError when the configuration is joint or empty, or no voter would be left.
 */
export function enterJoint(
  from: Membership,
  autoLeave: boolean,
  changes: readonly ConfChangeSingle[],
  peers: NewPeers,
): Membership {
  const draft = new Draft(from);
  if (draft.isJoint()) throw new ConfChangeError("config is already joint");
  if (draft.incoming.size === 0) {
    throw new ConfChangeError("can't make a zero-voter config joint");
  }
  draft.outgoing = new Set(draft.incoming);
  draft.apply(changes, peers);
  draft.autoLeave = autoLeave;
  return draft.finish();
}

/**
 * Leaves a joint configuration: the incoming half decides alone (thesis §4.3, C_new). Outgoing
 * voters that were to become learners do so now; peers in neither half are gone.
 *
 * @throws ConfChangeError when the configuration is not joint.
 */
export function leaveJoint(from: Membership): Membership {
  const draft = new Draft(from);
  if (!draft.isJoint()) throw new ConfChangeError("can't leave a non-joint config");
  for (const id of draft.learnersNext) {
    draft.learners.add(id);
    draft.writable(id).isLearner = true;
  }
  draft.learnersNext.clear();
  for (const id of draft.outgoing) {
    if (!draft.incoming.has(id) && !draft.learners.has(id)) draft.progress.delete(id);
  }
  draft.outgoing.clear();
  draft.autoLeave = false;
  return draft.finish();
}

/** A configuration in the making. Peers' states are copied before they are changed. */
class Draft {
  readonly incoming: Set<PeerId>;
  outgoing: Set<PeerId>;
  readonly learners: Set<PeerId>;
  readonly learnersNext: Set<PeerId>;
  autoLeave: boolean;
  readonly progress: Map<PeerId, ReplicationState>;

  constructor(from: Membership) {
    checkMembership(from);
    this.incoming = new Set(from.confState.voters);
    this.outgoing = new Set(from.confState.votersOutgoing);
    this.learners = new Set(from.confState.learners);
    this.learnersNext = new Set(from.confState.learnersNext);
    this.autoLeave = from.confState.autoLeave;
    this.progress = new Map();
    for (const [id, state] of from.progress) this.progress.set(id, state.copy());
  }

  isJoint(): boolean {
    return this.outgoing.size > 0;
  }

  writable(id: PeerId): ReplicationState {
    const state = this.progress.get(id);
    if (state === undefined) throw new RaftInvariantError(`no replication state for peer ${id}`);
    return state;
  }

  apply(changes: readonly ConfChangeSingle[], peers: NewPeers): void {
    for (const { type, peerId } of changes) {
      // Id 0 is how an application voids a step of a change it refuses when applying it.
      if (peerId === 0) continue;
      if (type === "add-node") this.#makeVoter(peerId, peers);
      else if (type === "add-learner") this.#makeLearner(peerId, peers);
      else if (type === "remove-node") this.#remove(peerId);
      else if (type !== "update-node") {
        throw new ConfChangeError(`unexpected conf type ${String(type)}`);
      }
    }
    if (this.incoming.size === 0) throw new ConfChangeError("removed all voters");
  }

  finish(): Membership {
    const confState = createConfState({
      voters: [...this.incoming],
      votersOutgoing: [...this.outgoing],
      learners: [...this.learners],
      learnersNext: [...this.learnersNext],
      autoLeave: this.autoLeave,
    });
    const membership = { confState, progress: this.progress };
    checkMembership(membership);
    return membership;
  }

  #makeVoter(id: PeerId, peers: NewPeers): void {
    const state = this.progress.get(id);
    if (state === undefined) this.#add(id, false, peers);
    else state.isLearner = false;
    this.learners.delete(id);
    this.learnersNext.delete(id);
    this.incoming.add(id);
  }

  /**
   * A voter of the outgoing half cannot be a learner as well: it stays a voter until the joint
   * configuration is left, and is only marked for then.
   */
  #makeLearner(id: PeerId, peers: NewPeers): void {
    const state = this.progress.get(id);
    if (state === undefined) {
      this.#add(id, true, peers);
      this.learners.add(id);
      return;
    }
    if (state.isLearner) return;
    this.#remove(id);
    this.progress.set(id, state);
    if (this.outgoing.has(id)) {
      this.learnersNext.add(id);
    } else {
      state.isLearner = true;
      this.learners.add(id);
    }
  }

  #remove(id: PeerId): void {
    if (!this.progress.has(id)) return;
    this.incoming.delete(id);
    this.learners.delete(id);
    this.learnersNext.delete(id);
    // An outgoing voter still counts until the joint configuration is left.
    if (!this.outgoing.has(id)) this.progress.delete(id);
  }

  #add(id: PeerId, isLearner: boolean, peers: NewPeers): void {
    const state = new ReplicationState(id, Math.max(peers.lastIndex, 1), isLearner, peers.limits);
    // Else the next check of the quorum could depose a leader whose new voter had no time to answer.
    state.recentActive = true;
    this.progress.set(id, state);
  }
}

function symmetricDifference(before: readonly PeerId[], after: ReadonlySet<PeerId>): number {
  let common = 0;
  for (const id of before) if (after.has(id)) common++;
  return before.length - common + (after.size - common);
}

/** Checks what must hold of every configuration, given or returned. */
function checkMembership({ confState, progress }: Membership): void {
  const { voters, votersOutgoing, learners, learnersNext, autoLeave } = confState;
  for (const id of [...voters, ...votersOutgoing, ...learners, ...learnersNext]) {
    check(progress.has(id), `no replication state for peer ${id}`);
  }
  for (const id of learnersNext) {
    check(votersOutgoing.includes(id), `${id} is in learnersNext, but not in votersOutgoing`);
    check(!progress.get(id)!.isLearner, `${id} is in learnersNext, but marked as learner already`);
  }
  for (const id of learners) {
    check(!votersOutgoing.includes(id), `${id} is in learners and votersOutgoing`);
    check(!voters.includes(id), `${id} is in learners and voters`);
    check(progress.get(id)!.isLearner, `${id} is in learners, but not marked as learner`);
  }
  if (votersOutgoing.length === 0) {
    check(learnersNext.length === 0, "learnersNext must be empty when not joint");
    check(!autoLeave, "autoLeave must be false when not joint");
  }
}

function check(holds: boolean, otherwise: string): void {
  if (!holds) throw new RaftInvariantError(otherwise);
}
