/**
 * Forged messages for the fuzzer: copies of real traffic with a few fields changed, so that they get
 * deep into the core before they turn out wrong, and messages made up from nothing.
 *
 * @module
 */

import {
  APPEND_THREAD,
  APPLY_THREAD,
  type ConfChangeSingle,
  type ConfState,
  createConfState,
  createEntry,
  createMessage,
  encodeConfChangeV2,
  type EntryType,
  type Message,
  type MessageType,
  type RaftLogEntry,
  type Snapshot,
} from "../../src/raft/mod.ts";
import type { Random } from "./random.ts";

/** All kinds of messages there are. */
export const MESSAGE_TYPES: readonly MessageType[] = [
  "hup",
  "beat",
  "propose",
  "append",
  "append-response",
  "vote",
  "vote-response",
  "snapshot",
  "heartbeat",
  "heartbeat-response",
  "unreachable",
  "snapshot-status",
  "check-quorum",
  "transfer-leader",
  "timeout-now",
  "read-index",
  "read-index-response",
  "pre-vote",
  "pre-vote-response",
  "storage-append",
  "storage-append-response",
  "storage-apply",
  "storage-apply-response",
  "forget-leader",
];

const ENTRY_TYPES: readonly EntryType[] = ["normal", "normal", "conf-change", "conf-change-v2"];

/** Numbers at the edges of what is allowed, and beyond. */
const EDGES = [
  0,
  1,
  Number.MAX_SAFE_INTEGER - 2,
  Number.MAX_SAFE_INTEGER - 1,
  Number.MAX_SAFE_INTEGER,
  Number.MAX_SAFE_INTEGER + 1,
  -1,
  0.5,
  NaN,
  Infinity,
];

type NumberField =
  | "from"
  | "term"
  | "logTerm"
  | "index"
  | "commit"
  | "vote"
  | "rejectHint"
  | "priority"
  | "requestSnapshot"
  | "commitTerm";

const NUMBER_FIELDS: readonly NumberField[] = [
  "from",
  "term",
  "term",
  "logTerm",
  "logTerm",
  "index",
  "index",
  "index",
  "commit",
  "commit",
  "vote",
  "rejectHint",
  "priority",
  "requestSnapshot",
  "commitTerm",
];

type Writable<T> = { -readonly [K in keyof T]: T[K] };

/** A copy of `message` with one to three things changed. */
export function mutate(random: Random, message: Message, ids: readonly number[]): Message {
  const copy: Writable<Message> = { ...message };
  for (let changes = 1 + random.below(3); changes > 0; changes--) change(random, copy, ids);
  return copy;
}

function change(random: Random, message: Writable<Message>, ids: readonly number[]): void {
  switch (random.below(12)) {
    case 0:
      message.type = random.pick(MESSAGE_TYPES);
      break;
    case 1:
      message.from = random.oneIn(6) ? random.pick([0, ...EDGES]) : random.pick(ids);
      break;
    case 2:
      message.reject = !message.reject;
      break;
    case 3:
      message.context = someBytes(random);
      break;
    case 4:
      message.entries = mutateEntries(random, message.entries);
      break;
    case 5:
      message.snapshot = mutateSnapshot(random, message.snapshot, ids);
      break;
    default: {
      const field = random.pick(NUMBER_FIELDS);
      message[field] = nearby(random, message[field]);
    }
  }
}

/** Most often a little more or less; now and then an edge. */
function nearby(random: Random, value: number): number {
  if (random.oneIn(12)) return random.pick(EDGES);
  return random.oneIn(3) ? random.below(30) : value + random.below(7) - 3;
}

function mutateEntries(random: Random, entries: readonly RaftLogEntry[]): readonly RaftLogEntry[] {
  const copies = entries.map((entry) => ({ ...entry })) as Writable<RaftLogEntry>[];
  const choice = random.below(6);
  if (choice === 0) return copies.slice(random.below(copies.length + 1));
  if (choice === 1) return copies.slice(0, random.below(copies.length + 1));
  const last = copies[copies.length - 1];
  if (choice === 2 || last === undefined) {
    return [...copies, someEntry(random, (last?.index ?? random.below(20)) + 1, last?.term ?? 1)];
  }
  const entry = random.pick(copies);
  if (choice === 3) entry.term = nearby(random, entry.term);
  else if (choice === 4) entry.index = nearby(random, entry.index);
  else {
    entry.type = random.oneIn(20) ? ("none" as EntryType) : random.pick(ENTRY_TYPES);
    entry.command = someCommand(random);
  }
  return copies;
}

