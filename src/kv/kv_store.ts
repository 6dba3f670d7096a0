/**
 * `KvStore`: the multi-version key-value state machine. It lives in `kv.db` (SQLite, WAL) in the
 * node's directory; commands, `lastApplied` and the node's state commit in one transaction.
 *
 * A transaction is kept open over several batches, until {@linkcode KvStoreOptions.commitRows} rows
 * or {@linkcode KvStoreOptions.commitBytes} bytes are written: pages that many batches touch are then
 * written once. Reads go over the same connection and see it all. A crash loses the open transaction
 * whole, and a power cut may lose committed ones that no checkpoint has synced; never a part of one.
 * Either way `lastApplied()` says after the restart what is there, and the log brings the rest again.
 * `durableIndex()` moves only when a checkpoint has synced everything up to it.
 *
 * @module
 */

import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { RaftError } from "../raft/mod.ts";
import {
  type ApplyBatch,
  nodeStateOf,
  type ResultCodec,
  type SnapshotChunks,
  type StateMachine,
} from "../node/state_machine.ts";
import { rewriteFile, syncDirectory } from "../storage/durable_files.ts";
import { decodeCommand } from "./command_codec.ts";
import { checkStored } from "./check.ts";
import { Database, databaseError, type Statement, withKvErrors } from "./database.ts";
import { KvCorruptError, KvUsageError } from "./errors.ts";
import { Executor } from "./executor.ts";
import { RESULT_CODEC } from "./result_codec.ts";
import { readRange } from "./range.ts";
import {
  type Meta,
  metaRow,
  nodeStateRow,
  prepareSchema,
  readMeta,
  readNodeState,
  WRITE_META,
  WRITE_NODE_STATE,
} from "./schema.ts";
import { installRestoration, removeRestoration, writeRestoration } from "./restoration.ts";
import { snapshotChunks } from "./snapshot.ts";
import { checkStoreOptions, type KvStoreOptions, type StoreLimits } from "./store_options.ts";
import type { KvResult, RangeRequest, RangeResult } from "./types.ts";
import { VersionTable } from "./version_table.ts";

/** The name of the store's file in its directory. */
export const KV_FILE = "kv.db";

/** A snapshot reads every page once. */
const SNAPSHOT_CACHE_BYTES = 1024 * 1024;

/** The replicated key-value store of one member. */
export class KvStore implements StateMachine<KvResult> {
  /** The file it lives in. */
  readonly path: string;
  /** How its results are kept for client sessions. */
  readonly resultCodec: ResultCodec<KvResult> = RESULT_CODEC;
  readonly #limits: StoreLimits;
  readonly #readers = new Set<Database>();
  #database!: Database;
  #writeMeta!: Statement;
  #setNodeState!: Statement;
  #deleteNodeState!: Statement;
  #versions!: VersionTable;
  #meta!: Meta;
  #executor!: Executor;
  #nodeState!: Map<string, Uint8Array>;
  #durableIndex = 0;
  /** The bytes since the last commit and the last checkpoint, and the rows at them. */
  #uncommittedBytes = 0;
  #committedSequence = 0;
  #uncheckpointedBytes = 0;
  #checkpointedSequence = 0;
  #state: "open" | "restoring" | "failed" | "closed" = "open";
  #tellFailure!: (error: RaftError) => void;
  /**
   * Resolves when the store can be of no more use, with the reason: its database failed, or holds a
   * damaged row, which a read may find as well as `apply`. Never rejects.
   */
  readonly failed: Promise<RaftError> = new Promise((resolve) => this.#tellFailure = resolve);

  private constructor(options: KvStoreOptions) {
    this.#limits = checkStoreOptions(options);
    this.path = join(options.directory, KV_FILE);
    withKvErrors("open the store", this.path, () => {
      mkdirSync(options.directory, { recursive: true });
      checkStored(this.path);
      removeRestoration(this.path);
    });
    const log = `${this.path}-wal`;
    withKvErrors("write what a process left once more", log, () => {
      if (!existsSync(log)) return;
      // A checkpoint would copy frames that are in memory alone, and a power cut leave half of them.
      rewriteFile(log);
      syncDirectory(options.directory);
    });
    this.#attach();
    // SQLite does so too, but says nothing when it fails.
    withKvErrors("open the store", this.path, () => syncDirectory(options.directory));
  }

  /** Opens the database, and takes what is read again and again into memory. */
  #attach(): void {
    const database = this.#connect();
    try {
      prepareSchema(database);
      this.#database = database;
      this.#writeMeta = database.prepare(WRITE_META);
      this.#setNodeState = database.prepare(WRITE_NODE_STATE);
      this.#deleteNodeState = database.prepare("DELETE FROM node_state WHERE key = ?");
      this.#versions = new VersionTable(database);
      this.#meta = readMeta(database);
      this.#executor = new Executor(this.#versions, this.#meta);
      this.#nodeState = readNodeState(database);
      this.#committedSequence = this.#checkpointedSequence = this.#meta.sequence;
      this.#checkpoint();
    } catch (cause) {
      database.abandon();
      throw databaseError("read", this.path, cause);
    }
  }

