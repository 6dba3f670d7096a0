/**
 * The database of one node: opens, checks and closes it, and hands out the storages of its regions,
 * which share its transactions.
 *
 * @module
 */

import { join, resolve } from "node:path";
import { type Logger, SILENT_LOGGER } from "../../raft/mod.ts";
import type { NodeIdentity, NodeStorage, RaftStorage, RegionBootstrap } from "../contract.ts";
import { closedError, StorageError } from "../errors.ts";
import { checkBootstrap, checkIdentity, checkInteger, createRegionState } from "../region_state.ts";
import { type Database, withStorageErrors } from "./database.ts";
import {
  DATABASE_FILE,
  limitSize,
  openDatabaseFile,
  openError,
  prepareDirectory,
} from "./files.ts";
import { type CommitCounters, GroupCommitter } from "./group_commit.ts";
import { DirectoryLock } from "./lock.ts";
import { LogCache } from "./log_cache.ts";
import { LogReader } from "./reader.ts";
import { type SharedDatabase, SqliteRaftStorage } from "./region_storage.ts";
import { INDEX_MAX, SLOT_MAX } from "./schema.ts";
import { loadRegions } from "./load.ts";
import type { WalScan } from "./wal.ts";
import { WorkerWriter } from "./worker_writer.ts";
import { DirectWriter, type LogWriter } from "./writer.ts";
import { chooseWriter, type WriterChoice, type WriterOption } from "./writer_choice.ts";

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
  /**
   * Where SQLite writes: in the event loop (`direct`), in a thread of its own (`worker`), or where
   * the disk's sync time, measured at open, suggests (`auto`). Default `auto`.
   */
  readonly writer?: WriterOption;
  /** Told how the disk is written to, and why. Default: nowhere. */
  readonly logger?: Logger;
}

const PAGE_BYTES = 4096;

/** The largest limit on pages that SQLite knows. */
const PAGES_MAX = 0xfffffffe;

const WRITER_OPTIONS: readonly unknown[] = ["auto", "direct", "worker"];

/** What is open before the storage itself is. */
interface OpenParts {
  readonly directory: string;
  readonly lock: DirectoryLock;
  readonly database: Database;
  readonly walScan: WalScan;
  readonly writer: LogWriter;
  readonly choice: WriterChoice;
}

/** Durable storage in SQLite (WAL mode, every transaction synced): one database, many regions. */
export class SqliteNodeStorage implements NodeStorage {
  /** Who the data belongs to. */
  readonly identity: NodeIdentity;
  /** The absolute path of the directory. */
  readonly directory: string;
  /** What the check of the write-ahead log found when this was opened. */
  readonly walScan: WalScan;
  /** Where SQLite writes, and why. */
  readonly writer: WriterChoice;
  readonly #lock: DirectoryLock;
  /** Reads; in mode `direct` it writes as well. */
  readonly #database: Database;
  readonly #writer: LogWriter;
  readonly #committer: GroupCommitter;
  readonly #shared: SharedDatabase;
  readonly #regions = new Map<number, SqliteRaftStorage>();
  readonly #slots = new Set<number>();
  /** Regions being created. */
  readonly #reserved = new Set<number>();
  #closed: Promise<void> | undefined = undefined;

