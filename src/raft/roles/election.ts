/**
 * Elections (Raft §5.2, §5.4.1): who campaigns, who votes for whom, who has won. With pre-vote
 * (thesis §9.6), leader lease (thesis §6.4.1), and the opt-in priority and commit-by-vote of
 * tikv/raft-rs.
 *
 * @module
 */

import { INDEX_MAX, type Raft, TERM_MAX } from "../raft.ts";
import type { Message, MessageType, RaftLogEntry } from "../types.ts";
import { NO_PEER } from "../types.ts";
import { becomeCandidate, becomeFollower, becomeLeader, becomePreCandidate } from "./roles.ts";
import { broadcastAppend } from "./sending.ts";

/**
 * Why a replica campaigns: to see whether it could win, to win, or because the leader handed over,
 * in which case voters ignore the leader's lease.
 */
export type CampaignReason = "pre-election" | "election" | "transfer";

/** What a vote request carries when the leader handed over, as bytes of eraftpb's `CampaignTransfer`. */
const TRANSFER_CONTEXT = Uint8Array.from("CampaignTransfer", (char) => char.charCodeAt(0));

/**
 * Campaigns, unless this replica must not: it leads already, has no vote, has a snapshot to apply, or
 * has committed configuration changes to apply, by which the quorum may be another (thesis §4.1).
 */
export function startCampaign(raft: Raft, reason: CampaignReason): void {
  const { logger } = raft.config;
  if (raft.role === "leader") {
    logger.debug(`${raft.id} does not campaign: it leads already`);
  } else if (!raft.isPromotable()) {
    logger.warn(`${raft.id} is unpromotable and does not campaign`);
  } else if (hasUnappliedConfChange(raft, raft.log.applied)) {
    logger.warn(`${raft.id} does not campaign: configuration changes are still to be applied`);
  } else if (raft.term >= TERM_MAX || raft.log.lastIndex() >= INDEX_MAX) {
    logger.error(`${raft.id} does not campaign: terms or indices are exhausted`);
  } else {
    logger.info(`${raft.id} starts a campaign (${reason}) at term ${raft.term}`);
    campaign(raft, reason);
  }
}

/** The reason of a campaign after an election timeout. */
export function ordinaryCampaign(raft: Raft): CampaignReason {
  return raft.config.preVote ? "pre-election" : "election";
}

/**
 * Answers a request for a vote (Raft §5.2, §5.4.1): at most one vote a term, first come first served,
 * and only for a candidate whose log is at least as up to date. Learners vote too: a learner may have
 * been promoted without knowing it yet, and its vote may be needed to elect who will tell it.
 */
export function handleVoteRequest(raft: Raft, message: Message): void {
  const preVote = message.type === "pre-vote";
  const canVote = raft.vote === message.from ||
    (raft.vote === NO_PEER && raft.leader === NO_PEER) ||
    (preVote && message.term > raft.term);
  const type = voteResponseType(message.type);
  if (
    canVote && raft.log.isUpToDate(message.logTerm, message.index) && yieldsTo(raft, message)
  ) {
    // A pre-vote is granted for the term asked about, which is not this replica's own.
    raft.send({ type, to: message.from, term: message.term });
    if (!preVote) {
      raft.electionElapsed = 0;
      raft.vote = message.from;
    }
    return;
  }
  raft.config.logger.info(
    `${raft.id} rejects ${message.type} from ${message.from} at term ${raft.term}`,
  );
  const { commit, commitTerm } = commitInfo(raft);
  raft.send({ type, to: message.from, term: raft.term, reject: true, commit, commitTerm });
  commitByVote(raft, message);
}

/** Refuses a pre-vote for a past term, so that a candidate that is behind learns of the term. */
export function refusePreVote(raft: Raft, message: Message): void {
  raft.send({ type: "pre-vote-response", to: message.from, term: raft.term, reject: true });
}

