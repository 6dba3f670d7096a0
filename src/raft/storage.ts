/**
 * What the core asks of a storage: synchronous reads of the stable part of the log. Writing is the
 * host's business (see `RaftStorage` in the storage room).
 *
 * @module
 */

import type { ConfState, HardState, RaftLogEntry, Snapshot } from "./types.ts";

/** What a replica knows when it starts. */
export interface InitialState {
  /** The last durable hard state; `EMPTY_HARD_STATE` when there is none. */
  readonly hardState: HardState;
  /** The configuration as of the last applied configuration change or snapshot. */
  readonly confState: ConfState;
}

/**
 * Synchronous reads of the stable log. The log spans `firstIndex()` to `lastIndex()`; the term at
 * `firstIndex() - 1` (the last compacted entry, or 0 for an untouched log) stays known.
 *
 * Any error other than the typed ones named here stops the replica.
 */
export interface LogStorage {
  /** The state to start from. */
  initialState(): InitialState;
  /**
   * The entries from `low` (inclusive) to `high` (exclusive), cut to the longest prefix whose
   * encoded size (see `entrySize`) is at most `sizeMax` bytes, but at least one entry.
   * The caller owns the array; the entries are shared and immutable.
   *
   * @throws CompactedError when `low` lies before `firstIndex()`.
   * @throws UnavailableError when `high - 1` lies beyond `lastIndex()`.
   */
  entries(low: number, high: number, sizeMax: number): RaftLogEntry[];
  /**
   * The term of the entry at `index`, from `firstIndex() - 1` to `lastIndex()`.
   *
   * @throws CompactedError | UnavailableError outside that range.
   */
  term(index: number): number;
  /** The first index that `entries` can return. */
  firstIndex(): number;
  /** The last index of the log; `firstIndex() - 1` when it holds no entry. */
  lastIndex(): number;
  /**
   * The newest snapshot; its index is at least `firstIndex() - 1`.
   *
   * @throws SnapshotTemporarilyUnavailableError while one is being prepared.
   */
  snapshot(): Snapshot;
}
