/**
 * The store's thin layer over `node:sqlite`: opening with the right pragmas, transactions, and
 * checkpoints. Nothing else in this room imports a database.
 *
 * @module
 */

import { DatabaseSync, type StatementSync } from "node:sqlite";
import { RaftError } from "../raft/mod.ts";
import { KvCorruptError, KvStorageError } from "./errors.ts";

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

/** A prepared query whose rows are arrays of the selected columns in order, which is faster. */
export interface RowStatement {
  /** The first row, if any. */
  first(...values: SqlValue[]): SqlColumns | undefined;
  /** Every row. */
  all(...values: SqlValue[]): SqlColumns[];
  /** Rows one by one; the statement must not be used again before the iteration ends. */
  iterate(...values: SqlValue[]): IterableIterator<SqlColumns>;
}

/** A row as an array. */
export type SqlColumns = (number | string | Uint8Array | null)[];

/** How a connection is set up. */
export interface DatabaseOptions {
  /** Memory of the page cache, in bytes. */
  readonly cacheBytes: number;
  /** Whether what is written is synced by checkpoints (`normal`), or by nobody here (`off`). */
  readonly synchronous: "normal" | "off";
  /**
   * Where changes go first: to a write-ahead log, which is the default; or straight into the file, while
   * what was there before is kept in memory.
   */
  readonly journal?: "wal" | "memory";
  /** Beyond so many bytes writes fail, as on a full disk. Rounded down to pages of 4096 bytes. */
  readonly bytesMax?: number;
  /** Reads only, and leaves the write-ahead log as it is when it is closed. Default false. */
  readonly readOnly?: boolean;
}

const PAGE_BYTES = 4096;

/**
 * What the file of a write-ahead log keeps for reuse. A snapshot that is read for long makes it grow
 * far beyond, and so much would never be used again.
 */
const LOG_BYTES_KEPT = 64 * 1024 * 1024;

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

function wrapRows(statement: StatementSync): RowStatement {
  statement.setReturnArrays(true);
  return {
    first: (...values) => statement.get(...bindable(values)) as unknown as SqlColumns | undefined,
    all: (...values) => statement.all(...bindable(values)) as unknown as SqlColumns[],
    iterate: (...values) =>
      statement.iterate(...bindable(values)) as unknown as IterableIterator<SqlColumns>,
  };
}

function bindable(values: SqlValue[]): SqlValue[] {
  for (let at = 0; at < values.length; at++) {
    const value = values[at];
    if (value instanceof Uint8Array && value.length === 0) values[at] = EMPTY_BLOB;
  }
  return values;
}

function configureWrites(
  connection: DatabaseSync,
  { synchronous, journal = "wal", bytesMax }: DatabaseOptions,
): void {
  connection.exec(`PRAGMA page_size=${PAGE_BYTES}`);
  useJournal(connection, journal);
  connection.exec(`PRAGMA synchronous=${synchronous}`);
  // Only on macOS is this more than what a sync does anyway.
  connection.exec("PRAGMA fullfsync=ON");
  connection.exec("PRAGMA checkpoint_fullfsync=ON");
  connection.exec("PRAGMA wal_autocheckpoint=0");
  connection.exec(`PRAGMA journal_size_limit=${LOG_BYTES_KEPT}`);
  if (bytesMax === undefined) return;
  connection.exec(`PRAGMA max_page_count=${Math.max(1, Math.floor(bytesMax / PAGE_BYTES))}`);
}

/**
 * Sets where changes go first. Where SQLite cannot do so it says nothing and uses another mode, in which
 * less would be durable than we think.
 */
function useJournal(connection: DatabaseSync, mode: "wal" | "memory"): void {
  // To the end: the change is committed after the row, and its failure would not be told otherwise.
  const [row] = connection.prepare(`PRAGMA journal_mode=${mode}`).all();
  const found = row?.journal_mode;
  // A database in memory has no write-ahead log.
  if (found === mode || found === "memory") return;
  throw new Error(
    `SQLite uses journal mode ${found} instead of ${mode}: the file system of the directory lacks ` +
      "shared memory or locks, use a local one",
  );
}

/** Connections that stay open until the process ends. */
const abandoned: DatabaseSync[] = [];

/** One connection to a database file. */
export class Database {
  /** The file. */
  readonly path: string;
  readonly #location: string | URL;
  readonly #connection: DatabaseSync;
  #inTransaction = false;
  #open = true;

