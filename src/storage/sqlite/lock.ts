/**
 * One process at a time: an exclusive transaction on `lock.db`, held open for as long as the storage
 * is. The operating system releases it when the process ends, however it ends. It is a file of its
 * own so that our own connections to the log, and readers of it, are not locked out.
 *
 * @module
 */

import { existsSync } from "node:fs";
import { join } from "node:path";
import { StorageError } from "../errors.ts";
import { type Database, openDatabase, toStorageError } from "./database.ts";

/** The name of the lock's file in the storage's directory. */
export const LOCK_FILE = "lock.db";

/**
 * The lock of a directory. Opening and closing the file by other means within this process would
 * release it on POSIX systems.
 */
export class DirectoryLock {
  #database: Database | undefined;

  private constructor(database: Database) {
    this.#database = database;
  }

  /** Takes the lock, without waiting. @throws StorageError `STORAGE_LOCKED`, or why the file cannot be opened. */
  static acquire(directory: string): DirectoryLock {
    let database: Database | undefined;
    try {
      database = openDatabase(join(directory, LOCK_FILE));
      database.prepare("PRAGMA journal_mode = MEMORY").all();
      database.run("BEGIN EXCLUSIVE");
      // Where SQLite can open the file for reading only, that takes a shared lock and says nothing. A
      // change, which is never committed, needs the real one.
      database.run("CREATE TABLE held (id INTEGER)");
      return new DirectoryLock(database);
    } catch (error) {
      database?.close();
      const failure = toStorageError(error, `lock ${join(directory, LOCK_FILE)}`);
      if (failure.code === "STORAGE_CORRUPT") throw damagedLock(directory, error);
      if (failure.code !== "STORAGE_LOCKED") throw failure;
      throw new StorageError(
        "STORAGE_LOCKED",
        `Cannot open the storage in ${directory} as it is open already, in this process or ` +
          "another: stop that node first, or use another directory",
        { cause: error },
      );
    }
  }

  /** Releases the lock. Idempotent. */
  release(): void {
    this.#database?.close();
    this.#database = undefined;
  }
}

/** Nothing is lost with this file, so the advice for damaged data does not hold. */
function damagedLock(directory: string, cause: unknown): StorageError {
  return new StorageError(
    "STORAGE_CORRUPT",
    `Cannot lock ${
      join(directory, LOCK_FILE)
    } as it is damaged: it holds no data; remove it while ` +
      "no node runs there, then start the node again",
    { cause },
  );
}

/**
 * Keeps the storage in `directory` closed while `work` runs, without altering anything: a node that
 * is started meanwhile finds it open.
 *
 * @throws StorageError `STORAGE_LOCKED` when it is open now.
 */
export function whileClosed<T>(directory: string, work: () => T): T {
  const path = join(directory, LOCK_FILE);
  if (!existsSync(path)) return work();
  let database: Database | undefined;
  try {
    try {
      database = openDatabase(path, { readOnly: true });
      // The file is empty and never written: what counts is the shared lock that reading takes.
      database.run("BEGIN");
      database.prepare("SELECT count(*) FROM sqlite_schema").all();
    } catch (error) {
      const failure = toStorageError(error, `look at ${path}`);
      if (failure.code !== "STORAGE_LOCKED") throw failure;
      throw new StorageError(
        "STORAGE_LOCKED",
        `A node has the storage in ${directory} open: stop it first`,
        { cause: error },
      );
    }
    return work();
  } finally {
    database?.close();
  }
}
