/**
 * The requests of the store as protobuf messages of the etcd v3 API (`proto/etcd/rpc.proto`): what
 * clients send, and what log entries carry. Unknown fields are passed over, and so never reach the
 * log: members of different versions would apply them differently.
 *
 * @module
 */

import { KvDecodeError, KvEncodeError } from "./errors.ts";
import { LENGTH_DELIMITED, type ProtoReader, type ProtoWriter, VARINT } from "./protobuf.ts";
import {
  type Compare,
  CompareTarget,
  type DeleteRangeRequest,
  type KeyValue,
  NO_BYTES,
  NO_LEASE,
  type PutRequest,
  type RangeRequest,
  type TxnOperation,
  type TxnRequest,
} from "./types.ts";

/** How deep transactions may be nested in each other. */
export const TXN_DEPTH_MAX = 16;

/** Reads an `mvccpb.KeyValue`. @throws KvDecodeError */
export function readKeyValue(reader: ProtoReader): KeyValue {
  let key = NO_BYTES, value = NO_BYTES;
  let createRevision = 0, modRevision = 0, version = 0;
  let lease = NO_LEASE;
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    switch (tag) {
      case 1 << 3 | LENGTH_DELIMITED:
        key = reader.bytes();
        break;
      case 2 << 3 | VARINT:
        createRevision = reader.number();
        break;
      case 3 << 3 | VARINT:
        modRevision = reader.number();
        break;
      case 4 << 3 | VARINT:
        version = reader.number();
        break;
      case 5 << 3 | LENGTH_DELIMITED:
        value = reader.bytes();
        break;
      case 6 << 3 | VARINT:
        lease = reader.bigint();
        break;
      default:
        reader.skip(tag);
    }
  }
  return { key, createRevision, modRevision, version, value, lease };
}

/** Writes an `mvccpb.KeyValue`. */
export function writeKeyValue(writer: ProtoWriter, pair: KeyValue): void {
  writer.bigint(6 << 3 | VARINT, pair.lease);
  writer.bytes(5 << 3 | LENGTH_DELIMITED, pair.value);
  writer.number(4 << 3 | VARINT, pair.version);
  writer.number(3 << 3 | VARINT, pair.modRevision);
  writer.number(2 << 3 | VARINT, pair.createRevision);
  writer.bytes(1 << 3 | LENGTH_DELIMITED, pair.key);
}

/** Reads a `RangeRequest`. @throws KvDecodeError */
export function readRangeRequest(reader: ProtoReader): RangeRequest {
  let key = NO_BYTES, rangeEnd = NO_BYTES;
  let limit = 0, revision = 0, sortOrder = 0, sortTarget = 0;
  let serializable = false, keysOnly = false, countOnly = false;
  let minModRevision = 0, maxModRevision = 0, minCreateRevision = 0, maxCreateRevision = 0;
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    switch (tag) {
      case 1 << 3 | LENGTH_DELIMITED:
        key = reader.bytes();
        break;
      case 2 << 3 | LENGTH_DELIMITED:
        rangeEnd = reader.bytes();
        break;
      case 3 << 3 | VARINT:
        limit = reader.limit();
        break;
      case 4 << 3 | VARINT:
        revision = reader.limit();
        break;
      case 5 << 3 | VARINT:
        sortOrder = reader.int32();
        break;
      case 6 << 3 | VARINT:
        sortTarget = reader.int32();
        break;
      case 7 << 3 | VARINT:
        serializable = reader.bool();
        break;
      case 8 << 3 | VARINT:
        keysOnly = reader.bool();
        break;
      case 9 << 3 | VARINT:
        countOnly = reader.bool();
        break;
      case 10 << 3 | VARINT:
        minModRevision = reader.limit();
        break;
      case 11 << 3 | VARINT:
        maxModRevision = reader.limit();
        break;
      case 12 << 3 | VARINT:
        minCreateRevision = reader.limit();
        break;
      case 13 << 3 | VARINT:
        maxCreateRevision = reader.limit();
        break;
      default:
        reader.skip(tag);
    }
  }
  return {
    key,
    rangeEnd,
    limit,
    revision,
    sortOrder,
    sortTarget,
    serializable,
    keysOnly,
    countOnly,
    minModRevision,
    maxModRevision,
    minCreateRevision,
    maxCreateRevision,
  };
}

