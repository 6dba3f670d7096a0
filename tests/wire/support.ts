/** Generators of messages, and the schema of `proto/` loaded by protobufjs, which the codec is held to. */

import { fileURLToPath } from "node:url";
import protobuf from "protobufjs";
import fc from "fast-check";
import type {
  ConfState,
  EntryType,
  Message,
  MessageType,
  RaftLogEntry,
  Snapshot,
} from "../../src/raft/mod.ts";
import { createMessage } from "../../src/raft/mod.ts";

/** The kinds that travel, with the number and name that eraftpb gives them. */
export const KINDS: readonly (readonly [MessageType, number])[] = [
  ["propose", 2],
  ["append", 3],
  ["append-response", 4],
  ["vote", 5],
  ["vote-response", 6],
  ["snapshot", 7],
  ["heartbeat", 8],
  ["heartbeat-response", 9],
  ["transfer-leader", 13],
  ["timeout-now", 14],
  ["read-index", 15],
  ["read-index-response", 16],
  ["pre-vote", 17],
  ["pre-vote-response", 18],
];

/** The kinds that never leave their process. */
export const LOCAL_KINDS: readonly MessageType[] = [
  "hup",
  "beat",
  "unreachable",
  "snapshot-status",
  "check-quorum",
  "forget-leader",
  "storage-append",
  "storage-append-response",
  "storage-apply",
  "storage-apply-response",
];

/** A record of ordinary objects: the codec's have `Object.prototype`, and strict equality sees that. */
export function record<T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> {
  return fc.record(model, { noNullPrototype: true }) as fc.Arbitrary<T>;
}

const ENTRY_TYPES: readonly EntryType[] = ["normal", "conf-change", "conf-change-v2"];

/** Integers whose varints have every length, with the limits. */
export const uint: fc.Arbitrary<number> = fc.oneof(
  fc.constantFrom(0, 1, 127, 128, 2 ** 28 - 1, 2 ** 28, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32),
  fc.integer({ min: 0, max: 53 }).map((bits) => 2 ** bits - 1),
  fc.maxSafeNat(),
);

/** Bytes of a length that takes one or two bytes to write. */
export const bytes: fc.Arbitrary<Uint8Array> = fc.oneof(
  fc.uint8Array({ maxLength: 20 }),
  fc.uint8Array({ minLength: 100, maxLength: 300 }),
);

/** A context: absent, or not empty (an empty one is not written). */
export const context: fc.Arbitrary<Uint8Array | undefined> = fc.option(
  fc.uint8Array({ minLength: 1, maxLength: 40 }),
  { nil: undefined },
);

export const entry: fc.Arbitrary<RaftLogEntry> = record({
  index: uint,
  term: uint,
  type: fc.constantFrom(...ENTRY_TYPES),
  command: bytes,
  context,
});

const ids = fc.array(uint, { maxLength: 5 });

export const confState: fc.Arbitrary<ConfState> = record({
  voters: ids,
  learners: ids,
  votersOutgoing: ids,
  learnersNext: ids,
  autoLeave: fc.boolean(),
});

export const snapshot: fc.Arbitrary<Snapshot> = record({
  metadata: record({ index: uint, term: uint, confState }),
  data: bytes,
});

export const message: fc.Arbitrary<Message> = record({
  type: fc.constantFrom(...KINDS.map(([type]) => type)),
  to: uint,
  from: uint,
  term: uint,
  logTerm: uint,
  index: uint,
  entries: fc.array(entry, { maxLength: 4 }),
  commit: uint,
  snapshot: fc.option(snapshot, { nil: undefined }),
  reject: fc.boolean(),
  rejectHint: uint,
  context,
  priority: fc.oneof(uint, fc.maxSafeInteger()),
  requestSnapshot: uint,
  commitTerm: uint,
}).map(createMessage);

/** The project's schema as protobufjs understands it. */
export const schema: protobuf.Root = loadSchema();

function loadSchema(): protobuf.Root {
  const root = new protobuf.Root();
  root.resolvePath = (_origin, target) =>
    fileURLToPath(new URL(`../../proto/${target.split("/").at(-1)}`, import.meta.url));
  return root.loadSync("raft_service.proto");
}

/** Encodes with protobufjs what is left of `value` without zeros and absent fields. */
export function encodeBySchema(type: string, value: Record<string, unknown>): Uint8Array {
  const found = schema.lookupType(type);
  const problem = found.verify(value);
  if (problem !== null) throw new Error(problem);
  return Uint8Array.from(found.encode(value).finish());
}

/** Decodes with protobufjs into plain objects, integers as decimal text, without absent fields. */
export function decodeBySchema(type: string, value: Uint8Array): Record<string, unknown> {
  const found = schema.lookupType(type);
  return found.toObject(found.decode(value), { longs: String });
}

/** What protobufjs is given for an entry; the names are its camel case of those in the schema. */
export function entryFields(entry: RaftLogEntry): Record<string, unknown> {
  return withoutZeros({
    entryType: ENTRY_TYPES.indexOf(entry.type),
    term: entry.term,
    index: entry.index,
    data: entry.command,
    context: entry.context,
  });
}

/** What protobufjs is given for a configuration. */
export function confStateFields(state: ConfState): Record<string, unknown> {
  return withoutZeros({ ...state });
}

/** What protobufjs is given for a snapshot. */
export function snapshotFields(snapshot: Snapshot): Record<string, unknown> {
  const { confState, index, term } = snapshot.metadata;
  return withoutZeros({
    data: snapshot.data,
    metadata: withoutZeros({ confState: confStateFields(confState), index, term }),
  });
}

/** What protobufjs is given for a message. */
export function messageFields(message: Message): Record<string, unknown> {
  return withoutZeros({
    msgType: KINDS.find(([type]) => type === message.type)![1],
    to: message.to,
    from: message.from,
    term: message.term,
    logTerm: message.logTerm,
    index: message.index,
    entries: message.entries.map(entryFields),
    commit: message.commit,
    snapshot: message.snapshot === undefined ? undefined : snapshotFields(message.snapshot),
    reject: message.reject,
    rejectHint: message.rejectHint,
    context: message.context,
    requestSnapshot: message.requestSnapshot,
    deprecatedPriority: message.priority > 0 ? message.priority : 0,
    commitTerm: message.commitTerm,
    priority: message.priority,
  });
}

function withoutZeros(fields: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).filter(([, value]) =>
      value !== undefined && value !== 0 && value !== false &&
      !(value instanceof Uint8Array && value.length === 0)
    ),
  );
}

/** The same with every integer as decimal text, as `decodeBySchema` yields them. */
export function asText(value: unknown): unknown {
  if (typeof value === "number") return String(value);
  if (value instanceof Uint8Array) return [...value];
  if (Array.isArray(value)) return value.map(asText);
  if (typeof value === "object" && value !== null) {
    return Object.fromEntries(
      Object.entries(value).filter(([, part]) => !(Array.isArray(part) && part.length === 0))
        .map(([name, part]) => [name, asText(part)]),
    );
  }
  return value;
}
