/**
 * The changes of role (Raft §5.1, figure 4). Each starts from a clean slate; what a role then does is
 * in its own file.
 *
 * @module
 */

import { RaftInvariantError } from "../errors.ts";
import type { Raft } from "../raft.ts";
import { createEntry, NO_PEER, type PeerId } from "../types.ts";

/** Follows `leader` (or nobody yet) in `term`. */
export function becomeFollower(raft: Raft, term: number, leader: PeerId): void {
  raft.startTerm(term);
  raft.role = "follower";
  raft.leader = leader;
  raft.config.logger.info(`${raft.id} became follower at term ${raft.term}`);
  raft.emit("BecomeFollower");
}

/** Asks whether it could win, without a new term or a vote of its own (thesis §9.6). */
export function becomePreCandidate(raft: Raft): void {
  assertNotLeader(raft, "precandidate");
  raft.role = "precandidate";
  raft.tracker.resetVotes();
  raft.leader = NO_PEER;
  raft.config.logger.info(`${raft.id} became pre-candidate at term ${raft.term}`);
  raft.emit("BecomePreCandidate");
}

/** Starts an election in a new term, with its own vote (Raft §5.2). */
export function becomeCandidate(raft: Raft): void {
  assertNotLeader(raft, "candidate");
  raft.startTerm(raft.term + 1);
  raft.role = "candidate";
  raft.vote = raft.id;
  raft.pendingRequestSnapshot = 0;
  raft.config.logger.info(`${raft.id} became candidate at term ${raft.term}`);
  raft.emit("BecomeCandidate");
}

/**
 * Leads its term. The first act is an empty entry: committing it commits everything before it, which
 * a leader may not do by counting copies of older terms (Raft §5.4.2, §8).
 */
export function becomeLeader(raft: Raft): void {
  const self = raft.self();
  if (raft.role === "follower" || self === undefined) {
    throw new RaftInvariantError(`${raft.id} cannot become leader from ${raft.role}`);
  }
  raft.startTerm(raft.term);
  raft.role = "leader";
  raft.leader = raft.id;
  raft.pendingRequestSnapshot = 0;
  self.becomeReplicate();
  self.recentActive = true;
  // There may be an unapplied configuration change in the log. Assuming one costs little: changes
  // wait until all that is in the log now is applied. Scanning for one could cost much.
  raft.pendingConfIndex = raft.log.lastIndex();
  raft.emit("BecomeLeader");
  if (!raft.appendEntries([createEntry({})])) {
    throw new RaftInvariantError("a new leader's empty entry was refused");
  }
  raft.config.logger.info(`${raft.id} became leader at term ${raft.term}`);
}

function assertNotLeader(raft: Raft, next: string): void {
  if (raft.role === "leader") throw new RaftInvariantError(`a leader cannot become ${next}`);
}
