/**
 * Protobuf primitives over `number`: a reader and a writer for the hot messages of the store and
 * its API. 64-bit fields are exact: `number` where only safe integers make sense (checked), bigint
 * for opaque ids. Tags are given whole (`field << 3 | wire type`), so that a field that arrives with
 * another wire type counts as unknown, as the format asks.
 *
 * The writer fills its buffer from the end to the front: a nested message is then complete before
 * its length is written, and nothing is measured twice. Fields are therefore written last to first.
 *
 * @module
 */

import { KvDecodeError, KvEncodeError } from "./errors.ts";

/** Wire type of integers, booleans and enumerations. */
export const VARINT = 0;
/** Wire type of bytes, strings and nested messages. */
export const LENGTH_DELIMITED = 2;

const FIXED64 = 1;
const FIXED32 = 5;

const WRITER_BYTES_INITIAL = 4 * 1024;
/** A buffer that grew beyond this is given back after the message it grew for. */
const WRITER_BYTES_KEPT_MAX = 1024 * 1024;

const SAFE_MAX = BigInt(Number.MAX_SAFE_INTEGER);

const textDecoder = new TextDecoder("utf-8", { fatal: true });
const textEncoder = new TextEncoder();

/** Reads the fields of one message; what it returns as bytes shares memory with its input. */
export class ProtoReader {
  readonly #buffer: Uint8Array;
  #position = 0;
  #end: number;

  /** Reads from the beginning of the buffer, which it does not copy. */
  constructor(buffer: Uint8Array) {
    // A Buffer's slices would share memory, and would not equal plain arrays.
    this.#buffer = buffer.constructor === Uint8Array
      ? buffer
      : new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength);
    this.#end = buffer.length;
  }

  /** The next tag, or 0 at the end of the message. @throws KvDecodeError when it is malformed. */
  tag(): number {
    if (this.#position >= this.#end) return 0;
    const tag = this.#varint32();
    if (tag >>> 3 === 0) throw new KvDecodeError("Cannot decode message: field number 0");
    return tag;
  }

  /** The bytes of a length-delimited field, a view of the input. */
  bytes(): Uint8Array {
    const end = this.#lengthEnd();
    const bytes = this.#buffer.subarray(this.#position, end);
    this.#position = end;
    return bytes;
  }

  /** The text of a string field. @throws KvDecodeError when it is not UTF-8. */
  string(): string {
    try {
      return textDecoder.decode(this.bytes());
    } catch (cause) {
      if (cause instanceof KvDecodeError) throw cause;
      throw new KvDecodeError("Cannot decode message: a string is not UTF-8", { cause });
    }
  }

  /** Reads a nested message with `decode`, which sees only its bytes. */
  message<T>(decode: (reader: ProtoReader) => T): T {
    const end = this.#lengthEnd();
    const outerEnd = this.#end;
    this.#end = end;
    const value = decode(this);
    this.#end = outerEnd;
    this.#position = end;
    return value;
  }

  /** A boolean. */
  bool(): boolean {
    const small = this.#smallVarint();
    return small >= 0 ? small !== 0 : this.bigint() !== 0n;
  }

  /** A signed 64-bit integer as an exact number. @throws KvDecodeError beyond ±(2^53-1). */
  number(): number {
    const small = this.#smallVarint();
    if (small >= 0) return small;
    const value = this.bigint();
    const number = Number(value);
    if (!Number.isSafeInteger(number)) {
      throw new KvDecodeError(`Cannot decode message: ${value} is not a safe integer`);
    }
    return number;
  }

  /**
   * A signed 64-bit integer that is only compared with revisions or counts, which stay below 2^53-1:
   * a greater one is as good as 2^53-1, a lesser one as good as its negative, so it is clamped.
   */
  limit(): number {
    const small = this.#smallVarint();
    if (small >= 0) return small;
    const number = Number(this.bigint());
    return Math.max(Math.min(number, Number.MAX_SAFE_INTEGER), Number.MIN_SAFE_INTEGER);
  }

  /** An enumeration or 32-bit integer; what does not fit is cut to its low 32 bits, as proto3 does. */
  int32(): number {
    const small = this.#smallVarint();
    return small >= 0 ? small : Number(BigInt.asIntN(32, this.bigint()));
  }

  /** A signed 64-bit integer, exact. */
  bigint(): bigint {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.#byte();
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return BigInt.asIntN(64, value);
    }
    throw new KvDecodeError("Cannot decode message: a varint is longer than 10 bytes");
  }

  /** An unsigned 64-bit integer, exact. */
  unsigned(): bigint {
    const small = this.#smallVarint();
    return small >= 0 ? BigInt(small) : BigInt.asUintN(64, this.bigint());
  }

  /** Passes over the field of `tag`. @throws KvDecodeError on groups and unknown wire types. */
  skip(tag: number): void {
    const wireType = tag & 7;
    if (wireType === VARINT) {
      this.bigint();
      return;
    }
    if (wireType === LENGTH_DELIMITED) {
      this.#position = this.#lengthEnd();
      return;
    }
    if (wireType !== FIXED64 && wireType !== FIXED32) {
      throw new KvDecodeError(`Cannot decode message: wire type ${wireType} is not supported`);
    }
    this.#position += wireType === FIXED64 ? 8 : 4;
    if (this.#position > this.#end) throw truncated();
  }

  #byte(): number {
    if (this.#position >= this.#end) throw truncated();
    return this.#buffer[this.#position++]!;
  }

  /** A varint of up to four bytes, or -1 with nothing consumed. */
  #smallVarint(): number {
    const start = this.#position;
    let value = 0;
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = this.#byte();
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    this.#position = start;
    return -1;
  }

  #varint32(): number {
    const small = this.#smallVarint();
    if (small >= 0) return small;
    const value = this.unsigned();
    if (value > 0xffff_ffffn) {
      throw new KvDecodeError("Cannot decode message: a tag or length is beyond 32 bits");
    }
    return Number(value);
  }

  #lengthEnd(): number {
    const length = this.#varint32();
    const end = this.#position + length;
    if (end > this.#end) throw truncated();
    return end;
  }
}

