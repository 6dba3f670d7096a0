/**
 * The stream form of the whole store (`proto/etcd/snapshot.proto`): a magic word, then records, each
 * with its length before it: a header, the node's state, the versions of `history` in the order of
 * writing, and an end that holds their number and the SHA-256 of everything before it. Memory is
 * bounded by one chunk and one record on either side.
 *
 * @module
 */

import { createHash, type Hash } from "node:crypto";
import type { SnapshotChunks } from "../node/state_machine.ts";
import { RaftError } from "../raft/mod.ts";
import { reasonOf } from "./database.ts";
import { KvDecodeError, KvSnapshotError } from "./errors.ts";
import { LENGTH_DELIMITED, ProtoReader, ProtoWriter, VARINT } from "./protobuf.ts";
import type { Meta } from "./schema.ts";
import { NO_BYTES, NO_LEASE } from "./types.ts";
import type { HistoryRow } from "./version_table.ts";

/** The version of the stream this build writes, and the newest it reads. */
export const SNAPSHOT_VERSION = 1;
/** The longest record that is read: more than the largest value SQLite is asked to keep. */
export const SNAPSHOT_RECORD_BYTES_MAX = 512 * 1024 * 1024;

const MAGIC = new TextEncoder().encode("flarekv\n");
/** Bytes of a chunk that is written. */
export const SNAPSHOT_CHUNK_BYTES = 64 * 1024;
const LENGTH_BYTES = 4;

/** What a snapshot consists of. */
export type SnapshotRecord =
  | { readonly kind: "header"; readonly meta: Meta }
  | { readonly kind: "node-state"; readonly key: string; readonly value: Uint8Array }
  | { readonly kind: "version"; readonly row: HistoryRow };

const HEADER_TAG = 1 << 3 | LENGTH_DELIMITED;
const NODE_STATE_TAG = 2 << 3 | LENGTH_DELIMITED;
const VERSION_TAG = 3 << 3 | LENGTH_DELIMITED;
const END_TAG = 4 << 3 | LENGTH_DELIMITED;

/**
 * Encodes records into chunks of 64 KiB, the last one shorter; a record may lie in several.
 *
 * @param spare chunks that are filled again before new ones are made.
 */
export function* encodeSnapshot(
  records: Iterable<SnapshotRecord>,
  spare: Uint8Array[] = [],
): Generator<Uint8Array> {
  const writer = new ProtoWriter();
  const output = new SnapshotOutput(spare);
  output.fill(MAGIC, 0);
  let count = 0;
  for (const record of records) {
    writeRecord(writer, record);
    const encoded = writer.view();
    for (const part of [lengthOf(encoded), encoded]) {
      for (let at = 0; at < part.length;) {
        at += output.fill(part, at);
        if (output.isFull) yield output.take();
      }
    }
    writer.reset();
    count++;
  }
  writer.bytes(2 << 3 | LENGTH_DELIMITED, output.digest());
  writer.number(1 << 3 | VARINT, count);
  writer.message(END_TAG, 0);
  const end = writer.finish();
  yield join([output.take(), lengthOf(end), end]);
}

/** Collects bytes into chunks, and hashes them. */
class SnapshotOutput {
  readonly #hash: Hash = createHash("sha256");
  readonly #spare: Uint8Array[];
  #chunk: Uint8Array;
  #bytes = 0;

  constructor(spare: Uint8Array[]) {
    this.#spare = spare;
    this.#chunk = this.#next();
  }

  get isFull(): boolean {
    return this.#bytes === SNAPSHOT_CHUNK_BYTES;
  }

  /** Copies what fits of `bytes` from `start` on; returns how many bytes that are. */
  fill(bytes: Uint8Array, start: number): number {
    const part = bytes.subarray(start, start + SNAPSHOT_CHUNK_BYTES - this.#bytes);
    this.#chunk.set(part, this.#bytes);
    this.#bytes += part.length;
    return part.length;
  }

  /** What has been collected, perhaps nothing. */
  take(): Uint8Array {
    const taken = this.isFull ? this.#chunk : this.#chunk.subarray(0, this.#bytes);
    this.#hash.update(taken);
    this.#chunk = this.#next();
    this.#bytes = 0;
    return taken;
  }

  /** Of everything taken and collected. */
  digest(): Uint8Array {
    return this.#hash.copy().update(this.#chunk.subarray(0, this.#bytes)).digest();
  }

  #next(): Uint8Array {
    return this.#spare.pop() ?? new Uint8Array(SNAPSHOT_CHUNK_BYTES);
  }
}

function join(parts: readonly Uint8Array[]): Uint8Array {
  const chunk = new Uint8Array(parts.reduce((bytes, part) => bytes + part.length, 0));
  let position = 0;
  for (const part of parts) {
    chunk.set(part, position);
    position += part.length;
  }
  return chunk;
}

