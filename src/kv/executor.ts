/**
 * Carrying out commands: puts, deletions and transactions with etcd's rules. A command either changes
 * the store as one revision, or is refused as a failure and changes nothing; it never throws because
 * of what it asks for.
 *
 * @module
 */

import type { CommandRefusal } from "./command_codec.ts";
import { KvReadError } from "./errors.ts";
import { checkRevision, compareBytes, keyRangeOf, readRange, type ReadState } from "./range.ts";
import type { Meta } from "./schema.ts";
import {
  type Compare,
  CompareResult,
  CompareTarget,
  type DeleteRangeRequest,
  type DeleteRangeResult,
  type KeyValue,
  type KvCommand,
  type KvFailure,
  type KvFailureReason,
  type KvResult,
  type KvSuccess,
  NO_BYTES,
  NO_LEASE,
  type PutRequest,
  type PutResult,
  type TxnOperation,
  type TxnRequest,
  type TxnResult,
} from "./types.ts";
import type { KeyRange, VersionTable } from "./version_table.ts";

/** Carries out commands, one after the other, inside a database transaction that its owner holds. */
export class Executor {
  readonly #versions: VersionTable;
  readonly #meta: Meta;
  /** Whether the command under way has changed something: then its revision has begun. */
  #changed = false;

  /** @param meta is moved on by every command that changes something. */
  constructor(versions: VersionTable, meta: Meta) {
    this.#versions = versions;
    this.#meta = meta;
  }

  /** Carries out one command. */
  execute(command: KvCommand | CommandRefusal): KvResult {
    if (command.kind === "refused") return this.#failure(command.reason, command.message);
    this.#changed = false;
    const result = this.#dispatch(command);
    if (this.#changed) this.#meta.revision++;
    return result;
  }

  #dispatch(command: KvCommand): KvResult {
    switch (command.kind) {
      case "put":
        return this.#checkPut(command.request) ?? this.#put(command.request);
      case "delete-range":
        return this.#checkKey(command.request.key) ?? this.#deleteRange(command.request);
      case "txn":
        return this.#transaction(command.request);
    }
  }

  #failure(reason: KvFailureReason, message: string): KvFailure {
    return { kind: "failure", revision: this.#meta.revision, reason, message };
  }

