/**
 * The one place that knows the SQLite driver (`node:sqlite`, which Node, Deno and Bun share): a
 * narrow synchronous face over it, and the translation of its errors.
 *
 * @module
 */

import { DatabaseSync, type StatementSync } from "node:sqlite";
import { StorageError, type StorageErrorCode } from "../errors.ts";

/** A value as it is bound to a statement or read from a row. Integers are at most 2^53-1. */
export type SqlValue = number | string | Uint8Array | null;

/**
 * A prepared statement. Rows are arrays of the selected columns in order. Rows one at a time are left
 * out on purpose: on Deno (2.9.3) `iterate` ends silently where a read fails.
 */
export interface Statement {
  /** Runs to the end; returns the number of changed rows. */
  run(...parameters: SqlValue[]): number;
  /** Runs to the end. @throws StorageError `STORAGE_CORRUPT` unless exactly one row changes, `row`. */
  runOne(row: string, ...parameters: SqlValue[]): void;
  /** The first row, or undefined. */
  first(...parameters: SqlValue[]): SqlValue[] | undefined;
  /** All rows. */
  all(...parameters: SqlValue[]): SqlValue[][];
}

/** A connection. Not shared between threads. */
export interface Database {
  /** @throws the driver's error; see {@linkcode toStorageError}. */
  /** Prepares a statement for many runs. */
  prepare(sql: string): Statement;
  /** Prepares and runs one statement; the errors of statements carry codes on all runtimes. */
  run(sql: string): void;
  /** Idempotent. */
  close(): void;
}

/** How to open a database. */
export interface OpenDatabaseOptions {
  /** Refuse to write, and create nothing. Default false. */
  readonly readOnly?: boolean;
  /** How long to wait for a lock of another connection, in milliseconds. Default 0: fail at once. */
  readonly busyTimeoutMs?: number;
}

/** Opens the database at `path`, which is created unless `readOnly`. @throws the driver's error. */
export function openDatabase(path: string | URL, options: OpenDatabaseOptions = {}): Database {
  const connection = new DatabaseSync(path, {
    readOnly: options.readOnly ?? false,
    timeout: options.busyTimeoutMs ?? 0,
  });
  let open = true;
  return {
    prepare: (sql) => wrapStatement(connection.prepare(sql)),
    run: (sql) => void connection.prepare(sql).run(),
    close: () => {
      if (!open) return;
      open = false;
      connection.close();
    },
  };
}

function wrapStatement(statement: StatementSync): Statement {
  statement.setReturnArrays(true);
  const run = (...parameters: SqlValue[]): number =>
    statement.run(...bindable(parameters)).changes as number;
  return {
    run,
    runOne: (row, ...parameters) => {
      if (run(...parameters) !== 1) throw missingRowError(row);
    },
    first: (...parameters) =>
      statement.get(...bindable(parameters)) as unknown as SqlValue[] | undefined,
    all: (...parameters) => statement.all(...bindable(parameters)) as unknown as SqlValue[][],
  };
}

/** The error for a row that should be there to be changed, named like `The row of …`. */
export function missingRowError(row: string): StorageError {
  return new StorageError("STORAGE_CORRUPT", `${row} is gone; ${CORRUPT_ADVICE}`);
}

/** Empty, of a buffer that is not: Node 22 binds an empty view of an empty buffer as NULL. */
const EMPTY_BLOB = new Uint8Array(1).subarray(0, 0);

function bindable(parameters: SqlValue[]): SqlValue[] {
  for (let at = 0; at < parameters.length; at++) {
    const value = parameters[at];
    if (value instanceof Uint8Array && value.length === 0) parameters[at] = EMPTY_BLOB;
  }
  return parameters;
}

// Primary result codes of SQLite, https://sqlite.org/rescode.html.
const PRIMARY_CODES: Readonly<Record<number, StorageErrorCode>> = {
  3: "STORAGE_READ_ONLY", // PERM
  5: "STORAGE_LOCKED", // BUSY
  6: "STORAGE_LOCKED", // LOCKED
  8: "STORAGE_READ_ONLY", // READONLY
  11: "STORAGE_CORRUPT", // CORRUPT
  13: "STORAGE_FULL", // FULL
  23: "STORAGE_READ_ONLY", // AUTH
  26: "STORAGE_CORRUPT", // NOTADB
};

// Deno's errors of opening carry no code, only a text of SQLite or of its own permissions.
const TEXTS: readonly (readonly [text: string, code: StorageErrorCode])[] = [
  ["readonly", "STORAGE_READ_ONLY"],
  ["database is locked", "STORAGE_LOCKED"],
  ["disk is full", "STORAGE_FULL"],
  ["not a database", "STORAGE_CORRUPT"],
  ["malformed", "STORAGE_CORRUPT"],
  ["Requires write access", "STORAGE_READ_ONLY"],
  ["Requires read access", "STORAGE_READ_ONLY"],
];

const ADVICE: Readonly<Partial<Record<StorageErrorCode, string>>> = {
  STORAGE_IO: "check the disk, how much of it is free, and the system's log, then start " +
    "the node again",
  STORAGE_FULL: "free some space, then start the node again; nothing acknowledged is lost",
  STORAGE_CORRUPT: "restore the directory from a backup, or remove the node from the cluster and " +
    "add it again with an empty directory",
  STORAGE_READ_ONLY: "make the directory and its files writable for this process",
  STORAGE_LOCKED: "stop whatever else has the database open",
};

/** What can be done about damaged data; ends every message of a `STORAGE_CORRUPT` error. */
export const CORRUPT_ADVICE: string = ADVICE.STORAGE_CORRUPT as string;

/** Whether `error` comes from the SQLite driver. */
function isDriverError(error: unknown): error is Error & { errcode?: number } {
  return error instanceof Error && (error as { code?: unknown }).code === "ERR_SQLITE_ERROR";
}

/** The kind of failure that a driver's or the file system's error stands for. */
function codeOf(error: unknown): StorageErrorCode {
  if (isDriverError(error) && error.errcode !== undefined) {
    return PRIMARY_CODES[error.errcode & 0xff] ?? "STORAGE_IO";
  }
  const { code, message = "" } = error as { code?: unknown; message?: string };
  // A stored integer beyond 2^53-1, which nothing of ours writes.
  if (code === "ERR_OUT_OF_RANGE") return "STORAGE_CORRUPT";
  if (code === "EACCES" || code === "EPERM" || code === "EROFS") return "STORAGE_READ_ONLY";
  if (code === "ENOSPC" || code === "EDQUOT") return "STORAGE_FULL";
  return TEXTS.find(([text]) => message.includes(text))?.[1] ?? "STORAGE_IO";
}

/**
 * The typed error for `error`, caught while doing `action` ("write to the log in /data"). A
 * `StorageError` is returned as it is.
 */
export function toStorageError(error: unknown, action: string): StorageError {
  if (error instanceof StorageError) return error;
  const code = codeOf(error);
  const number = isDriverError(error) ? error.errcode : undefined;
  const found = (error instanceof Error ? error.message : String(error)) +
    (number === undefined ? "" : ` (SQLite result code ${number})`);
  return new StorageError(code, `Cannot ${action}: ${found}; ${ADVICE[code]}`, { cause: error });
}

/** Runs `work`, turning whatever it throws into a `StorageError`; see {@linkcode toStorageError}. */
export function withStorageErrors<T>(action: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw toStorageError(error, action);
  }
}
