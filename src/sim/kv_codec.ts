/**
 * The commands of the simulator's key-value store as bytes: the numbers of comparisons, of operations
 * of the one branch and of the other, a byte each; then each comparison (key, field, operator,
 * operand) and each operation (kind, key, end, value or revision), the last of four as 32 bits,
 * little-endian, the others a byte each.
 *
 * @module
 */

import type { KvCompare, KvField, KvInput, KvOperation } from "./kv_model.ts";

const HEADER_BYTES = 3;
const ITEM_BYTES = 7;
const FIELDS: readonly KvField[] = ["value", "version", "create", "modify"];
const OPERATORS: readonly KvCompare["operator"][] = ["=", "!=", "<", ">"];
const TYPES: readonly KvOperation["type"][] = ["put", "delete", "range"];

/** Encodes a transaction: keys and counts from 0 to 255, other numbers from 0 to 2^32-1. */
export function encodeKvInput(input: KvInput): Uint8Array {
  const { compare, then, else: otherwise } = input;
  const items = compare.length + then.length + otherwise.length;
  const bytes = new Uint8Array(HEADER_BYTES + items * ITEM_BYTES);
  bytes[0] = compare.length;
  bytes[1] = then.length;
  bytes[2] = otherwise.length;
  let position = HEADER_BYTES;
  const write = (a: number, b: number, c: number, number: number): void => {
    bytes[position] = a;
    bytes[position + 1] = b;
    bytes[position + 2] = c;
    write32(bytes, position + 3, number);
    position += ITEM_BYTES;
  };
  for (const { key, field, operator, operand } of compare) {
    write(key, FIELDS.indexOf(field), OPERATORS.indexOf(operator), operand);
  }
  for (const operation of [...then, ...otherwise]) {
    const type = TYPES.indexOf(operation.type);
    if (operation.type === "put") write(type, operation.key, 0, operation.value);
    else if (operation.type === "delete") write(type, operation.key, operation.end, 0);
    else write(type, operation.key, operation.end, operation.revision);
  }
  return bytes;
}

/** Decodes a transaction. */
export function decodeKvInput(bytes: Uint8Array): KvInput {
  let position = HEADER_BYTES;
  const read = <Item>(count: number, item: (position: number) => Item): Item[] => {
    const items: Item[] = [];
    for (; items.length < count; position += ITEM_BYTES) items.push(item(position));
    return items;
  };
  return {
    compare: read(bytes[0], (at) => readCompare(bytes, at)),
    then: read(bytes[1], (at) => readOperation(bytes, at)),
    else: read(bytes[2], (at) => readOperation(bytes, at)),
  };
}

function readCompare(bytes: Uint8Array, position: number): KvCompare {
  return {
    key: bytes[position],
    field: FIELDS[bytes[position + 1]],
    operator: OPERATORS[bytes[position + 2]],
    operand: read32(bytes, position + 3),
  };
}

function readOperation(bytes: Uint8Array, position: number): KvOperation {
  const type = TYPES[bytes[position]];
  const key = bytes[position + 1];
  const end = bytes[position + 2];
  const number = read32(bytes, position + 3);
  if (type === "put") return { type, key, value: number };
  return type === "delete" ? { type, key, end } : { type, key, end, revision: number };
}

/** Writes 32 bits, little-endian. */
export function write32(bytes: Uint8Array, offset: number, value: number): void {
  bytes[offset] = value;
  bytes[offset + 1] = value >>> 8;
  bytes[offset + 2] = value >>> 16;
  bytes[offset + 3] = value >>> 24;
}

/** Reads 32 bits, little-endian. */
export function read32(bytes: Uint8Array, offset: number): number {
  return (bytes[offset] | (bytes[offset + 1] << 8) | (bytes[offset + 2] << 16) |
    (bytes[offset + 3] << 24)) >>> 0;
}