  private constructor(options: SqliteStorageOptions, parts: OpenParts) {
    const cacheBytesMax = options.cacheBytesMax ?? 16 * 1024 * 1024;
    const { clusterId, nodeId } = options.identity;
    const { directory, database } = parts;
    this.identity = { clusterId, nodeId };
    this.directory = directory;
    this.walScan = parts.walScan;
    this.writer = parts.choice;
    this.#lock = parts.lock;
    this.#database = database;
    this.#writer = parts.writer;
    const place = join(directory, DATABASE_FILE);
    this.#committer = new GroupCommitter(parts.writer, {
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
    this.#committer.reclaim();
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
  static async open(options: SqliteStorageOptions): Promise<SqliteNodeStorage> {
    checkOptions(options);
    const directory = resolve(options.directory);
    prepareDirectory(directory);
    let lock: DirectoryLock | undefined;
    let database: Database | undefined;
    let writer: LogWriter | undefined;
    try {
      lock = DirectoryLock.acquire(directory);
      const opened = openDatabaseFile(directory, options.identity);
      database = opened.database;
      const pagesMax = pagesOf(options.databaseBytesMax);
      limitSize(database, pagesMax);
      const started = await startWriter(options, directory, database, pagesMax);
      writer = started.writer;
      return new SqliteNodeStorage(options, { directory, lock, ...opened, ...started });
    } catch (error) {
      await closeAll(database, writer, lock);
      throw openError(error, directory);
    }
  }

  /** What it has committed since it was opened: a copy. */
  counters(): Readonly<CommitCounters> {
    return { ...this.#committer.counters };
  }

  /** The regions, in ascending order. */
  regionIds(): number[] {
    this.#checkOpen();
    return [...this.#regions.keys()].sort((a, b) => a - b);
  }

  /** The storage of a region, if there is one. */
  region(regionId: number): RaftStorage | undefined {
    this.#checkOpen();
    return this.#regions.get(regionId);
  }

  /** Makes the storage of a new region. */
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
    const cache = new LogCache(state.truncatedIndex + 1);
    const region = { slot, regionId, peerId, state, cache, leftover: [], snapshotEmpty: true };
    const storage = new SqliteRaftStorage(region, this.#shared);
    this.#regions.set(regionId, storage);
    this.#reserved.delete(regionId);
    return storage;
  }

  /** Ends what is under way, then closes the files; idempotent. */
  close(): Promise<void> {
    this.#closed ??= this.#closeOnce();
    return this.#closed;
  }

  async #closeOnce(): Promise<void> {
    await this.#committer.close();
    await closeAll(this.#database, this.#writer, this.#lock);
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
  if (!WRITER_OPTIONS.includes(options.writer ?? "auto")) {
    throw new StorageError(
      "STORAGE_OPTION",
      `writer must be "auto", "direct" or "worker": current value is ${
        JSON.stringify(options.writer)
      }`,
    );
  }
}

function pagesOf(databaseBytesMax: number | undefined): number {
  if (databaseBytesMax === undefined) return 0;
  return Math.min(Math.floor(databaseBytesMax / PAGE_BYTES), PAGES_MAX);
}

/** Chooses how to write, and starts it. In mode `auto` a thread that cannot be started is done without. */
async function startWriter(
  options: SqliteStorageOptions,
  directory: string,
  database: Database,
  databasePagesMax: number,
): Promise<{ writer: LogWriter; choice: WriterChoice }> {
  const logger = options.logger ?? SILENT_LOGGER;
  const option = options.writer ?? "auto";
  const path = join(directory, DATABASE_FILE);
  let choice = chooseWriter(option, directory);
  let writer: LogWriter | undefined;
  if (choice.mode === "worker") {
    try {
      writer = await WorkerWriter.start({ path, databasePagesMax });
    } catch (error) {
      if (option !== "auto") throw error;
      choice = { ...choice, mode: "direct", reason: `${choice.reason}, yet ${messageOf(error)}` };
      logger.warn(`storage: ${choice.reason}`);
    }
  }
  const where = choice.mode === "direct" ? "in the event loop" : "in a thread of its own";
  logger.info(`storage: writes to ${path} ${where}: ${choice.reason}`);
  return { writer: writer ?? new DirectWriter(database), choice };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/**
 * Closes what is open; never rejects. The last connection that closes moves the write-ahead log into
 * the database and deletes it, where it can; otherwise it stays and is recovered at the next open.
 */
async function closeAll(
  database: Database | undefined,
  writer: LogWriter | undefined,
  lock: DirectoryLock | undefined,
): Promise<void> {
  // The thread, where there is one, comes last: it has the time to move the log.
  const closings = [() => database?.close(), () => writer?.close(), () => lock?.release()];
  for (const close of closings) {
    try {
      await close();
    } catch {
      // Everything acknowledged is in the write-ahead log.
    }
  }
}
