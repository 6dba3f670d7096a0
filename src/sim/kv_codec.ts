/**
 * The commands of the simulator's key-value store as bytes: 20 of them, little-endian. Byte 0: key.
 * Byte 1: the field compared, 0 for none. Byte 2: the operator. Bytes 3 and 4: the two actions. From
 * byte 8 on, in words of 32 bits: the operand, and the value of each put.
 *
 * @module
 */

import type { KvAction, KvCompare, KvField, KvInput } from "./kv_model.ts";

const COMMAND_BYTES = 20;
const FIELDS: readonly KvField[] = ["value", "version", "create", "modify"];
const OPERATORS: readonly KvCompare["operator"][] = ["=", "!=", "<", ">"];
const ACTIONS: readonly KvAction["type"][] = ["get", "put", "delete"];

/** Encodes an operation: key from 0 to 255, numbers from 0 to 2^32-1. */
export function encodeKvInput(input: KvInput): Uint8Array {
  const bytes = new Uint8Array(COMMAND_BYTES);
  const { compare } = input;
  bytes[0] = input.key;
  bytes[3] = ACTIONS.indexOf(input.then.type);
  bytes[4] = ACTIONS.indexOf(input.else.type);
  if (compare !== undefined) {
    bytes[1] = FIELDS.indexOf(compare.field) + 1;
    bytes[2] = OPERATORS.indexOf(compare.operator);
    write32(bytes, 8, compare.operand);
  }
  if (input.then.type === "put") write32(bytes, 12, input.then.value);
  if (input.else.type === "put") write32(bytes, 16, input.else.value);
  return bytes;
}

/** Decodes an operation. */
export function decodeKvInput(bytes: Uint8Array): KvInput {
  const compare = bytes[1] === 0 ? undefined : {
    field: FIELDS[bytes[1] - 1],
    operator: OPERATORS[bytes[2]],
    operand: read32(bytes, 8),
  };
  return {
    key: bytes[0],
    compare,
    then: action(bytes[3], read32(bytes, 12)),
    else: action(bytes[4], read32(bytes, 16)),
  };
}

function action(code: number, value: number): KvAction {
  const type = ACTIONS[code];
  return type === "put" ? { type, value } : { type };
}

function write32(bytes: Uint8Array, offset: number, value: number): void {
  bytes[offset] = value;
  bytes[offset + 1] = value >>> 8;
  bytes[offset + 2] = value >>> 16;
  bytes[offset + 3] = value >>> 24;
}

function read32(bytes: Uint8Array, offset: number): number {
  return (bytes[offset] | (bytes[offset + 1] << 8) | (bytes[offset + 2] << 16) |
    (bytes[offset + 3] << 24)) >>> 0;
}
