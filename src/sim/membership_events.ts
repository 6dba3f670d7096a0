/**
 * What a new configuration changed, for the counts of rare events.
 *
 * @module
 */

import type { ConfState, PeerId } from "../raft/mod.ts";
import type { RareEvent } from "./coverage.ts";

/** The events that lie between two consecutive configurations. */
export function membershipEvents(before: ConfState, after: ConfState): RareEvent[] {
  const events: RareEvent[] = [];
  const wasJoint = before.votersOutgoing.length > 0;
  const isJoint = after.votersOutgoing.length > 0;
  if (isJoint && !wasJoint) events.push("joint configurations entered");
  if (wasJoint && !isJoint) events.push("joint configurations left");
  const isIn = (list: readonly PeerId[]) => (id: PeerId): boolean => list.includes(id);
  const wasMember = isIn([...before.voters, ...before.learners, ...before.votersOutgoing]);
  const isMember = isIn([...after.voters, ...after.learners, ...after.votersOutgoing]);
  const wasVoter = isIn([...before.voters, ...before.votersOutgoing]);
  if (after.learners.some((id) => !wasMember(id))) events.push("learners added");
  if (after.voters.some(isIn(before.learners))) events.push("learners promoted");
  if (after.learners.some(wasVoter)) events.push("voters demoted");
  const removed = [...before.voters, ...before.votersOutgoing].filter((id) => !isMember(id));
  if (removed.length > 0) events.push("voters removed");
  return events;
}
