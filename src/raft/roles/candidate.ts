/**
 * The candidate and the pre-candidate (Raft §5.2, thesis §9.6): count answers, and yield to a leader
 * of the same term.
 *
 * @module
 */

import { ProposalDroppedError, type RaftError } from "../errors.ts";
import type { Raft } from "../raft.ts";
import type { Message } from "../types.ts";
import { handleVoteResponse } from "./election.ts";
import { handleLeaderMessage } from "./follower.ts";
import { becomeFollower } from "./roles.ts";

/** Handles a message of the candidate's own term, or of none. */
export function stepCandidate(raft: Raft, message: Message): RaftError | undefined {
  switch (message.type) {
    case "append":
    case "heartbeat":
    case "snapshot":
      becomeFollower(raft, message.term, message.from);
      handleLeaderMessage(raft, message);
      return undefined;
    case "vote-response":
      // Answers to the pre-campaign may still arrive after it was won, and the other way round.
      if (raft.role === "candidate") handleVoteResponse(raft, message);
      return undefined;
    case "pre-vote-response":
      if (raft.role === "precandidate") handleVoteResponse(raft, message);
      return undefined;
    case "propose":
      return new ProposalDroppedError("no leader is known");
    default:
      return undefined;
  }
}