function mutateSnapshot(
  random: Random,
  snapshot: Snapshot | undefined,
  ids: readonly number[],
): Snapshot | undefined {
  if (snapshot === undefined || random.oneIn(6)) return someSnapshot(random, ids);
  const { index, term, confState } = snapshot.metadata;
  const changed = random.below(3);
  return {
    data: snapshot.data,
    metadata: {
      index: changed === 0 ? nearby(random, index) : index,
      term: changed === 1 ? nearby(random, term) : term,
      confState: changed === 2 ? someConfState(random, ids) : confState,
    },
  };
}

/** A message made up from nothing. */
export function invent(random: Random, ids: readonly number[]): Message {
  const type = random.pick(MESSAGE_TYPES);
  const ofStorage = type.startsWith("storage-") && !random.oneIn(4);
  return createMessage({
    type,
    from: ofStorage ? random.pick([APPEND_THREAD, APPLY_THREAD]) : random.pick([0, ...ids]),
    term: random.below(12),
    logTerm: random.below(12),
    index: random.below(30),
    commit: random.below(30),
    vote: random.pick([0, ...ids]),
    reject: random.oneIn(2),
    rejectHint: random.below(30),
    requestSnapshot: random.oneIn(8) ? random.below(30) : 0,
    commitTerm: random.oneIn(4) ? random.below(8) : 0,
    priority: random.below(5) - 2,
    context: random.oneIn(3) ? someBytes(random) : undefined,
    entries: random.oneIn(2)
      ? Array.from({ length: 1 + random.below(3) }, (_, i) => someEntry(random, i + 1, 1))
      : [],
    snapshot: random.oneIn(5) ? someSnapshot(random, ids) : undefined,
  });
}

function someEntry(random: Random, index: number, term: number): RaftLogEntry {
  const type = random.pick(ENTRY_TYPES);
  const command = type === "normal" ? someBytes(random) : someCommand(random);
  return createEntry({ index, term: term + (random.oneIn(4) ? 1 : 0), type, command });
}

/** The command of a configuration change: one that fits or not, or bytes that are none. */
function someCommand(random: Random): Uint8Array {
  if (random.oneIn(3)) return someBytes(random) ?? new Uint8Array(0);
  const changes: ConfChangeSingle[] = Array.from({ length: random.below(3) }, () => ({
    type: random.pick(["add-node", "remove-node", "add-learner"] as const),
    peerId: random.below(7),
  }));
  const transition = random.pick(["auto", "joint-implicit", "joint-explicit"] as const);
  return encodeConfChangeV2({ transition, changes, context: undefined });
}

function someSnapshot(random: Random, ids: readonly number[]): Snapshot {
  return {
    metadata: {
      index: random.below(40),
      term: random.below(8),
      confState: someConfState(random, ids),
    },
    data: new Uint8Array(0),
  };
}

function someConfState(random: Random, ids: readonly number[]): ConfState {
  const some = (n: number) => ids.filter(() => random.oneIn(n));
  if (random.oneIn(2)) {
    const voters = some(1);
    const learner = random.pick(ids);
    return createConfState({ voters: voters.filter((id) => id !== learner), learners: [learner] });
  }
  return createConfState({
    voters: some(2),
    learners: some(4),
    votersOutgoing: some(3),
    learnersNext: some(6),
    autoLeave: random.oneIn(3),
  });
}

function someBytes(random: Random): Uint8Array | undefined {
  const length = random.pick([0, 1, 7, 8, 9, 16]);
  if (length === 16 && random.oneIn(2)) {
    return Uint8Array.from("CampaignTransfer", (char) => char.charCodeAt(0));
  }
  return Uint8Array.from({ length }, (_, i) => i === 0 || random.oneIn(3) ? random.below(256) : 0);
}
