/**
 * What travels while one node streams a snapshot to another, as bytes: `SnapshotFrame` and
 * `SnapshotReply` in `proto/raft_service.proto`. The opening is that of every stream
 * (`handshake.ts`); what the values mean is the transport's business.
 *
 * @module
 */

import type { Message } from "../raft/mod.ts";
import { WireError } from "./errors.ts";
import { messageWireSize, readMessage, writeMessage } from "./message.ts";
import { Reader, repeatedField, wrongWireType } from "./reader.ts";
import {
  bytesFieldSize,
  lengthFieldSize,
  uintFieldSize,
  writeBytesField,
  writeLength,
  writeUintField,
} from "./writer.ts";

/** Bytes of a transfer's id: 16. */
export const TRANSFER_ID_BYTES = 16;

/** Bytes that a frame with a chunk adds to the chunk's data, at most: 64. */
export const CHUNK_OVERHEAD_BYTES = 64;

const SHA256_BYTES = 32;

/** Says which snapshot the stream carries. */
export interface SnapshotBegin {
  /** Names the transfer over all its connections: 16 random bytes. */
  readonly transferId: Uint8Array;
  /** The region: an integer from 1. */
  readonly regionId: number;
  /** The `snapshot` message that the receiver handles once all of the state has arrived. */
  readonly message: Message;
}

/** A piece of the state. */
export interface SnapshotChunk {
  /** Where it belongs. */
  readonly offset: number;
  /** The bytes of the state. */
  readonly data: Uint8Array;
  /** The CRC-32 of `data`. */
  readonly crc32: number;
}

/** The end of the state. */
export interface SnapshotEnd {
  /** Bytes of the whole state. */
  readonly totalBytes: number;
  /** The SHA-256 of the whole state. */
  readonly sha256: Uint8Array;
}

/** What a sender sends after its hello: one of these. */
export type SnapshotFrame =
  | { readonly kind: "begin"; readonly begin: SnapshotBegin }
  | { readonly kind: "chunk"; readonly chunk: SnapshotChunk }
  | { readonly kind: "end"; readonly end: SnapshotEnd }
  /** The sender gives the transfer up. */
  | { readonly kind: "abort"; readonly reason: string };

/** What a receiver answers after its welcome. */
export interface SnapshotReply {
  /** How many bytes from the beginning it has stored. */
  readonly storedBytes: number;
  /** Whether the whole state has arrived, was found sound, and was handed on. */
  readonly done: boolean;
}

const TAG_HELLO = 0x0a;
const TAG_BEGIN = 0x12;
const TAG_CHUNK = 0x1a;
const TAG_END = 0x22;
const TAG_ABORT = 0x2a;

/** Most bytes of an abort's reason; a longer one is cut. */
const REASON_BYTES_MAX = 512;

/**
 * Encodes a frame.
 *
 * @throws WireError when a number is out of its range or the message cannot travel.
 */
export function encodeSnapshotFrame(frame: SnapshotFrame): Uint8Array {
  switch (frame.kind) {
    case "begin":
      return encodeBegin(frame.begin);
    case "chunk":
      return encodeChunk(frame.chunk);
    case "end":
      return encodeEnd(frame.end);
    case "abort":
      return encodeAbort(frame.reason);
  }
}

function encodeBegin({ transferId, regionId, message }: SnapshotBegin): Uint8Array {
  const messageBytes = messageWireSize(message);
  const size = bytesFieldSize(transferId) + uintFieldSize("SnapshotBegin.region_id", regionId) +
    lengthFieldSize(messageBytes);
  const bytes = new Uint8Array(lengthFieldSize(size));
  let position = writeLength(bytes, 0, TAG_BEGIN, size);
  position = writeBytesField(bytes, position, 0x0a, transferId);
  position = writeUintField(bytes, position, 0x10, regionId);
  position = writeLength(bytes, position, 0x1a, messageBytes);
  writeMessage(bytes, position, message);
  return bytes;
}

function encodeChunk({ offset, data, crc32 }: SnapshotChunk): Uint8Array {
  const size = uintFieldSize("SnapshotChunk.offset", offset) + bytesFieldSize(data) +
    uintFieldSize("SnapshotChunk.crc32", crc32);
  const bytes = new Uint8Array(lengthFieldSize(size));
  let position = writeLength(bytes, 0, TAG_CHUNK, size);
  position = writeUintField(bytes, position, 0x08, offset);
  position = writeUintField(bytes, position, 0x18, crc32);
  writeBytesField(bytes, position, 0x12, data);
  return bytes;
}

function encodeEnd({ totalBytes, sha256 }: SnapshotEnd): Uint8Array {
  const size = uintFieldSize("SnapshotEnd.total_bytes", totalBytes) + bytesFieldSize(sha256);
  const bytes = new Uint8Array(lengthFieldSize(size));
  let position = writeLength(bytes, 0, TAG_END, size);
  position = writeUintField(bytes, position, 0x08, totalBytes);
  writeBytesField(bytes, position, 0x12, sha256);
  return bytes;
}

/** The field is there even when the reason is empty: it is what tells an abort. */
function encodeAbort(reason: string): Uint8Array {
  const text = new TextEncoder().encode(reason).subarray(0, REASON_BYTES_MAX);
  const bytes = new Uint8Array(lengthFieldSize(text.length));
  bytes.set(text, writeLength(bytes, 0, TAG_ABORT, text.length));
  return bytes;
}

/**
 * Decodes a frame that follows the hello. Byte arrays are views of `bytes`.
 *
 * @throws WireError when it cannot be read, or is not exactly one of the four.
 */