function lengthOf(record: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(LENGTH_BYTES);
  new DataView(bytes.buffer).setUint32(0, record.length);
  return bytes;
}

function writeRecord(writer: ProtoWriter, record: SnapshotRecord): void {
  switch (record.kind) {
    case "header":
      writer.number(5 << 3 | VARINT, record.meta.sequence);
      writer.number(4 << 3 | VARINT, record.meta.compactedRevision);
      writer.number(3 << 3 | VARINT, record.meta.revision);
      writer.number(2 << 3 | VARINT, record.meta.lastApplied);
      writer.number(1 << 3 | VARINT, SNAPSHOT_VERSION);
      writer.message(HEADER_TAG, 0);
      break;
    case "node-state":
      writer.bytes(2 << 3 | LENGTH_DELIMITED, record.value);
      writer.string(1 << 3 | LENGTH_DELIMITED, record.key);
      writer.message(NODE_STATE_TAG, 0);
      break;
    case "version":
      writeVersion(writer, record.row);
      writer.message(VERSION_TAG, 0);
      break;
  }
}

function writeVersion(writer: ProtoWriter, row: HistoryRow): void {
  writer.number(10 << 3 | VARINT, row.ordinal);
  writer.number(9 << 3 | VARINT, row.jump);
  writer.number(8 << 3 | VARINT, row.previous);
  writer.bytes(7 << 3 | LENGTH_DELIMITED, row.value);
  writer.bigint(6 << 3 | VARINT, row.lease);
  writer.number(5 << 3 | VARINT, row.version);
  writer.number(4 << 3 | VARINT, row.createRevision);
  writer.number(3 << 3 | VARINT, row.revision);
  writer.bytes(2 << 3 | LENGTH_DELIMITED, row.key);
  writer.number(1 << 3 | VARINT, row.sequence);
}

/**
 * Decodes a stream and checks it whole; what a record holds of it is gone when the next is asked for: a consumer that changes anything for good must do so only
 * once the iteration has ended without an error.
 *
 * @throws KvSnapshotError when it is damaged, cut short, or of an unknown version
 */
export async function* decodeSnapshot(
  chunks: SnapshotChunks,
): AsyncGenerator<SnapshotRecord> {
  const input = new SnapshotInput(chunks);
  try {
    const magic = await input.take(MAGIC.length);
    if (!equalBytes(magic, MAGIC)) throw new KvSnapshotError("Cannot restore: not a snapshot");
    input.hash.update(magic);
    for (let count = 0;; count++) {
      const length = new Uint8Array(await input.take(LENGTH_BYTES));
      const record = await input.take(recordLength(length));
      const decoded = readRecord(new ProtoReader(record));
      if (decoded.kind === "end") {
        checkEnd(decoded, count, input.hash.digest());
        await input.expectEnd();
        return;
      }
      input.hash.update(length);
      input.hash.update(record);
      if (decoded.kind === "header" !== (count === 0)) {
        throw new KvSnapshotError("Cannot restore: a header must come first, and only once");
      }
      yield decoded;
    }
  } catch (cause) {
    if (!(cause instanceof KvDecodeError)) throw cause;
    throw new KvSnapshotError(`Cannot restore: a record is damaged (${cause.message})`, { cause });
  } finally {
    await input.close();
  }
}

interface EndRecord {
  readonly kind: "end";
  readonly count: number;
  readonly sha256: Uint8Array;
}

function checkEnd(end: EndRecord, count: number, sha256: Uint8Array): void {
  if (end.count !== count) {
    throw new KvSnapshotError(`Cannot restore: expected ${end.count} records, found ${count}`);
  }
  if (!equalBytes(end.sha256, sha256)) {
    throw new KvSnapshotError("Cannot restore: the checksum of the snapshot does not match");
  }
}

function recordLength(bytes: Uint8Array): number {
  const length = new DataView(bytes.buffer, bytes.byteOffset, LENGTH_BYTES).getUint32(0);
  if (length <= SNAPSHOT_RECORD_BYTES_MAX) return length;
  throw new KvSnapshotError(
    `Cannot restore: a record must have at most ${SNAPSHOT_RECORD_BYTES_MAX} bytes, found ${length}`,
  );
}

function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

function readRecord(reader: ProtoReader): SnapshotRecord | EndRecord {
  const tag = reader.tag();
  switch (tag) {
    case HEADER_TAG:
      return { kind: "header", meta: reader.message(readHeader) };
    case NODE_STATE_TAG:
      return reader.message(readNodeState);
    case VERSION_TAG:
      return { kind: "version", row: reader.message(readVersion) };
    case END_TAG:
      return reader.message(readEnd);
    default:
      throw new KvSnapshotError(`Cannot restore: a record of unknown kind ${tag >>> 3}`);
  }
}

