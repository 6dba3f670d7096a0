/**
 * The directory of a storage and how its files are opened: what is checked before SQLite may touch
 * anything, who the data belongs to, and the settings of the connection.
 *
 * @module
 */

import {
  accessSync,
  closeSync,
  constants,
  existsSync,
  mkdirSync,
  openSync,
  readSync,
  statSync,
} from "node:fs";
import { dirname, join } from "node:path";
import type { NodeIdentity } from "../contract.ts";
import { StorageError } from "../errors.ts";
import { rewriteFile, syncDirectory } from "../durable_files.ts";
import {
  CORRUPT_ADVICE,
  type Database,
  openDatabase,
  toStorageError,
  withStorageErrors,
} from "./database.ts";
import { identityChecksum } from "./rows.ts";
import { APPLICATION_ID, FORMAT_VERSION, migrate } from "./schema.ts";
import { scanWal, type WalScan } from "./wal.ts";

/** The name of the database in the storage's directory. */
export const DATABASE_FILE = "raft.db";

/** How long our connection waits for a reader's lock, in milliseconds: only tools take any. */
export const BUSY_TIMEOUT_MS = 1000;

/** Creates the directory when it is missing. @throws StorageError when it cannot be used. */
export function prepareDirectory(directory: string): void {
  try {
    if (!existsSync(directory)) {
      mkdirSync(directory, { recursive: true });
      syncParent(directory);
    }
    if (!statSync(directory).isDirectory()) {
      throw new StorageError(
        "STORAGE_IO",
        `Cannot open the storage in ${directory}: not a directory`,
      );
    }
  } catch (error) {
    throw toStorageError(error, `use the directory ${directory}`);
  }
}

/**
 * The error for a failure to open `directory`: where it cannot be written, that is the cause, whatever
 * SQLite could not do because of it.
 */
export function openError(error: unknown, directory: string): StorageError {
  const failure = toStorageError(error, `open the storage in ${directory}`);
  if (failure.code !== "STORAGE_IO" || isWritable(directory)) return failure;
  return new StorageError(
    "STORAGE_READ_ONLY",
    `Cannot open the storage in ${directory}: the directory is read-only for this process; make it ` +
      "and its files writable",
    { cause: failure },
  );
}

function isWritable(directory: string): boolean {
  try {
    accessSync(directory, constants.W_OK);
    return true;
  } catch (error) {
    // Deno asks for another permission here; without it nothing is known.
    return !["EACCES", "EPERM", "EROFS"].includes((error as { code?: string }).code ?? "");
  }
}

/**
 * Opens the database in `directory`, which is locked already, and creates or migrates its tables. What
 * it shows is on the disk then. Nothing is altered when it belongs to somebody else or is damaged.
 *
 * @throws StorageError `STORAGE_CORRUPT`, `STORAGE_FORMAT`, `STORAGE_IDENTITY`, `STORAGE_READ_ONLY`, …
 */
export function openDatabaseFile(
  directory: string,
  identity: NodeIdentity,
): { database: Database; walScan: WalScan } {
  const path = join(directory, DATABASE_FILE);
  return withStorageErrors(`open ${path}`, () => {
    const walScan = checkWal(path);
    const version = inspect(path, identity);
    // SQLite would add to frames that are in memory alone, and what is acknowledged behind them be lost.
    if (walScan.frames > 0) rewriteFile(`${path}-wal`);
    const database = openDatabase(path, { busyTimeoutMs: BUSY_TIMEOUT_MS });
    try {
      // Takes effect only before the first table; lets space go back to the file system later.
      if (version === 0) database.prepare("PRAGMA auto_vacuum = INCREMENTAL").all();
      configure(database);
      createTables(database, identity);
      syncDirectory(directory);
      return { database, walScan };
    } catch (error) {
      database.close();
      throw error;
    }
  });
}

/** Has every write of this connection beyond so many pages fail; 0 means no limit. */
export function limitSize(database: Database, pagesMax: number): void {
  for (const sql of sizeSettings(pagesMax)) database.prepare(sql).all();
}

function sizeSettings(pagesMax: number): string[] {
  return pagesMax > 0 ? [`PRAGMA max_page_count = ${pagesMax}`] : [];
}

/**
 * What sets up another connection to a database that {@linkcode openDatabaseFile} has opened, for
 * the thread that writes: SQL, of which the first gives the mode for {@linkcode checkJournalMode}.
 * `pagesMax` limits the size; 0 does not.
 */
export function connectionSettings(pagesMax: number): string[] {
  return [JOURNAL_MODE_SQL, ...SETTINGS, ...sizeSettings(pagesMax)];
}

/**
 * Scans the write-ahead log of the database at `path`, which nobody may have open.
 *
 * @throws StorageError `STORAGE_CORRUPT`, naming the frame, when SQLite would drop transactions that
 *   were committed after a damaged frame
 */
export function checkWal(path: string): WalScan {
  const pages = databasePages(path);
  const scan = scanWal(`${path}-wal`, pages);
  if (pages === 0 && scan.transactions > 0) {
    throw new StorageError(
      "STORAGE_CORRUPT",
      `${path} is missing or empty, yet its write-ahead log holds ${scan.transactions} ` +
        `transactions, which SQLite would drop; ${CORRUPT_ADVICE}`,
    );
  }
  return scan;
}

/** The size that the database's header states, in pages; 0 when there is no database. */
export function databasePages(path: string): number {
  if (!existsSync(path)) return 0;
  const header = new Uint8Array(32);
  const file = openSync(path, "r");
  try {
    if (readSync(file, header, 0, header.length, 0) < header.length) return 0;
  } finally {
    closeSync(file);
  }
  return new DataView(header.buffer).getUint32(28);
}