  /**
   * Opens the store of a directory, or creates it. Every row is read and checked; a store that is
   * refused is left as it is. Nobody else may have it open: who opens it holds the lock of the node's
   * storage in the same directory, as its write-ahead log is written once more.
   *
   * @throws ConfigError when a limit is not a positive integer
   * @throws KvStorageError when the file cannot be opened, or is of a newer version
   * @throws KvCorruptError when stored data is damaged
   */
  static open(options: KvStoreOptions): KvStore {
    return new KvStore(options);
  }

  /** The main revision: 1 for an empty store, one more with each command that changed something. */
  get revision(): number {
    return this.#meta.revision;
  }

  /** Reads before this revision are refused; 0 when nothing was ever compacted. */
  get compactedRevision(): number {
    return this.#meta.compactedRevision;
  }

  /** The last index whose effects the store holds. */
  lastApplied(): number {
    return this.#meta.lastApplied;
  }

  /** The last index whose effects survive a crash. */
  durableIndex(): number {
    return this.#durableIndex;
  }

  /** What the node keeps in the store, by key. */
  nodeState(): ReadonlyMap<string, Uint8Array> {
    return this.#nodeState;
  }

  /** Bytes of the database, and bytes of it in use; what is still in the write-ahead log included. */
  size(): { bytes: number; inUseBytes: number } {
    this.#expectUsable("size");
    return this.#database.size();
  }

  /**
   * Reads the state as of `lastApplied()`, or of a past revision.
   *
   * @throws KvReadError when the revision is in the future or compacted
   * @throws KvStorageError when the database fails, KvCorruptError when a row is damaged; the store
   *   is then of no more use
   */
  range(request: RangeRequest): RangeResult {
    this.#expectUsable("read");
    return this.#guard("read", () => readRange(this.#versions, request, this.#meta));
  }

