/**
 * The leader (Raft §5.3, figure 2 "Leaders"): takes acknowledgements and refusals, commits, keeps
 * each peer supplied, checks that it still has a quorum, and hands over leadership.
 *
 * @module
 */

import type { RaftError } from "../errors.ts";
import type { Raft } from "../raft.ts";
import type { ReplicationState } from "../replication/mod.ts";
import { type Message, NO_PEER, type PeerId } from "../types.ts";
import { advanceCommit } from "./committing.ts";
import { handleProposal } from "./proposing.ts";
import { handleReadAck, handleReadRequest } from "./reading.ts";
import { becomeFollower } from "./roles.ts";
import { sendAppend } from "./sending.ts";

/** Handles a message of the leader's own term, or of none. */
export function stepLeader(raft: Raft, message: Message): RaftError | undefined {
  switch (message.type) {
    case "propose":
      return handleProposal(raft, message);
    case "read-index":
      handleReadRequest(raft, message);
      return undefined;
  }
  const peer = raft.tracker.get(message.from);
  if (peer === undefined) return undefined;
  switch (message.type) {
    case "append-response":
      peer.recentActive = true;
      if (message.reject) handleRefusal(raft, peer, message);
      else handleAcknowledgement(raft, peer, message.index);
      break;
    case "heartbeat-response":
      handleHeartbeatResponse(raft, peer, message);
      break;
    case "transfer-leader":
      transferLeadership(raft, peer);
      break;
  }
  return undefined;
}

/** Steps down unless a quorum was heard from since the last check (thesis §6.2). */
export function checkQuorum(raft: Raft): void {
  if (!raft.tracker.isQuorumActive()) {
    raft.config.logger.warn(`${raft.id} steps down: the quorum is not active`);
    becomeFollower(raft, raft.term, NO_PEER);
  }
  for (const peer of raft.tracker.peers) {
    if (peer.id !== raft.id) peer.recentActive = false;
  }
}

/** Takes the host's word that messages to a peer were lost: what is under way to it probably is. */
export function noteUnreachable(raft: Raft, id: PeerId): void {
  const peer = raft.tracker.get(id);
  if (raft.role === "leader" && peer?.state === "replicate") peer.becomeProbe();
}

/**
 * Takes the host's report of how sending a snapshot ended. Either way the next append waits, for the
 * peer's own acknowledgement or for a heartbeat interval.
 */
export function noteSnapshotSent(raft: Raft, id: PeerId, ok: boolean): void {
  const peer = raft.tracker.get(id);
  if (raft.role !== "leader" || peer?.state !== "snapshot") return;
  // A snapshot that failed was never applied: probe from what is known to match.
  if (!ok) peer.pendingSnapshot = 0;
  peer.becomeProbe();
  peer.appendPaused = true;
  peer.pendingRequestSnapshot = 0;
}

/**
 * Steps back to where the peer's log may match. The refusal says up to where, and of which term the
 * peer's entry there is; whatever of the leader's log above has a larger term cannot match either, so
 * one probe a term is enough (Raft §5.3, end).
 */
function handleRefusal(raft: Raft, peer: ReplicationState, message: Message): void {
  if (message.requestSnapshot !== 0) {
    if (!peer.maybeRequestSnapshot(message.index, message.requestSnapshot)) return;
  } else {
    const hint = message.logTerm > 0
      ? raft.log.findConflictByTerm(message.rejectHint, message.logTerm).index
      : message.rejectHint;
    if (!peer.maybeDecreaseTo(message.index, hint)) return;
  }
  raft.config.logger.debug(`${raft.id} steps back to ${peer.nextIndex} for ${peer.id}`);
  if (peer.state === "replicate") peer.becomeProbe();
  sendAppend(raft, peer, true);
}

/** Notes that a peer has everything up to `index`, commits what that allows, and sends on. */
function handleAcknowledgement(raft: Raft, peer: ReplicationState, index: number): void {
  // An acknowledgement that brings nothing new still ends a probe whose append was lost, and the
  // wait for a snapshot that was asked for although nothing was missing.
  const endsWait = peer.matchIndex === index &&
    (peer.state === "probe" || (peer.state === "snapshot" && index >= peer.pendingSnapshot));
  if (!peer.maybeUpdate(index) && !endsWait) return;
  if (peer.state === "probe") {
    peer.becomeReplicate();
  } else if (peer.state === "replicate") {
    peer.inflights.freeUpTo(index);
  } else if (peer.matchIndex + 1 >= raft.log.firstIndex()) {
    // By whatever snapshot it got there, the log can take over from here.
    peer.becomeProbe();
    peer.becomeReplicate();
    if (index >= peer.pendingRequestSnapshot) peer.pendingRequestSnapshot = 0;
  }
  const isSelf = peer.id === raft.id;
  if (!advanceCommit(raft) && !isSelf && peer.canRaiseCommit(raft.log.committed)) {
    sendAppend(raft, peer, true);
  }
  if (isSelf) return;
  // The window may have room for several messages now.
  while (sendAppend(raft, peer, false));
  if (peer.id === raft.leadTransferee && peer.matchIndex === raft.log.lastIndex()) {
    raft.send({ type: "timeout-now", to: peer.id });
  }
}

/** Knows the peer is alive: tries again what may have been lost, and counts it for reads. */
function handleHeartbeatResponse(raft: Raft, peer: ReplicationState, message: Message): void {
  peer.recentActive = true;
  peer.appendPaused = false;
  if (
    peer.matchIndex < raft.log.lastIndex() || peer.state === "probe" ||
    peer.pendingRequestSnapshot !== 0
  ) {
    sendAppend(raft, peer, true);
  }
  handleReadAck(raft, message);
}

/**
 * Hands leadership to `target` (thesis §3.10): brings its log up to date, then tells it to campaign at
 * once. Proposals are dropped meanwhile. Must be done within an election timeout.
 */
function transferLeadership(raft: Raft, target: ReplicationState): void {
  if (target.isLearner || target.id === raft.leadTransferee) return;
  raft.leadTransferee = NO_PEER;
  if (target.id === raft.id) return;
  raft.config.logger.info(`${raft.id} transfers leadership to ${target.id} at term ${raft.term}`);
  raft.electionElapsed = 0;
  raft.leadTransferee = target.id;
  if (target.matchIndex === raft.log.lastIndex()) {
    raft.send({ type: "timeout-now", to: target.id });
  } else {
    sendAppend(raft, target, true);
  }
}