function readHeader(reader: ProtoReader): Meta {
  const meta: Meta = { lastApplied: 0, revision: 0, compactedRevision: 0, sequence: 0 };
  let version = 0;
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === (1 << 3 | VARINT)) version = reader.number();
    else if (tag === (2 << 3 | VARINT)) meta.lastApplied = reader.number();
    else if (tag === (3 << 3 | VARINT)) meta.revision = reader.number();
    else if (tag === (4 << 3 | VARINT)) meta.compactedRevision = reader.number();
    else if (tag === (5 << 3 | VARINT)) meta.sequence = reader.number();
    else reader.skip(tag);
  }
  if (version === SNAPSHOT_VERSION) return meta;
  throw new KvSnapshotError(
    `Cannot restore: the snapshot must be of version ${SNAPSHOT_VERSION}, found ${version}`,
  );
}

function readNodeState(reader: ProtoReader): SnapshotRecord {
  let key = "", value = NO_BYTES;
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === (1 << 3 | LENGTH_DELIMITED)) key = reader.string();
    else if (tag === (2 << 3 | LENGTH_DELIMITED)) value = reader.bytes();
    else reader.skip(tag);
  }
  return { kind: "node-state", key, value };
}

function readVersion(reader: ProtoReader): HistoryRow {
  const numbers = new Array<number>(11).fill(0);
  let key = NO_BYTES, value = NO_BYTES, lease = NO_LEASE;
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    const field = tag >>> 3;
    if (tag === (2 << 3 | LENGTH_DELIMITED)) key = reader.bytes();
    else if (tag === (7 << 3 | LENGTH_DELIMITED)) value = reader.bytes();
    else if (tag === (6 << 3 | VARINT)) lease = reader.bigint();
    else if (field <= 10 && (tag & 7) === VARINT) numbers[field] = reader.number();
    else reader.skip(tag);
  }
  return {
    sequence: numbers[1]!,
    key,
    revision: numbers[3]!,
    createRevision: numbers[4]!,
    version: numbers[5]!,
    lease,
    value,
    previous: numbers[8]!,
    jump: numbers[9]!,
    ordinal: numbers[10]!,
  };
}

function readEnd(reader: ProtoReader): EndRecord {
  let count = 0, sha256 = NO_BYTES;
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === (1 << 3 | VARINT)) count = reader.number();
    else if (tag === (2 << 3 | LENGTH_DELIMITED)) sha256 = reader.bytes();
    else reader.skip(tag);
  }
  return { kind: "end", count, sha256 };
}

function streamFailed(cause: unknown): never {
  if (cause instanceof RaftError) throw cause;
  throw new KvSnapshotError(`Cannot restore: the stream failed: ${reasonOf(cause)}`, { cause });
}

/** Cuts a stream of chunks of any size into pieces of the lengths asked for. */
class SnapshotInput {
  /** Over what was accepted so far. */
  readonly hash = createHash("sha256");
  readonly #source: SnapshotChunks;
  readonly #chunks: AsyncIterator<Uint8Array>;
  #chunk: Uint8Array = NO_BYTES;
  #position = 0;

  constructor(source: SnapshotChunks) {
    this.#source = source;
    this.#chunks = source[Symbol.asyncIterator]();
  }

  /**
   * The next `length` bytes; they hold until the next call.
   *
   * @throws KvSnapshotError when the stream ends before
   */
  async take(length: number): Promise<Uint8Array> {
    const start = this.#position;
    if (this.#chunk.length - start >= length) {
      this.#position += length;
      return this.#chunk.subarray(start, this.#position);
    }
    const parts: Uint8Array[] = [];
    for (let missing = length; missing > 0;) {
      if (this.#position === this.#chunk.length && !(await this.#next())) {
        throw new KvSnapshotError("Cannot restore: the snapshot is cut short");
      }
      const part = this.#chunk.subarray(this.#position, this.#position + missing);
      this.#position += part.length;
      missing -= part.length;
      // The chunk is given back when the next one is asked for.
      parts.push(missing > 0 ? new Uint8Array(part) : part);
    }
    return join(parts);
  }

  /** @throws KvSnapshotError when anything follows */
  async expectEnd(): Promise<void> {
    while (this.#position === this.#chunk.length) {
      if (!(await this.#next())) return;
    }
    throw new KvSnapshotError("Cannot restore: bytes follow the end of the snapshot");
  }

  async close(): Promise<void> {
    await this.#chunks.return?.();
  }

  async #next(): Promise<boolean> {
    if (this.#chunk.length > 0) this.#source.recycle?.(this.#chunk);
    this.#chunk = NO_BYTES;
    this.#position = 0;
    const result = await this.#chunks.next().catch(streamFailed);
    if (result.done === true) return false;
    this.#chunk = result.value;
    return true;
  }
}
