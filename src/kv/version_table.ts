/**
 * Reading and writing versions of keys: the statements over `history` and `current`, and what turns
 * rows into pairs. Each row read is checked. It knows nothing of commands, revisions to come or
 * transactions.
 *
 * @module
 */

import type { Database, RowStatement, SqlColumns, Statement } from "./database.ts";
import { KvCorruptError } from "./errors.ts";
import { compareBytes } from "./range.ts";
import {
  CURRENT_SUM_SQL,
  currentSum,
  HISTORY_SUM_SQL,
  historyChecksum,
  historySum,
  keyChecksum,
} from "./row_checksum.ts";
import { type KeyValue, NO_BYTES, NO_LEASE } from "./types.ts";
import { type ChainHead, type ChainLink, jumpAfter, versionAt } from "./version_chain.ts";

/** Which keys: from `key` up to but without `end`; `end` undefined for no bound. */
export interface KeyRange {
  readonly key: Uint8Array;
  readonly end: Uint8Array | undefined;
}

/** The newest row of a key, as a new version needs to know it. */
export interface Head extends ChainHead {
  readonly createRevision: number;
  /** 0 when the key is deleted. */
  readonly version: number;
}

/** A version to append. */
export interface NewVersion {
  readonly key: Uint8Array;
  readonly revision: number;
  readonly createRevision: number;
  /** 0 for a tombstone. */
  readonly version: number;
  readonly lease: bigint;
  readonly value: Uint8Array;
}

/** A whole row of `history`, as snapshots carry it. */
export interface HistoryRow extends NewVersion {
  readonly sequence: number;
  readonly previous: number;
  readonly jump: number;
  readonly ordinal: number;
}

/** The columns of {@linkcode PAIR_SQL} and the value. */
type PairColumns = [
  key: Uint8Array,
  createRevision: number,
  revision: number,
  version: number,
  lease: Uint8Array | null,
  checksum: number,
  sound: number | null,
  value: Uint8Array | null,
];

/** A version that was reached by links, without its value. */
interface LinkedVersion extends ChainLink {
  readonly columns: PairColumns;
}

const PAIR_SQL = "h.key, h.create_revision, h.revision, h.version, h.lease, h.checksum";
const LINKS_SQL = "h.sequence, h.previous, h.jump";
const SUM_HOLDS = `h.sum = ${HISTORY_SUM_SQL}`;
const CURRENT_DAMAGED = `c.sum <> ${CURRENT_SUM_SQL}`;
/** Whether a row of `current` and the one of `history` it leads to are sound and fit each other. */
const NEWEST_SOUND =
  `(c.key = h.key AND c.version = h.version AND NOT ${CURRENT_DAMAGED} AND ${SUM_HOLDS})`;
/** A row of `history` that cannot be found is damage, and must not hide that of `current`. */
const NEWEST = "FROM current c LEFT JOIN history h ON h.sequence = c.sequence";
/**
 * The same for one key, which both statements below take twice. Sub-queries instead of joins: Bun
 * takes ten times as long to join two tables, the others the same.
 */
const ONE_SOUND =
  `(h.key = ? AND ${SUM_HOLDS} AND EXISTS (SELECT 1 FROM current c WHERE c.key = h.key AND ` +
  `c.version = h.version AND NOT ${CURRENT_DAMAGED}))`;
const ONE = "FROM history h WHERE h.sequence = (SELECT sequence FROM current WHERE key = ?)";
/** The row that a row of `history` jumps to. */
const JUMPED = "FROM history WHERE sequence = h.jump";
/** Damaged rows are not passed over: reading them finds the damage. */
const EXISTS = `(c.version > 0 OR ${CURRENT_DAMAGED})`;
/** The value where it is needed to check a lease: they share a checksum. */
const VALUE_OF_LEASE = "CASE WHEN h.lease IS NULL THEN NULL ELSE h.value END";

/** The versions of one database. */
export class VersionTable {
  readonly #database: Database;
  readonly #head: RowStatement;
  readonly #insert: Statement;
  readonly #setCurrent: Statement;
  readonly #newestOne: RowStatement;
  readonly #isCurrent: RowStatement;
  readonly #linked: RowStatement;
  readonly #value: RowStatement;
  readonly #ranges = new Map<string, RowStatement>();

