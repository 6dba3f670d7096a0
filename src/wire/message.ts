/**
 * Messages between replicas as bytes: `eraftpb.Message`. Only kinds that travel between processes
 * have a number here; local kinds and the storage's are refused in both directions.
 *
 * @module
 */

import type { Message, MessageType, RaftLogEntry, Snapshot } from "../raft/mod.ts";
import { entryWireSize, readEntry, writeEntry } from "./entry.ts";
import { WireError } from "./errors.ts";
import { Reader, repeatedField, wrongWireType } from "./reader.ts";
import { readSnapshot, snapshotWireSize, writeSnapshot } from "./snapshot.ts";
import {
  bytesFieldSize,
  lengthFieldSize,
  uintFieldSize,
  varintSize,
  writeBytesField,
  writeLength,
  writeNegativeVarint,
  writeUintField,
  writeVarint,
} from "./writer.ts";

/**
 * Most entries in one message: 2^20. An append paged by 6 MiB or less never reaches it, however
 * small its entries are; the limit keeps a small message from growing into gigabytes of objects.
 */
export const ENTRIES_PER_MESSAGE_MAX = 1_048_576;

const TAG_TYPE = 0x08;
const TAG_TO = 0x10;
const TAG_FROM = 0x18;
const TAG_TERM = 0x20;
const TAG_LOG_TERM = 0x28;
const TAG_INDEX = 0x30;
const TAG_ENTRY = 0x3a;
const TAG_COMMIT = 0x40;
const TAG_SNAPSHOT = 0x4a;
const TAG_REJECT = 0x50;
const TAG_REJECT_HINT = 0x58;
const TAG_CONTEXT = 0x62;
const TAG_REQUEST_SNAPSHOT = 0x68;
const TAG_DEPRECATED_PRIORITY = 0x70;
const TAG_COMMIT_TERM = 0x78;
const TAG_PRIORITY = 0x80;
const FIELD_LAST = 16;

/** The kinds by their number in `eraftpb.MessageType`; undefined where the kind is local. */
const TYPES: readonly (MessageType | undefined)[] = [
  undefined,
  undefined,
  "propose",
  "append",
  "append-response",
  "vote",
  "vote-response",
  "snapshot",
  "heartbeat",
  "heartbeat-response",
  undefined,
  undefined,
  undefined,
  "transfer-leader",
  "timeout-now",
  "read-index",
  "read-index-response",
  "pre-vote",
  "pre-vote-response",
];

const NUMBERS: ReadonlyMap<MessageType, number> = new Map(
  TYPES.flatMap((type, number) => type === undefined ? [] : [[type, number] as const]),
);

const NO_ENTRIES: readonly RaftLogEntry[] = Object.freeze([]);

/**
 * Bytes of `message` on the wire, without a length before them. Checks everything that writing it
 * relies on.
 *
 * @throws WireError `WIRE_LOCAL_TYPE`, `WIRE_INTEGER_RANGE`, `WIRE_LIMIT`, `WIRE_UNKNOWN_TYPE`, or
 * `WIRE_NOT_ENCODABLE` when it holds what exists in memory only (`vote`, `responses`).
 */
export function messageWireSize(message: Message): number {
  checkEncodable(message);
  let size = 2 +
    uintFieldSize("Message.to", message.to) +
    uintFieldSize("Message.from", message.from) +
    uintFieldSize("Message.term", message.term) +
    uintFieldSize("Message.log_term", message.logTerm) +
    uintFieldSize("Message.index", message.index) +
    uintFieldSize("Message.commit", message.commit) +
    (message.reject ? 2 : 0) +
    uintFieldSize("Message.reject_hint", message.rejectHint) +
    bytesFieldSize(message.context) +
    uintFieldSize("Message.request_snapshot", message.requestSnapshot) +
    uintFieldSize("Message.commit_term", message.commitTerm);
  for (const entry of message.entries) size += lengthFieldSize(entryWireSize(entry));
  if (message.snapshot !== undefined) size += lengthFieldSize(snapshotWireSize(message.snapshot));
  if (message.priority !== 0) size += prioritySize(message.priority);
  return size;
}

