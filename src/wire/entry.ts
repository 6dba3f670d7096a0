/**
 * Log entries as bytes: `eraftpb.Entry`.
 *
 * Entries are not kept encoded: a `WeakMap` from entry to bytes costs more to fill (0.7 to 0.9 µs
 * on V8) than encoding the entry again for every follower (see `scripts/bench_wire.ts`).
 *
 * @module
 */

import type { EntryType, RaftLogEntry } from "../raft/mod.ts";
import { WireError } from "./errors.ts";
import { Reader, wrongWireType } from "./reader.ts";
import {
  bytesFieldSize,
  uintFieldSize,
  varintSize,
  writeBytesField,
  writeUintField,
} from "./writer.ts";

const TAG_TYPE = 0x08;
const TAG_TERM = 0x10;
const TAG_INDEX = 0x18;
const TAG_DATA = 0x22;
const TAG_SYNC_LOG = 0x28;
const TAG_CONTEXT = 0x32;

const TYPES: readonly EntryType[] = ["normal", "conf-change", "conf-change-v2"];
const NO_BYTES = new Uint8Array(0);

/**
 * Bytes of `entry` on the wire, without a length before them.
 *
 * @throws WireError when a number is no integer from 0 to 2^53-1, or the type is unknown.
 */
export function entryWireSize(entry: RaftLogEntry): number {
  return (entry.type === "normal" ? 0 : typeSize(entry.type)) +
    uintFieldSize("Entry.term", entry.term) +
    uintFieldSize("Entry.index", entry.index) +
    bytesFieldSize(entry.command) +
    bytesFieldSize(entry.context);
}

/** Writes an entry that `entryWireSize` has measured; yields the position after it. */
export function writeEntry(into: Uint8Array, position: number, entry: RaftLogEntry): number {
  if (entry.type !== "normal") {
    into[position++] = TAG_TYPE;
    into[position++] = TYPES.indexOf(entry.type);
  }
  position = writeUintField(into, position, TAG_TERM, entry.term);
  position = writeUintField(into, position, TAG_INDEX, entry.index);
  position = writeBytesField(into, position, TAG_DATA, entry.command);
  return writeBytesField(into, position, TAG_CONTEXT, entry.context);
}

/** Reads an entry up to the reader's end. */
export function readEntry(reader: Reader): RaftLogEntry {
  let type: EntryType = "normal";
  let term = 0;
  let index = 0;
  let command: Uint8Array = NO_BYTES;
  let context: Uint8Array | undefined;
  while (reader.more()) {
    const tag = reader.tag("Entry");
    switch (tag) {
      case TAG_TYPE:
        type = entryType(reader.enumNumber("Entry.entry_type"));
        break;
      case TAG_TERM:
        term = reader.uint("Entry.term");
        break;
      case TAG_INDEX:
        index = reader.uint("Entry.index");
        break;
      case TAG_DATA:
        command = reader.view("Entry.data");
        break;
      case TAG_SYNC_LOG:
        reader.bool("Entry.sync_log");
        break;
      case TAG_CONTEXT:
        context = reader.view("Entry.context");
        if (context.length === 0) context = undefined;
        break;
      default:
        if (tag >>> 3 <= 6) throw wrongWireType("Entry", tag);
        reader.skip(tag, "Entry");
    }
  }
  return { index, term, type, command, context };
}

/**
 * Encodes an entry. An empty context is not written, and so is read as no context.
 *
 * @throws WireError when a number is no integer from 0 to 2^53-1, or the type is unknown.
 */
export function encodeEntry(entry: RaftLogEntry): Uint8Array {
  const bytes = new Uint8Array(entryWireSize(entry));
  writeEntry(bytes, 0, entry);
  return bytes;
}

/**
 * Decodes an entry. Its command and context are views of `bytes`, which must not change afterwards.
 *
 * @throws WireError when the bytes are no entry.
 */
export function decodeEntry(bytes: Uint8Array): RaftLogEntry {
  return readEntry(new Reader(bytes));
}

function typeSize(type: EntryType): number {
  const number = TYPES.indexOf(type);
  if (number < 0) {
    throw new WireError(
      "WIRE_UNKNOWN_TYPE",
      "Entry.entry_type",
      `Cannot encode Entry.entry_type as it must be one of ${TYPES.join(", ")}: ` +
        `current value is ${String(type)}`,
    );
  }
  return 1 + varintSize(number);
}

function entryType(number: number): EntryType {
  const type = TYPES[number];
  if (type === undefined) {
    throw new WireError(
      "WIRE_UNKNOWN_TYPE",
      "Entry.entry_type",
      `Cannot decode Entry.entry_type as it must be from 0 to ${TYPES.length - 1}: found ${
        number < 0 ? "another" : number
      }`,
    );
  }
  return type;
}