/** Counts an answer to the campaign under way (Raft §5.2). */
export function handleVoteResponse(raft: Raft, message: Message): void {
  const result = raft.tracker.recordVote(message.from, !message.reject);
  if (result === "won") {
    if (raft.role === "precandidate") {
      campaign(raft, "election");
    } else {
      becomeLeader(raft);
      broadcastAppend(raft);
    }
  } else if (result === "lost") {
    becomeFollower(raft, raft.term, NO_PEER);
  }
  commitByVote(raft, message);
}

/** Whether this vote request comes from a transfer of leadership, which overrides the lease. */
export function isTransferVote(message: Message): boolean {
  const { context } = message;
  return context !== undefined && context.length === TRANSFER_CONTEXT.length &&
    context.every((byte, i) => byte === TRANSFER_CONTEXT[i]);
}

/**
 * Whether a follower has heard from its leader within an election timeout. With check-quorum the
 * leader may count on that, so votes must not be given meanwhile (thesis §6.4.1).
 */
export function isInLease(raft: Raft): boolean {
  return raft.config.checkQuorum && raft.leader !== NO_PEER &&
    raft.electionElapsed < raft.config.electionTick;
}

function campaign(raft: Raft, reason: CampaignReason): void {
  if (reason === "pre-election") becomePreCandidate(raft);
  else becomeCandidate(raft);
  const type = reason === "pre-election" ? "pre-vote" : "vote";
  const term = reason === "pre-election" ? raft.term + 1 : raft.term;
  const logTerm = raft.log.lastTerm();
  const index = raft.log.lastIndex();
  const context = reason === "transfer" ? TRANSFER_CONTEXT : undefined;
  const { commit, commitTerm } = commitInfo(raft);
  for (const to of raft.tracker.voters.ids()) {
    if (to === raft.id) {
      // Its own vote counts like any other: once it is durable.
      raft.send({ type: voteResponseType(type), to, term });
    } else {
      raft.send({ type, to, term, logTerm, index, context, commit, commitTerm });
    }
  }
}

function voteResponseType(type: MessageType): "vote-response" | "pre-vote-response" {
  return type === "pre-vote" ? "pre-vote-response" : "vote-response";
}

/** Whether priorities allow the vote: a longer log always wins, else the higher priority does. */
function yieldsTo(raft: Raft, message: Message): boolean {
  return raft.priority <= message.priority || message.index > raft.log.lastIndex();
}

/** What a candidate or a refusing voter says about its commit index, when so configured. */
function commitInfo(raft: Raft): { commit: number; commitTerm: number } {
  const commit = raft.log.committed;
  const commitTerm = raft.config.commitByVote ? raft.log.term(commit) : undefined;
  return commitTerm === undefined ? { commit: 0, commitTerm: 0 } : { commit, commitTerm };
}

/**
 * Learns from a vote message what is committed, if its own log has that very entry (etcd#12359): else
 * a replica that missed the leader's last message could neither win nor learn why it loses. A
 * candidate whose quorum may change by that steps down.
 */
function commitByVote(raft: Raft, message: Message): void {
  if (!raft.config.commitByVote || message.commitTerm === 0 || raft.role === "leader") return;
  const before = raft.log.committed;
  if (!raft.log.maybeCommit(message.commit, message.commitTerm)) return;
  raft.emit("Commit");
  if (raft.role !== "follower" && hasUnappliedConfChange(raft, before)) {
    becomeFollower(raft, raft.term, NO_PEER);
  }
}

/** Whether a committed configuration change lies above `applied`. Read in pages. */
function hasUnappliedConfChange(raft: Raft, applied: number): boolean {
  const { log, config } = raft;
  if (applied >= log.committed) return false;
  let found = false;
  const visit = (page: readonly RaftLogEntry[]) => {
    found = page.some((entry) => entry.type !== "normal");
    return !found;
  };
  // A snapshot that waits to be applied has replaced the entries below it; it is no change itself.
  const low = Math.max(applied + 1, log.firstIndex());
  log.scan(low, log.committed + 1, config.maxCommittedSizePerReady, visit);
  return found;
}
