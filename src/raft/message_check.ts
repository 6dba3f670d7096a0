/**
 * The checks that a message passes before it may change anything: its numbers are numbers, it could
 * come from a correct peer, and nothing in it contradicts what is known for certain. Whatever fails
 * is refused with a typed error; the core never throws because of what a peer sent.
 *
 * @module
 */

import { ConfChangeError, MessageRefusedError } from "./errors.ts";
import { checkConfState } from "./membership/mod.ts";
import { type Raft, TERM_MAX } from "./raft.ts";
import type { EntryType, Message, RaftLogEntry } from "./types.ts";

const OF_ITSELF = "it claims to come from this very replica";
const ENTRY_TYPES: readonly EntryType[] = ["normal", "conf-change", "conf-change-v2"];

/** Why `message` is refused; undefined when it may be handled. */
export function checkMessage(raft: Raft, message: Message): MessageRefusedError | undefined {
  const why = checkNumbers(message) ?? checkKind(raft, message);
  return why === undefined
    ? undefined
    : new MessageRefusedError(`cannot handle ${message.type} from ${message.from}: ${why}`);
}

function checkNumbers(message: Message): string | undefined {
  return checkNumber("from", message.from) ?? checkNumber("term", message.term) ??
    checkNumber("index", message.index) ?? checkNumber("logTerm", message.logTerm) ??
    checkNumber("commit", message.commit) ?? checkNumber("rejectHint", message.rejectHint) ??
    checkNumber("requestSnapshot", message.requestSnapshot) ??
    checkNumber("commitTerm", message.commitTerm) ?? checkPriority(message.priority) ??
    (message.term > TERM_MAX
      ? `term must be at most ${TERM_MAX}: found ${message.term}`
      : undefined);
}

function checkNumber(name: string, value: number): string | undefined {
  return Number.isSafeInteger(value) && value >= 0
    ? undefined
    : `${name} must be an integer from 0 to 2^53-1: found ${String(value)}`;
}

function checkPriority(priority: number): string | undefined {
  return Number.isSafeInteger(priority)
    ? undefined
    : `priority must be an integer: found ${String(priority)}`;
}

function checkKind(raft: Raft, message: Message): string | undefined {
  switch (message.type) {
    case "append":
      return checkSender(raft, message) ?? checkAppend(message);
    case "heartbeat":
      return checkSender(raft, message) ?? checkHeartbeat(raft, message);
    case "snapshot":
      return checkSender(raft, message) ?? checkSnapshot(message);
    case "vote":
    case "pre-vote":
      return checkSender(raft, message) ?? checkLastTerm(message);
    case "append-response":
      return checkAppendResponse(raft, message);
    case "heartbeat-response":
      return message.from === raft.id ? OF_ITSELF : undefined;
    case "propose":
      return checkProposal(message.entries);
    case "read-index":
    case "read-index-response":
      return message.entries.length === 1
        ? undefined
        : `exactly one entry carries the read's context: found ${message.entries.length}`;
    case "storage-append-response":
      return checkStored(raft, message);
    case "storage-apply-response":
      return checkApplied(raft, message);
    case "vote-response":
    case "pre-vote-response":
    case "timeout-now":
    case "transfer-leader":
      return undefined;
    default:
      return `unknown message type ${String(message.type)}`;
  }
}

/** Leaders and candidates have an id, are somebody else, and act in a term. */
function checkSender(raft: Raft, message: Message): string | undefined {
  if (message.from === 0) return "the sender is missing";
  if (message.from === raft.id) return OF_ITSELF;
  return message.term === 0 ? "the term is missing" : undefined;
}

/** Nobody has entries of a term that it has not seen. */
function checkLastTerm({ term, logTerm }: Message): string | undefined {
  return logTerm > term ? `its last entry is of term ${logTerm}, beyond ${term}` : undefined;
}