  constructor(database: Database) {
    this.#database = database;
    this.#head = database.prepareRows(`
      SELECT h.sequence, h.create_revision, h.version, h.ordinal, h.jump,
        (SELECT ordinal ${JUMPED}), (SELECT jump ${JUMPED}),
        (SELECT ordinal FROM history WHERE sequence = (SELECT jump ${JUMPED})), ${ONE_SOUND}
      ${ONE}`);
    this.#insert = database.prepare(
      "INSERT INTO history VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    );
    this.#setCurrent = database.prepare(`INSERT INTO current VALUES (?, ?, ?, ?)
      ON CONFLICT (key) DO UPDATE SET sequence = excluded.sequence, version = excluded.version,
        sum = excluded.sum`);
    this.#newestOne = database.prepareRows(`SELECT ${PAIR_SQL}, ${ONE_SOUND}, h.value ${ONE}`);
    this.#isCurrent = database.prepareRows("SELECT 1 FROM current WHERE key = ?");
    this.#linked = database.prepareRows(
      `SELECT ${PAIR_SQL}, ${SUM_HOLDS}, ${VALUE_OF_LEASE}, ${LINKS_SQL} FROM history h ` +
        "WHERE h.sequence = ?",
    );
    this.#value = database.prepareRows("SELECT value FROM history WHERE sequence = ?");
  }

  /**
   * The newest row of a key, a tombstone included. Where it jumps to is not checked: a wrong jump is
   * found by whoever follows it.
   */
  head(key: Uint8Array): Head | undefined {
    const row = this.#head.first(key, key);
    if (row === undefined) return this.#absent(key);
    if (row[8] !== 1) this.#corrupt(`${DAMAGED_NEWEST} fails its checksum`);
    return {
      sequence: row[0] as number,
      createRevision: row[1] as number,
      version: row[2] as number,
      ordinal: row[3] as number,
      jump: row[4] as number,
      jumpOrdinal: row[5] as number | null,
      jumpJump: row[6] as number | null,
      jumpJumpOrdinal: row[7] as number | null,
    };
  }

  /** Appends a version as row `sequence` and makes it the newest of its key. */
  append(sequence: number, version: NewVersion, head: Head | undefined): void {
    // Where a damaged row jumps to is nowhere further back, or found by whoever follows it.
    const jump = head === undefined ? 0 : Math.min(jumpAfter(head), head.sequence);
    const ordinal = head === undefined ? 1 : head.ordinal + 1;
    this.insert({ ...version, sequence, previous: head?.sequence ?? 0, jump, ordinal });
  }

  /** Writes a whole row and makes it the newest of its key. */
  insert(row: HistoryRow): void {
    const { sequence, key, revision, createRevision, version, value, previous, jump, ordinal } =
      row;
    const lease = leaseToColumn(row.lease);
    this.#insert.run(
      sequence,
      key,
      revision,
      createRevision,
      version,
      lease,
      value,
      previous,
      jump,
      ordinal,
      historySum(
        sequence,
        revision,
        createRevision,
        version,
        previous,
        jump,
        ordinal,
        lease !== null,
      ),
      historyChecksum(keyChecksum(key), revision, lease, value),
    );
    this.#setCurrent.run(key, sequence, version, currentSum(sequence, version));
  }

  /** The newest pair of a key, unless it is deleted. */
  newest(key: Uint8Array): KeyValue | undefined {
    const row = this.#newestOne.first(key, key) as PairColumns | undefined;
    if (row === undefined) return this.#absent(key);
    const pair = this.#newestPair(row);
    return pair.version > 0 ? pair : undefined;
  }

  /** The newest pairs of a range in the order of keys; at most `limit`, -1 for all. */
  newestRange(range: KeyRange, limit: number, withValues: boolean): KeyValue[] {
    const statement = this.#rangeStatement(
      `SELECT ${PAIR_SQL}, ${NEWEST_SOUND}, ${withValues ? "h.value" : VALUE_OF_LEASE} ${NEWEST}`,
      `AND ${EXISTS} ORDER BY c.key LIMIT ?`,
      range,
    );
    return statement.all(...bounds(range), limit).map((row) => {
      const pair = this.#newestPair(row as PairColumns);
      return withValues || pair.value.length === 0 ? pair : { ...pair, value: NO_BYTES };
    });
  }

  /** A key without a row of `history` has none in `current` either, else that row leads nowhere. */
  #absent(key: Uint8Array): undefined {
    if (this.#isCurrent.first(key) !== undefined) {
      this.#corrupt(`${DAMAGED_NEWEST} fails its checksum`);
    }
    return undefined;
  }

  /** How many keys of a range exist. */
  countNewest(range: KeyRange): number {
    const statement = this.#rangeStatement(
      `SELECT total(c.version > 0), total(${CURRENT_DAMAGED}) FROM current c`,
      "",
      range,
    );
    const [count, damaged] = statement.first(...bounds(range))!;
    if (damaged !== 0) this.#corrupt(`${damaged} rows of current fail their sums`);
    return count as number;
  }

  /** The keys of a range that exist, in their order. */
  newestKeys(range: KeyRange): Uint8Array[] {
    const statement = this.#rangeStatement(
      "SELECT c.key FROM current c",
      `AND ${EXISTS} ORDER BY c.key`,
      range,
    );
    return statement.all(...bounds(range)).map(([key]) => key as Uint8Array);
  }

  /**
   * The pairs of a range as of a past revision, in the order of keys: at most `limit` (-1 for all),
   * and how many there are.
   */
  pastRange(
    range: KeyRange,
    revision: number,
    limit: number,
    withValues: boolean,
  ): { pairs: KeyValue[]; count: number } {
    const pairs: KeyValue[] = [];
    let count = 0;
    for (const start of this.#newestVersions(range)) {
      const found = this.#versionAt(start, revision);
      if (found === undefined || found.columns[3] === 0) continue;
      count++;
      if (limit >= 0 && pairs.length >= limit) continue;
      const columns = withValues ? this.#withValue(found) : found.columns;
      pairs.push(toPair(columns, withValues ? columns[7] ?? NO_BYTES : NO_BYTES));
    }
    return { pairs, count };
  }

  /** Every row of `history` in the order of writing. */
  *history(): Generator<HistoryRow> {
    const statement = this.#database.prepareRows(
      `SELECT ${PAIR_SQL}, ${SUM_HOLDS}, h.value, ${LINKS_SQL}, h.ordinal FROM history h ` +
        "ORDER BY h.sequence",
    );
    for (const row of statement.iterate()) {
      const columns = row as PairColumns;
      const [sequence, previous, jump, ordinal] = row.slice(8) as number[];
      this.#check(columns, `row ${sequence} of history`);
      const [key, createRevision, revision, version, lease, , , value] = columns;
      yield {
        sequence,
        key,
        revision,
        createRevision,
        version,
        lease: leaseFromColumn(lease),
        value: value as Uint8Array,
        previous,
        jump,
        ordinal,
      };
    }
  }

  /** The newest version of each key of a range. */
  #newestVersions(range: KeyRange): LinkedVersion[] {
    const statement = this.#rangeStatement(
      `SELECT ${PAIR_SQL}, ${NEWEST_SOUND}, ${VALUE_OF_LEASE}, ${LINKS_SQL} ${NEWEST}`,
      "ORDER BY c.key",
      range,
    );
    return statement.all(...bounds(range)).map((row) => {
      this.#check(row as PairColumns, DAMAGED_NEWEST);
      return toLinkedVersion(row);
    });
  }

  /** The version of `start`'s key as of a revision. */
  #versionAt(start: LinkedVersion, revision: number): LinkedVersion | undefined {
    let asked = 0;
    const found = versionAt(start, revision, (sequence) => {
      asked = sequence;
      const row = this.#linked.first(sequence);
      if (row === undefined) return undefined;
      const name = `row ${sequence} of history`;
      this.#check(row as PairColumns, name);
      if (compareBytes(row[0] as Uint8Array, start.columns[0]) === 0) return toLinkedVersion(row);
      return this.#corrupt(`${name} belongs to another key than its successor`);
    });
    // A row that compaction has removed is never the last one asked for.
    if (found === undefined && asked > 0) this.#corrupt(`row ${asked} of history is missing`);
    return found as LinkedVersion | undefined;
  }

  #withValue({ sequence, columns }: LinkedVersion): PairColumns {
    const value = this.#value.first(sequence)?.[0] as Uint8Array | undefined;
    const complete = columns.with(7, value ?? NO_BYTES) as PairColumns;
    this.#check(complete, `row ${sequence} of history`);
    return complete;
  }

  #newestPair(columns: PairColumns): KeyValue {
    this.#check(columns, DAMAGED_NEWEST);
    return toPair(columns, columns[7] ?? NO_BYTES);
  }

  /** Checks a row: its sum, and its bytes where the value is at hand. */
  #check([key, , revision, , lease, checksum, sound, value]: PairColumns, name: string): void {
    const intact = sound === 1 &&
      (value === null || historyChecksum(keyChecksum(key), revision, lease, value) === checksum);
    if (!intact) this.#corrupt(`${name} fails its checksum`);
  }

  #corrupt(found: string): never {
    throw new KvCorruptError(this.#database.path, found);
  }

  #rangeStatement(select: string, rest: string, range: KeyRange): RowStatement {
    const where = range.end === undefined ? "c.key >= ?" : "c.key >= ? AND c.key < ?";
    const sql = `${select} WHERE ${where} ${rest}`;
    let statement = this.#ranges.get(sql);
    if (statement === undefined) {
      statement = this.#database.prepareRows(sql);
      this.#ranges.set(sql, statement);
    }
    return statement;
  }
}

const DAMAGED_NEWEST = "a row of current, or the row of history that it leads to,";

function toLinkedVersion(columns: SqlColumns): LinkedVersion {
  const [sequence, previous, jump] = columns.slice(8) as number[];
  return {
    columns: columns as PairColumns,
    sequence,
    revision: columns[2] as number,
    previous,
    jump,
  };
}

function bounds(range: KeyRange): Uint8Array[] {
  return range.end === undefined ? [range.key] : [range.key, range.end];
}

function toPair(columns: PairColumns, value: Uint8Array): KeyValue {
  return {
    key: columns[0],
    createRevision: columns[1],
    modRevision: columns[2],
    version: columns[3],
    value,
    lease: leaseFromColumn(columns[4]),
  };
}

/** A lease is kept as 8 bytes, big-endian: as an integer it could be beyond what can be read back. */
function leaseToColumn(lease: bigint): Uint8Array | null {
  if (lease === NO_LEASE) return null;
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigInt64(0, lease);
  return bytes;
}

function leaseFromColumn(column: Uint8Array | null): bigint {
  if (column === null) return NO_LEASE;
  return new DataView(column.buffer, column.byteOffset, 8).getBigInt64(0);
}
