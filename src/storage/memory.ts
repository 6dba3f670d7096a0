/**
 * Storage in memory: for tests, simulations and scripted scenarios. It keeps every promise of the
 * contract except that it does not outlive the process; a {@linkcode MemoryDisk} plays the disk that
 * storages are closed and opened on.
 *
 * @module
 */

import {
  CompactedError,
  type ConfState,
  entrySize,
  type InitialState,
  type PeerId,
  type RaftLogEntry,
  type Snapshot,
  UnavailableError,
} from "../raft/mod.ts";
import type {
  LogWrite,
  NodeIdentity,
  NodeStorage,
  RaftStorage,
  RegionBootstrap,
} from "./contract.ts";
import { closedError, StorageError } from "./errors.ts";
import {
  afterAppend,
  afterCompact,
  afterConfState,
  checkBootstrap,
  checkIdentity,
  createRegionState,
  type RegionState,
  reportedHardState,
  snapshotMetadata,
} from "./region_state.ts";

const NO_BYTES = new Uint8Array(0);

/** What a {@linkcode MemoryStorage} keeps when it is closed. */
interface MemoryRegion {
  readonly regionId: number;
  readonly peerId: PeerId;
  state: RegionState;
  /** The entries after the truncated index, in order. */
  entries: RaftLogEntry[];
  snapshotData: Uint8Array;
}

/** The contents of a {@linkcode MemoryNodeStorage}, which outlive its closing. */
export class MemoryDisk {
  /** Who the contents belong to, once it was opened for the first time. */
  identity: NodeIdentity | undefined = undefined;
  /** Whether a storage is open on it. */
  locked = false;
  /** When set, the next write fails with this error, and so is final. */
  failNextWrite: StorageError | undefined = undefined;
  /** @internal */
  readonly regions: Map<number, MemoryRegion> = new Map();
}

/**
 * The storage of one region in memory. Writes take effect at the call; their promises resolve at
 * once. Standing alone it needs no {@linkcode MemoryNodeStorage}.
 *
 * @example
 * ```ts ignore
 * const storage = new MemoryStorage({ regionId: 1, peerId: 1, initial });
 * await storage.append({ entries, hardState });
 * ```
 */
export class MemoryStorage implements RaftStorage {
  /** The region. */
  readonly regionId: number;
  /** The replica. */
  readonly peerId: PeerId;
  readonly #region: MemoryRegion;
  readonly #owner: MemoryNodeStorage | undefined;
  #failure: StorageError | undefined = undefined;
  readonly #termAt = (index: number): number => this.#lookUpTerm(index);

  /** Starts from `bootstrap`. The other parameters are for {@linkcode MemoryNodeStorage}. */
  constructor(bootstrap: RegionBootstrap, owner?: MemoryNodeStorage, region?: MemoryRegion) {
    checkBootstrap(bootstrap);
    this.regionId = bootstrap.regionId;
    this.peerId = bootstrap.peerId;
    this.#owner = owner;
    this.#region = region ?? createMemoryRegion(bootstrap);
  }

  /** What a restart begins from. */
  initialState(): InitialState {
    this.#checkOpen();
    const { state } = this.#region;
    return { hardState: reportedHardState(state), confState: state.confState };
  }

  /** The index of the entry that made the configuration. */
  confStateIndex(): number {
    this.#checkOpen();
    return this.#region.state.confStateIndex;
  }

  /** The entries from `low`, without `high`, up to `sizeMax` bytes but at least one. */
  entries(low: number, high: number, sizeMax: number): RaftLogEntry[] {
    this.#checkOpen();
    const { state, entries } = this.#region;
    if (low <= state.truncatedIndex) throw new CompactedError();
    if (high > state.lastIndex + 1) throw new UnavailableError();
    const result: RaftLogEntry[] = [];
    let size = 0;
    for (let index = low; index < high; index++) {
      const entry = entries[index - state.truncatedIndex - 1];
      size += entrySize(entry);
      if (size > sizeMax && result.length > 0) break;
      result.push(entry);
    }
    return result;
  }

  /** The term of an entry. */
  term(index: number): number {
    this.#checkOpen();
    return this.#lookUpTerm(index);
  }

  /** The first index at hand. */
  firstIndex(): number {
    this.#checkOpen();
    return this.#region.state.truncatedIndex + 1;
  }

  /** The last index of the log. */
  lastIndex(): number {
    this.#checkOpen();
    return this.#region.state.lastIndex;
  }

