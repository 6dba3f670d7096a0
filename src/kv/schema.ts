/**
 * The tables of the store and the version of their layout.
 *
 * - `history`: every version of every key in the order of writing; rows are appended, which is what
 *   SQLite does fastest. `previous` and `jump` link a version to older ones (see
 *   `version_chain.ts`). A version number of 0 is a tombstone.
 * - `current`: the newest row of each key, tombstones included. One small row a key, so that reads of
 *   the newest revision never meet old versions.
 * - `node_state`: what the node keeps in the machine.
 * - `meta`: one row of counters, written once a transaction.
 *
 * @module
 */

import type { Database } from "./database.ts";
import { KvStorageError } from "./errors.ts";

/** The layout this build writes, kept in SQLite's `user_version`. */
export const SCHEMA_VERSION = 1;

const CREATE_VERSION_1 = `
  CREATE TABLE history (
    sequence INTEGER PRIMARY KEY,
    key BLOB NOT NULL,
    revision INTEGER NOT NULL,
    create_revision INTEGER NOT NULL,
    version INTEGER NOT NULL,
    lease BLOB,
    value BLOB NOT NULL,
    previous INTEGER NOT NULL,
    jump INTEGER NOT NULL,
    ordinal INTEGER NOT NULL
  ) STRICT;
  CREATE TABLE current (
    key BLOB PRIMARY KEY,
    sequence INTEGER NOT NULL,
    version INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE node_state (
    key TEXT PRIMARY KEY,
    value BLOB NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE meta (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    last_applied INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    compacted_revision INTEGER NOT NULL,
    sequence INTEGER NOT NULL
  ) STRICT;
  INSERT INTO meta VALUES (1, 0, 1, 0, 0);
`;

/** Creates the tables in a new database. @throws KvStorageError when it has a layout we do not know */
export function prepareSchema(database: Database): void {
  const found = database.prepare("PRAGMA user_version").get()!.user_version as number;
  if (found === SCHEMA_VERSION) return;
  if (found !== 0) {
    throw new KvStorageError(
      `Cannot open ${database.path} as its layout must be of version ${SCHEMA_VERSION}: found ` +
        `${found}; it was written by another version of this software`,
    );
  }
  database.begin("immediate");
  try {
    database.execute(CREATE_VERSION_1);
    database.execute(`PRAGMA user_version=${SCHEMA_VERSION}`);
    database.commit();
  } catch (cause) {
    database.rollback();
    throw new KvStorageError(`Cannot create the tables of ${database.path}`, { cause });
  }
}

/** The counters of the store. */
export interface Meta {
  lastApplied: number;
  /** The main revision: 1 for an empty store, one more with each command that changes something. */
  revision: number;
  /** Reads before it are refused; 0 when nothing was ever compacted. */
  compactedRevision: number;
  /** The row of `history` written last. */
  sequence: number;
}

/** Reads the counters. */
export function readMeta(database: Database): Meta {
  const row = database.prepare("SELECT * FROM meta").get()!;
  return {
    lastApplied: row.last_applied as number,
    revision: row.revision as number,
    compactedRevision: row.compacted_revision as number,
    sequence: row.sequence as number,
  };
}

/** The statement that writes the counters, in the order of {@linkcode Meta}. */
export const WRITE_META =
  "UPDATE meta SET last_applied = ?, revision = ?, compacted_revision = ?, sequence = ?";
