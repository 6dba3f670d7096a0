/**
 * The layout of `raft.db`: its tables, their versions, and how a log entry's region and index are
 * packed into one integer key.
 *
 * Every region has a *slot*, a small integer given to it when it is created. A log row's key is
 * `slot << 46 | index`: the rows of a region lie together, in order, in one B-tree without a second
 * index. This limits a node to {@linkcode SLOT_MAX} regions and an index to {@linkcode INDEX_MAX}
 * (22 years at 100,000 entries a second). SQLite computes the key from the two numbers, as it does
 * not fit into a JavaScript number.
 *
 * @module
 */

import { type Database, openDatabase } from "./database.ts";

/** The largest index an entry may have here: 2^46-1. */
export const INDEX_MAX: number = 2 ** 46 - 1;

/** The largest slot: 2^17-1 regions fit into one database. */
export const SLOT_MAX: number = 2 ** 17 - 1;

/** The key of the slot and the index that are bound in its place, in this order. */
export const KEY_SQL = "((? << 46) | ?)";

/** The slot in a key. */
export const KEY_SLOT_SQL = "(key >> 46)";

/** The index in a key. */
export const KEY_INDEX_SQL = `(key & ${INDEX_MAX})`;

/** Marks the file as ours in SQLite's header ("flrd"). */
export const APPLICATION_ID = 0x666c7264;

const VERSION_1: readonly string[] = [
  `CREATE TABLE node_identity (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    cluster_id TEXT NOT NULL,
    node_id INTEGER NOT NULL,
    format_version INTEGER NOT NULL,
    checksum INTEGER NOT NULL
  ) STRICT`,
  `CREATE TABLE raft_state (
    slot INTEGER PRIMARY KEY,
    region_id INTEGER NOT NULL UNIQUE,
    peer_id INTEGER NOT NULL,
    current_term INTEGER NOT NULL,
    voted_for INTEGER NOT NULL,
    commit_index INTEGER NOT NULL,
    conf_state TEXT NOT NULL,
    conf_state_index INTEGER NOT NULL,
    truncated_index INTEGER NOT NULL,
    truncated_term INTEGER NOT NULL,
    last_index INTEGER NOT NULL,
    last_term INTEGER NOT NULL,
    snapshot TEXT,
    checksum INTEGER NOT NULL
  ) STRICT`,
  `CREATE TABLE raft_log (
    key INTEGER PRIMARY KEY,
    term INTEGER NOT NULL,
    type INTEGER NOT NULL,
    command BLOB NOT NULL,
    context BLOB,
    checksum INTEGER NOT NULL
  ) STRICT`,
  `CREATE TABLE raft_snapshot (
    slot INTEGER PRIMARY KEY,
    "index" INTEGER NOT NULL,
    data BLOB NOT NULL,
    checksum INTEGER NOT NULL
  ) STRICT`,
  // For people with the sqlite3 shell.
  `CREATE VIEW raft_log_by_region AS
    SELECT region_id, ${KEY_INDEX_SQL} AS "index", term, type, command, context, raft_log.checksum
    FROM raft_log LEFT JOIN raft_state ON slot = ${KEY_SLOT_SQL}`,
];

/** What turns a database of version n into one of version n+1, from an empty file on. */
export const MIGRATIONS: readonly (readonly string[])[] = [VERSION_1];

/** The version this code reads and writes; older ones are migrated at open, newer ones refused. */
export const FORMAT_VERSION: number = MIGRATIONS.length;

/** Brings the tables from `version` to {@linkcode FORMAT_VERSION}, within the caller's transaction. */
export function migrate(database: Database, version: number): void {
  for (const statements of MIGRATIONS.slice(version)) {
    for (const sql of statements) database.run(sql);
  }
  database.run(`PRAGMA application_id = ${APPLICATION_ID}`);
  database.run(`PRAGMA user_version = ${FORMAT_VERSION}`);
}

const DEFINITIONS_SQL = "SELECT name, type || ' ' || tbl_name || ' ' || ifnull(sql, '') " +
  "FROM sqlite_schema ORDER BY name";

/** The names of tables, indices and views of `database` that are not what this version creates. */
export function changedTables(database: Database): string[] {
  const pristine = openDatabase(":memory:");
  try {
    migrate(pristine, 0);
    const expected = new Map(pristine.prepare(DEFINITIONS_SQL).all() as [string, string][]);
    const found = new Map(database.prepare(DEFINITIONS_SQL).all() as [string, string][]);
    const names = new Set([...expected.keys(), ...found.keys()]);
    return [...names].filter((name) => expected.get(name) !== found.get(name));
  } finally {
    pristine.close();
  }
}
