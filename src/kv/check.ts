/**
 * The check of a whole store: every row's checksum, and that the tables fit each other, so that no
 * damage can hide a row or show an older one in its place. It reads every page once, with bounded
 * memory.
 *
 * Whether `current` leads to the newest row of every key is seen without sorting or random access:
 * every row of `history` but the newest of its key is the `previous` one of exactly one other, so the
 * rows less the previous ones must be what `current` lists. The three are compared as sums of hashes.
 *
 * @module
 */

import { existsSync, statSync } from "node:fs";
import { RaftError } from "../raft/mod.ts";
import {
  Database,
  databaseError,
  freeValue,
  isDamage,
  reasonOf,
  type RowStatement,
  type SqlColumns,
  type SqlValue,
} from "./database.ts";
import { KvCorruptError } from "./errors.ts";
import { compareBytes } from "./range.ts";
import { CURRENT_SUM_SQL, HISTORY_SUM_SQL, historyChecksum, keyChecksum } from "./row_checksum.ts";
import {
  changedTables,
  type Meta,
  readMeta,
  readNodeState,
  SCHEMA_VERSION,
  schemaVersion,
} from "./schema.ts";

/** Takes what was found to be wrong, as a clause. May throw to end the check. */
export type ReportDamage = (found: string) => void;

/** How large a store is. */
export interface StoreSize {
  /** Its counters, where they are sound. */
  readonly meta: Meta | undefined;
  /** Rows of `history`: versions of keys, tombstones included. */
  readonly versions: number;
  /** Rows of `current`: keys that exist or existed. */
  readonly keys: number;
}

/** Pages are read once, in order. */
const CACHE_BYTES = 1024 * 1024;

/**
 * Checks what is stored at `path`, if anything, through a connection that alters nothing.
 *
 * @throws KvCorruptError naming the first damage
 * @throws KvStorageError when it cannot be read
 */
export function checkStored(path: string): void {
  if (!existsSync(path) || statSync(path).size === 0) return;
  // A crash interrupted its creation, before any table was there.
  if (existsSync(`${path}-journal`)) return;
  const database = new Database(path, {
    cacheBytes: CACHE_BYTES,
    synchronous: "normal",
    readOnly: true,
  });
  try {
    // What has no checksums yet gets them first.
    if (schemaVersion(database) < SCHEMA_VERSION) return;
    checkTables(database, (found) => {
      throw new KvCorruptError(path, found);
    });
  } catch (cause) {
    if (cause instanceof RaftError) throw cause;
    throw databaseError("read", path, cause);
  } finally {
    database.close();
  }
}

/**
 * Checks all tables of a store of the layout this version writes.
 *
 * @throws what `report` throws, and the driver's errors that do not say that data is damaged
 */
export function checkTables(database: Database, report: ReportDamage): StoreSize {
  const changed = changedTables(database);
  for (const name of changed) report(`the definition of ${name} is damaged`);
  // Our queries may name what these tables no longer have.
  if (changed.length > 0) return { meta: undefined, versions: 0, keys: 0 };
  const meta = attempt(report, () => readMeta(database));
  attempt(report, () => readNodeState(database));
  const history = attempt(report, () => checkHistory(database, meta, report));
  const current = attempt(report, () => checkCurrent(database, report));
  if (history !== undefined && current !== undefined && history.newest !== current.newest) {
    report("the rows of current do not lead to the newest rows of history");
  }
  return { meta, versions: history?.rows ?? 0, keys: current?.rows ?? 0 };
}

function attempt<T>(report: ReportDamage, step: () => T): T | undefined {
  try {
    return step();
  } catch (error) {
    if (error instanceof KvCorruptError) report(error.found);
    else if (isDamage(error)) report(`a read fails: ${reasonOf(error)}`);
    else throw error;
    return undefined;
  }
}

/** What was read of a table: how many rows, and the sum of the hashes of the newest ones. */
interface Summary {
  readonly rows: number;
  readonly newest: number;
}

