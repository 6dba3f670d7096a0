/**
 * The storage of one region in the node's database. What it knows is in memory and follows each
 * write at the call; the rows follow with the next group commit. Only what fell out of the cache of
 * recent entries is read from the disk.
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
} from "../../raft/mod.ts";
import type { LogWrite, RaftStorage } from "../contract.ts";
import { closedError, StorageError } from "../errors.ts";
import {
  afterAppend,
  afterCompact,
  afterConfState,
  type RegionState,
  reportedHardState,
  snapshotMetadata,
} from "../region_state.ts";
import type { GroupCommitter, GroupMember, RegionWrite, WriteGroup } from "./group_commit.ts";
import { LeftoverRows } from "./leftover_rows.ts";
import type { LogCache } from "./log_cache.ts";
import type { LogReader } from "./reader.ts";
import { INDEX_MAX } from "./schema.ts";
import type { LoadedRegion } from "./load.ts";
import type { SaveRegionOperation } from "./writer.ts";

/** The most bytes of an entry's command and context together, or of a snapshot's data: 512 MiB. */
export const VALUE_BYTES_MAX: number = 512 * 1024 * 1024;

/** Rows that compaction deletes in one transaction, so that none takes long. */
const SWEEP_ROWS = 1024;

/** What deleting a row adds to the write-ahead log, about. */
const SWEPT_ROW_BYTES = 16;

const NO_BYTES = new Uint8Array(0);

/** What a region shares with the others of its node. */
export interface SharedDatabase {
  readonly committer: GroupCommitter;
  readonly reader: LogReader;
  /** Most bytes of entries that each region caches. */
  readonly cacheBytesMax: number;
}

/** The storage of one region in SQLite; made by `SqliteNodeStorage`. */
export class SqliteRaftStorage implements RaftStorage, GroupMember {
  /** The region. */
  readonly regionId: number;
  /** The replica. */
  readonly peerId: PeerId;
  readonly #slot: number;
  readonly #shared: SharedDatabase;
  readonly #committer: GroupCommitter;
  readonly #cache: LogCache;
  #state: RegionState;
  /** The data of the stored snapshot, or undefined when it is to be read from the database. */
  #snapshotData: Uint8Array | undefined;
  /** Writes that are not durable yet, in order. */
  readonly #pending: RegionWrite[] = [];
  /** The truncated index that is durable: rows at or below it may be deleted. */
  #sweepTo: number;
  readonly #leftover: LeftoverRows;
  #failure: StorageError | undefined = undefined;
  readonly #termAt = (index: number): number => this.#lookUpTerm(index);

  /** Of a region that was read and checked. */
  constructor(region: LoadedRegion, shared: SharedDatabase) {
    this.regionId = region.regionId;
    this.peerId = region.peerId;
    this.#slot = region.slot;
    this.#shared = shared;
    this.#committer = shared.committer;
    this.#cache = region.cache;
    this.#state = region.state;
    this.#snapshotData = region.snapshotEmpty ? NO_BYTES : undefined;
    this.#leftover = new LeftoverRows(region.leftover, region.state.truncatedIndex + 1);
    this.#sweepTo = region.state.truncatedIndex;
    this.#sweep();
  }

