/**
 * The reading half of protobuf: a cursor over a part of a buffer. It never reads outside that part,
 * checks every length and every integer, and throws nothing but `WireError`.
 *
 * @module
 */

import { WireError } from "./errors.ts";

/** How deep groups, a shape no message of ours has, may nest before they count as malformed. */
export const GROUP_DEPTH_MAX = 32;

const WIRE_VARINT = 0;
const WIRE_FIXED64 = 1;
const WIRE_LENGTH = 2;
const WIRE_GROUP_START = 3;
const WIRE_GROUP_END = 4;
const WIRE_FIXED32 = 5;

/** 2^21: what the upper 32 bits of an integer up to 2^53-1 stay below. */
const HIGH_LIMIT = 0x200000;
const TWO_32 = 0x100000000;

/** A cursor over `bytes` from `position` to `end`. */
export class Reader {
  readonly bytes: Uint8Array;
  position: number;
  end: number;
  /** The lower and upper half of the varint read last. */
  private low = 0;
  private high = 0;

  constructor(bytes: Uint8Array, position = 0, end: number = bytes.length) {
    this.bytes = bytes;
    this.position = position;
    this.end = end;
  }

  /** Whether anything is left. */
  more(): boolean {
    return this.position < this.end;
  }

  /** Reads the tag of the next field: its number and wire type, as `number << 3 | type`. */
  tag(message: string): number {
    const tag = this.bytes[this.position];
    if (tag !== undefined && tag < 0x80 && tag > 7 && this.position < this.end) {
      this.position++;
      return tag;
    }
    this.readVarint(message);
    if (this.high !== 0 || this.low >>> 3 === 0) {
      throw malformed(message, "a field number must be from 1 to 2^29-1");
    }
    return this.low;
  }

  /**
   * Reads a uint64.
   *
   * @throws WireError `WIRE_INTEGER_RANGE` beyond 2^53-1.
   */
  uint(field: string): number {
    const { bytes, position } = this;
    if (this.end - position >= 4) {
      const first = bytes[position]!;
      if (first < 0x80) {
        this.position = position + 1;
        return first;
      }
      const second = bytes[position + 1]!;
      const two = (first & 0x7f) | (second & 0x7f) << 7;
      if (second < 0x80) {
        this.position = position + 2;
        return two;
      }
      const third = bytes[position + 2]!;
      const three = two | (third & 0x7f) << 14;
      if (third < 0x80) {
        this.position = position + 3;
        return three;
      }
      const fourth = bytes[position + 3]!;
      if (fourth < 0x80) {
        this.position = position + 4;
        return three | fourth << 21;
      }
    }
    this.readVarint(field);
    if (this.high >= HIGH_LIMIT) throw this.outOfRange(field, "from 0 to 2^53-1", false);
    return this.high * TWO_32 + this.low;
  }

  /**
   * Reads an int64.
   *
   * @throws WireError `WIRE_INTEGER_RANGE` beyond ±(2^53-1).
   */
  int(field: string): number {
    this.readVarint(field);
    if (this.high < HIGH_LIMIT) return this.high * TWO_32 + this.low;
    const value = (this.high - TWO_32) * TWO_32 + this.low;
    if (this.high < 0x80000000 || !Number.isSafeInteger(value)) {
      throw this.outOfRange(field, "from -(2^53-1) to 2^53-1", true);
    }
    return value;
  }

  /** Reads the number of an enumeration's value; -1 for what no enumeration of ours has. */
  enumNumber(field: string): number {
    this.readVarint(field);
    return this.high !== 0 ? -1 : this.low;
  }

  /** Reads a bool: any integer but 0 is true. */
  bool(field: string): boolean {
    this.readVarint(field);
    return this.low !== 0 || this.high !== 0;
  }

  /** Reads a length and checks that as much is left; yields where the content ends. */
  lengthEnd(field: string): number {
    const length = this.uint(field);
    if (length > this.end - this.position) {
      throw new WireError(
        "WIRE_TRUNCATED",
        field,
        `Cannot decode ${field} as it must be within its message: ` +
          `its length is ${length}, ${this.end - this.position} bytes are left`,
      );
    }
    return this.position + length;
  }

  /** Reads a bytes field as a view of the buffer. */
  view(field: string): Uint8Array {
    const end = this.lengthEnd(field);
    const { bytes, position } = this;
    this.position = end;
    return new Uint8Array(bytes.buffer, bytes.byteOffset + position, end - position);
  }

  /** Skips a field that nobody knows, by its tag. */
  skip(tag: number, message: string): void {
    let depth = 0;
    const open: number[] = [];
    for (;;) {
      switch (tag & 7) {
        case WIRE_VARINT:
          this.readVarint(message);
          break;
        case WIRE_FIXED64:
          this.advance(8, message);
          break;
        case WIRE_LENGTH:
          this.position = this.lengthEnd(message);
          break;
        case WIRE_GROUP_START:
          if (++depth > GROUP_DEPTH_MAX) {
            throw malformed(message, `groups must not nest deeper than ${GROUP_DEPTH_MAX}`);
          }
          open.push(tag >>> 3);
          break;
        case WIRE_GROUP_END:
          if (open.pop() !== tag >>> 3) throw malformed(message, "a group must end as it began");
          depth--;
          break;
        case WIRE_FIXED32:
          this.advance(4, message);
          break;
        default:
          throw malformed(message, `the wire type must be from 0 to 5: found ${tag & 7}`);
      }
      if (depth === 0) return;
      tag = this.tag(message);
    }
  }

  /** Reads a varint of up to ten bytes into `low` and `high`; bits beyond 64 are malformed. */
  private readVarint(field: string): void {
    const { bytes, end } = this;
    let position = this.position;
    let low = 0;
    let high = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      if (position >= end) throw truncated(field);
      const byte = bytes[position++]!;
      const bits = byte & 0x7f;
      if (shift < 28) low |= bits << shift;
      else if (shift === 28) {
        low |= bits << 28;
        high = bits >>> 4;
      } else if (shift < 63) high |= bits << (shift - 32);
      else if (bits > 1) throw malformed(field, "an integer must have at most 64 bits");
      else high |= bits << 31;
      if (byte < 0x80) {
        this.position = position;
        this.low = low >>> 0;
        this.high = high >>> 0;
        return;
      }
    }
    throw malformed(field, "an integer must have at most ten bytes");
  }

  private advance(count: number, field: string): void {
    if (count > this.end - this.position) throw truncated(field);
    this.position += count;
  }

  private outOfRange(field: string, range: string, signed: boolean): WireError {
    const exact = (BigInt(this.high) << 32n) | BigInt(this.low);
    const value = signed ? BigInt.asIntN(64, exact) : exact;
    return new WireError(
      "WIRE_INTEGER_RANGE",
      field,
      `Cannot decode ${field} as it must be an integer ${range}: found ${value}`,
    );
  }
}

/** The error for a known field of another wire type than it has. */
export function wrongWireType(message: string, tag: number): WireError {
  return malformed(message, `field ${tag >>> 3} must not have wire type ${tag & 7}`);
}

/** The error for an embedded message that may occur once and occurs twice. */
export function repeatedField(field: string): WireError {
  return malformed(field, "it must not occur twice");
}

function malformed(field: string, rule: string): WireError {
  return new WireError("WIRE_MALFORMED", field, `Cannot decode ${field} as ${rule}`);
}

function truncated(field: string): WireError {
  return new WireError(
    "WIRE_TRUNCATED",
    field,
    `Cannot decode ${field} as the bytes end in the middle of it`,
  );
}