function truncated(): KvDecodeError {
  return new KvDecodeError("Cannot decode message: it is truncated");
}

/** Writes one message, last field first. Fields of their default value are left out, as in proto3. */
export class ProtoWriter {
  #buffer = new Uint8Array(WRITER_BYTES_INITIAL);
  #position = WRITER_BYTES_INITIAL;

  /** How many bytes were written; what {@linkcode ProtoWriter.message} takes as the end of a nested one. */
  get written(): number {
    return this.#buffer.length - this.#position;
  }

  /** A copy of what was written; the writer is empty again. */
  finish(): Uint8Array {
    const bytes = this.#buffer.slice(this.#position);
    this.reset();
    return bytes;
  }

  /** What was written, until the writer is used again. */
  view(): Uint8Array {
    return this.#buffer.subarray(this.#position);
  }

  /** Forgets what was written. */
  reset(): void {
    if (this.#buffer.length > WRITER_BYTES_KEPT_MAX) {
      this.#buffer = new Uint8Array(WRITER_BYTES_INITIAL);
    }
    this.#position = this.#buffer.length;
  }

  /** A bytes field; empty is left out. */
  bytes(tag: number, value: Uint8Array): void {
    if (value.length > 0) this.element(tag, value);
  }

  /** An element of a repeated bytes field: written even when empty. */
  element(tag: number, value: Uint8Array): void {
    this.#reserve(value.length + 10);
    this.#position -= value.length;
    this.#buffer.set(value, this.#position);
    this.#varint(value.length);
    this.#varint(tag);
  }

  /** A string field; empty is left out. */
  string(tag: number, value: string): void {
    if (value !== "") this.element(tag, textEncoder.encode(value));
  }

  /**
   * Closes a nested message: everything written since {@linkcode ProtoWriter.written} was
   * `writtenBefore` becomes its content.
   */
  message(tag: number, writtenBefore: number): void {
    this.#reserve(10);
    this.#varint(this.written - writtenBefore);
    this.#varint(tag);
  }

  /** A boolean field; false is left out. */
  bool(tag: number, value: boolean): void {
    if (!value) return;
    this.#reserve(11);
    this.#varint(1);
    this.#varint(tag);
  }

  /** An integer field; 0 is left out. @throws KvEncodeError when it is not a safe integer. */
  number(tag: number, value: number): void {
    if (value === 0) return;
    if (!Number.isSafeInteger(value)) {
      this.reset();
      throw new KvEncodeError(`Cannot encode field ${tag >>> 3}: ${value} is not a safe integer`);
    }
    if (value < 0) return this.bigint(tag, BigInt(value));
    this.#reserve(15);
    this.#varint(value);
    this.#varint(tag);
  }

  /** A signed or unsigned 64-bit field; 0 is left out. @throws KvEncodeError beyond 64 bits. */
  bigint(tag: number, value: bigint): void {
    if (value === 0n) return;
    if (value > 0n && value <= SAFE_MAX) return this.number(tag, Number(value));
    if (BigInt.asIntN(64, value) !== value && BigInt.asUintN(64, value) !== value) {
      this.reset();
      throw new KvEncodeError(`Cannot encode field ${tag >>> 3}: ${value} is beyond 64 bits`);
    }
    this.#reserve(15);
    let rest = BigInt.asUintN(64, value);
    let size = 1;
    for (let above = rest >> 7n; above > 0n; above >>= 7n) size++;
    this.#position -= size;
    for (let i = 0; i < size; i++, rest >>= 7n) {
      this.#buffer[this.#position + i] = Number(rest & 0x7fn) | (i < size - 1 ? 0x80 : 0);
    }
    this.#varint(tag);
  }

  #varint(value: number): void {
    if (value < 0x80) {
      this.#buffer[--this.#position] = value;
      return;
    }
    let size = 2;
    for (let limit = 0x4000; value >= limit && size < 8; limit *= 0x80) size++;
    let at = this.#position -= size;
    while (value >= 0x80) {
      this.#buffer[at++] = (value % 0x80) | 0x80;
      value = Math.floor(value / 0x80);
    }
    this.#buffer[at] = value;
  }

  #reserve(bytes: number): void {
    if (this.#position >= bytes) return;
    const written = this.written;
    const length = Math.max(this.#buffer.length * 2, written + bytes);
    const grown = new Uint8Array(length);
    grown.set(this.#buffer.subarray(this.#position), length - written);
    this.#buffer = grown;
    this.#position = length - written;
  }
}