  /** What a restart begins from. */
  initialState(): InitialState {
    this.#checkOpen();
    return { hardState: reportedHardState(this.#state), confState: this.#state.confState };
  }

  /** The index of the entry that made the configuration. */
  confStateIndex(): number {
    this.#checkOpen();
    return this.#state.confStateIndex;
  }

  /** The first index at hand. */
  firstIndex(): number {
    this.#checkOpen();
    return this.#state.truncatedIndex + 1;
  }

  /** The last index of the log. */
  lastIndex(): number {
    this.#checkOpen();
    return this.#state.lastIndex;
  }

  /** The term of an entry. */
  term(index: number): number {
    this.#checkOpen();
    return this.#lookUpTerm(index);
  }

  /** The entries from `low`, without `high`, up to `sizeMax` bytes but at least one. */
  entries(low: number, high: number, sizeMax: number): RaftLogEntry[] {
    this.#checkOpen();
    if (low <= this.#state.truncatedIndex) throw new CompactedError();
    if (high > this.#state.lastIndex + 1) throw new UnavailableError();
    const result: RaftLogEntry[] = [];
    let size = 0;
    let index = low;
    const cached = this.#cache.firstIndex;
    if (low < Math.min(cached, high)) {
      const stored = this.#reading(() =>
        this.#shared.reader.entries(this, this.#slot, low, Math.min(cached, high), sizeMax)
      );
      index += stored.entries.length;
      if (index < cached || index === high) return stored.entries;
      size = stored.bytes;
      for (const entry of stored.entries) result.push(entry);
    }
    for (; index < high; index++) {
      const entry = this.#cache.get(index);
      size += entrySize(entry);
      if (size > sizeMax && result.length > 0) break;
      result.push(entry);
    }
    return result;
  }

  /** The newest snapshot. */
  snapshot(): Snapshot {
    this.#checkOpen();
    const metadata = snapshotMetadata(this.#state, this.#termAt);
    const data = this.#snapshotData ??
      this.#reading(() => this.#shared.reader.snapshotData(this, this.#slot, metadata.index));
    return { metadata, data };
  }

  /** Writes entries, state and snapshot in one durable transaction. */
  append(write: LogWrite): Promise<void> {
    return this.#write(() => {
      const before = this.#state;
      const next = afterAppend(before, write, this.#termAt);
      const bytes = checkLimits(next, write);
      const group = this.#record(next);
      group.bytes += bytes;
      if (write.snapshot !== undefined) this.#install(group, before, write.snapshot);
      const entries = write.entries;
      if (entries !== undefined && entries.length > 0) {
        const end = write.snapshot === undefined ? before.lastIndex : next.truncatedIndex;
        this.#appendEntries(group, end, entries);
      }
      return group;
    });
  }

  /** Keeps the configuration that an entry made. */
  saveConfState(confState: ConfState, index: number): Promise<void> {
    return this.#write(() => this.#record(afterConfState(this.#state, confState, index)));
  }

  /** Drops the log up to an index. */
  compact(index: number, snapshot?: Snapshot): Promise<void> {
    return this.#write(() => {
      const next = afterCompact(this.#state, index, snapshot, this.#termAt);
      const dropped = this.#state.snapshot !== undefined && next.snapshot === undefined;
      if (snapshot !== undefined) checkValue("a snapshot", snapshot.data.length);
      const group = this.#record(next);
      if (snapshot !== undefined) this.#saveSnapshot(group, snapshot.metadata.index, snapshot.data);
      else if (dropped) this.#saveSnapshot(group, 0, undefined);
      this.#cache.discard(next.truncatedIndex);
      return group;
    });
  }

  /** Part of {@linkcode GroupMember}, not for hosts. */
  saveOperation(state: RegionState): SaveRegionOperation {
    const { regionId, peerId } = this;
    return { kind: "save-region", slot: this.#slot, regionId, peerId, state };
  }

  /** Part of {@linkcode GroupMember}, not for hosts. */
  committed(write: RegionWrite): void {
    this.#pending.shift();
    if (write.state.snapshot === this.#state.snapshot && this.#snapshotData?.length !== 0) {
      this.#snapshotData = undefined;
    }
    this.#evict();
    this.#sweepTo = write.state.truncatedIndex;
    this.#sweep();
  }

  /** Runs `change`, which makes or refuses a write, and returns the promise of its group. */
  #write(change: () => WriteGroup): Promise<void> {
    const failure = this.#committer.failure ?? this.#failure;
    if (failure !== undefined) return Promise.reject(failure);
    try {
      return change().promise;
    } catch (error) {
      if (error instanceof StorageError) this.#failure = error;
      return Promise.reject(error);
    }
  }

  /** Makes `next` the state, and what the current group saves. */
  #record(next: RegionState): WriteGroup {
    const group = this.#committer.group();
    const write = group.regions.get(this);
    if (write === undefined) {
      const added: RegionWrite = { state: next, lowIndex: Infinity };
      group.regions.set(this, added);
      this.#pending.push(added);
    } else {
      write.state = next;
    }
    this.#state = next;
    return group;
  }

  #install(group: WriteGroup, before: RegionState, snapshot: Snapshot): void {
    const { index } = snapshot.metadata;
    if (index < before.lastIndex) this.#delete(group, index + 1, before.lastIndex);
    this.#leftover.replaceLog(index, Math.min(index, before.lastIndex));
    this.#cache.reset(index + 1);
    this.#saveSnapshot(group, index, snapshot.data);
  }

