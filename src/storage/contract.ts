/**
 * The storage contract: what a node asks of the disk. A `NodeStorage` is one database of a node,
 * shared by all its regions; a `RaftStorage` is the part of one region. Reads are synchronous,
 * writes are atomic, durable when their promise resolves, and asynchronous from the first day.
 *
 * Failure is final. When a write or sync of the disk fails, every write under way and every later
 * call to any region rejects with the same `StorageError`; nothing is retried or acknowledged. A
 * write that breaks the rules of the log (a gap, a term that goes back, …) is a bug of its caller: it
 * changes nothing, and every later write to that region rejects with the same error. Reads stay
 * possible after a failure, for diagnosis, and may show what was never written. After `close` reads
 * throw and writes reject with `STORAGE_CLOSED`.
 *
 * `storageConformance` holds every promise made here as a test for authors of other storages.
 *
 * @module
 */

import type {
  ConfState,
  HardState,
  LogStorage,
  PeerId,
  RaftLogEntry,
  Snapshot,
  SnapshotMetadata,
} from "../raft/mod.ts";

/** Who a database belongs to; written once, checked at every open. */
export interface NodeIdentity {
  /** The cluster: a non-empty string of at most 128 characters, the same on all its nodes. */
  readonly clusterId: string;
  /** The node: an integer from 1. */
  readonly nodeId: number;
}

/** One atomic write. Absent parts stay as they are. */
export interface LogWrite {
  /**
   * Entries to append: contiguous, of terms that do not decrease. When the first lies at or before
   * the last stored entry, the log is truncated there first, in the same transaction; it must lie
   * after the commit index, as committed entries are never replaced.
   */
  readonly entries?: readonly RaftLogEntry[];
  /**
   * The hard state as of this write. Its term is not lower than the stored one, and the vote of a
   * term does not change once cast. A commit index lower than what is known to be committed (by the
   * stored one, a snapshot, a configuration, a compaction) counts as that.
   */
  readonly hardState?: HardState;
  /**
   * A snapshot received from a leader: replaces the whole log and the configuration, and commits up
   * to its index, which is not lower than the commit index. The entries of the same write follow it.
   */
  readonly snapshot?: Snapshot;
}

/** The durable log and state of one replica of one region. */
export interface RaftStorage extends LogStorage {
  /** The region this is the storage of. */
  readonly regionId: number;
  /** The replica's id in that region. */
  readonly peerId: PeerId;
  /**
   * The index whose application made `initialState().confState`: configuration changes at or below
   * it are not applied to the core again on replay.
   */
  confStateIndex(): number;
  /**
   * Appends, truncates and saves in one transaction. Durable when the promise resolves. Writes
   * take effect in the order of the calls; reads may show a write from the call on.
   *
   * The entries are shared, not copied: nobody changes them or their bytes afterwards. The arrays
   * stay the caller's.
   *
   * @throws StorageError (by rejection) when the disk fails or the write breaks a rule of
   *   {@linkcode LogWrite}, such as `STORAGE_GAP`; final.
   */
  append(write: LogWrite): Promise<void>;
  /**
   * Saves the configuration that applying the entry at `index` made. Durable when it resolves. The
   * index lies from `confStateIndex()` to `lastIndex()`, and counts as committed.
   *
   * @throws StorageError (by rejection), final.
   */
  saveConfState(confState: ConfState, index: number): Promise<void>;
  /**
   * Discards entries up to and including `index`, which must have been applied: it lies not beyond
   * `lastIndex()` and counts as committed. The term at `index` stays known. Entries that are gone
   * already are no error.
   *
   * A `snapshot` is one that this replica made itself: it is saved in the same transaction and is
   * what `snapshot()` returns from then on; the log and the configuration stay. It lies from `index`
   * (and the last one saved) to `lastIndex()` and has the term of the entry there.
   *
   * @throws StorageError (by rejection), final.
   */
  compact(index: number, snapshot?: Snapshot): Promise<void>;
  /**
   * The newest snapshot that was received or saved, until compaction passes it. Otherwise one
   * without data, which only says what it stands for: the larger of `firstIndex() - 1` and
   * `confStateIndex()`, with its term and the configuration. Hosts whose state machine makes its
   * own snapshots replace it.
   */
  snapshot(): Snapshot;
}

/** What a region is created from. */
export interface RegionBootstrap {
  /** The region. */
  readonly regionId: number;
  /** The replica. */
  readonly peerId: PeerId;
  /**
   * The state every first member starts from, as if it had installed a snapshot of this index, term
   * and configuration: the log then begins at `index + 1`. Absent on a node that joins later, which
   * starts empty, with no configuration, and waits for a leader to send it a snapshot.
   */
  readonly initial?: SnapshotMetadata;
}

/** The database of one node. At most one is open on the same data at a time. */
export interface NodeStorage {
  /** Who the data belongs to. */
  readonly identity: NodeIdentity;
  /** The regions stored here, in ascending order. */
  regionIds(): number[];
  /** The storage of a region, or undefined when there is none. The same object at every call. */
  region(regionId: number): RaftStorage | undefined;
  /**
   * Creates a region durably; `region` knows it once this resolves.
   *
   * @throws StorageError (by rejection) with code `STORAGE_REGION_EXISTS`, which is not final.
   */
  createRegion(bootstrap: RegionBootstrap): Promise<RaftStorage>;
  /** Waits for writes under way, then closes the database and releases its lock. Idempotent; never rejects. */
  close(): Promise<void>;
}