export function decodeSnapshotFrame(bytes: Uint8Array): SnapshotFrame {
  const reader = new Reader(bytes);
  let frame: SnapshotFrame | undefined;
  while (reader.more()) {
    const tag = reader.tag("SnapshotFrame");
    if (!KNOWN_TAGS.has(tag)) {
      if (tag === TAG_HELLO) throw malformed("SnapshotFrame.hello", "it must come first, alone");
      if (tag >>> 3 <= 5) throw wrongWireType("SnapshotFrame", tag);
      reader.skip(tag, "SnapshotFrame");
      continue;
    }
    if (frame !== undefined) throw malformed("SnapshotFrame", "it must hold one thing");
    const end = reader.lengthEnd("SnapshotFrame");
    const part = new Reader(bytes, reader.position, end);
    if (tag === TAG_BEGIN) frame = { kind: "begin", begin: readBegin(part) };
    else if (tag === TAG_CHUNK) frame = { kind: "chunk", chunk: readChunk(part) };
    else if (tag === TAG_END) frame = { kind: "end", end: readEnd(part) };
    else frame = { kind: "abort", reason: readText(bytes, reader.position, end) };
    reader.position = end;
  }
  if (frame === undefined) throw malformed("SnapshotFrame", "it must hold something");
  return frame;
}

const KNOWN_TAGS: ReadonlySet<number> = new Set([TAG_BEGIN, TAG_CHUNK, TAG_END, TAG_ABORT]);

/** What is no UTF-8, such as a character that was cut, becomes a replacement character. */
function readText(bytes: Uint8Array, start: number, end: number): string {
  return new TextDecoder().decode(bytes.subarray(start, end));
}

function readBegin(reader: Reader): SnapshotBegin {
  let transferId: Uint8Array = new Uint8Array(0);
  let regionId = 0;
  let message: Message | undefined;
  while (reader.more()) {
    const tag = reader.tag("SnapshotBegin");
    if (tag === 0x0a) transferId = reader.view("SnapshotBegin.transfer_id");
    else if (tag === 0x10) regionId = reader.uint("SnapshotBegin.region_id");
    else if (tag === 0x1a) {
      if (message !== undefined) throw repeatedField("SnapshotBegin.message");
      const outer = reader.end;
      reader.end = reader.lengthEnd("SnapshotBegin.message");
      message = readMessage(reader);
      reader.end = outer;
    } else skipUnknown(reader, tag, "SnapshotBegin", 3);
  }
  if (transferId.length !== TRANSFER_ID_BYTES) {
    throw malformed("SnapshotBegin.transfer_id", `it must have ${TRANSFER_ID_BYTES} bytes`);
  }
  if (regionId === 0) throw malformed("SnapshotBegin.region_id", "it must not be 0");
  if (message?.type !== "snapshot" || message.snapshot === undefined) {
    throw malformed("SnapshotBegin.message", "it must be a snapshot");
  }
  return { transferId, regionId, message };
}

function readChunk(reader: Reader): SnapshotChunk {
  let offset = 0;
  let data: Uint8Array = new Uint8Array(0);
  let crc32 = 0;
  while (reader.more()) {
    const tag = reader.tag("SnapshotChunk");
    if (tag === 0x08) offset = reader.uint("SnapshotChunk.offset");
    else if (tag === 0x12) data = reader.view("SnapshotChunk.data");
    else if (tag === 0x18) crc32 = reader.uint("SnapshotChunk.crc32");
    else skipUnknown(reader, tag, "SnapshotChunk", 3);
  }
  return { offset, data, crc32 };
}

function readEnd(reader: Reader): SnapshotEnd {
  let totalBytes = 0;
  let sha256: Uint8Array = new Uint8Array(0);
  while (reader.more()) {
    const tag = reader.tag("SnapshotEnd");
    if (tag === 0x08) totalBytes = reader.uint("SnapshotEnd.total_bytes");
    else if (tag === 0x12) sha256 = reader.view("SnapshotEnd.sha256");
    else skipUnknown(reader, tag, "SnapshotEnd", 2);
  }
  if (sha256.length !== SHA256_BYTES) {
    throw malformed("SnapshotEnd.sha256", `it must have ${SHA256_BYTES} bytes`);
  }
  return { totalBytes, sha256 };
}

/**
 * Encodes a receiver's answer.
 *
 * @throws WireError when `storedBytes` is no integer from 0 to 2^53-1.
 */
export function encodeSnapshotReply({ storedBytes, done }: SnapshotReply): Uint8Array {
  const bytes = new Uint8Array(
    uintFieldSize("SnapshotReply.stored_bytes", storedBytes) + (done ? 2 : 0),
  );
  const position = writeUintField(bytes, 0, 0x10, storedBytes);
  writeUintField(bytes, position, 0x18, done ? 1 : 0);
  return bytes;
}

/**
 * Decodes a receiver's answer that follows its welcome.
 *
 * @throws WireError when it cannot be read.
 */
export function decodeSnapshotReply(bytes: Uint8Array): SnapshotReply {
  const reader = new Reader(bytes);
  let storedBytes = 0;
  let done = false;
  while (reader.more()) {
    const tag = reader.tag("SnapshotReply");
    if (tag === 0x10) storedBytes = reader.uint("SnapshotReply.stored_bytes");
    else if (tag === 0x18) done = reader.bool("SnapshotReply.done");
    else skipUnknown(reader, tag, "SnapshotReply", 3);
  }
  return { storedBytes, done };
}

function skipUnknown(reader: Reader, tag: number, message: string, lastField: number): void {
  if (tag >>> 3 <= lastField) throw wrongWireType(message, tag);
  reader.skip(tag, message);
}

function malformed(field: string, rule: string): WireError {
  return new WireError("WIRE_MALFORMED", field, `Cannot decode ${field} as ${rule}`);
}
