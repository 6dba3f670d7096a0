/**
 * What a storage knows of a region besides its entries, and how each kind of write changes it. These
 * functions are pure and hold the rules of the contract, so that every storage refuses the same
 * writes: a wrong write is a bug of its caller and must never reach a disk.
 *
 * @module
 */

import {
  type ConfState,
  createConfState,
  EMPTY_HARD_STATE,
  type HardState,
  NO_PEER,
  PEER_ID_MAX,
  type RaftLogEntry,
  type Snapshot,
  type SnapshotMetadata,
} from "../raft/mod.ts";
import type { LogWrite, NodeIdentity, RegionBootstrap } from "./contract.ts";
import { StorageError, type StorageErrorCode } from "./errors.ts";

/** The state of a region as of one write. Immutable: every write makes a new one. */
export interface RegionState {
  /** Its commit index is at least `truncatedIndex` and `confStateIndex`. */
  readonly hardState: HardState;
  /** Its configuration. */
  readonly confState: ConfState;
  /** The index whose application made `confState`. */
  readonly confStateIndex: number;
  /** The last index that compaction or a snapshot discarded; 0 for an untouched log. */
  readonly truncatedIndex: number;
  /** The term of that entry. */
  readonly truncatedTerm: number;
  /** The last entry; equals `truncatedIndex` when the log is empty. */
  readonly lastIndex: number;
  /** The term of the last entry. */
  readonly lastTerm: number;
  /** The stored snapshot, at or after `truncatedIndex`; its data is kept elsewhere. */
  readonly snapshot: SnapshotMetadata | undefined;
}

/** The term of an entry, known for `truncatedIndex` to `lastIndex`. */
export type TermLookup = (index: number) => number;

/** The state a region starts from. */
export function createRegionState(initial: SnapshotMetadata | undefined): RegionState {
  const index = initial?.index ?? 0;
  const term = initial?.term ?? 0;
  return {
    hardState: { currentTerm: 0, votedFor: NO_PEER, commitIndex: index },
    confState: initial?.confState ?? createConfState(),
    confStateIndex: index,
    truncatedIndex: index,
    truncatedTerm: term,
    lastIndex: index,
    lastTerm: term,
    snapshot: initial,
  };
}

/** The state after {@linkcode LogWrite}. @throws StorageError when it breaks a rule of the log. */
export function afterAppend(state: RegionState, write: LogWrite, termAt: TermLookup): RegionState {
  let next = state;
  if (write.snapshot !== undefined) next = afterInstall(next, write.snapshot.metadata);
  const entries = write.entries;
  if (entries !== undefined && entries.length > 0) {
    next = afterEntries(next, entries, next === state ? termAt : undefined);
  }
  if (write.hardState !== undefined) next = afterHardState(next, write.hardState);
  return next;
}

function afterInstall(state: RegionState, metadata: SnapshotMetadata): RegionState {
  const { index, term, confState } = metadata;
  checkMetadata(metadata);
  if (index < state.hardState.commitIndex) {
    refuse(
      "STORAGE_COMMITTED",
      `Cannot install a snapshot of index ${index} as entries up to ` +
        `${state.hardState.commitIndex} are committed: install a newer one`,
    );
  }
  return {
    hardState: withCommit(state.hardState, index),
    confState,
    confStateIndex: index,
    truncatedIndex: index,
    truncatedTerm: term,
    lastIndex: index,
    lastTerm: term,
    snapshot: metadata,
  };
}

