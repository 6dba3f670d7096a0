/**
 * The database of one node: opens, checks and closes it, and hands out the storages of its regions,
 * which share its transactions.
 *
 * @module
 */

import { join, resolve } from "node:path";
import type { NodeIdentity, NodeStorage, RaftStorage, RegionBootstrap } from "../contract.ts";
import { closedError, StorageError } from "../errors.ts";
import { checkBootstrap, checkIdentity, checkInteger, createRegionState } from "../region_state.ts";
import { type Database, withStorageErrors } from "./database.ts";
import { DATABASE_FILE, openDatabaseFile, openError, prepareDirectory } from "./files.ts";
import { GroupCommitter } from "./group_commit.ts";
import { DirectoryLock } from "./lock.ts";
import { LogCache } from "./log_cache.ts";
import { LogReader } from "./reader.ts";
import { type SharedDatabase, SqliteRaftStorage } from "./region_storage.ts";
import { INDEX_MAX, SLOT_MAX } from "./schema.ts";
import { loadRegions } from "./verify.ts";
import type { WalScan } from "./wal.ts";
import { DirectWriter } from "./writer.ts";

/** The options of {@linkcode SqliteNodeStorage.open}. */
export interface SqliteStorageOptions {
  /** Where `raft.db` and `lock.db` live; created when missing. On a local file system. */
  readonly directory: string;
  /** Who the data belongs to: written into a new database, checked in an old one. */
  readonly identity: NodeIdentity;
  /**
   * Most bytes of recent entries kept in memory, for each region. Entries that are not durable yet
   * are kept beyond it, and so is the rest of a larger buffer that a command is a part of. 0 keeps
   * nothing. Default 16 MiB; less where a node holds many regions.
   */
  readonly cacheBytesMax?: number;
  /**
   * A transaction that holds this many bytes of entries is full; what is written in the same turn
   * goes into the next one. A single write is never split. Default 8 MiB.
   */
  readonly transactionBytesMax?: number;
  /**
   * The size of the write-ahead log, about, at which it is moved into the database, which blocks
   * writing for as long as the disk takes. Larger: fewer of these pauses and fewer bytes written,
   * but a longer recovery. Default 16 MiB.
   */
  readonly checkpointBytes?: number;
  /**
   * Most bytes of the database file; beyond it writes fail with `STORAGE_FULL`, which is final.
   * Rounded down to pages of 4096 bytes. Default: no limit but the disk's.
   */
  readonly databaseBytesMax?: number;
}

const PAGE_BYTES = 4096;

/** Durable storage in SQLite (WAL mode, every transaction synced): one database, many regions. */
export class SqliteNodeStorage implements NodeStorage {
  readonly identity: NodeIdentity;
  /** The absolute path of the directory. */
  readonly directory: string;
  /** What the check of the write-ahead log found when this was opened. */
  readonly walScan: WalScan;
  readonly #lock: DirectoryLock;
  readonly #database: Database;
  readonly #committer: GroupCommitter;
  readonly #shared: SharedDatabase;
  readonly #regions = new Map<number, SqliteRaftStorage>();
  readonly #slots = new Set<number>();
  /** Regions being created. */
  readonly #reserved = new Set<number>();
  #closed: Promise<void> | undefined = undefined;