/** Writes a `RangeRequest`. */
export function writeRangeRequest(writer: ProtoWriter, request: RangeRequest): void {
  writer.number(13 << 3 | VARINT, request.maxCreateRevision);
  writer.number(12 << 3 | VARINT, request.minCreateRevision);
  writer.number(11 << 3 | VARINT, request.maxModRevision);
  writer.number(10 << 3 | VARINT, request.minModRevision);
  writer.bool(9 << 3 | VARINT, request.countOnly);
  writer.bool(8 << 3 | VARINT, request.keysOnly);
  writer.bool(7 << 3 | VARINT, request.serializable);
  writer.number(6 << 3 | VARINT, request.sortTarget);
  writer.number(5 << 3 | VARINT, request.sortOrder);
  writer.number(4 << 3 | VARINT, request.revision);
  writer.number(3 << 3 | VARINT, request.limit);
  writer.bytes(2 << 3 | LENGTH_DELIMITED, request.rangeEnd);
  writer.bytes(1 << 3 | LENGTH_DELIMITED, request.key);
}

/** Reads a `PutRequest`. @throws KvDecodeError */
export function readPutRequest(reader: ProtoReader): PutRequest {
  let key = NO_BYTES, value = NO_BYTES;
  let lease = NO_LEASE;
  let prevKv = false, ignoreValue = false, ignoreLease = false;
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    switch (tag) {
      case 1 << 3 | LENGTH_DELIMITED:
        key = reader.bytes();
        break;
      case 2 << 3 | LENGTH_DELIMITED:
        value = reader.bytes();
        break;
      case 3 << 3 | VARINT:
        lease = reader.bigint();
        break;
      case 4 << 3 | VARINT:
        prevKv = reader.bool();
        break;
      case 5 << 3 | VARINT:
        ignoreValue = reader.bool();
        break;
      case 6 << 3 | VARINT:
        ignoreLease = reader.bool();
        break;
      default:
        reader.skip(tag);
    }
  }
  return { key, value, lease, prevKv, ignoreValue, ignoreLease };
}

/** Writes a `PutRequest`. */
export function writePutRequest(writer: ProtoWriter, request: PutRequest): void {
  writer.bool(6 << 3 | VARINT, request.ignoreLease);
  writer.bool(5 << 3 | VARINT, request.ignoreValue);
  writer.bool(4 << 3 | VARINT, request.prevKv);
  writer.bigint(3 << 3 | VARINT, request.lease);
  writer.bytes(2 << 3 | LENGTH_DELIMITED, request.value);
  writer.bytes(1 << 3 | LENGTH_DELIMITED, request.key);
}

/** Reads a `DeleteRangeRequest`. @throws KvDecodeError */
export function readDeleteRangeRequest(reader: ProtoReader): DeleteRangeRequest {
  let key = NO_BYTES, rangeEnd = NO_BYTES;
  let prevKv = false;
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    switch (tag) {
      case 1 << 3 | LENGTH_DELIMITED:
        key = reader.bytes();
        break;
      case 2 << 3 | LENGTH_DELIMITED:
        rangeEnd = reader.bytes();
        break;
      case 3 << 3 | VARINT:
        prevKv = reader.bool();
        break;
      default:
        reader.skip(tag);
    }
  }
  return { key, rangeEnd, prevKv };
}

/** Writes a `DeleteRangeRequest`. */
export function writeDeleteRangeRequest(writer: ProtoWriter, request: DeleteRangeRequest): void {
  writer.bool(3 << 3 | VARINT, request.prevKv);
  writer.bytes(2 << 3 | LENGTH_DELIMITED, request.rangeEnd);
  writer.bytes(1 << 3 | LENGTH_DELIMITED, request.key);
}

/**
 * Reads a `Compare`. An operand that does not belong to the target counts as absent: 0, or empty.
 *
 * @throws KvDecodeError
 */
export function readCompare(reader: ProtoReader): Compare {
  let result = 0, target = 0, operandField = 0;
  let key = NO_BYTES, rangeEnd = NO_BYTES;
  let operand: number | bigint | Uint8Array = 0;
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    switch (tag) {
      case 1 << 3 | VARINT:
        result = reader.int32();
        break;
      case 2 << 3 | VARINT:
        target = reader.int32();
        break;
      case 3 << 3 | LENGTH_DELIMITED:
        key = reader.bytes();
        break;
      case 4 << 3 | VARINT:
      case 5 << 3 | VARINT:
      case 6 << 3 | VARINT:
        operandField = tag >>> 3;
        operand = reader.limit();
        break;
      case 7 << 3 | LENGTH_DELIMITED:
        operandField = 7;
        operand = reader.bytes();
        break;
      case 8 << 3 | VARINT:
        operandField = 8;
        operand = reader.bigint();
        break;
      case 64 << 3 | LENGTH_DELIMITED:
        rangeEnd = reader.bytes();
        break;
      default:
        reader.skip(tag);
    }
  }
  if (operandField !== operandFieldOf(target)) operand = absentOperand(target);
  return { result, target, key, rangeEnd, operand };
}

