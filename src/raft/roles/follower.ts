/**
 * The follower (Raft §5.3, figure 2 "Followers"): appends what the leader sends if the log matches,
 * and forwards to the leader what only it can do. Also what a candidate does with a leader's messages.
 *
 * @module
 */

import { ProposalDroppedError, type RaftError } from "../errors.ts";
import type { Raft } from "../raft.ts";
import { type Message, NO_PEER } from "../types.ts";
import { startCampaign } from "./election.ts";
import { handleSnapshot } from "./installing.ts";

/** Handles a message of the follower's own term, or of none. */
export function stepFollower(raft: Raft, message: Message): RaftError | undefined {
  switch (message.type) {
    case "append":
    case "heartbeat":
    case "snapshot":
      raft.electionElapsed = 0;
      raft.leader = message.from;
      handleLeaderMessage(raft, message);
      return undefined;
    case "propose":
      return forwardProposal(raft, message);
    case "read-index":
    case "transfer-leader":
      forward(raft, message);
      return undefined;
    case "read-index-response":
      raft.readStates.push({ index: message.index, context: message.entries[0].command });
      return undefined;
    case "timeout-now":
      // No pre-vote: the leader itself asked, so this is no return from a partition.
      startCampaign(raft, "transfer");
      return undefined;
    default:
      return undefined;
  }
}

/** Handles an append, heartbeat or snapshot of the leader that is followed. */
export function handleLeaderMessage(raft: Raft, message: Message): void {
  if (message.type === "append") handleAppend(raft, message);
  else if (message.type === "heartbeat") handleHeartbeat(raft, message);
  else handleSnapshot(raft, message);
}

/**
 * Forgets the leader without a new term, so that it may vote for another one; refused with
 * lease-based reads, which rely on followers remembering.
 */
export function forgetLeader(raft: Raft): void {
  if (raft.role !== "follower") return;
  if (raft.config.readOnly === "lease-based") {
    raft.config.logger.error(`${raft.id} does not forget its leader: reads rely on its lease`);
    return;
  }
  raft.leader = NO_PEER;
}

/** Asks the leader for a snapshot (opt-in, as in tikv/raft-rs); repeated until one arrives. */
export function sendSnapshotRequest(raft: Raft): void {
  const rejectHint = raft.log.lastIndex();
  raft.send({
    type: "append-response",
    to: raft.leader,
    index: raft.log.committed,
    reject: true,
    rejectHint,
    logTerm: raft.log.lastTerm(),
    requestSnapshot: raft.pendingRequestSnapshot,
  });
}

/** Appends if the log matches before the first entry; else says where it may match (Raft §5.3). */
function handleAppend(raft: Raft, message: Message): void {
  const { log } = raft;
  const { from: to, index, logTerm, entries, commit } = message;
  if (raft.pendingRequestSnapshot !== 0) {
    sendSnapshotRequest(raft);
    return;
  }
  if (index < log.committed) {
    // Old news: what is committed matches already.
    raft.send({ type: "append-response", to, index: log.committed });
    return;
  }
  const lastNew = log.maybeAppend(logTerm, index, entries, commit);
  if (lastNew !== undefined) {
    raft.send({ type: "append-response", to, index: lastNew });
    return;
  }
  // Nothing of this log above the hint can match: its terms there exceed the leader's.
  const hint = log.findConflictByTerm(Math.min(index, log.lastIndex()), logTerm);
  raft.config.logger.debug(`${raft.id} rejects an append after ${logTerm}/${index} from ${to}`);
  raft.send({
    type: "append-response",
    to,
    index,
    reject: true,
    rejectHint: hint.index,
    logTerm: hint.term,
  });
}

/** Learns the commit index, and echoes the position of the leader's reads. */
function handleHeartbeat(raft: Raft, message: Message): void {
  raft.log.commitTo(message.commit);
  if (raft.pendingRequestSnapshot !== 0) {
    sendSnapshotRequest(raft);
    return;
  }
  raft.send({ type: "heartbeat-response", to: message.from, context: message.context });
}

function forwardProposal(raft: Raft, message: Message): RaftError | undefined {
  if (raft.leader === NO_PEER) return new ProposalDroppedError("no leader is known");
  if (raft.config.disableProposalForwarding) {
    return new ProposalDroppedError("not the leader, and forwarding is off");
  }
  forward(raft, message);
  return undefined;
}

/** Passes a request on to the leader; without one it is dropped, and the host asks again. */
function forward(raft: Raft, message: Message): void {
  if (raft.leader === NO_PEER) {
    raft.config.logger.info(`${raft.id} drops ${message.type}: no leader at term ${raft.term}`);
    return;
  }
  raft.forward(message, raft.leader);
}
