/**
 * How traces print what the core produces: Ready, entries, messages, snapshots, states. Pure
 * functions from values to byte strings; a change of one character here breaks every trace.
 *
 * @module
 */

import {
  APPEND_THREAD,
  APPLY_THREAD,
  decodeConfChange,
  NO_PEER,
  RaftError,
  toConfChangeV2,
} from "../../src/raft/mod.ts";
import type {
  ConfChangeSingle,
  ConfChangeType,
  ConfState,
  HardState,
  Message,
  MessageType,
  PeerId,
  RaftLogEntry,
  ReadState,
  Ready,
  Role,
  Snapshot,
} from "../../src/raft/mod.ts";
import { type ByteString, fromText } from "./byte_string.ts";
import { quote } from "./quote.ts";

/** The names traces give to the kinds of message. */
export const MESSAGE_NAMES: Readonly<Record<MessageType, string>> = {
  "hup": "MsgHup",
  "beat": "MsgBeat",
  "propose": "MsgProp",
  "append": "MsgApp",
  "append-response": "MsgAppResp",
  "vote": "MsgVote",
  "vote-response": "MsgVoteResp",
  "snapshot": "MsgSnap",
  "heartbeat": "MsgHeartbeat",
  "heartbeat-response": "MsgHeartbeatResp",
  "unreachable": "MsgUnreachable",
  "snapshot-status": "MsgSnapStatus",
  "check-quorum": "MsgCheckQuorum",
  "transfer-leader": "MsgTransferLeader",
  "timeout-now": "MsgTimeoutNow",
  "read-index": "MsgReadIndex",
  "read-index-response": "MsgReadIndexResp",
  "pre-vote": "MsgPreVote",
  "pre-vote-response": "MsgPreVoteResp",
  "storage-append": "MsgStorageAppend",
  "storage-append-response": "MsgStorageAppendResp",
  "storage-apply": "MsgStorageApply",
  "storage-apply-response": "MsgStorageApplyResp",
  "forget-leader": "MsgForgetLeader",
};

const ROLE_NAMES: Readonly<Record<Role, string>> = {
  follower: "StateFollower",
  candidate: "StateCandidate",
  leader: "StateLeader",
  precandidate: "StatePreCandidate",
};

const ENTRY_NAMES: Readonly<Record<RaftLogEntry["type"], string>> = {
  "normal": "EntryNormal",
  "conf-change": "EntryConfChange",
  "conf-change-v2": "EntryConfChangeV2",
};

const CHANGE_LETTERS: Readonly<Record<ConfChangeType, string>> = {
  "add-node": "v",
  "add-learner": "l",
  "remove-node": "r",
  "update-node": "u",
};

/** The kind of message a trace calls `name`, or undefined. */
export function messageTypeNamed(name: string): MessageType | undefined {
  const types = Object.keys(MESSAGE_NAMES) as MessageType[];
  return types.find((type) => MESSAGE_NAMES[type] === name);
}

/** A whole Ready, each part only when present. Without a final newline when it is empty. */
export function describeReady(ready: Ready, messages: readonly Message[]): ByteString {
  const { softState, hardState, readStates, entries, snapshot, committedEntries } = ready;
  let text = "";
  if (softState !== undefined) {
    text += `Lead:${softState.leader} State:${describeRole(softState.role)}\n`;
  }
  if (hardState !== undefined) text += `HardState ${describeHardState(hardState)}\n`;
  if (readStates.length > 0) text += `ReadStates ${describeReadStates(readStates)}\n`;
  if (entries.length > 0) text += `Entries:\n${describeEntries(entries)}`;
  if (snapshot !== undefined) text += `Snapshot ${describeSnapshot(snapshot)}\n`;
  if (committedEntries.length > 0) {
    text += `CommittedEntries:\n${describeEntries(committedEntries)}`;
  }
  if (messages.length > 0) {
    text += `Messages:\n${messages.map((message) => describeMessage(message) + "\n").join("")}`;
  }
  return text === "" ? "<empty Ready>" : `Ready MustSync=${ready.mustSync}:\n${text}`;
}

/** The name of a role, such as `StateFollower`. */
export function describeRole(role: Role): string {
  return ROLE_NAMES[role];
}

function describeHardState({ currentTerm, votedFor, commitIndex }: HardState): string {
  const vote = votedFor === NO_PEER ? "" : ` Vote:${votedFor}`;
  return `Term:${currentTerm}${vote} Commit:${commitIndex}`;
}

function describeReadStates(states: readonly ReadState[]): string {
  const described = states.map(({ index, context }) => `{${index} [${[...context].join(" ")}]}`);
  return `[${described.join(" ")}]`;
}

/** Entries, each on a line of its own. */
export function describeEntries(entries: readonly RaftLogEntry[]): ByteString {
  return entries.map((entry) => describeEntry(entry) + "\n").join("");
}

