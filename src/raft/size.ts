/**
 * Sizes of entries, for the limits on messages, on unapplied and on uncommitted entries. The core
 * does not encode anything; the size is that of the eraftpb encoding, computed.
 *
 * @module
 */

import type { RaftLogEntry } from "./types.ts";

const VARINT_BYTES_MAX = 10;

/** The number of bytes of `value` as a protobuf varint, for an integer from 0 to 2^53-1. */
export function varintSize(value: number): number {
  let size = 1;
  // No number needs more bytes; a value that is none must not keep this from ending.
  while (value >= 128 && size < VARINT_BYTES_MAX) {
    value = Math.floor(value / 128);
    size++;
  }
  return size;
}

function bytesFieldSize(bytes: Uint8Array | undefined): number {
  if (bytes === undefined || bytes.length === 0) return 0;
  return 1 + varintSize(bytes.length) + bytes.length;
}

/** The number of bytes of an entry as an eraftpb `Entry`, without the frame around it. */
export function entrySize(entry: RaftLogEntry): number {
  let size = bytesFieldSize(entry.command) + bytesFieldSize(entry.context);
  if (entry.type !== "normal") size += 2;
  if (entry.term !== 0) size += 1 + varintSize(entry.term);
  if (entry.index !== 0) size += 1 + varintSize(entry.index);
  return size;
}

/** The sum of {@linkcode entrySize} over `entries`. */
export function entriesSize(entries: readonly RaftLogEntry[]): number {
  let size = 0;
  for (let i = 0; i < entries.length; i++) size += entrySize(entries[i]);
  return size;
}

/** The sum of the lengths of the commands: what a proposal costs whatever its term and index. */
export function commandsSize(entries: readonly RaftLogEntry[]): number {
  let size = 0;
  for (let i = 0; i < entries.length; i++) size += entries[i].command.length;
  return size;
}

/**
 * The length of the longest prefix of `entries` whose size is at most `sizeMax` bytes; at least 1
 * unless there are no entries, so that a single large entry still makes progress.
 */
export function limitedLength(entries: readonly RaftLogEntry[], sizeMax: number): number {
  if (entries.length <= 1 || sizeMax === Infinity) return entries.length;
  let size = entrySize(entries[0]);
  for (let i = 1; i < entries.length; i++) {
    size += entrySize(entries[i]);
    if (size > sizeMax) return i;
  }
  return entries.length;
}
