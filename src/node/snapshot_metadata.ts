/**
 * What the core knows of snapshots that the state machine makes when they are sent: what they stand
 * for, and nothing of what they hold.
 *
 * @module
 */

import {
  CompactedError,
  type ConfState,
  type LogStorage,
  type SnapshotMetadata,
  SnapshotTemporarilyUnavailableError,
  UnavailableError,
} from "../raft/mod.ts";

const NO_BYTES = new Uint8Array(0);

/**
 * A storage whose snapshot is always the one that could be made now.
 *
 * @param describe what it would stand for; undefined while none can be made.
 */
export function streamingSnapshots(
  storage: LogStorage,
  describe: () => SnapshotMetadata | undefined,
): LogStorage {
  return {
    initialState: () => storage.initialState(),
    entries: (low, high, sizeMax) => storage.entries(low, high, sizeMax),
    term: (index) => storage.term(index),
    firstIndex: () => storage.firstIndex(),
    lastIndex: () => storage.lastIndex(),
    snapshot() {
      const metadata = describe();
      if (metadata === undefined) throw new SnapshotTemporarilyUnavailableError();
      return { metadata, data: NO_BYTES };
    },
  };
}

/** The metadata of a snapshot of `index`; undefined when the log does not know that index. */
export function describeSnapshot(
  storage: LogStorage,
  index: number,
  confState: ConfState,
): SnapshotMetadata | undefined {
  try {
    return { index, term: storage.term(index), confState };
  } catch (error) {
    if (error instanceof CompactedError || error instanceof UnavailableError) return undefined;
    throw error;
  }
}