function afterEntries(
  state: RegionState,
  entries: readonly RaftLogEntry[],
  termAt: TermLookup | undefined,
): RegionState {
  const first = entries[0].index;
  checkInteger("The index of an entry", first, 1);
  if (first > state.lastIndex + 1) {
    refuse(
      "STORAGE_GAP",
      `Cannot append an entry of index ${first} as the log ends at ${state.lastIndex}: ` +
        `the next index must be ${state.lastIndex + 1} or lower`,
    );
  }
  if (first <= state.hardState.commitIndex) {
    refuse(
      "STORAGE_COMMITTED",
      `Cannot replace the log from index ${first} on as entries up to ` +
        `${state.hardState.commitIndex} are committed`,
    );
  }
  let term = first > state.lastIndex || termAt === undefined ? state.lastTerm : termAt(first - 1);
  for (let i = 0; i < entries.length; i++) {
    const entry = entries[i];
    if (entry.index !== first + i) {
      refuse(
        "STORAGE_GAP",
        `Cannot append entries of index ${first + i - 1} and ${entry.index} in one write: ` +
          "indices must follow each other",
      );
    }
    if (!Number.isSafeInteger(entry.term) || entry.term < term) {
      refuse(
        "STORAGE_REGRESSION",
        `Cannot append the entry of index ${entry.index} as its term must be an integer >= ${term}, ` +
          `that of the entry before it: current value is ${entry.term}`,
      );
    }
    term = entry.term;
  }
  const lastIndex = first + entries.length - 1;
  checkInteger("The index of an entry", lastIndex, 1);
  // A snapshot of its own may lie beyond a truncation only if it was taken of uncommitted entries,
  // which compaction refuses by counting its index as committed.
  return { ...state, lastIndex, lastTerm: term };
}

function afterHardState(state: RegionState, hardState: HardState): RegionState {
  const { currentTerm, votedFor, commitIndex } = hardState;
  const old = state.hardState;
  checkInteger("currentTerm", currentTerm, 0);
  checkInteger("votedFor", votedFor, 0);
  checkInteger("commitIndex", commitIndex, 0);
  if (currentTerm < old.currentTerm) {
    refuse(
      "STORAGE_REGRESSION",
      `Cannot save a current term of ${currentTerm} as ${old.currentTerm} is stored: ` +
        "terms never go back",
    );
  }
  if (currentTerm === old.currentTerm && old.votedFor !== NO_PEER && votedFor !== old.votedFor) {
    refuse(
      "STORAGE_REGRESSION",
      `Cannot save a vote for ${votedFor} as a vote for ${old.votedFor} is stored in term ` +
        `${currentTerm}: a vote never changes within a term`,
    );
  }
  if (commitIndex > state.lastIndex) {
    refuse(
      "STORAGE_RANGE",
      `Cannot save a commit index of ${commitIndex} as the log ends at ${state.lastIndex}`,
    );
  }
  return { ...state, hardState: withCommit(hardState, old.commitIndex) };
}

/** The state after `saveConfState`. @throws StorageError when the index is out of its range. */
export function afterConfState(
  state: RegionState,
  confState: ConfState,
  index: number,
): RegionState {
  checkInteger("The index of a configuration", index, 0);
  if (index < state.confStateIndex) {
    refuse(
      "STORAGE_REGRESSION",
      `Cannot save the configuration of index ${index} as that of ${state.confStateIndex} is stored`,
    );
  }
  if (index > state.lastIndex) {
    refuse(
      "STORAGE_RANGE",
      `Cannot save the configuration of index ${index} as the log ends at ${state.lastIndex}`,
    );
  }
  const hardState = withCommit(state.hardState, index);
  return { ...state, hardState, confState, confStateIndex: index };
}

/** The state after `compact`; the same object when nothing changes. @throws StorageError when an index is out of range. */
export function afterCompact(
  state: RegionState,
  index: number,
  snapshot: Snapshot | undefined,
  termAt: TermLookup,
): RegionState {
  checkInteger("The index to compact to", index, 0);
  if (index > state.lastIndex) {
    refuse(
      "STORAGE_RANGE",
      `Cannot compact to index ${index} as the log ends at ${state.lastIndex}`,
    );
  }
  let next = state;
  if (snapshot !== undefined) next = afterOwnSnapshot(state, index, snapshot.metadata, termAt);
  if (index <= state.truncatedIndex) return next;
  const passed = next.snapshot !== undefined && next.snapshot.index < index;
  return {
    ...next,
    hardState: withCommit(next.hardState, index),
    truncatedIndex: index,
    truncatedTerm: termAt(index),
    snapshot: passed ? undefined : next.snapshot,
  };
}

