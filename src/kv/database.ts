/**
 * The store's thin layer over `node:sqlite`: opening with the right pragmas, transactions, and
 * checkpoints. Nothing else in this room imports a database.
 *
 * @module
 */

import { DatabaseSync, type StatementSync } from "node:sqlite";
import { KvStorageError } from "./errors.ts";

/** What a statement takes. */
export type SqlValue = number | bigint | string | Uint8Array | null;

/** What a query returns: columns by name. Integers beyond 2^53-1 make it throw. */
export type SqlRow = Record<string, number | string | Uint8Array | null>;

/** A prepared statement. */
export interface Statement {
  /** The first row, if any. */
  get(...values: SqlValue[]): SqlRow | undefined;
  /** Every row. */
  all(...values: SqlValue[]): SqlRow[];
  /** Rows one by one; the statement must not be used again before the iteration ends. */
  iterate(...values: SqlValue[]): IterableIterator<SqlRow>;
  /** Executes a write. */
  run(...values: SqlValue[]): void;
}

/** How a connection is set up. */
export interface DatabaseOptions {
  /** Memory of the page cache, in bytes. */
  readonly cacheBytes: number;
  /** Whether a commit returns only when it is on the disk (`full`), or leaves that to a checkpoint. */
  readonly synchronous: "normal" | "full";
}

const PAGE_BYTES = 4096;

/** Empty, of a buffer that is not: Node 22 binds an empty view of an empty buffer as NULL. */
const EMPTY_BLOB = new Uint8Array(1).subarray(0, 0);

function wrapStatement(statement: StatementSync): Statement {
  return {
    get: (...values) => statement.get(...bindable(values)) as SqlRow | undefined,
    all: (...values) => statement.all(...bindable(values)) as SqlRow[],
    iterate: (...values) => statement.iterate(...bindable(values)) as IterableIterator<SqlRow>,
    run: (...values) => void statement.run(...bindable(values)),
  };
}

function bindable(values: SqlValue[]): SqlValue[] {
  for (let at = 0; at < values.length; at++) {
    const value = values[at];
    if (value instanceof Uint8Array && value.length === 0) values[at] = EMPTY_BLOB;
  }
  return values;
}

/** One connection to a database file. */
export class Database {
  /** The file. */
  readonly path: string;
  readonly #connection: DatabaseSync;
  #inTransaction = false;
  #open = true;

  /** @throws KvStorageError when the file cannot be opened or is not a database */
  constructor(path: string, options: DatabaseOptions) {
    this.path = path;
    let connection: DatabaseSync | undefined;
    try {
      connection = new DatabaseSync(path, { timeout: 5_000 });
      connection.exec(`PRAGMA page_size=${PAGE_BYTES}`);
      connection.exec("PRAGMA journal_mode=WAL");
      connection.exec(`PRAGMA synchronous=${options.synchronous}`);
      // Only on macOS is this more than what a sync does anyway.
      connection.exec("PRAGMA fullfsync=ON");
      connection.exec("PRAGMA checkpoint_fullfsync=ON");
      connection.exec("PRAGMA wal_autocheckpoint=0");
      connection.exec(`PRAGMA cache_size=-${Math.ceil(options.cacheBytes / 1024)}`);
    } catch (cause) {
      connection?.close();
      throw new KvStorageError(`Cannot open ${path}: ${reasonOf(cause)}`, { cause });
    }
    this.#connection = connection;
  }

  /** Prepares a statement. */
  prepare(sql: string): Statement {
    return wrapStatement(this.#connection.prepare(sql));
  }

  /** Executes statements without values. */
  execute(sql: string): void {
    this.#connection.exec(sql);
  }

  /** Whether a transaction is open. */
  get inTransaction(): boolean {
    return this.#inTransaction;
  }

  /** Opens a transaction; `immediate` takes the write lock at once. */
  begin(kind: "deferred" | "immediate" = "deferred"): void {
    this.#connection.exec(kind === "immediate" ? "BEGIN IMMEDIATE" : "BEGIN");
    this.#inTransaction = true;
  }

  /** Commits the open transaction. */
  commit(): void {
    this.#connection.exec("COMMIT");
    this.#inTransaction = false;
  }

  /** Gives the open transaction up, if there is one; SQLite may have done so itself. */
  rollback(): void {
    if (!this.#inTransaction) return;
    this.#inTransaction = false;
    try {
      this.#connection.exec("ROLLBACK");
    } catch {
      // It was rolled back by the error that led here.
    }
  }

  /**
   * Moves what is in the write-ahead log into the database file, with syncs before and after.
   * Returns whether all of it went, so that everything committed survives a power cut; a reader of
   * an older state prevents that.
   */
  checkpoint(): boolean {
    const row = this.prepare("PRAGMA wal_checkpoint(PASSIVE)").get();
    return row !== undefined && row.busy === 0 && row.log === row.checkpointed;
  }

  /** Bytes of the database, and bytes of it in use. */
  size(): { bytes: number; inUseBytes: number } {
    const pages = this.#pragma("page_count");
    const free = this.#pragma("freelist_count");
    const pageBytes = this.#pragma("page_size");
    return { bytes: pages * pageBytes, inUseBytes: (pages - free) * pageBytes };
  }

  #pragma(name: string): number {
    return this.prepare(`PRAGMA ${name}`).get()![name] as number;
  }

  /** Closes the connection; an open transaction is rolled back. Idempotent. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.rollback();
    this.#connection.close();
  }
}

/** What an unknown error says. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
