/**
 * The data model of the key-value store: stored versions, requests and results. Names, meanings and
 * defaults are those of the etcd v3 API, so that the two convert without loss; a request is complete
 * (every field set), which {@linkcode rangeRequest} and its siblings help with.
 *
 * @module
 */

/** Bytes of length 0: the value of an absent field. */
export const NO_BYTES: Uint8Array = new Uint8Array(0);

/** The lease of a key that has none. */
export const NO_LEASE = 0n;

/** One version of a key. */
export interface KeyValue {
  /** 1 byte or more. */
  readonly key: Uint8Array;
  /** The revision at which the key was last created. */
  readonly createRevision: number;
  /** The revision that wrote this version. */
  readonly modRevision: number;
  /** 1 at creation, one more with each put. */
  readonly version: number;
  /** Empty also when only keys were asked for. */
  readonly value: Uint8Array;
  /** The lease it is attached to, an exact 64-bit integer, or {@linkcode NO_LEASE}. */
  readonly lease: bigint;
}

/** The order of a range: `none` is ascending by the target, except for keys, which always are. */
export const SortOrder = { none: 0, ascend: 1, descend: 2 } as const;

/** What a range is ordered by. */
export const SortTarget = { key: 0, version: 1, create: 2, mod: 3, value: 4 } as const;

/** A read of one key, of the keys from `key` up to but without `rangeEnd`, or from `key` on. */
export interface RangeRequest {
  /** The key, not empty; in a range the first one. */
  readonly key: Uint8Array;
  /** Empty: `key` alone. One zero byte: every key from `key` on. */
  readonly rangeEnd: Uint8Array;
  /** At most this many pairs; 0 for all. */
  readonly limit: number;
  /** Read as of this revision; 0 for the newest. */
  readonly revision: number;
  /** One of {@linkcode SortOrder}; as received, so that a server can refuse what it does not know. */
  readonly sortOrder: number;
  /** One of {@linkcode SortTarget}. Equal targets are in ascending order of keys. */
  readonly sortTarget: number;
  /** Read the member's own state without a barrier; of no meaning to the store itself. */
  readonly serializable: boolean;
  /** Leave the values out. */
  readonly keysOnly: boolean;
  /** Return no pairs, only their count. */
  readonly countOnly: boolean;
  /** Leave out pairs modified before this revision; 0 for none. */
  readonly minModRevision: number;
  /** Leave out pairs modified after it; 0 for none. */
  readonly maxModRevision: number;
  /** Leave out pairs created before it; 0 for none. */
  readonly minCreateRevision: number;
  /** Leave out pairs created after it; 0 for none. */
  readonly maxCreateRevision: number;
}

/** A write of one key. */
export interface PutRequest {
  /** The key, not empty; in a range the first one. */
  readonly key: Uint8Array;
  /** The value. */
  readonly value: Uint8Array;
  /** The lease to attach the key to, or {@linkcode NO_LEASE}. */
  readonly lease: bigint;
  /** Return the pair as it was before. */
  readonly prevKv: boolean;
  /** Keep the value; the key must exist. */
  readonly ignoreValue: boolean;
  /** Keep the lease; the key must exist. */
  readonly ignoreLease: boolean;
}

/** A deletion of one key or of a range, which is given as in {@linkcode RangeRequest}. */
export interface DeleteRangeRequest {
  /** The key, not empty; in a range the first one. */
  readonly key: Uint8Array;
  /**
   * Where the range ends, as etcd has it: empty for one key, a single 0 for all from the key on.
   */
  readonly rangeEnd: Uint8Array;
  /** Return the pairs as they were before. */
  readonly prevKv: boolean;
}

/** How a {@linkcode Compare} relates what is stored (left) to its operand (right). */
export const CompareResult = { equal: 0, greater: 1, less: 2, notEqual: 3 } as const;

/** What a {@linkcode Compare} looks at. */
export const CompareTarget = { version: 0, create: 1, mod: 2, value: 3, lease: 4 } as const;

/**
 * A condition of a transaction; on a range it must hold for every key. An absent key compares as
 * version, revisions and lease 0, and never equals, nor differs from, any value.
 */
export interface Compare {
  /** One of {@linkcode CompareResult}. */
  readonly result: number;
  /** One of {@linkcode CompareTarget}. */
  readonly target: number;
  /** The key, not empty; in a range the first one. */
  readonly key: Uint8Array;
  /**
   * Where the range ends, as etcd has it: empty for one key, a single 0 for all from the key on.
   */
  readonly rangeEnd: Uint8Array;
  /** Bytes for `value`, a bigint for `lease`, else a number. */
  readonly operand: number | bigint | Uint8Array;
}

/** One operation of a transaction; `none` is one that this build does not know. */
export type TxnOperation =
  | { readonly kind: "range"; readonly request: RangeRequest }
  | { readonly kind: "put"; readonly request: PutRequest }
  | { readonly kind: "delete-range"; readonly request: DeleteRangeRequest }
  | { readonly kind: "txn"; readonly request: TxnRequest }
  | { readonly kind: "none" };

