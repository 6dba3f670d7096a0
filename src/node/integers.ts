/**
 * Integers of 6 and 7 bytes, little-endian: what envelopes and records of the node room are made of.
 * Six bytes hold 2^48 values, seven bytes any safe integer.
 *
 * @module
 */

const TWO_TO_24 = 0x100_0000;
const TWO_TO_48 = 2 ** 48;

function write24(bytes: Uint8Array, offset: number, value: number): void {
  bytes[offset] = value;
  bytes[offset + 1] = value >>> 8;
  bytes[offset + 2] = value >>> 16;
}

/** Writes an integer from 0 to 2^48-1. */
export function write48(bytes: Uint8Array, offset: number, value: number): void {
  write24(bytes, offset, value % TWO_TO_24);
  write24(bytes, offset + 3, Math.floor(value / TWO_TO_24));
}

/** Writes a safe integer >= 0. */
export function write56(bytes: Uint8Array, offset: number, value: number): void {
  write48(bytes, offset, value % TWO_TO_48);
  bytes[offset + 6] = Math.floor(value / TWO_TO_48);
}

function read24(bytes: Uint8Array, offset: number): number {
  return bytes[offset] | (bytes[offset + 1] << 8) | (bytes[offset + 2] << 16);
}

/** Reads 6 bytes. */
export function read48(bytes: Uint8Array, offset: number): number {
  return read24(bytes, offset) + read24(bytes, offset + 3) * TWO_TO_24;
}

/** Reads 7 bytes. */
export function read56(bytes: Uint8Array, offset: number): number {
  return read48(bytes, offset) + bytes[offset + 6] * TWO_TO_48;
}