  private constructor(options: SqliteStorageOptions, directory: string, lock: DirectoryLock) {
    const cacheBytesMax = options.cacheBytesMax ?? 16 * 1024 * 1024;
    const { clusterId, nodeId } = options.identity;
    this.identity = { clusterId, nodeId };
    this.directory = directory;
    this.#lock = lock;
    const place = join(directory, DATABASE_FILE);
    const { database, walScan } = openDatabaseFile(directory, this.identity);
    this.#database = database;
    this.walScan = walScan;
    try {
      limitSize(database, options.databaseBytesMax);
      this.#committer = new GroupCommitter(new DirectWriter(database), {
        transactionBytesMax: options.transactionBytesMax ?? 8 * 1024 * 1024,
        checkpointBytes: options.checkpointBytes ?? 16 * 1024 * 1024,
      }, place);
      const reader = new LogReader(database, place);
      this.#shared = { committer: this.#committer, reader, cacheBytesMax };
      const regions = withStorageErrors(
        `read ${place}`,
        () => loadRegions(database, cacheBytesMax, place),
      );
      for (const region of regions) {
        this.#slots.add(region.slot);
        this.#regions.set(region.regionId, new SqliteRaftStorage(region, this.#shared));
      }
    } catch (error) {
      database.close();
      throw error;
    }
  }

  /**
   * Opens the storage in `options.directory`, creating it when there is none, and checks every row.
   * On failure nothing stays open or locked.
   *
   * @throws StorageError (by rejection) `STORAGE_OPTION`, `STORAGE_LOCKED`, `STORAGE_IDENTITY`,
   *   `STORAGE_FORMAT`, `STORAGE_CORRUPT`, `STORAGE_READ_ONLY`, `STORAGE_FULL`, `STORAGE_IO`.
   *
   * @example
   * ```ts ignore
   * const storage = await SqliteNodeStorage.open({
   *   directory: "data",
   *   identity: { clusterId: "orders", nodeId: 1 },
   * });
   * const region = storage.region(1) ?? await storage.createRegion({ regionId: 1, peerId: 1 });
   * ```
   */
  // deno-lint-ignore require-await -- rejects instead of throwing, and will wait for a worker.
  static async open(options: SqliteStorageOptions): Promise<SqliteNodeStorage> {
    checkOptions(options);
    const directory = resolve(options.directory);
    prepareDirectory(directory);
    let lock: DirectoryLock | undefined;
    try {
      lock = DirectoryLock.acquire(directory);
      return new SqliteNodeStorage(options, directory, lock);
    } catch (error) {
      lock?.release();
      throw openError(error, directory);
    }
  }

  regionIds(): number[] {
    this.#checkOpen();
    return [...this.#regions.keys()].sort((a, b) => a - b);
  }

  region(regionId: number): RaftStorage | undefined {
    this.#checkOpen();
    return this.#regions.get(regionId);
  }

  async createRegion(bootstrap: RegionBootstrap): Promise<RaftStorage> {
    if (this.#committer.failure !== undefined) throw this.#committer.failure;
    checkBootstrap(bootstrap);
    const { regionId, peerId, initial } = bootstrap;
    if (this.#regions.has(regionId) || this.#reserved.has(regionId)) {
      throw new StorageError(
        "STORAGE_REGION_EXISTS",
        `Cannot create region ${regionId} in ${this.directory} as it exists already`,
      );
    }
    if (initial !== undefined) checkInteger("The index of a snapshot", initial.index, 0, INDEX_MAX);
    const slot = this.#takeSlot();
    this.#reserved.add(regionId);
    const state = createRegionState(initial);
    const group = this.#committer.group();
    group.operations.push({ kind: "create-region", slot, regionId, peerId, state });
    if (initial !== undefined) {
      const [index, data] = [initial.index, new Uint8Array(0)];
      group.operations.push({ kind: "save-snapshot", slot, regionId, index, data });
    }
    await group.promise;
    const first = state.truncatedIndex + 1;
    const cache = new LogCache(first);
    const region = { slot, regionId, peerId, state, cache, lowestRow: first, snapshotEmpty: true };
    const storage = new SqliteRaftStorage(region, this.#shared);
    this.#regions.set(regionId, storage);
    this.#reserved.delete(regionId);
    return storage;
  }

  close(): Promise<void> {
    this.#closed ??= this.#closeOnce();
    return this.#closed;
  }

  async #closeOnce(): Promise<void> {
    await this.#committer.close();
    try {
      // SQLite moves the write-ahead log into the database and deletes it, where it can; otherwise
      // it stays and is recovered at the next open.
      this.#database.close();
    } catch {
      // Everything acknowledged is in the write-ahead log.
    } finally {
      this.#lock.release();
    }
  }

  #takeSlot(): number {
    for (let slot = this.#slots.size + 1; slot <= SLOT_MAX; slot++) {
      if (this.#slots.has(slot)) continue;
      this.#slots.add(slot);
      return slot;
    }
    throw new StorageError(
      "STORAGE_LIMIT",
      `Cannot create another region in ${this.directory}: at most ${SLOT_MAX} fit`,
    );
  }

  #checkOpen(): void {
    if (this.#committer.closing) throw closedError();
  }
}

function checkOptions(options: SqliteStorageOptions): void {
  if (typeof options.directory !== "string" || options.directory === "") {
    throw new StorageError(
      "STORAGE_OPTION",
      `directory must be a path: current value is ${JSON.stringify(options.directory)}`,
    );
  }
  checkIdentity(options.identity);
  checkInteger("cacheBytesMax", options.cacheBytesMax ?? 0, 0);
  checkInteger("transactionBytesMax", options.transactionBytesMax ?? 1, 1);
  checkInteger("checkpointBytes", options.checkpointBytes ?? PAGE_BYTES, PAGE_BYTES);
  checkInteger("databaseBytesMax", options.databaseBytesMax ?? PAGE_BYTES, PAGE_BYTES);
}

function limitSize(database: Database, databaseBytesMax: number | undefined): void {
  if (databaseBytesMax === undefined) return;
  const pages = Math.min(Math.floor(databaseBytesMax / PAGE_BYTES), 0xfffffffe);
  database.prepare(`PRAGMA max_page_count = ${pages}`).all();
}