  /**
   * Applies a batch. A command that cannot be carried out is a `KvFailure` in its place.
   *
   * @throws KvUsageError when the batch is not after `lastApplied()`: it would be applied twice
   * @throws KvStorageError when the database fails, KvCorruptError when a row is damaged; the store
   *   is then of no more use, and what it holds on disk is the state as of the last commit
   */
  apply(batch: ApplyBatch): KvResult[] {
    this.#expectOpen("apply");
    this.#checkOrder(batch);
    return this.#guard("apply", () => {
      if (!this.#database.inTransaction) this.#database.begin("immediate");
      const results = batch.commands.map((command) => {
        this.#uncommittedBytes += command.bytes.length;
        return this.#executor.execute(decodeCommand(command.bytes));
      });
      for (const [key, value] of nodeStateOf(batch, results)) this.#writeNodeState(key, value);
      this.#meta.lastApplied = batch.lastApplied;
      this.#commitWhenDue();
      return results;
    });
  }

  /** Commits what is applied and syncs it to the disk: `durableIndex()` reaches `lastApplied()`, unless a snapshot is being read. */
  flush(): void {
    this.#expectOpen("flush");
    this.#guard("flush", () => {
      this.#commit();
      this.#checkpoint();
    });
  }

  /**
   * The whole state as of this call, as a stream that is read while the store goes on. Until it ends
   * or is given up (`return()`), it holds a connection, and the write-ahead log cannot shrink.
   *
   * @throws KvSnapshotError (by rejection) when the store is closed meanwhile
   */
  snapshot(): SnapshotChunks {
    this.#expectOpen("snapshot");
    return this.#guard("snapshot", () => {
      this.#commit();
      const reader = this.#connect(SNAPSHOT_CACHE_BYTES);
      this.#readers.add(reader);
      const closed = (): void => void this.#readers.delete(reader);
      return snapshotChunks(reader, closed, (error) => this.#fail(error));
    });
  }

  /**
   * Replaces the whole state by a snapshot. It is written to a file of its own, which takes the place
   * of the store's once the whole stream was found sound and is on the disk. Reads see the old state
   * until then; snapshots of it that are still being read end with an error.
   *
   * @param lastApplied the index the snapshot was taken at, which it must agree with.
   * @throws KvSnapshotError when the stream is damaged; the old state remains
   * @throws KvStorageError when the database fails; the old state remains on the disk
   */
  async restore(chunks: SnapshotChunks, lastApplied: number): Promise<void> {
    this.#expectOpen("restore");
    this.flush();
    this.#state = "restoring";
    try {
      await writeRestoration(this.path, chunks, lastApplied, this.#limits.databaseBytesMax);
    } catch (cause) {
      if (this.#state === "restoring") this.#state = "open";
      throw databaseError("restore a snapshot", this.path, cause);
    }
    if (this.#state !== "restoring") {
      withKvErrors("restore a snapshot", this.path, () => removeRestoration(this.path));
      throw this.#unusable("restore");
    }
    this.#moveToRestored();
    this.#state = "open";
  }

  #moveToRestored(): void {
    try {
      for (const reader of this.#readers) reader.close();
      this.#database.close();
      installRestoration(this.path);
      this.#attach();
      this.#durableIndex = this.#meta.lastApplied;
    } catch (cause) {
      const error = databaseError("restore a snapshot", this.path, cause);
      this.#fail(error);
      throw error;
    }
  }

  /**
   * Commits, syncs and closes; snapshots being read end with an error. After a failure it only closes.
   * Idempotent.
   *
   * @throws KvStorageError when the database fails, KvCorruptError when it is damaged; it is closed then
   *   as well, and the log brings what it lacks
   */
  close(): void {
    if (this.#state === "closed") return;
    const state = this.#state;
    this.#state = "closed";
    withKvErrors("close the store", this.path, () => {
      try {
        for (const reader of this.#readers) reader.close();
        if (state === "failed") return;
        if (state === "open") {
          this.#commit();
          this.#checkpoint();
        }
        this.#database.close();
      } finally {
        // Does nothing to one that is closed.
        this.#database.abandon();
      }
    });
  }

  #connect(cacheBytes: number = this.#limits.cacheBytes): Database {
    const bytesMax = this.#limits.databaseBytesMax;
    return new Database(this.path, { cacheBytes, synchronous: "normal", bytesMax });
  }

  #checkOrder(batch: ApplyBatch): void {
    const first = batch.commands[0];
    const last = batch.commands.at(-1);
    const { lastApplied } = this.#meta;
    if (
      batch.lastApplied > lastApplied && (first === undefined || first.index > lastApplied) &&
      (last === undefined || last.index <= batch.lastApplied)
    ) return;
    throw new KvUsageError(
      `Cannot apply commands ${first?.index ?? "none"} to ${last?.index ?? "none"} as of index ` +
        `${batch.lastApplied}: the store has applied everything up to ${lastApplied}`,
    );
  }

  #writeNodeState(key: string, value: Uint8Array | undefined): void {
    if (value === undefined) {
      this.#deleteNodeState.run(key);
      this.#nodeState.delete(key);
    } else {
      this.#setNodeState.run(...nodeStateRow(key, value));
      this.#nodeState.set(key, value);
      this.#uncommittedBytes += value.length;
    }
  }

  #commitWhenDue(): void {
    const rows = this.#meta.sequence - this.#committedSequence;
    if (rows < this.#limits.commitRows && this.#uncommittedBytes < this.#limits.commitBytes) return;
    this.#commit();
    const uncheckpointedRows = this.#meta.sequence - this.#checkpointedSequence;
    if (
      uncheckpointedRows >= this.#limits.checkpointRows ||
      this.#uncheckpointedBytes >= this.#limits.checkpointBytes
    ) this.#checkpoint();
  }

  #commit(): void {
    if (!this.#database.inTransaction) return;
    this.#writeMeta.run(...metaRow(this.#meta));
    this.#database.commit();
    this.#committedSequence = this.#meta.sequence;
    this.#uncheckpointedBytes += this.#uncommittedBytes;
    this.#uncommittedBytes = 0;
  }

  /** Nothing may be uncommitted. An incomplete one is tried again after as much again is written. */
  #checkpoint(): void {
    if (this.#database.checkpoint()) this.#durableIndex = this.#meta.lastApplied;
    this.#checkpointedSequence = this.#meta.sequence;
    this.#uncheckpointedBytes = 0;
  }

  #expectOpen(what: string): void {
    if (this.#state !== "open") throw this.#unusable(what);
  }

  #expectUsable(what: string): void {
    if (this.#state !== "open" && this.#state !== "restoring") throw this.#unusable(what);
  }

  #unusable(what: string): KvUsageError {
    const why = {
      open: "open",
      restoring: "restoring a snapshot",
      failed: "of no use since its database failed",
      closed: "closed",
    }[this.#state];
    return new KvUsageError(`Cannot ${what} as the store is ${why}`);
  }

  /** Errors that are not ours come from the database, after which nothing can be relied on. */
  #guard<T>(what: string, action: () => T): T {
    try {
      return action();
    } catch (cause) {
      if (cause instanceof RaftError && !(cause instanceof KvCorruptError)) throw cause;
      const error = databaseError(what, this.path, cause);
      this.#fail(error);
      throw error;
    }
  }

  #fail(error: RaftError): void {
    if (this.#state === "closed") return;
    this.#state = "failed";
    this.#database.rollback();
    this.#tellFailure(error);
  }
}
