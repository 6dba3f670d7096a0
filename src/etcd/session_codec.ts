/**
 * The messages of `flaredb.v1.Sessions` (`proto/sessions.proto`): writes of etcd's API with their place
 * in a client session.
 *
 * @module
 */

import { LENGTH_DELIMITED, type ProtoReader, type ProtoWriter, VARINT } from "../kv/mod.ts";
import type { SessionPosition } from "../node/mod.ts";

/** The path of a method on the wire. */
export function sessionPath(method: "Open" | "Close" | "Put" | "DeleteRange" | "Txn"): string {
  return `/flaredb.v1.Sessions/${method}`;
}

/** A request with its place in a session. */
export interface Positioned<Request> {
  /** Which write it is. */
  readonly position: SessionPosition;
  /** The write. */
  readonly request: Request;
}

const FIRST_BYTES_TAG = 1 << 3 | LENGTH_DELIMITED;
const SECOND_BYTES_TAG = 2 << 3 | LENGTH_DELIMITED;
const TIMEOUT_TAG = 1 << 3 | VARINT;
const SEQUENCE_TAG = 2 << 3 | VARINT;
const ACKNOWLEDGED_TAG = 3 << 3 | VARINT;

/** Writes a `SessionOpenRequest`. @throws KvEncodeError when it is not a safe integer */
export function writeSessionTimeout(writer: ProtoWriter, timeoutMs: number): void {
  writer.number(TIMEOUT_TAG, timeoutMs);
}

/** Reads a `SessionOpenRequest`: the timeout, 0 for the default. @throws KvDecodeError */
export function readSessionTimeout(reader: ProtoReader): number {
  let timeoutMs = 0;
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === TIMEOUT_TAG) timeoutMs = reader.number();
    else reader.skip(tag);
  }
  return timeoutMs;
}

/** Writes a message that is a session's id. */
export function writeSessionId(writer: ProtoWriter, id: string): void {
  writer.string(FIRST_BYTES_TAG, id);
}

/** Reads a message that is a session's id. @throws KvDecodeError */
export function readSessionId(reader: ProtoReader): string {
  let id = "";
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === FIRST_BYTES_TAG) id = reader.string();
    else reader.skip(tag);
  }
  return id;
}

/** Writes a request with its place in a session. @throws KvEncodeError */
export function writePositioned<Request>(
  writer: ProtoWriter,
  { position, request }: Positioned<Request>,
  write: (writer: ProtoWriter, request: Request) => void,
): void {
  let end = writer.written;
  write(writer, request);
  writer.message(SECOND_BYTES_TAG, end);
  end = writer.written;
  writer.number(ACKNOWLEDGED_TAG, position.acknowledged);
  writer.number(SEQUENCE_TAG, position.sequence);
  writer.string(FIRST_BYTES_TAG, position.id);
  writer.message(FIRST_BYTES_TAG, end);
}

/** Reads a request with its place in a session. @throws KvDecodeError */
export function readPositioned<Request>(
  reader: ProtoReader,
  read: (reader: ProtoReader) => Request,
  empty: Request,
): Positioned<Request> {
  let position: SessionPosition = { id: "", sequence: 0, acknowledged: 0 };
  let request = empty;
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === FIRST_BYTES_TAG) position = reader.message(readPosition);
    else if (tag === SECOND_BYTES_TAG) request = reader.message(read);
    else reader.skip(tag);
  }
  return { position, request };
}

function readPosition(reader: ProtoReader): SessionPosition {
  let id = "";
  let sequence = 0;
  let acknowledged = 0;
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === FIRST_BYTES_TAG) id = reader.string();
    else if (tag === SEQUENCE_TAG) sequence = reader.number();
    else if (tag === ACKNOWLEDGED_TAG) acknowledged = reader.number();
    else reader.skip(tag);
  }
  return { id, sequence, acknowledged };
}
