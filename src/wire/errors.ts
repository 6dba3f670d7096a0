/**
 * What goes wrong between bytes and messages. Decoding throws nothing else, whatever the bytes are.
 *
 * @module
 */

import { RaftError } from "../raft/mod.ts";

/**
 * Why bytes were refused, or a value cannot be written:
 *
 * - `WIRE_TRUNCATED`: a value reaches beyond the end of its message or of the buffer.
 * - `WIRE_MALFORMED`: the bytes are not protobuf, or not of the shape the field has.
 * - `WIRE_INTEGER_RANGE`: an integer is negative, fractional or beyond 2^53-1.
 * - `WIRE_UNKNOWN_TYPE`: an enumeration has a value that this version does not know.
 * - `WIRE_LOCAL_TYPE`: the message is of a kind that never leaves its process.
 * - `WIRE_NOT_ENCODABLE`: the value holds something that exists in memory only.
 * - `WIRE_LIMIT`: more elements, or longer ones, than the limit allows.
 */
export type WireErrorCode =
  | "WIRE_TRUNCATED"
  | "WIRE_MALFORMED"
  | "WIRE_INTEGER_RANGE"
  | "WIRE_UNKNOWN_TYPE"
  | "WIRE_LOCAL_TYPE"
  | "WIRE_NOT_ENCODABLE"
  | "WIRE_LIMIT";

/** Bytes cannot be read as a message, or a message cannot be written as bytes. */
export class WireError extends RaftError {
  /** The field concerned, such as `"Message.term"`, or the message as a whole. */
  readonly field: string;

  /** Says which field is wrong, what it must be and what was found. */
  constructor(code: WireErrorCode, field: string, message: string) {
    super(code, message);
    this.field = field;
  }
}