/** Writes a message that `messageWireSize` has measured. Fields are in the order of their numbers. */
export function writeMessage(into: Uint8Array, position: number, message: Message): number {
  into[position++] = TAG_TYPE;
  into[position++] = NUMBERS.get(message.type)!;
  position = writeUintField(into, position, TAG_TO, message.to);
  position = writeUintField(into, position, TAG_FROM, message.from);
  position = writeUintField(into, position, TAG_TERM, message.term);
  position = writeUintField(into, position, TAG_LOG_TERM, message.logTerm);
  position = writeUintField(into, position, TAG_INDEX, message.index);
  for (const entry of message.entries) {
    position = writeLength(into, position, TAG_ENTRY, entryWireSize(entry));
    position = writeEntry(into, position, entry);
  }
  position = writeUintField(into, position, TAG_COMMIT, message.commit);
  if (message.snapshot !== undefined) {
    position = writeLength(into, position, TAG_SNAPSHOT, snapshotWireSize(message.snapshot));
    position = writeSnapshot(into, position, message.snapshot);
  }
  if (message.reject) {
    into[position++] = TAG_REJECT;
    into[position++] = 1;
  }
  position = writeUintField(into, position, TAG_REJECT_HINT, message.rejectHint);
  position = writeBytesField(into, position, TAG_CONTEXT, message.context);
  position = writeUintField(into, position, TAG_REQUEST_SNAPSHOT, message.requestSnapshot);
  if (message.priority > 0) {
    position = writeUintField(into, position, TAG_DEPRECATED_PRIORITY, message.priority);
  }
  position = writeUintField(into, position, TAG_COMMIT_TERM, message.commitTerm);
  return message.priority === 0 ? position : writePriority(into, position, message.priority);
}

/** Reads a message up to the reader's end. */
export function readMessage(reader: Reader): Message {
  let number = 0;
  let to = 0;
  let from = 0;
  let term = 0;
  let logTerm = 0;
  let index = 0;
  let entries: RaftLogEntry[] | undefined;
  let commit = 0;
  let snapshot: Snapshot | undefined;
  let reject = false;
  let rejectHint = 0;
  let context: Uint8Array | undefined;
  let requestSnapshot = 0;
  let deprecatedPriority = 0;
  let commitTerm = 0;
  let priority = 0;
  while (reader.more()) {
    const tag = reader.tag("Message");
    switch (tag) {
      case TAG_TYPE:
        number = reader.enumNumber("Message.msg_type");
        break;
      case TAG_TO:
        to = reader.uint("Message.to");
        break;
      case TAG_FROM:
        from = reader.uint("Message.from");
        break;
      case TAG_TERM:
        term = reader.uint("Message.term");
        break;
      case TAG_LOG_TERM:
        logTerm = reader.uint("Message.log_term");
        break;
      case TAG_INDEX:
        index = reader.uint("Message.index");
        break;
      case TAG_ENTRY:
        (entries ??= []).push(readEmbeddedEntry(reader, entries.length));
        break;
      case TAG_COMMIT:
        commit = reader.uint("Message.commit");
        break;
      case TAG_SNAPSHOT:
        if (snapshot !== undefined) throw repeatedField("Message.snapshot");
        snapshot = readEmbeddedSnapshot(reader);
        break;
      case TAG_REJECT:
        reject = reader.bool("Message.reject");
        break;
      case TAG_REJECT_HINT:
        rejectHint = reader.uint("Message.reject_hint");
        break;
      case TAG_CONTEXT:
        context = reader.view("Message.context");
        if (context.length === 0) context = undefined;
        break;
      case TAG_REQUEST_SNAPSHOT:
        requestSnapshot = reader.uint("Message.request_snapshot");
        break;
      case TAG_DEPRECATED_PRIORITY:
        deprecatedPriority = reader.uint("Message.deprecated_priority");
        break;
      case TAG_COMMIT_TERM:
        commitTerm = reader.uint("Message.commit_term");
        break;
      case TAG_PRIORITY:
        priority = reader.int("Message.priority");
        break;
      default:
        if (tag >>> 3 <= FIELD_LAST) throw wrongWireType("Message", tag);
        reader.skip(tag, "Message");
    }
  }
  return {
    type: messageType(number),
    to,
    from,
    term,
    logTerm,
    index,
    entries: entries ?? NO_ENTRIES,
    commit,
    vote: 0,
    snapshot,
    reject,
    rejectHint,
    context,
    responses: undefined,
    priority: priority === 0 ? deprecatedPriority : priority,
    requestSnapshot,
    commitTerm,
  };
}