/** If all of `compare` hold then `success`, else `failure`, as one atomic step of one revision. */
export interface TxnRequest {
  /** What must hold, all of it. */
  readonly compare: readonly Compare[];
  /** What is done when it holds. */
  readonly success: readonly TxnOperation[];
  /** What is done otherwise. */
  readonly failure: readonly TxnOperation[];
}

/** What a log entry of the store asks for. */
export type KvCommand =
  | { readonly kind: "put"; readonly request: PutRequest }
  | { readonly kind: "delete-range"; readonly request: DeleteRangeRequest }
  | { readonly kind: "txn"; readonly request: TxnRequest };

/** What a put did. */
export interface PutResult {
  /** Tells it from other results. */
  readonly kind: "put";
  /** The revision of the store after it. */
  readonly revision: number;
  /** The pair before it, when asked for and existing. */
  readonly previous: KeyValue | undefined;
}

/** What a deletion did. */
export interface DeleteRangeResult {
  /** Tells it from other results. */
  readonly kind: "delete-range";
  /** The revision of the store after it; unchanged when nothing was deleted. */
  readonly revision: number;
  /** How many keys were deleted. */
  readonly deleted: number;
  /** The pairs before it, in the order of keys, when asked for. */
  readonly previous: readonly KeyValue[];
}

/** What a read found. */
export interface RangeResult {
  /** Tells it from other results. */
  readonly kind: "range";
  /** The revision of the store when it was read, also for a read in the past. */
  readonly revision: number;
  /** What was found, in order. */
  readonly pairs: readonly KeyValue[];
  /** Whether the limit left pairs out. */
  readonly more: boolean;
  /** How many keys are in the range, whatever limit and filters say. */
  readonly count: number;
}

/** What a transaction did: one result an operation of the branch that was taken. */
export interface TxnResult {
  /** Tells it from other results. */
  readonly kind: "txn";
  /** The revision of the store after it. */
  readonly revision: number;
  /** Whether the comparisons held. */
  readonly succeeded: boolean;
  /** What each operation came to, in their order. */
  readonly results: readonly KvSuccess[];
}

/** The result of an operation this build does not know; it did nothing. */
export interface NoResult {
  /** Tells it from other results. */
  readonly kind: "none";
}

/** What a command that was carried out yields. */
export type KvSuccess = PutResult | DeleteRangeResult | RangeResult | TxnResult | NoResult;

/** Why a command was refused. */
export type KvFailureReason =
  | "malformed-command"
  | "unknown-command-version"
  | "unknown-command"
  | "key-not-provided"
  | "key-not-found"
  | "lease-not-found"
  | "compacted"
  | "future-revision";

/** A command was refused and changed nothing; the same on every member. */
export interface KvFailure {
  /** Tells it from other results. */
  readonly kind: "failure";
  /** The revision of the store, unchanged. */
  readonly revision: number;
  /** Why nothing was done. */
  readonly reason: KvFailureReason;
  /** For people: what was expected and found. */
  readonly message: string;
}

/** What applying one command yields. */
export type KvResult = KvSuccess | KvFailure;

/** A range request with etcd's defaults: one key, the newest revision, values included. */
export function rangeRequest(
  request: Partial<RangeRequest> & Pick<RangeRequest, "key">,
): RangeRequest {
  return {
    key: request.key,
    rangeEnd: request.rangeEnd ?? NO_BYTES,
    limit: request.limit ?? 0,
    revision: request.revision ?? 0,
    sortOrder: request.sortOrder ?? SortOrder.none,
    sortTarget: request.sortTarget ?? SortTarget.key,
    serializable: request.serializable ?? false,
    keysOnly: request.keysOnly ?? false,
    countOnly: request.countOnly ?? false,
    minModRevision: request.minModRevision ?? 0,
    maxModRevision: request.maxModRevision ?? 0,
    minCreateRevision: request.minCreateRevision ?? 0,
    maxCreateRevision: request.maxCreateRevision ?? 0,
  };
}

/** A put request with etcd's defaults: no lease, nothing kept, no previous pair. */
export function putRequest(
  request: Partial<PutRequest> & Pick<PutRequest, "key">,
): PutRequest {
  return {
    key: request.key,
    value: request.value ?? NO_BYTES,
    lease: request.lease ?? NO_LEASE,
    prevKv: request.prevKv ?? false,
    ignoreValue: request.ignoreValue ?? false,
    ignoreLease: request.ignoreLease ?? false,
  };
}

/** A delete request with etcd's defaults: one key, no previous pairs. */
export function deleteRangeRequest(
  request: Partial<DeleteRangeRequest> & Pick<DeleteRangeRequest, "key">,
): DeleteRangeRequest {
  return {
    key: request.key,
    rangeEnd: request.rangeEnd ?? NO_BYTES,
    prevKv: request.prevKv ?? false,
  };
}

/** The range end that makes a range of all keys that begin with `prefix`; empty for every key. */
export function prefixRangeEnd(prefix: Uint8Array): Uint8Array {
  for (let i = prefix.length - 1; i >= 0; i--) {
    if (prefix[i]! < 0xff) {
      const end = prefix.slice(0, i + 1);
      end[i] = end[i]! + 1;
      return end;
    }
  }
  return Uint8Array.of(0);
}