/** A piece of a leader's log: no gap, terms that never decrease, none above the leader's. */
function checkAppend({ term, index, logTerm, entries }: Message): string | undefined {
  let previousTerm = logTerm;
  for (let i = 0; i < entries.length; i++) {
    const entry = entries[i];
    if (entry.index !== index + 1 + i) {
      return `entry ${entry.index} does not follow ${index + i}`;
    }
    if (!Number.isSafeInteger(entry.term) || entry.term < previousTerm || entry.term > term) {
      return `entry ${entry.index} of term ${entry.term} cannot follow term ${previousTerm}`;
    }
    if (!ENTRY_TYPES.includes(entry.type)) return `unknown entry type ${String(entry.type)}`;
    previousTerm = entry.term;
  }
  if (previousTerm > term) return `log term ${previousTerm} is beyond the leader's term ${term}`;
  return Number.isSafeInteger(index + entries.length) ? undefined : "indices beyond 2^53-1";
}

/** A leader only tells a follower to commit what that follower has acknowledged. */
function checkHeartbeat(raft: Raft, { term, commit }: Message): string | undefined {
  const lastIndex = raft.log.lastIndex();
  if (term < raft.term || commit <= lastIndex) return undefined;
  return `commit ${commit} is beyond the last index ${lastIndex}: ` +
    "part of the log, which was acknowledged, is lost";
}

function checkSnapshot({ term, snapshot }: Message): string | undefined {
  if (snapshot === undefined) return undefined;
  const { metadata } = snapshot;
  const wrong = checkNumber("snapshot index", metadata.index) ??
    checkNumber("snapshot term", metadata.term);
  if (wrong !== undefined) return wrong;
  if (metadata.term > term) return `snapshot of term ${metadata.term}, beyond ${term}`;
  try {
    checkConfState(metadata.confState);
    return undefined;
  } catch (error) {
    if (error instanceof ConfChangeError) return error.message;
    throw error;
  }
}

/**
 * Nobody can have acknowledged, or ask for, what this leader does not have; and a replica refuses
 * nothing of its own.
 */
function checkAppendResponse(raft: Raft, message: Message): string | undefined {
  if (message.reject && message.from === raft.id) return OF_ITSELF;
  // Like all answers, one without a term counts for the current one (a host drops such from peers).
  const isCurrent = message.term === raft.term || message.term === 0;
  if (raft.role !== "leader" || !isCurrent) return undefined;
  const lastIndex = raft.log.lastIndex();
  if (!message.reject && message.index > lastIndex) {
    return `index ${message.index} is beyond the last index ${lastIndex}`;
  }
  if (message.requestSnapshot > lastIndex) {
    return `a snapshot of ${message.requestSnapshot} is beyond the last index ${lastIndex}`;
  }
  return undefined;
}

function checkProposal(entries: readonly RaftLogEntry[]): string | undefined {
  if (entries.length === 0) return "a proposal needs an entry";
  const unknown = entries.find((entry) => !ENTRY_TYPES.includes(entry.type));
  return unknown === undefined ? undefined : `unknown entry type ${String(unknown.type)}`;
}

/** The host's own reports: it cannot know a later term, nor have stored a snapshot never taken up. */
function checkStored(raft: Raft, { term, snapshot }: Message): string | undefined {
  if (term > raft.term) return `term ${term} is beyond ${raft.term}`;
  if (snapshot === undefined) return undefined;
  const wrong = checkNumber("snapshot index", snapshot.metadata.index);
  if (wrong !== undefined || snapshot.metadata.index <= raft.log.committed) return wrong;
  return `snapshot ${snapshot.metadata.index} was never handed out`;
}

/** Nor applied what it was never given. */
function checkApplied(raft: Raft, { term, entries }: Message): string | undefined {
  if (term > raft.term) return `term ${term} is beyond ${raft.term}`;
  const last = entries[entries.length - 1];
  if (last === undefined) return undefined;
  const wrong = checkNumber("entry index", last.index);
  if (wrong !== undefined || last.index <= raft.log.applying) return wrong;
  return `entry ${last.index} was never handed out`;
}
