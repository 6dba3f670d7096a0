/**
 * Answering range requests: which keys, at which revision, filtered, sorted and cut as etcd does it.
 *
 * @module
 */

import { KvReadError } from "./errors.ts";
import {
  type KeyValue,
  NO_BYTES,
  type RangeRequest,
  type RangeResult,
  SortOrder,
  SortTarget,
} from "./types.ts";
import type { KeyRange, VersionTable } from "./version_table.ts";

/** The state of the store a read is made in. */
export interface ReadState {
  /** The newest revision that may be asked for, and that a read of the newest state answers with. */
  readonly revision: number;
  /** The oldest revision that may be asked for. */
  readonly compactedRevision: number;
}

/** The keys a request names: undefined when it names a single one. */
export function keyRangeOf(key: Uint8Array, rangeEnd: Uint8Array): KeyRange | undefined {
  if (rangeEnd.length === 0) return undefined;
  const unbounded = rangeEnd.length === 1 && rangeEnd[0] === 0;
  return { key, end: unbounded ? undefined : rangeEnd };
}

/** Refuses a revision that cannot be read. @throws KvReadError */
export function checkRevision(asked: number, state: ReadState): void {
  if (asked > state.revision) throw new KvReadError("future-revision", asked, state.revision);
  if (asked > 0 && asked < state.compactedRevision) {
    throw new KvReadError("compacted", asked, state.compactedRevision);
  }
}

/** Answers a range request. @throws KvReadError when the revision is in the future or compacted */
export function readRange(
  versions: VersionTable,
  request: RangeRequest,
  state: ReadState,
): RangeResult {
  checkRevision(request.revision, state);
  const past = request.revision > 0 && request.revision < state.revision;
  const { pairs, count } = past ? readPast(versions, request) : readNewest(versions, request);
  if (request.countOnly) {
    return { kind: "range", revision: state.revision, pairs: [], more: false, count };
  }
  const chosen = isPlain(request) ? pairs : sortPairs(filterPairs(pairs, request), request);
  const more = request.limit > 0 && chosen.length > request.limit;
  const cut = more ? chosen.slice(0, request.limit) : chosen;
  return {
    kind: "range",
    revision: state.revision,
    pairs: request.keysOnly ? cut.map(withoutValue) : cut,
    more,
    count,
  };
}

interface Found {
  readonly pairs: KeyValue[];
  readonly count: number;
}

function readNewest(versions: VersionTable, request: RangeRequest): Found {
  const range = keyRangeOf(request.key, request.rangeEnd);
  if (range === undefined) {
    const pair = versions.newest(request.key);
    if (pair === undefined) return { pairs: [], count: 0 };
    return { pairs: [pair], count: 1 };
  }
  if (request.countOnly) return { pairs: [], count: versions.countNewest(range) };
  const limit = readLimit(request);
  const pairs = versions.newestRange(range, limit, needsValues(request));
  const complete = limit < 0 || pairs.length < limit;
  return { pairs, count: complete ? pairs.length : versions.countNewest(range) };
}

function readPast(versions: VersionTable, request: RangeRequest): Found {
  const range = keyRangeOf(request.key, request.rangeEnd) ??
    { key: request.key, end: successor(request.key) };
  const limit = request.countOnly ? 0 : readLimit(request);
  return versions.pastRange(range, request.revision, limit, needsValues(request));
}

/** The smallest key after `key`. */
function successor(key: Uint8Array): Uint8Array {
  const next = new Uint8Array(key.length + 1);
  next.set(key);
  return next;
}

/** One more than asked for, to know whether there is more; -1 when all must be looked at. */
function readLimit(request: RangeRequest): number {
  return request.limit > 0 && request.limit < Number.MAX_SAFE_INTEGER && isPlain(request)
    ? request.limit + 1
    : -1;
}

/** Whether the order of keys, unfiltered, is what was asked for. */
function isPlain(request: RangeRequest): boolean {
  return effectiveOrder(request) !== SortOrder.descend && request.sortTarget === SortTarget.key &&
    request.minModRevision === 0 && request.maxModRevision === 0 &&
    request.minCreateRevision === 0 && request.maxCreateRevision === 0;
}

function effectiveOrder(request: RangeRequest): number {
  return request.sortOrder === SortOrder.descend ? SortOrder.descend : SortOrder.ascend;
}

/** Values are needed to sort by them, even when they are not to be returned. */
function needsValues(request: RangeRequest): boolean {
  return !request.keysOnly && !request.countOnly || request.sortTarget === SortTarget.value;
}

function withoutValue(pair: KeyValue): KeyValue {
  return pair.value.length === 0 ? pair : { ...pair, value: NO_BYTES };
}

function filterPairs(pairs: KeyValue[], request: RangeRequest): KeyValue[] {
  const { minModRevision, maxModRevision, minCreateRevision, maxCreateRevision } = request;
  return pairs.filter((pair) =>
    (maxModRevision === 0 || pair.modRevision <= maxModRevision) &&
    (minModRevision === 0 || pair.modRevision >= minModRevision) &&
    (maxCreateRevision === 0 || pair.createRevision <= maxCreateRevision) &&
    (minCreateRevision === 0 || pair.createRevision >= minCreateRevision)
  );
}

function sortPairs(pairs: KeyValue[], request: RangeRequest): KeyValue[] {
  const compare = comparison(request.sortTarget);
  const sign = effectiveOrder(request) === SortOrder.descend ? -1 : 1;
  return pairs.sort((a, b) => sign * compare(a, b));
}

function comparison(target: number): (a: KeyValue, b: KeyValue) => number {
  switch (target) {
    case SortTarget.version:
      return (a, b) => a.version - b.version;
    case SortTarget.create:
      return (a, b) => a.createRevision - b.createRevision;
    case SortTarget.mod:
      return (a, b) => a.modRevision - b.modRevision;
    case SortTarget.value:
      return (a, b) => compareBytes(a.value, b.value);
    default:
      return (a, b) => compareBytes(a.key, b.key);
  }
}

/** The order of keys and values: byte by byte, the shorter first. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const difference = a[i]! - b[i]!;
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}
