/**
 * Quorums the slow way, by trying every set of voters: what the core's fast arithmetic is checked
 * against.
 *
 * @module
 */

import type { ConfState, PeerId } from "../raft/mod.ts";

/** Whether those for whom `has` is true are a quorum of both halves of a configuration. */
export function isQuorum(confState: ConfState, has: (id: PeerId) => boolean): boolean {
  return isMajority(confState.voters, has) &&
    (confState.votersOutgoing.length === 0 || isMajority(confState.votersOutgoing, has));
}

function isMajority(voters: readonly PeerId[], has: (id: PeerId) => boolean): boolean {
  let count = 0;
  for (const id of voters) if (has(id)) count++;
  return 2 * count > voters.length;
}

/** Whether two configurations are equal. */
export function sameConfState(a: ConfState, b: ConfState): boolean {
  return a.autoLeave === b.autoLeave && sameIds(a.voters, b.voters) &&
    sameIds(a.votersOutgoing, b.votersOutgoing) && sameIds(a.learners, b.learners) &&
    sameIds(a.learnersNext, b.learnersNext);
}

function sameIds(a: readonly PeerId[], b: readonly PeerId[]): boolean {
  return a.length === b.length && a.every((id, position) => id === b[position]);
}

/** Whether no quorum of one configuration and quorum of the other are without a common voter. */
export function everyQuorumOverlaps(a: ConfState, b: ConfState): boolean {
  const ids = [
    ...new Set([...a.voters, ...a.votersOutgoing, ...b.voters, ...b.votersOutgoing]),
  ];
  for (let set = 0; set < 1 << ids.length; set++) {
    const inSet = (id: PeerId): boolean => (set >> ids.indexOf(id) & 1) === 1;
    if (isQuorum(a, inSet) && isQuorum(b, (id) => !inSet(id))) return false;
  }
  return true;
}