  #checkKey(key: Uint8Array): KvFailure | undefined {
    if (key.length > 0) return undefined;
    return this.#failure("key-not-provided", "Cannot apply command as its key is empty");
  }

  #checkPut(request: PutRequest): KvFailure | undefined {
    const failure = this.#checkKey(request.key);
    if (failure !== undefined) return failure;
    if (request.lease !== NO_LEASE) {
      return this.#failure("lease-not-found", `Cannot put as there is no lease ${request.lease}`);
    }
    if (!request.ignoreValue && !request.ignoreLease) return undefined;
    const head = this.#versions.head(request.key);
    if (head !== undefined && head.version > 0) return undefined;
    return this.#failure("key-not-found", "Cannot keep the value or lease of a key that is absent");
  }

  #put(request: PutRequest): PutResult {
    const { key } = request;
    const revision = this.#meta.revision + 1;
    const needsPair = request.prevKv || request.ignoreValue || request.ignoreLease;
    const pair = needsPair ? this.#versions.newest(key) : undefined;
    const head = this.#versions.head(key);
    const exists = head !== undefined && head.version > 0;
    this.#versions.append(++this.#meta.sequence, {
      key,
      revision,
      createRevision: exists ? head.createRevision : revision,
      version: exists ? head.version + 1 : 1,
      // Gone when the same transaction deleted it just before.
      lease: request.ignoreLease ? pair?.lease ?? NO_LEASE : request.lease,
      value: request.ignoreValue ? pair?.value ?? NO_BYTES : request.value,
    }, head);
    this.#changed = true;
    return { kind: "put", revision, previous: request.prevKv ? pair : undefined };
  }

  #deleteRange(request: DeleteRangeRequest): DeleteRangeResult {
    const range = keyRangeOf(request.key, request.rangeEnd);
    const previous = request.prevKv ? this.#newestPairs(request.key, range) : [];
    const keys = range === undefined ? [request.key] : this.#versions.newestKeys(range);
    let deleted = 0;
    for (const key of keys) {
      if (this.#delete(key)) deleted++;
    }
    return { kind: "delete-range", revision: this.#revision(), deleted, previous };
  }

  #newestPairs(key: Uint8Array, range: KeyRange | undefined): KeyValue[] {
    if (range !== undefined) return this.#versions.newestRange(range, -1, true);
    const pair = this.#versions.newest(key);
    return pair === undefined ? [] : [pair];
  }

  #delete(key: Uint8Array): boolean {
    const head = this.#versions.head(key);
    if (head === undefined || head.version === 0) return false;
    this.#versions.append(++this.#meta.sequence, {
      key,
      revision: this.#meta.revision + 1,
      createRevision: 0,
      version: 0,
      lease: NO_LEASE,
      value: NO_BYTES,
    }, head);
    this.#changed = true;
    return true;
  }

  /** The revision of the store as the command under way sees it. */
  #revision(): number {
    return this.#meta.revision + (this.#changed ? 1 : 0);
  }

  #readState(): ReadState {
    return { revision: this.#revision(), compactedRevision: this.#meta.compactedRevision };
  }

  /**
   * Every comparison, nested ones included, sees the state before the transaction; all that could
   * fail is checked before anything is written.
   */
  #transaction(request: TxnRequest): KvResult {
    const path: boolean[] = [];
    this.#compareAll(request, path);
    const failure = this.#checkBranch(request, path.values());
    return failure ?? this.#runBranch(request, path.values());
  }

  /** Appends which branch is taken, of the transaction and then of those nested in that branch. */
  #compareAll(request: TxnRequest, path: boolean[]): void {
    const holds = request.compare.every((compare) => this.#holds(compare));
    path.push(holds);
    for (const operation of holds ? request.success : request.failure) {
      if (operation.kind === "txn") this.#compareAll(operation.request, path);
    }
  }

  #holds(compare: Compare): boolean {
    const range = keyRangeOf(compare.key, compare.rangeEnd);
    const pairs = this.#newestPairs(compare.key, range);
    if (pairs.length > 0) return pairs.every((pair) => compareHolds(compare, pair));
    return compare.target !== CompareTarget.value && compareHolds(compare, ABSENT);
  }

  #checkBranch(request: TxnRequest, path: Iterator<boolean>): KvFailure | undefined {
    const operations = path.next().value === true ? request.success : request.failure;
    for (const operation of operations) {
      const failure = operation.kind === "txn"
        ? this.#checkBranch(operation.request, path)
        : this.#checkOperation(operation);
      if (failure !== undefined) return failure;
    }
    return undefined;
  }

  #checkOperation(operation: TxnOperation): KvFailure | undefined {
    if (operation.kind === "put") return this.#checkPut(operation.request);
    if (operation.kind === "delete-range") return this.#checkKey(operation.request.key);
    if (operation.kind !== "range") return undefined;
    const failure = this.#checkKey(operation.request.key);
    if (failure !== undefined) return failure;
    try {
      checkRevision(operation.request.revision, this.#readState());
    } catch (error) {
      if (!(error instanceof KvReadError)) throw error;
      return this.#failure(error.reason, error.message);
    }
    return undefined;
  }

  #runBranch(request: TxnRequest, path: Iterator<boolean>): TxnResult {
    const succeeded = path.next().value === true;
    const results: KvSuccess[] = [];
    for (const operation of succeeded ? request.success : request.failure) {
      results.push(this.#runOperation(operation, path));
    }
    return { kind: "txn", revision: this.#revision(), succeeded, results };
  }

  #runOperation(operation: TxnOperation, path: Iterator<boolean>): KvSuccess {
    switch (operation.kind) {
      case "range":
        return readRange(this.#versions, operation.request, this.#readState());
      case "put":
        return this.#put(operation.request);
      case "delete-range":
        return this.#deleteRange(operation.request);
      case "txn":
        return this.#runBranch(operation.request, path);
      case "none":
        return { kind: "none" };
    }
  }
}

/** What an absent key compares as. */
const ABSENT: KeyValue = {
  key: NO_BYTES,
  createRevision: 0,
  modRevision: 0,
  version: 0,
  value: NO_BYTES,
  lease: NO_LEASE,
};

function compareHolds(compare: Compare, pair: KeyValue): boolean {
  const order = compareOperand(compare, pair);
  if (Number.isNaN(order)) return false;
  switch (compare.result) {
    case CompareResult.equal:
      return order === 0;
    case CompareResult.greater:
      return order > 0;
    case CompareResult.less:
      return order < 0;
    case CompareResult.notEqual:
      return order !== 0;
    default:
      return false;
  }
}

/**
 * Negative, 0 or positive as what is stored is less than, equal to or greater than the operand; not
 * a number when the target is unknown.
 */
function compareOperand(compare: Compare, pair: KeyValue): number {
  const { operand } = compare;
  switch (compare.target) {
    case CompareTarget.value:
      return compareBytes(pair.value, operand as Uint8Array);
    case CompareTarget.lease:
      return pair.lease === operand ? 0 : pair.lease < (operand as bigint) ? -1 : 1;
    case CompareTarget.create:
      return pair.createRevision - (operand as number);
    case CompareTarget.mod:
      return pair.modRevision - (operand as number);
    case CompareTarget.version:
      return pair.version - (operand as number);
    default:
      return Number.NaN;
  }
}