function afterOwnSnapshot(
  state: RegionState,
  compactIndex: number,
  metadata: SnapshotMetadata,
  termAt: TermLookup,
): RegionState {
  checkMetadata(metadata);
  const { index, term } = metadata;
  const lowest = Math.max(compactIndex, state.truncatedIndex, state.snapshot?.index ?? 0);
  if (index < lowest || index > state.lastIndex) {
    refuse(
      "STORAGE_RANGE",
      `Cannot save a snapshot of index ${index}: it must lie from ${lowest} to ${state.lastIndex}`,
    );
  }
  if (termAt(index) !== term) {
    refuse(
      "STORAGE_REGRESSION",
      `Cannot save a snapshot of index ${index} and term ${term} as the log has term ` +
        `${termAt(index)} there`,
    );
  }
  return { ...state, hardState: withCommit(state.hardState, index), snapshot: metadata };
}

/**
 * What `snapshot()` says: the stored snapshot, else one that stands for the newest index whose
 * configuration is known exactly.
 */
export function snapshotMetadata(state: RegionState, termAt: TermLookup): SnapshotMetadata {
  if (state.snapshot !== undefined) return state.snapshot;
  const index = Math.max(state.truncatedIndex, state.confStateIndex);
  return { index, term: termAt(index), confState: state.confState };
}

/** The hard state to report: the shared empty one when nothing was ever recorded. */
export function reportedHardState(state: RegionState): HardState {
  const { currentTerm, votedFor, commitIndex } = state.hardState;
  return currentTerm === 0 && votedFor === NO_PEER && commitIndex === 0
    ? EMPTY_HARD_STATE
    : state.hardState;
}

/** @throws StorageError (`STORAGE_OPTION`) when a field of the identity is invalid. */
export function checkIdentity(identity: NodeIdentity): void {
  const { clusterId, nodeId } = identity;
  if (typeof clusterId !== "string" || clusterId.length === 0 || clusterId.length > 128) {
    refuse(
      "STORAGE_OPTION",
      `clusterId must be a string of 1 to 128 characters: current value is ${
        JSON.stringify(clusterId)
      }`,
    );
  }
  checkInteger("nodeId", nodeId, 1);
}

/** @throws StorageError (`STORAGE_OPTION`) when a field is invalid. */
export function checkBootstrap(bootstrap: RegionBootstrap): void {
  checkInteger("regionId", bootstrap.regionId, 1);
  checkInteger("peerId", bootstrap.peerId, 1, PEER_ID_MAX);
  if (bootstrap.initial !== undefined) checkMetadata(bootstrap.initial);
}

function checkMetadata(metadata: SnapshotMetadata): void {
  checkInteger("The index of a snapshot", metadata.index, 0);
  checkInteger("The term of a snapshot", metadata.term, 0);
}

function withCommit(hardState: HardState, commitIndex: number): HardState {
  if (hardState.commitIndex >= commitIndex) return hardState;
  return { currentTerm: hardState.currentTerm, votedFor: hardState.votedFor, commitIndex };
}

/** @throws StorageError (`STORAGE_OPTION`) unless `value` is an integer from `min` to `max`. */
export function checkInteger(
  name: string,
  value: number,
  min: number,
  max: number = Number.MAX_SAFE_INTEGER,
): void {
  if (!Number.isSafeInteger(value) || value < min || value > max) {
    refuse(
      "STORAGE_OPTION",
      `${name} must be an integer from ${min} to ${max}: current value is ${String(value)}`,
    );
  }
}

function refuse(code: StorageErrorCode, message: string): never {
  throw new StorageError(code, message);
}