/** Writes a `Compare`. @throws KvEncodeError when the operand is not of the target's type. */
export function writeCompare(writer: ProtoWriter, compare: Compare): void {
  writer.bytes(64 << 3 | LENGTH_DELIMITED, compare.rangeEnd);
  const field = operandFieldOf(compare.target);
  const { operand } = compare;
  if (typeof operand !== typeof absentOperand(compare.target)) {
    writer.reset();
    throw new KvEncodeError(
      `Cannot encode a comparison: target ${compare.target} does not take a ${typeof operand}`,
    );
  }
  if (typeof operand === "number") writer.number(field << 3 | VARINT, operand);
  else if (typeof operand === "bigint") writer.bigint(field << 3 | VARINT, operand);
  else writer.bytes(field << 3 | LENGTH_DELIMITED, operand);
  writer.bytes(3 << 3 | LENGTH_DELIMITED, compare.key);
  writer.number(2 << 3 | VARINT, compare.target);
  writer.number(1 << 3 | VARINT, compare.result);
}

/** The fields 4 to 8 carry the operands of the targets 0 to 4. */
function operandFieldOf(target: number): number {
  return target + 4;
}

function absentOperand(target: number): number | bigint | Uint8Array {
  if (target === CompareTarget.value) return NO_BYTES;
  return target === CompareTarget.lease ? NO_LEASE : 0;
}

/** Reads a `TxnRequest`. @throws KvDecodeError also when nested beyond {@linkcode TXN_DEPTH_MAX} */
export function readTxnRequest(reader: ProtoReader, depth = 1): TxnRequest {
  if (depth > TXN_DEPTH_MAX) {
    throw new KvDecodeError(`Cannot decode transaction: nested deeper than ${TXN_DEPTH_MAX}`);
  }
  const compare: Compare[] = [];
  const success: TxnOperation[] = [];
  const failure: TxnOperation[] = [];
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    switch (tag) {
      case 1 << 3 | LENGTH_DELIMITED:
        compare.push(reader.message(readCompare));
        break;
      case 2 << 3 | LENGTH_DELIMITED:
        success.push(reader.message((nested) => readOperation(nested, depth)));
        break;
      case 3 << 3 | LENGTH_DELIMITED:
        failure.push(reader.message((nested) => readOperation(nested, depth)));
        break;
      default:
        reader.skip(tag);
    }
  }
  return { compare, success, failure };
}

function readOperation(reader: ProtoReader, depth: number): TxnOperation {
  let operation: TxnOperation = { kind: "none" };
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    switch (tag) {
      case 1 << 3 | LENGTH_DELIMITED:
        operation = { kind: "range", request: reader.message(readRangeRequest) };
        break;
      case 2 << 3 | LENGTH_DELIMITED:
        operation = { kind: "put", request: reader.message(readPutRequest) };
        break;
      case 3 << 3 | LENGTH_DELIMITED:
        operation = { kind: "delete-range", request: reader.message(readDeleteRangeRequest) };
        break;
      case 4 << 3 | LENGTH_DELIMITED: {
        const request = reader.message((nested) => readTxnRequest(nested, depth + 1));
        operation = { kind: "txn", request };
        break;
      }
      default:
        reader.skip(tag);
    }
  }
  return operation;
}

/** Writes a `TxnRequest`. */
export function writeTxnRequest(writer: ProtoWriter, request: TxnRequest): void {
  for (let i = request.failure.length - 1; i >= 0; i--) {
    writeOperation(writer, 3 << 3 | LENGTH_DELIMITED, request.failure[i]!);
  }
  for (let i = request.success.length - 1; i >= 0; i--) {
    writeOperation(writer, 2 << 3 | LENGTH_DELIMITED, request.success[i]!);
  }
  for (let i = request.compare.length - 1; i >= 0; i--) {
    const end = writer.written;
    writeCompare(writer, request.compare[i]!);
    writer.message(1 << 3 | LENGTH_DELIMITED, end);
  }
}

function writeOperation(writer: ProtoWriter, tag: number, operation: TxnOperation): void {
  const end = writer.written;
  switch (operation.kind) {
    case "range":
      writeRangeRequest(writer, operation.request);
      writer.message(1 << 3 | LENGTH_DELIMITED, end);
      break;
    case "put":
      writePutRequest(writer, operation.request);
      writer.message(2 << 3 | LENGTH_DELIMITED, end);
      break;
    case "delete-range":
      writeDeleteRangeRequest(writer, operation.request);
      writer.message(3 << 3 | LENGTH_DELIMITED, end);
      break;
    case "txn":
      writeTxnRequest(writer, operation.request);
      writer.message(4 << 3 | LENGTH_DELIMITED, end);
      break;
    case "none":
      break;
  }
  writer.message(tag, end);
}
