/**
 * The writing half of protobuf, over numbers and a buffer that is already large enough: a value is
 * measured first (`…Size`), then written at a position, which yields the next position. Nothing is
 * allocated. The measuring functions check what they are given; the writing ones rely on it.
 *
 * @module
 */

import { WireError } from "./errors.ts";

/** Bytes that `value`, a safe integer >= 0, takes as a varint: 1 to 8. */
export function varintSize(value: number): number {
  if (value < 0x80) return 1;
  if (value < 0x4000) return 2;
  if (value < 0x200000) return 3;
  if (value < 0x10000000) return 4;
  if (value < 0x800000000) return 5;
  if (value < 0x40000000000) return 6;
  if (value < 0x2000000000000) return 7;
  return 8;
}

/**
 * Bytes of an unsigned field with a tag of one byte; 0 when the value is 0.
 *
 * @throws WireError `WIRE_INTEGER_RANGE`
 */
export function uintFieldSize(field: string, value: number): number {
  if (value === 0) return 0;
  checkUint(field, value);
  return 1 + varintSize(value);
}

/**
 * Checks that `value` is an integer from 0 to 2^53-1.
 *
 * @throws WireError `WIRE_INTEGER_RANGE`
 */
export function checkUint(field: string, value: number): void {
  if (!Number.isSafeInteger(value) || value < 0) {
    throw new WireError(
      "WIRE_INTEGER_RANGE",
      field,
      `Cannot encode ${field} as it must be an integer from 0 to 2^53-1: current value is ${
        String(value)
      }`,
    );
  }
}

/** Bytes of a length-delimited field with a tag of one byte, of `length` bytes of content. */
export function lengthFieldSize(length: number): number {
  return 1 + varintSize(length) + length;
}

/** Bytes of a bytes field with a tag of one byte; 0 when it is absent or empty. */
export function bytesFieldSize(bytes: Uint8Array | undefined): number {
  return bytes === undefined || bytes.length === 0 ? 0 : lengthFieldSize(bytes.length);
}

/** Writes a safe integer >= 0 as a varint. */
export function writeVarint(into: Uint8Array, position: number, value: number): number {
  while (value > 0x7fffffff) {
    into[position++] = (value % 128) | 0x80;
    value = Math.floor(value / 128);
  }
  let rest = value | 0;
  while (rest > 0x7f) {
    into[position++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  into[position++] = rest;
  return position;
}

/** Writes the ten bytes of a negative safe integer as an int64. */
export function writeNegativeVarint(into: Uint8Array, position: number, value: number): number {
  let rest = BigInt.asUintN(64, BigInt(value));
  while (rest > 0x7fn) {
    into[position++] = Number(rest & 0x7fn) | 0x80;
    rest >>= 7n;
  }
  into[position++] = Number(rest);
  return position;
}

/** Writes an unsigned field; nothing when the value is 0. */
export function writeUintField(
  into: Uint8Array,
  position: number,
  tag: number,
  value: number,
): number {
  if (value === 0) return position;
  into[position] = tag;
  return writeVarint(into, position + 1, value);
}

/** Writes the tag and the length of a length-delimited field. */
export function writeLength(
  into: Uint8Array,
  position: number,
  tag: number,
  length: number,
): number {
  into[position] = tag;
  return writeVarint(into, position + 1, length);
}

/** Writes a bytes field; nothing when it is absent or empty. */
export function writeBytesField(
  into: Uint8Array,
  position: number,
  tag: number,
  bytes: Uint8Array | undefined,
): number {
  if (bytes === undefined || bytes.length === 0) return position;
  const start = writeLength(into, position, tag, bytes.length);
  into.set(bytes, start);
  return start + bytes.length;
}