  /** The newest snapshot. */
  snapshot(): Snapshot {
    this.#checkOpen();
    const { state, snapshotData } = this.#region;
    return { metadata: snapshotMetadata(state, this.#termAt), data: snapshotData };
  }

  /** Writes entries, state and snapshot in one step. */
  append(write: LogWrite): Promise<void> {
    return this.#write((region) => {
      const next = afterAppend(region.state, write, this.#termAt);
      if (write.snapshot !== undefined) {
        region.entries = [];
        region.snapshotData = write.snapshot.data;
      }
      const entries = write.entries;
      if (entries !== undefined && entries.length > 0) {
        region.entries.length = entries[0].index - next.truncatedIndex - 1;
        for (const entry of entries) region.entries.push(entry);
      }
      region.state = next;
    });
  }

  /** Keeps the configuration that an entry made. */
  saveConfState(confState: ConfState, index: number): Promise<void> {
    return this.#write((region) => {
      region.state = afterConfState(region.state, confState, index);
    });
  }

  /** Drops the log up to an index. */
  compact(index: number, snapshot?: Snapshot): Promise<void> {
    return this.#write((region) => {
      const before = region.state;
      const next = afterCompact(before, index, snapshot, this.#termAt);
      region.entries.splice(0, next.truncatedIndex - before.truncatedIndex);
      if (snapshot !== undefined) region.snapshotData = snapshot.data;
      if (next.snapshot === undefined) region.snapshotData = NO_BYTES;
      region.state = next;
    });
  }

  #write(change: (region: MemoryRegion) => void): Promise<void> {
    if (this.#owner !== undefined) {
      const failure = this.#owner.failureOfNextWrite();
      if (failure !== undefined) return Promise.reject(failure);
    }
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    try {
      change(this.#region);
      return Promise.resolve();
    } catch (error) {
      if (error instanceof StorageError) this.#failure = error;
      return Promise.reject(error);
    }
  }

  #lookUpTerm(index: number): number {
    const { state, entries } = this.#region;
    if (index < state.truncatedIndex) throw new CompactedError();
    if (index > state.lastIndex) throw new UnavailableError();
    if (index === state.truncatedIndex) return state.truncatedTerm;
    return entries[index - state.truncatedIndex - 1].term;
  }

  #checkOpen(): void {
    if (this.#owner?.isClosed()) throw closedError();
  }
}

/** A {@linkcode NodeStorage} in memory. */
export class MemoryNodeStorage implements NodeStorage {
  /** Who the data belongs to. */
  readonly identity: NodeIdentity;
  readonly #disk: MemoryDisk;
  readonly #regions = new Map<number, MemoryStorage>();
  #failure: StorageError | undefined = undefined;
  #closed = false;

  /**
   * Opens the storage on `disk`, a new one by default.
   *
   * @throws StorageError `STORAGE_OPTION`, `STORAGE_LOCKED`, `STORAGE_IDENTITY`.
   */
  constructor(identity: NodeIdentity, disk: MemoryDisk = new MemoryDisk()) {
    checkIdentity(identity);
    if (disk.locked) {
      throw new StorageError(
        "STORAGE_LOCKED",
        "Cannot open the memory disk as a storage is open on it: close that one first",
      );
    }
    const owner = disk.identity ?? identity;
    if (owner.clusterId !== identity.clusterId || owner.nodeId !== identity.nodeId) {
      throw new StorageError(
        "STORAGE_IDENTITY",
        `Cannot open the memory disk as node ${identity.nodeId} of cluster ` +
          `${JSON.stringify(identity.clusterId)}: it belongs to node ${owner.nodeId} of cluster ` +
          JSON.stringify(owner.clusterId),
      );
    }
    this.identity = { clusterId: owner.clusterId, nodeId: owner.nodeId };
    this.#disk = disk;
    disk.identity = this.identity;
    disk.locked = true;
    for (const region of disk.regions.values()) {
      this.#regions.set(region.regionId, new MemoryStorage(region, this, region));
    }
  }

  /** The regions, in ascending order. */
  regionIds(): number[] {
    if (this.#closed) throw closedError();
    return [...this.#regions.keys()].sort((a, b) => a - b);
  }

  /** The storage of a region, if there is one. */
  region(regionId: number): RaftStorage | undefined {
    if (this.#closed) throw closedError();
    return this.#regions.get(regionId);
  }

  /** Makes the storage of a new region. */
  createRegion(bootstrap: RegionBootstrap): Promise<RaftStorage> {
    try {
      const failure = this.failureOfNextWrite();
      if (failure !== undefined) throw failure;
      checkBootstrap(bootstrap);
      const { regionId } = bootstrap;
      if (this.#regions.has(regionId)) {
        throw new StorageError(
          "STORAGE_REGION_EXISTS",
          `Cannot create region ${regionId} as it exists already`,
        );
      }
      const region = createMemoryRegion(bootstrap);
      this.#disk.regions.set(regionId, region);
      const storage = new MemoryStorage(bootstrap, this, region);
      this.#regions.set(regionId, storage);
      return Promise.resolve(storage);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Closes it; idempotent. */
  close(): Promise<void> {
    if (!this.#closed) {
      this.#closed = true;
      this.#disk.locked = false;
    }
    return Promise.resolve();
  }

  /** Whether `close` was called. */
  isClosed(): boolean {
    return this.#closed;
  }

  /** The error that the next write rejects with, if any: closed, failed before, or made to fail. */
  failureOfNextWrite(): StorageError | undefined {
    if (this.#closed) return closedError();
    if (this.#failure === undefined && this.#disk.failNextWrite !== undefined) {
      this.#failure = this.#disk.failNextWrite;
      this.#disk.failNextWrite = undefined;
    }
    return this.#failure;
  }
}

function createMemoryRegion(bootstrap: RegionBootstrap): MemoryRegion {
  return {
    regionId: bootstrap.regionId,
    peerId: bootstrap.peerId,
    state: createRegionState(bootstrap.initial),
    entries: [],
    snapshotData: NO_BYTES,
  };
}
