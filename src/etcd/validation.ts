/**
 * What is refused before it reaches the log, in etcd's order and with etcd's texts.
 *
 * @module
 */

import {
  type DeleteRangeRequest,
  NO_LEASE,
  type PutRequest,
  type RangeRequest,
  SortOrder,
  SortTarget,
  type TxnOperation,
  type TxnRequest,
} from "../kv/mod.ts";
import { EtcdStatus, type StatusError } from "./status_errors.ts";

/** Refuses a range request without a key or with a sort option that does not exist. */
export function checkRange(request: RangeRequest): StatusError | undefined {
  if (request.key.length === 0) return EtcdStatus.keyNotProvided;
  if (!within(request.sortOrder, SortOrder.descend)) return EtcdStatus.invalidSortOption;
  if (!within(request.sortTarget, SortTarget.value)) return EtcdStatus.invalidSortOption;
  return undefined;
}

function within(value: number, max: number): boolean {
  return value >= 0 && value <= max;
}

/** Refuses a put without a key, or with something it asks to keep. */
export function checkPut(request: PutRequest): StatusError | undefined {
  if (request.key.length === 0) return EtcdStatus.keyNotProvided;
  if (request.ignoreValue && request.value.length > 0) return EtcdStatus.valueProvided;
  if (request.ignoreLease && request.lease !== NO_LEASE) return EtcdStatus.leaseProvided;
  return undefined;
}

/** Refuses a deletion without a key. */
export function checkDeleteRange(request: DeleteRangeRequest): StatusError | undefined {
  return request.key.length === 0 ? EtcdStatus.keyNotProvided : undefined;
}

/**
 * Refuses a transaction with too many operations, with one that is malformed, or with writes of one
 * branch that meet the same key.
 *
 * @param operationsMax how many comparisons, and operations a branch, there may be.
 */
export function checkTxn(request: TxnRequest, operationsMax: number): StatusError | undefined {
  const error = checkTxnShape(request, operationsMax);
  if (error !== undefined) return error;
  const branches = [collectWrites(request.success), collectWrites(request.failure)];
  return branches.includes(undefined) ? EtcdStatus.duplicateKey : undefined;
}

function checkTxnShape(request: TxnRequest, operationsMax: number): StatusError | undefined {
  const { compare, success, failure } = request;
  const operations = Math.max(compare.length, success.length, failure.length);
  if (operations > operationsMax) return EtcdStatus.tooManyOperations;
  if (compare.some(({ key }) => key.length === 0)) return EtcdStatus.keyNotProvided;
  for (const operation of [...success, ...failure]) {
    const error = checkOperation(operation, operationsMax - operations);
    if (error !== undefined) return error;
  }
  return undefined;
}

function checkOperation(operation: TxnOperation, operationsMax: number): StatusError | undefined {
  switch (operation.kind) {
    case "range":
      return checkRange(operation.request);
    case "put":
      return checkPut(operation.request);
    case "delete-range":
      return checkDeleteRange(operation.request);
    case "txn":
      return checkTxnShape(operation.request, operationsMax);
    case "none":
      return EtcdStatus.keyNotFound;
  }
}

/** Keys as text, one character a byte: ordered as bytes are. */
interface Writes {
  readonly puts: Set<string>;
  readonly deletes: { readonly from: string; readonly end: string | undefined }[];
}

/**
 * The writes of a branch and of those nested in it, or undefined when two of them meet: a key put
 * twice, or put and deleted. The two branches of a nested transaction may meet each other.
 */
function collectWrites(operations: readonly TxnOperation[]): Writes | undefined {
  const writes: Writes = { puts: new Set(), deletes: [] };
  for (const operation of operations) {
    if (operation.kind === "delete-range") writes.deletes.push(deletion(operation.request));
  }
  for (const operation of operations) {
    if (operation.kind !== "txn") continue;
    const nested = collectNested(operation.request);
    if (nested === undefined || !addPuts(writes, nested.puts)) return undefined;
    writes.deletes.push(...nested.deletes);
  }
  const own = operations.filter((operation) => operation.kind === "put");
  for (const { request } of own) {
    if (!addPuts(writes, new Set([latin1(request.key)]))) return undefined;
  }
  return writes;
}

function collectNested(request: TxnRequest): Writes | undefined {
  const success = collectWrites(request.success);
  const failure = collectWrites(request.failure);
  if (success === undefined || failure === undefined) return undefined;
  return {
    puts: new Set([...success.puts, ...failure.puts]),
    deletes: [...success.deletes, ...failure.deletes],
  };
}

function addPuts(writes: Writes, puts: Set<string>): boolean {
  for (const key of puts) {
    if (writes.puts.has(key)) return false;
    const deleted = writes.deletes.some(({ from, end }) =>
      key >= from && (end === undefined || key < end)
    );
    if (deleted) return false;
    writes.puts.add(key);
  }
  return true;
}

function deletion(request: DeleteRangeRequest): { from: string; end: string | undefined } {
  const from = latin1(request.key);
  if (request.rangeEnd.length === 0) return { from, end: from + "\0" };
  const end = latin1(request.rangeEnd);
  return { from, end: end === "\0" ? undefined : end };
}

function latin1(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}
