/**
 * The storage contract: what a node asks of the disk. A `NodeStorage` is one database of a node,
 * shared by all its regions; a `RaftStorage` is the part of one region. Reads are synchronous,
 * writes are atomic, durable when their promise resolves, and asynchronous from the first day.
 *
 * The first failed write or sync is final: every later call rejects with the same `StorageError`.
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
   * Entries to append: contiguous. When the first lies at or before the last stored entry, the log
   * is truncated there first, in the same transaction.
   */
  readonly entries?: readonly RaftLogEntry[];
  /** The hard state as of this write. */
  readonly hardState?: HardState;
  /**
   * A snapshot received from a leader: replaces the whole log and the configuration. The entries
   * of the same write follow it.
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
   * @throws StorageError (by rejection) when the disk fails or the write would leave a gap; final.
   */
  append(write: LogWrite): Promise<void>;
  /** Saves the configuration that applying the entry at `index` made. Durable when it resolves. */
  saveConfState(confState: ConfState, index: number): Promise<void>;
  /**
   * Discards entries up to and including `index`, which must have been applied. The term at `index`
   * stays known. Nothing happens when they are gone already.
   */
  compact(index: number): Promise<void>;
}

/** What a region is created from. */
export interface RegionBootstrap {
  readonly regionId: number;
  readonly peerId: PeerId;
  /**
   * The state every first member starts from, as if it had installed a snapshot of this index, term
   * and configuration: the log then begins at `index + 1`. Absent on a node that joins later, which
   * starts empty, with no configuration, and waits for a leader to send it a snapshot.
   */
  readonly initial?: SnapshotMetadata;
}

/** The database of one node. */
export interface NodeStorage {
  readonly identity: NodeIdentity;
  /** The regions stored here, in ascending order. */
  regionIds(): number[];
  /** The storage of a region, or undefined when there is none. The same object at every call. */
  region(regionId: number): RaftStorage | undefined;
  /** Creates a region durably. @throws StorageError when it exists already. */
  createRegion(bootstrap: RegionBootstrap): Promise<RaftStorage>;
  /** Waits for writes under way, then closes the database and releases its lock. Idempotent. */
  close(): Promise<void>;
}
