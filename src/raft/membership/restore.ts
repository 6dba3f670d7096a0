/**
 * Restoring a configuration from its durable form: the peers it names get fresh replication states.
 *
 * @module
 */

import { ConfChangeError } from "../errors.ts";
import { ReplicationState } from "../replication/mod.ts";
import { type ConfState, createConfState, PEER_ID_MAX, type PeerId } from "../types.ts";
import type { Membership, NewPeers } from "./changer.ts";

/**
 * Builds the membership that `confState` describes.
 *
 * @throws ConfChangeError when no sequence of changes leads to such a configuration: ids out of
 * range or named twice, a learner that votes, a joint configuration without incoming voters, parts
 * of a joint configuration in one that is not joint.
 */
export function restoreMembership(confState: ConfState, peers: NewPeers): Membership {
  checkConfState(confState);
  const progress = new Map<PeerId, ReplicationState>();
  const add = (id: PeerId, isLearner: boolean) => {
    if (progress.has(id)) return;
    const state = new ReplicationState(id, Math.max(peers.lastIndex, 1), isLearner, peers.limits);
    state.recentActive = true;
    progress.set(id, state);
  };
  for (const id of confState.voters) add(id, false);
  for (const id of confState.votersOutgoing) add(id, false);
  for (const id of confState.learners) add(id, true);
  return { confState: createConfState(confState), progress };
}

/**
 * Checks that a configuration is one that changes can lead to.
 *
 * @throws ConfChangeError as {@linkcode restoreMembership}.
 */
export function checkConfState(confState: ConfState): void {
  const { voters, votersOutgoing, learners, learnersNext, autoLeave } = confState;
  checkIds("voters", voters);
  checkIds("votersOutgoing", votersOutgoing);
  checkIds("learners", learners);
  checkIds("learnersNext", learnersNext);
  const isVoter = (id: PeerId) => voters.includes(id) || votersOutgoing.includes(id);
  if (learners.some(isVoter)) throw invalid("a learner is also a voter");
  if (learnersNext.some((id) => !votersOutgoing.includes(id) || voters.includes(id))) {
    throw invalid("learnersNext must be outgoing voters that are not incoming ones");
  }
  if (votersOutgoing.length > 0) {
    if (voters.length === 0) throw invalid("a joint configuration needs incoming voters");
  } else if (autoLeave) {
    throw invalid("autoLeave belongs to joint configurations");
  } else if (voters.length === 0 && learners.length > 0) {
    throw invalid("learners without voters");
  }
}

function checkIds(name: string, ids: readonly PeerId[]): void {
  for (const id of ids) {
    if (!Number.isSafeInteger(id) || id < 1 || id > PEER_ID_MAX) {
      throw invalid(`${name} must hold integers from 1 to ${PEER_ID_MAX}: found ${String(id)}`);
    }
  }
  if (new Set(ids).size !== ids.length) throw invalid(`${name} holds an id twice`);
}

function invalid(what: string): ConfChangeError {
  return new ConfChangeError(`invalid configuration: ${what}`);
}