/**
 * Encodes a message. An empty context is not written, and so is read as no context.
 *
 * @throws WireError when the message is of a local kind, or holds what cannot be written.
 */
export function encodeMessage(message: Message): Uint8Array {
  const bytes = new Uint8Array(messageWireSize(message));
  writeMessage(bytes, 0, message);
  return bytes;
}

/**
 * Decodes a message. Byte arrays in it (commands, contexts, a snapshot's data) are views of
 * `bytes`, which must not change afterwards.
 *
 * @throws WireError when the bytes are no message, or one of a local kind.
 */
export function decodeMessage(bytes: Uint8Array): Message {
  return readMessage(new Reader(bytes));
}

function checkEncodable(message: Message): void {
  if (!NUMBERS.has(message.type)) {
    throw new WireError(
      "WIRE_LOCAL_TYPE",
      "Message.msg_type",
      `Cannot encode a message of type ${String(message.type)} as it never leaves its process`,
    );
  }
  if (message.vote !== 0 || message.responses !== undefined) {
    throw new WireError(
      "WIRE_NOT_ENCODABLE",
      message.vote !== 0 ? "Message.vote" : "Message.responses",
      `Cannot encode a message of type ${message.type} as vote and responses belong to storage ` +
        "messages only",
    );
  }
  if (message.entries.length > ENTRIES_PER_MESSAGE_MAX) {
    throw tooManyEntries("encode", message.entries.length);
  }
}

function prioritySize(priority: number): number {
  if (!Number.isSafeInteger(priority)) {
    throw new WireError(
      "WIRE_INTEGER_RANGE",
      "Message.priority",
      `Cannot encode Message.priority as it must be an integer from -(2^53-1) to 2^53-1: ` +
        `current value is ${String(priority)}`,
    );
  }
  if (priority < 0) return 2 + 10;
  const size = varintSize(priority);
  return 1 + size + 2 + size;
}

function writePriority(into: Uint8Array, position: number, priority: number): number {
  position = writeVarint(into, position, TAG_PRIORITY);
  return priority < 0
    ? writeNegativeVarint(into, position, priority)
    : writeVarint(into, position, priority);
}

function readEmbeddedEntry(reader: Reader, count: number): RaftLogEntry {
  if (count >= ENTRIES_PER_MESSAGE_MAX) throw tooManyEntries("decode", count + 1);
  const outer = reader.end;
  reader.end = reader.lengthEnd("Message.entries");
  const entry = readEntry(reader);
  reader.end = outer;
  return entry;
}

function readEmbeddedSnapshot(reader: Reader): Snapshot {
  const outer = reader.end;
  reader.end = reader.lengthEnd("Message.snapshot");
  const snapshot = readSnapshot(reader);
  reader.end = outer;
  return snapshot;
}

function messageType(number: number): MessageType {
  const type = TYPES[number];
  if (type !== undefined) return type;
  if (number >= 0 && number < TYPES.length) {
    throw new WireError(
      "WIRE_LOCAL_TYPE",
      "Message.msg_type",
      `Cannot decode a message of type ${number} as it never leaves its process`,
    );
  }
  throw new WireError(
    "WIRE_UNKNOWN_TYPE",
    "Message.msg_type",
    `Cannot decode Message.msg_type as it must be from 2 to ${TYPES.length - 1}: found ${
      number < 0 ? "another" : number
    }`,
  );
}

function tooManyEntries(action: string, count: number): WireError {
  return new WireError(
    "WIRE_LIMIT",
    "Message.entries",
    `Cannot ${action} Message.entries as there must be at most ${ENTRIES_PER_MESSAGE_MAX}: ` +
      `found ${count}`,
  );
}
