/**
 * Where every message enters: first the rules about terms that hold in all roles (Raft §5.1), then
 * votes and the answers of the storage, then the role's own handling.
 *
 * @module
 */

import type { RaftError } from "./errors.ts";
import { messageEventName } from "./events.ts";
import type { Raft } from "./raft.ts";
import { stepCandidate } from "./roles/candidate.ts";
import { noteApplied, noteSnapshotApplied } from "./roles/committing.ts";
import { handleVoteRequest, isInLease, isTransferVote, refusePreVote } from "./roles/election.ts";
import { stepFollower } from "./roles/follower.ts";
import { stepLeader } from "./roles/leader.ts";
import { becomeFollower } from "./roles/roles.ts";
import { commandsSize, entriesSize } from "./size.ts";
import { type Message, NO_PEER } from "./types.ts";

/** Handles a checked message. Returns why a request was refused, if it was. */
export function step(raft: Raft, message: Message): RaftError | undefined {
  if (raft.config.events !== undefined) {
    raft.emit(messageEventName("Receive", message.type), message);
  }
  if (message.term > raft.term) {
    if (!handleHigherTerm(raft, message)) return undefined;
  } else if (message.term !== 0 && message.term < raft.term) {
    handleLowerTerm(raft, message);
    return undefined;
  }
  switch (message.type) {
    case "vote":
    case "pre-vote":
      handleVoteRequest(raft, message);
      return undefined;
    case "storage-append-response":
      if (message.index !== 0) raft.log.unstable.stableTo(message.logTerm, message.index);
      if (message.snapshot !== undefined) noteSnapshotApplied(raft, message.snapshot);
      return undefined;
    case "storage-apply-response":
      handleApplied(raft, message);
      return undefined;
  }
  switch (raft.role) {
    case "leader":
      return stepLeader(raft, message);
    case "follower":
      return stepFollower(raft, message);
    default:
      return stepCandidate(raft, message);
  }
}

/**
 * A higher term makes anyone a follower in it (Raft §5.1). Not so a request for a vote while a leader
 * is known to be alive (thesis §6.4.1), nor a pre-vote, which is about a term that may never come, nor
 * the grant of one. False when the message is to be ignored.
 */
function handleHigherTerm(raft: Raft, message: Message): boolean {
  const { type, term, from } = message;
  if (type === "vote" || type === "pre-vote") {
    if (!isTransferVote(message) && isInLease(raft)) {
      raft.config.logger.info(`${raft.id} ignores ${type} from ${from}: its leader is alive`);
      return false;
    }
  }
  if (type === "pre-vote" || (type === "pre-vote-response" && !message.reject)) return true;
  const fromLeader = type === "append" || type === "heartbeat" || type === "snapshot";
  raft.config.logger.info(`${raft.id} learns of term ${term} by ${type} from ${from}`);
  becomeFollower(raft, term, fromLeader ? from : NO_PEER);
  return true;
}

/** A message of an older term is out of date; a few kinds deserve an answer all the same. */
function handleLowerTerm(raft: Raft, message: Message): void {
  const { checkQuorum, preVote } = raft.config;
  const { type } = message;
  if ((checkQuorum || preVote) && (type === "heartbeat" || type === "append")) {
    // This replica is ahead of a living leader, perhaps from a partition, and with these options may
    // be unable to make anyone follow its term by asking for votes. The answer's term lets the leader
    // step down, so that an election settles it. Removed replicas get no appends, so they do not
    // disturb anyone this way.
    raft.send({ type: "append-response", to: message.from });
  } else if (type === "pre-vote") {
    // Else a candidate with a shorter log and an older term might never learn that it is behind.
    refusePreVote(raft, message);
  } else if (type === "storage-append-response" && message.snapshot !== undefined) {
    // What is stored of another term's entries may be overwritten by a write under way, so it does
    // not count as stable. A snapshot is committed, whatever the term.
    noteSnapshotApplied(raft, message.snapshot);
  }
}

function handleApplied(raft: Raft, { entries }: Message): void {
  if (entries.length === 0) return;
  noteApplied(raft, entries[entries.length - 1].index, entriesSize(entries));
  raft.uncommittedSize = Math.max(0, raft.uncommittedSize - commandsSize(entries));
}