/** Rows that are read at a time: each may hold a value of many bytes. */
const PAGE_ROWS = 64;

const HISTORY_SQL = `SELECT h.sequence, h.previous, h.revision, h.checksum,
  h.sum = ${HISTORY_SUM_SQL} AND h.jump < h.sequence, h.key, h.lease, h.value
  FROM history h WHERE h.sequence > ? ORDER BY h.sequence LIMIT ${PAGE_ROWS}`;
const CURRENT_SQL =
  `SELECT c.key, c.sequence, c.sum = ${CURRENT_SUM_SQL} FROM current c WHERE c.key > ?
  ORDER BY c.key LIMIT ${PAGE_ROWS}`;

function checkHistory(
  database: Database,
  meta: Meta | undefined,
  report: ReportDamage,
): Summary {
  let [rows, newest, last, revision] = [0, 0, 0, 0];
  for (const columns of pagesOf(database.prepareRows(HISTORY_SQL), 0)) {
    const [sequence, previous, ownRevision, checksum, sound] = columns as number[];
    const [key, lease, value] = columns.slice(5) as [Uint8Array, Uint8Array | null, Uint8Array];
    const ofKey = keyChecksum(key);
    if (sound !== 1 || historyChecksum(ofKey, ownRevision, lease, value) !== checksum) {
      report(`row ${sequence} of history fails its checksum`);
    }
    // Compaction removes rows; without one there are no gaps.
    if (meta?.compactedRevision === 0 && sequence !== last + 1) {
      report(`row ${sequence} of history follows row ${last}: those between are missing`);
    }
    if (previous >= sequence || ownRevision < revision) {
      report(`row ${sequence} of history contradicts the rows before it`);
    }
    newest = (newest + hash(sequence, ofKey)) | 0;
    if (previous > 0) newest = (newest - hash(previous, ofKey)) | 0;
    last = sequence;
    revision = ownRevision;
    rows++;
    freeValue(value);
  }
  if (meta !== undefined && (last !== meta.sequence || revision > meta.revision)) {
    report(
      `history ends at row ${last} of revision ${revision}, but was written up to row ` +
        `${meta.sequence} of revision ${meta.revision}`,
    );
  }
  return { rows, newest };
}

function checkCurrent(database: Database, report: ReportDamage): Summary {
  let [rows, newest] = [0, 0];
  let last: Uint8Array | undefined;
  for (const columns of pagesOf(database.prepareRows(CURRENT_SQL), new Uint8Array(0))) {
    const [key, sequence, sound] = columns as [Uint8Array, number, number];
    if (sound !== 1) {
      report(`the row of current that leads to row ${sequence} of history fails its checksum`);
    }
    if (last !== undefined && compareBytes(last, key) >= 0) {
      report(`the row of current that leads to row ${sequence} of history is out of order`);
    }
    newest = (newest + hash(sequence, keyChecksum(key))) | 0;
    last = key;
    rows++;
  }
  return { rows, newest };
}

/** All rows of a query that goes on after the key in the first column of the last row. */
function* pagesOf(
  query: RowStatement,
  first: SqlValue,
): Generator<SqlColumns> {
  let last = first;
  for (;;) {
    const rows = query.all(last);
    yield* rows;
    if (rows.length < PAGE_ROWS) return;
    const next = rows[rows.length - 1][0];
    // In the order of SQLite, all other types come before bytes: it would begin again.
    if (typeof next !== typeof first) throw new KvCorruptError("", "a key holds no bytes");
    last = next;
  }
}

/** Mixes a row's number and its key's checksum, so that no simple change keeps a sum. */
function hash(sequence: number, ofKey: number): number {
  let mixed = Math.imul((sequence | 0) ^ ofKey, 0x9e3779b1) + Math.floor(sequence / 2 ** 32);
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x85ebca77);
  mixed = Math.imul(mixed ^ (mixed >>> 13) ^ ofKey, 0xc2b2ae3d);
  return mixed ^ (mixed >>> 16);
}
