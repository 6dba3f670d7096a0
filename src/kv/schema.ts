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
 * Every row has a checksum (see `row_checksum.ts`), checked whenever the row is read.
 *
 * @module
 */

import { Database, reasonOf } from "./database.ts";
import { KvCorruptError, KvStorageError } from "./errors.ts";
import {
  CURRENT_SUM_SQL,
  HISTORY_SUM_SQL,
  historyChecksum,
  keyChecksum,
  metaChecksum,
  nodeStateChecksum,
} from "./row_checksum.ts";

const VERSION_1 = `
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

/** A checksum a row; see `row_checksum.ts`. */
const VERSION_2 = `
  ALTER TABLE history ADD COLUMN sum INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE history ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE current ADD COLUMN sum INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE node_state ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE meta ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0;
`;

/** What turns a database of layout n into one of layout n+1, from an empty file on. */
const MIGRATIONS: readonly ((database: Database) => void)[] = [
  (database) => database.execute(VERSION_1),
  (database) => {
    database.execute(VERSION_2);
    addChecksums(database);
  },
];

/** The layout this build writes, kept in SQLite's `user_version`; older ones are migrated. */
export const SCHEMA_VERSION: number = MIGRATIONS.length;

/**
 * Creates the tables in a new database, and migrates those of an older layout.
 *
 * @throws KvStorageError when it has a layout we do not know
 */
export function prepareSchema(database: Database): void {
  const found = schemaVersion(database);
  if (found === SCHEMA_VERSION) return;
  database.begin("immediate");
  try {
    for (const migrate of MIGRATIONS.slice(found)) migrate(database);
    database.execute(`PRAGMA user_version=${SCHEMA_VERSION}`);
    database.commit();
  } catch (cause) {
    database.rollback();
    throw new KvStorageError(
      `Cannot create the tables of ${database.path}: ${reasonOf(cause)}`,
      { cause },
    );
  }
}

/** The layout of a database; 0 when it has no tables. @throws KvStorageError when it is newer than ours */
export function schemaVersion(database: Database): number {
  const found = database.prepare("PRAGMA user_version").get()!.user_version as number;
  if (found >= 0 && found <= SCHEMA_VERSION) return found;
  throw new KvStorageError(
    `Cannot open ${database.path} as its layout must be of version ${SCHEMA_VERSION} or older: ` +
      `found ${found}; it was written by another version of this software`,
  );
}

const DEFINITIONS_SQL = "SELECT name, type || ' ' || tbl_name || ' ' || ifnull(sql, '') AS text " +
  "FROM sqlite_schema ORDER BY name";

/** The names of tables and indices that are not what this version creates. */
export function changedTables(database: Database): string[] {
  const definitions = (from: Database) =>
    new Map(from.prepare(DEFINITIONS_SQL).all().map(({ name, text }) => [name, text]));
  const pristine = new Database(":memory:", { cacheBytes: 1024 * 1024, synchronous: "normal" });
  try {
    prepareSchema(pristine);
    const [expected, found] = [definitions(pristine), definitions(database)];
    const names = new Set([...expected.keys(), ...found.keys()]);
    return [...names].filter((name) => expected.get(name) !== found.get(name)).map(String);
  } finally {
    pristine.close();
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

/** Reads the counters. @throws KvCorruptError */
export function readMeta(database: Database): Meta {
  const row = database.prepare("SELECT * FROM meta").get();
  const meta = {
    lastApplied: row?.last_applied as number,
    revision: row?.revision as number,
    compactedRevision: row?.compacted_revision as number,
    sequence: row?.sequence as number,
  };
  if (row === undefined || row.checksum !== metaRow(meta).at(-1)) {
    throw new KvCorruptError(database.path, "the row of meta is missing or fails its checksum");
  }
  return meta;
}

/** The statement that writes the counters; its values are those of {@linkcode metaRow}. */
export const WRITE_META =
  "UPDATE meta SET last_applied = ?, revision = ?, compacted_revision = ?, " +
  "sequence = ?, checksum = ?";

/** The counters as a row. */
export function metaRow({ lastApplied, revision, compactedRevision, sequence }: Meta): number[] {
  const checksum = metaChecksum(lastApplied, revision, compactedRevision, sequence);
  return [lastApplied, revision, compactedRevision, sequence, checksum];
}

/** The statement that writes a row of the node's own state; its values are those of {@linkcode nodeStateRow}. */
export const WRITE_NODE_STATE = "INSERT OR REPLACE INTO node_state VALUES (?, ?, ?)";

/** A key of the node's own state and its value, as a row. */
export function nodeStateRow(key: string, value: Uint8Array): [string, Uint8Array, number] {
  return [key, value, nodeStateChecksum(key, value)];
}

/** The node's own state, in the order of its keys. @throws KvCorruptError */
export function readNodeState(database: Database): Map<string, Uint8Array> {
  const state = new Map<string, Uint8Array>();
  for (const row of database.prepare("SELECT * FROM node_state ORDER BY key").all()) {
    const [key, value] = [row.key as string, row.value as Uint8Array];
    if (row.checksum !== nodeStateChecksum(key, value)) {
      throw new KvCorruptError(
        database.path,
        `the row ${JSON.stringify(key)} of node_state fails its checksum`,
      );
    }
    state.set(key, value);
  }
  return state;
}

/** Rows that are read at a time: each may hold a value of many bytes. */
const MIGRATED_ROWS = 64;

/** Gives every row of layout 1 its checksum; whether it was damaged before cannot be told. */
function addChecksums(database: Database): void {
  database.execute(`UPDATE history AS h SET sum = ${HISTORY_SUM_SQL}`);
  database.execute(`UPDATE current AS c SET sum = ${CURRENT_SUM_SQL}`);
  const page = database.prepareRows(
    "SELECT sequence, key, revision, lease, value FROM history WHERE sequence > ? " +
      `ORDER BY sequence LIMIT ${MIGRATED_ROWS}`,
  );
  const update = database.prepare("UPDATE history SET checksum = ? WHERE sequence = ?");
  type Columns = [number, Uint8Array, number, Uint8Array | null, Uint8Array];
  let rows = page.all(0) as Columns[];
  while (rows.length > 0) {
    for (const [sequence, key, revision, lease, value] of rows) {
      update.run(historyChecksum(keyChecksum(key), revision, lease, value), sequence);
    }
    rows = page.all(rows[rows.length - 1][0]) as Columns[];
  }
  const states = database.prepare("SELECT key, value FROM node_state").all();
  const writeNodeState = database.prepare(WRITE_NODE_STATE);
  for (const row of states) {
    writeNodeState.run(...nodeStateRow(row.key as string, row.value as Uint8Array));
  }
  const { last_applied, revision, compacted_revision, sequence } = database
    .prepare("SELECT * FROM meta").get()! as Record<string, number>;
  database.prepare(WRITE_META).run(...metaRow({
    lastApplied: last_applied,
    revision,
    compactedRevision: compacted_revision,
    sequence,
  }));
}
