/**
 * What must hold of a replica after every message, whoever sent it, as far as it can be seen from
 * outside.
 *
 * @module
 */

import { NO_PEER, type Status } from "../../src/raft/mod.ts";

/** An invariant does not hold. */
export class InvariantViolation extends Error {
  override readonly name = "InvariantViolation";
}

/** Checks one replica by itself, and against what it was a step ago. */
export function checkStatus(now: Status, before: Status, window: number): void {
  const { currentTerm, votedFor, commitIndex } = now.hardState;
  const old = before.hardState;
  check(currentTerm >= old.currentTerm, "the term never goes back");
  check(commitIndex >= old.commitIndex, "the commit index never goes back");
  check(now.applied >= before.applied, "the applied index never goes back");
  check(
    currentTerm !== old.currentTerm || old.votedFor === NO_PEER || votedFor === old.votedFor,
    "a vote never changes within a term",
  );
  check(now.applied <= commitIndex, "nothing is applied that is not committed");
  check(commitIndex <= now.lastIndex, "nothing is committed that is not in the log");
  check(now.firstIndex <= commitIndex + 1, "nothing is compacted that is not committed");
  checkRole(now);
  if (now.progress !== undefined) checkProgress(now, window);
}

function checkRole({ id, softState, hardState, leadTransferee, progress }: Status): void {
  const { role, leader } = softState;
  check((role === "leader") === (progress !== undefined), "only a leader tracks progress");
  if (role === "leader") check(leader === id, "a leader follows itself");
  else check(leader !== id, "only a leader follows itself");
  if (role !== "leader") check(leadTransferee === NO_PEER, "only a leader transfers leadership");
  if (role === "candidate" || role === "precandidate") {
    check(leader === NO_PEER, "a candidate knows no leader");
  }
  if (role === "candidate") check(hardState.votedFor === id, "a candidate votes for itself");
}

function checkProgress({ id, progress, lastIndex, confState }: Status, window: number): void {
  const peers = [...confState.voters, ...confState.votersOutgoing, ...confState.learners];
  check(progress!.size === new Set(peers).size, "exactly the peers are tracked");
  for (const [peer, state] of progress!) {
    check(peers.includes(peer), "exactly the peers are tracked");
    check(state.matchIndex < state.nextIndex, "match lies below next");
    check(state.matchIndex <= lastIndex, "nobody has acknowledged what is not in the log");
    check(state.nextIndex <= lastIndex + 1 || state.state === "snapshot", "next lies in the log");
    check(state.inflight <= window, "the window keeps its limit");
    check((state.state === "snapshot") === (state.pendingSnapshot > 0), "snapshot mode has one");
    check(state.state === "replicate" || state.inflight === 0, "only replicating uses the window");
    check(state.learner === confState.learners.includes(peer), "learners are marked");
    if (peer === id) check(state.state !== "snapshot", "no snapshot is sent to oneself");
  }
}

function check(holds: boolean, what: string): void {
  if (!holds) throw new InvariantViolation(`violated: ${what}`);
}