  #appendEntries(group: WriteGroup, end: number, entries: readonly RaftLogEntry[]): void {
    const first = entries[0].index;
    if (first <= end) {
      this.#delete(group, first, end);
      this.#cache.truncate(first);
    }
    for (let i = 0; i < entries.length; i++) this.#cache.push(entries[i]);
    const write = this.#pending[this.#pending.length - 1];
    if (first < write.lowIndex) write.lowIndex = first;
    const { regionId } = this;
    group.operations.push({ kind: "append", slot: this.#slot, regionId, entries: entries.slice() });
  }

  #delete(group: WriteGroup, low: number, high: number): void {
    group.operations.push({ kind: "delete", slot: this.#slot, low, high });
    group.frees = true;
  }

  #saveSnapshot(group: WriteGroup, index: number, data: Uint8Array | undefined): void {
    const { regionId } = this;
    group.operations.push({ kind: "save-snapshot", slot: this.#slot, regionId, index, data });
    group.bytes += data?.length ?? 0;
    this.#snapshotData = data ?? NO_BYTES;
  }

  /** Shrinks the cache to its limit, but for entries that are not durable yet. */
  #evict(): void {
    const { cacheBytesMax } = this.#shared;
    if (this.#cache.bytes <= cacheBytesMax) return;
    let limit = this.#state.lastIndex;
    for (const write of this.#pending) limit = Math.min(limit, write.lowIndex - 1);
    this.#cache.evict(cacheBytesMax, limit);
  }

  /** Has the next rows deleted that a durable compaction or snapshot left behind. */
  #sweep(): void {
    if (this.#committer.closing) return;
    const rows = this.#leftover.take(this.#sweepTo, SWEEP_ROWS);
    if (rows === undefined) return;
    const { low, high } = rows;
    const group = this.#record(this.#state);
    this.#delete(group, low, high);
    group.bytes += (high - low + 1) * SWEPT_ROW_BYTES;
  }

  #lookUpTerm(index: number): number {
    const state = this.#state;
    if (index < state.truncatedIndex) throw new CompactedError();
    if (index > state.lastIndex) throw new UnavailableError();
    if (index === state.lastIndex) return state.lastTerm;
    if (index === state.truncatedIndex) return state.truncatedTerm;
    if (index >= this.#cache.firstIndex) return this.#cache.get(index).term;
    return this.#reading(() => this.#shared.reader.term(this, this.#slot, index));
  }

  /** Reads from the database; damage found there is final. */
  #reading<T>(read: () => T): T {
    try {
      return read();
    } catch (error) {
      if (error instanceof StorageError) this.#failure ??= error;
      throw error;
    }
  }

  #checkOpen(): void {
    if (this.#committer.closing) throw closedError();
  }
}

/** The bytes of a write. @throws StorageError `STORAGE_LIMIT` when it does not fit into the database. */
export function checkLimits(next: RegionState, { entries, snapshot }: LogWrite): number {
  if (next.lastIndex > INDEX_MAX) {
    throw new StorageError(
      "STORAGE_LIMIT",
      `Cannot store an entry of index ${next.lastIndex}: the largest index is ${INDEX_MAX}`,
    );
  }
  if (snapshot !== undefined) checkValue("a snapshot", snapshot.data.length);
  let bytes = 0;
  if (entries === undefined) return bytes;
  for (let i = 0; i < entries.length; i++) {
    const { command, context } = entries[i];
    const length = command.length + (context?.length ?? 0);
    if (length > VALUE_BYTES_MAX) checkValue("an entry", length);
    bytes += length;
  }
  return bytes;
}

function checkValue(name: string, length: number): void {
  if (length <= VALUE_BYTES_MAX) return;
  throw new StorageError(
    "STORAGE_LIMIT",
    `Cannot store ${name} of ${length} bytes: at most ${VALUE_BYTES_MAX} fit`,
  );
}