/** Checks whose database it is through a connection that cannot write; returns its version, 0 when it is new. */
function inspect(path: string, identity: NodeIdentity): number {
  if (databasePages(path) === 0) return 0;
  rollBack(path);
  const database = openDatabase(path, { readOnly: true });
  try {
    const version = readVersion(database, path);
    if (version > 0) checkOwner(database, version, identity, path);
    return version;
  } finally {
    database.close();
  }
}

/**
 * Ends what a crash interrupted before the database was in WAL mode, which is when it was created: a
 * rollback journal is left then. A connection that cannot write could not even read it.
 */
function rollBack(path: string): void {
  if (!existsSync(`${path}-journal`)) return;
  const database = openDatabase(path);
  try {
    database.prepare("PRAGMA user_version").first();
  } finally {
    database.close();
  }
}

/** The format's version; 0 when the database has no tables yet. */
export function readVersion(database: Database, path: string): number {
  const pragma = (name: string): number =>
    database.prepare(`PRAGMA ${name}`).first()?.[0] as number;
  const version = pragma("user_version");
  const tables = database.prepare("SELECT count(*) FROM sqlite_schema").first()?.[0] as number;
  if (tables === 0 && version === 0) return 0;
  if (pragma("application_id") !== APPLICATION_ID) {
    throw new StorageError(
      "STORAGE_FORMAT",
      `${path} is a database of another application: choose another directory`,
    );
  }
  if (version > FORMAT_VERSION) {
    throw new StorageError(
      "STORAGE_FORMAT",
      `${path} has format version ${version}, but this program knows versions up to ` +
        `${FORMAT_VERSION} only: start it with the newer program that wrote it`,
    );
  }
  return version;
}

/** Who the database belongs to. @throws StorageError `STORAGE_CORRUPT` when that is not known. */
export function readIdentity(database: Database, version: number, path: string): NodeIdentity {
  const row = database
    .prepare("SELECT cluster_id, node_id, format_version, checksum FROM node_identity")
    .first();
  const found = { clusterId: String(row?.[0]), nodeId: Number(row?.[1]) };
  if (row === undefined || row[2] !== version || row[3] !== identityChecksum(found, version)) {
    throw new StorageError(
      "STORAGE_CORRUPT",
      `In ${path}, the row of node_identity is missing or fails its checksum; ${CORRUPT_ADVICE}`,
    );
  }
  return found;
}

function checkOwner(
  database: Database,
  version: number,
  identity: NodeIdentity,
  path: string,
): void {
  const found = readIdentity(database, version, path);
  if (found.clusterId !== identity.clusterId || found.nodeId !== identity.nodeId) {
    throw new StorageError(
      "STORAGE_IDENTITY",
      `${path} belongs to node ${found.nodeId} of cluster ${
        JSON.stringify(found.clusterId)
      }, not ` +
        `to node ${identity.nodeId} of cluster ${JSON.stringify(identity.clusterId)}: choose the ` +
        "directory of this node, or correct the ids it is started with",
    );
  }
}

const JOURNAL_MODE_SQL = "PRAGMA journal_mode = WAL";

const SETTINGS: readonly string[] = [
  "PRAGMA synchronous = FULL",
  "PRAGMA fullfsync = 1",
  "PRAGMA checkpoint_fullfsync = 1",
  // We run checkpoints ourselves, as SQLite ignores the failure of an automatic one.
  "PRAGMA wal_autocheckpoint = 0",
  "PRAGMA journal_size_limit = 67108864",
  "PRAGMA temp_store = MEMORY",
  "PRAGMA cache_size = -8192",
];

function configure(database: Database): void {
  // To the end: the change is committed after the row, and its failure would not be told otherwise.
  checkJournalMode(database.prepare(JOURNAL_MODE_SQL).all()[0]?.[0]);
  for (const sql of SETTINGS) database.prepare(sql).all();
}

/** @throws StorageError unless a connection said that it is in the mode that was asked for. */
export function checkJournalMode(mode: unknown): void {
  if (mode === "wal") return;
  throw new StorageError(
    "STORAGE_IO",
    `SQLite uses journal mode ${String(mode)} instead of wal: the file system of the directory ` +
      "lacks shared memory or locks, use a local one",
  );
}

/** Creates or migrates the tables; takes and so tests the right to write in any case. */
function createTables(database: Database, identity: NodeIdentity): void {
  database.run("BEGIN IMMEDIATE");
  try {
    const version = database.prepare("PRAGMA user_version").first()?.[0] as number;
    if (version < FORMAT_VERSION) {
      migrate(database, version);
      database
        .prepare("REPLACE INTO node_identity VALUES (1, ?, ?, ?, ?)")
        .run(
          identity.clusterId,
          identity.nodeId,
          FORMAT_VERSION,
          identityChecksum(identity, FORMAT_VERSION),
        );
    } else {
      // To begin is not enough: where SQLite can open the file for reading only, it begins to read.
      database.run("DELETE FROM node_identity WHERE false");
    }
    database.run("COMMIT");
  } catch (error) {
    try {
      database.run("ROLLBACK");
    } catch {
      // Rolled back already; the first error counts.
    }
    throw error;
  }
}

/** Makes the name of a new directory durable, where this process may look at its parent. */
function syncParent(directory: string): void {
  try {
    syncDirectory(dirname(directory));
  } catch {
    // Without the permission, whoever gave it has made the directory known to the disk, or it is
    // missing after a crash of the whole machine, which is found when the node starts.
  }
}