/** One entry: `TERM/INDEX EntryNormal "data"`. */
export function describeEntry(entry: RaftLogEntry): ByteString {
  const payload = describePayload(entry);
  const head = `${entry.term}/${entry.index} ${ENTRY_NAMES[entry.type]}`;
  return payload === "" ? head : `${head} ${payload}`;
}

function describePayload(entry: RaftLogEntry): ByteString {
  if (entry.type === "normal") return quote(entry.command);
  try {
    return describeChanges(toConfChangeV2(decodeConfChange(entry.type, entry.command)).changes);
  } catch (error) {
    if (!(error instanceof RaftError)) throw error;
    return fromText(error.message);
  }
}

/** The steps of a configuration change: `v1 l2 r3`. */
export function describeChanges(changes: readonly ConfChangeSingle[]): string {
  return changes.map(({ type, peerId }) => `${CHANGE_LETTERS[type]}${peerId}`).join(" ");
}

/** A snapshot's metadata; its data is not printed. */
export function describeSnapshot({ metadata }: Snapshot): string {
  const { index, term, confState } = metadata;
  return `Index:${index} Term:${term} ConfState:${describeConfState(confState)}`;
}

function describeConfState(confState: ConfState): string {
  const list = (ids: readonly PeerId[]) => `[${ids.join(" ")}]`;
  return `Voters:${list(confState.voters)} VotersOutgoing:${list(confState.votersOutgoing)} ` +
    `Learners:${list(confState.learners)} LearnersNext:${list(confState.learnersNext)} ` +
    `AutoLeave:${confState.autoLeave}`;
}

/** One message, on several lines when it carries several entries, a snapshot or responses. */
export function describeMessage(message: Message, indent = ""): ByteString {
  const { entries, snapshot, responses } = message;
  let text = `${indent}${describePeer(message.from)}->${describePeer(message.to)} ` +
    `${MESSAGE_NAMES[message.type]} Term:${message.term} Log:${message.logTerm}/${message.index}`;
  if (message.reject) text += ` Rejected (Hint: ${message.rejectHint})`;
  if (message.commit !== 0) text += ` Commit:${message.commit}`;
  if (message.vote !== NO_PEER) text += ` Vote:${message.vote}`;
  text += describeOptional(message);
  if (entries.length === 1) {
    text += ` Entries:[${describeEntry(entries[0])}]`;
  } else if (entries.length > 1) {
    const lines = entries.map((entry) => `\n${indent}  ${describeEntry(entry)}`);
    text += ` Entries:[${lines.join("")}\n${indent}]`;
  }
  if (snapshot !== undefined && snapshot.metadata.index !== 0) {
    text += `\n${indent}  Snapshot: ${describeSnapshot(snapshot)}`;
  }
  if (responses !== undefined && responses.length > 0) {
    const lines = responses.map((response) => `\n${describeMessage(response, indent + "  ")}`);
    text += ` Responses:[${lines.join("")}\n${indent}]`;
  }
  return text;
}

/** What only the opt-in features send; the shared traces have none of them. */
function describeOptional({ priority, requestSnapshot, commitTerm }: Message): string {
  return (priority === 0 ? "" : ` Priority:${priority}`) +
    (requestSnapshot === 0 ? "" : ` RequestSnapshot:${requestSnapshot}`) +
    (commitTerm === 0 ? "" : ` CommitTerm:${commitTerm}`);
}

/** A peer's id as traces print it: hexadecimal, or the name of a storage thread. */
export function describePeer(id: PeerId): string {
  if (id === NO_PEER) return "None";
  if (id === APPEND_THREAD) return "AppendThread";
  if (id === APPLY_THREAD) return "ApplyThread";
  return id.toString(16);
}

/** What `status` and the changer print about one peer. */
export interface DescribedProgress {
  readonly state: "probe" | "replicate" | "snapshot";
  readonly matchIndex: number;
  readonly nextIndex: number;
  readonly learner: boolean;
  readonly paused: boolean;
  readonly pendingSnapshot: number;
  readonly recentActive: boolean;
  readonly inflight: number;
  readonly inflightFull: boolean;
}

const PROGRESS_NAMES: Readonly<Record<DescribedProgress["state"], string>> = {
  probe: "StateProbe",
  replicate: "StateReplicate",
  snapshot: "StateSnapshot",
};

/** One peer as its leader sees it, on a line of its own. */
export function describeProgress(id: PeerId, progress: DescribedProgress): string {
  let text = `${id}: ${PROGRESS_NAMES[progress.state]} ` +
    `match=${progress.matchIndex} next=${progress.nextIndex}`;
  if (progress.learner) text += " learner";
  if (progress.paused) text += " paused";
  if (progress.pendingSnapshot > 0) text += ` pendingSnap=${progress.pendingSnapshot}`;
  if (!progress.recentActive) text += " inactive";
  if (progress.inflight > 0) {
    text += ` inflight=${progress.inflight}${progress.inflightFull ? "[full]" : ""}`;
  }
  return text + "\n";
}