  /** @throws KvStorageError when the file cannot be opened, KvCorruptError when it is no database */
  constructor(path: string | URL, options: DatabaseOptions) {
    this.path = String(path);
    this.#location = path;
    let connection: DatabaseSync | undefined;
    try {
      const readOnly = options.readOnly ?? false;
      connection = new DatabaseSync(path, { timeout: 5_000, readOnly });
      if (!readOnly) configureWrites(connection, options);
      connection.exec("PRAGMA cell_size_check=ON");
      connection.exec(`PRAGMA cache_size=-${Math.ceil(options.cacheBytes / 1024)}`);
    } catch (cause) {
      connection?.close();
      if (isDamage(cause)) throw new KvCorruptError(this.path, reasonOf(cause));
      throw new KvStorageError(`Cannot open ${path}: ${reasonOf(cause)}`, { cause });
    }
    this.#connection = connection;
  }

  /** Prepares a statement. */
  prepare(sql: string): Statement {
    return wrapStatement(this.#connection.prepare(sql));
  }

  /** Prepares a query for rows as arrays. */
  prepareRows(sql: string): RowStatement {
    return wrapRows(this.#connection.prepare(sql));
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

  /** From here on changes go to a write-ahead log first, as they do by default. */
  useWriteAheadLog(): void {
    useJournal(this.#connection, "wal");
  }

  /**
   * Moves what is in the write-ahead log into the database file, with syncs before and after.
   * Returns whether all of it went, so that everything committed survives a power cut; a reader of
   * an older state prevents that.
   */
  checkpoint(): boolean {
    const [row] = this.prepare("PRAGMA wal_checkpoint(PASSIVE)").all();
    return row?.busy === 0 && row.log === row.checkpointed;
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

  /**
   * Closes the connection; an open transaction is rolled back. The last one to be closed checkpoints.
   * Idempotent.
   */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.rollback();
    this.#connection.close();
  }

  /**
   * Closes the connection after a failure, and leaves the write-ahead log as it is: where a sync of it
   * failed, that of another checkpoint would say nothing, and frames that are in memory alone would be
   * copied. A reader outlasts this connection therefore, as no reader checkpoints; where none can be
   * opened, this one stays until the process ends. Idempotent.
   */
  abandon(): void {
    if (!this.#open) return;
    this.#open = false;
    this.rollback();
    let reader: DatabaseSync | undefined;
    try {
      reader = new DatabaseSync(this.#location, { readOnly: true });
      reader.prepare("SELECT count(*) FROM sqlite_schema").get();
      this.#connection.close();
    } catch {
      // Else it would be closed with the object that holds it.
      abandoned.push(this.#connection);
    } finally {
      reader?.close();
    }
  }
}

/** What an unknown error says. SQLite calls some failures of a full disk, as it opens, I/O errors. */
export function reasonOf(error: unknown): string {
  const reason = error instanceof Error ? error.message : String(error);
  return /I\/O error|is full/.test(reason)
    ? `${reason}; check the disk, and how much of it is free`
    : reason;
}

/** Whether an error is about pages that are damaged, no database at all, or a number we never write. */
export function isDamage(error: unknown): boolean {
  const { code, errcode, message } = error as { code?: string; errcode?: number; message?: string };
  if (code === "ERR_OUT_OF_RANGE") return true;
  // CORRUPT and NOTADB, https://sqlite.org/rescode.html; some errors carry their text only.
  if (errcode !== undefined) return (errcode & 0xff) === 11 || (errcode & 0xff) === 26;
  return /malformed|not a database|too large to be represented/.test(message ?? "");
}

/**
 * The error that a failure of the database or its files stands for, caught while doing `what` to
 * `path`; one of ours stands for itself.
 */
export function databaseError(what: string, path: string, cause: unknown): RaftError {
  if (cause instanceof RaftError) return cause;
  const reason = reasonOf(cause);
  if (isDamage(cause)) return new KvCorruptError(path, `a read fails: ${reason}`);
  return new KvStorageError(`Cannot ${what} in ${path}: ${reason}`, { cause });
}

/** Runs `work`, turning whatever it throws into one of our errors; see {@linkcode databaseError}. */
export function withKvErrors<T>(what: string, path: string, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    throw databaseError(what, path, cause);
  }
}

/** Below this many bytes it is not worth the trouble. */
const FREED_BYTES_MIN = 4 * 1024;

/**
 * Frees the memory of a value that a query returned, and leaves it empty. The garbage collector would
 * do so late: whoever reads values by the gigabyte must not wait for it.
 */
export function freeValue(value: Uint8Array): void {
  const { buffer } = value;
  if (!(buffer instanceof ArrayBuffer) || value.length < FREED_BYTES_MIN) return;
  if (buffer.byteLength === value.length) buffer.transfer(0);
}
