/**
 * Reading and writing versions of keys: the statements over `history` and `current`, and what turns
 * rows into pairs. It knows nothing of commands, revisions to come or transactions.
 *
 * @module
 */

import type { Database, SqlRow, Statement } from "./database.ts";
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

const PAIR_COLUMNS = `h.key AS key, h.create_revision AS createRevision, h.revision AS modRevision,
  h.version AS version, h.lease AS lease`;
const NEWEST = "FROM current c JOIN history h ON h.sequence = c.sequence";

/** The versions of one database. */
export class VersionTable {
  readonly #database: Database;
  readonly #head: Statement;
  readonly #insert: Statement;
  readonly #setCurrent: Statement;
  readonly #newestOne: Statement;
  readonly #link: Statement;
  readonly #pair: Statement;
  readonly #pairKeyOnly: Statement;
  readonly #ranges = new Map<string, Statement>();

  constructor(database: Database) {
    this.#database = database;
    this.#head = database.prepare(`
      SELECT h.sequence AS sequence, h.create_revision AS createRevision, h.version AS version,
        h.ordinal AS ordinal, h.jump AS jump, j.ordinal AS jumpOrdinal, j.jump AS jumpJump,
        jj.ordinal AS jumpJumpOrdinal
      ${NEWEST} LEFT JOIN history j ON j.sequence = h.jump
        LEFT JOIN history jj ON jj.sequence = j.jump
      WHERE c.key = ?`);
    this.#insert = database.prepare("INSERT INTO history VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
    this.#setCurrent = database.prepare(`INSERT INTO current VALUES (?, ?, ?)
      ON CONFLICT (key) DO UPDATE SET sequence = excluded.sequence, version = excluded.version`);
    this.#newestOne = database.prepare(
      `SELECT ${PAIR_COLUMNS}, h.value AS value ${NEWEST} WHERE c.key = ? AND c.version > 0`,
    );
    this.#link = database.prepare(
      "SELECT sequence, revision, previous, jump FROM history WHERE sequence = ?",
    );
    this.#pair = database.prepare(
      `SELECT ${PAIR_COLUMNS}, h.value AS value FROM history h WHERE sequence = ?`,
    );
    this.#pairKeyOnly = database.prepare(
      `SELECT ${PAIR_COLUMNS} FROM history h WHERE sequence = ?`,
    );
  }

  /** The newest row of a key, a tombstone included. */
  head(key: Uint8Array): Head | undefined {
    return this.#head.get(key) as unknown as Head | undefined;
  }

  /** Appends a version as row `sequence` and makes it the newest of its key. */
  append(sequence: number, version: NewVersion, head: Head | undefined): void {
    const jump = head === undefined ? 0 : jumpAfter(head);
    const ordinal = head === undefined ? 1 : head.ordinal + 1;
    this.insert({ ...version, sequence, previous: head?.sequence ?? 0, jump, ordinal });
  }

  /** Writes a whole row and makes it the newest of its key. */
  insert(row: HistoryRow): void {
    this.#insert.run(
      row.sequence,
      row.key,
      row.revision,
      row.createRevision,
      row.version,
      leaseToColumn(row.lease),
      row.value,
      row.previous,
      row.jump,
      row.ordinal,
    );
    this.#setCurrent.run(row.key, row.sequence, row.version);
  }

  /** The newest pair of a key, unless it is deleted. */
  newest(key: Uint8Array): KeyValue | undefined {
    const row = this.#newestOne.get(key);
    return row === undefined ? undefined : toPair(row);
  }

  /** The newest pairs of a range in the order of keys; at most `limit`, -1 for all. */
  newestRange(range: KeyRange, limit: number, withValues: boolean): KeyValue[] {
    const value = withValues ? ", h.value AS value" : "";
    const statement = this.#rangeStatement(
      `SELECT ${PAIR_COLUMNS}${value} ${NEWEST}`,
      "AND c.version > 0 ORDER BY c.key LIMIT ?",
      range,
    );
    return statement.all(...bounds(range), limit).map(toPair);
  }

  /** How many keys of a range exist. */
  countNewest(range: KeyRange): number {
    const statement = this.#rangeStatement(
      "SELECT count(*) AS count FROM current c",
      "AND c.version > 0",
      range,
    );
    return statement.get(...bounds(range))!.count as number;
  }

  /** The keys of a range that exist, in their order. */
  newestKeys(range: KeyRange): Uint8Array[] {
    const statement = this.#rangeStatement(
      "SELECT c.key AS key FROM current c",
      "AND c.version > 0 ORDER BY c.key",
      range,
    );
    return statement.all(...bounds(range)).map((row) => row.key as Uint8Array);
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
    const row = (sequence: number) => this.#link.get(sequence) as unknown as ChainLink | undefined;
    const read = withValues ? this.#pair : this.#pairKeyOnly;
    for (const start of this.#newestLinks(range)) {
      const link = versionAt(start, revision, row);
      if (link === undefined) continue;
      if (limit >= 0 && pairs.length >= limit) {
        if ((this.#pairKeyOnly.get(link.sequence)!.version as number) > 0) count++;
        continue;
      }
      const found = read.get(link.sequence)!;
      if (found.version === 0) continue;
      count++;
      pairs.push(toPair(found));
    }
    return { pairs, count };
  }

  /** Every row of `history` in the order of writing. */
  *history(): Generator<HistoryRow> {
    const statement = this.#database.prepare("SELECT * FROM history ORDER BY sequence");
    for (const row of statement.iterate()) {
      yield {
        sequence: row.sequence as number,
        key: row.key as Uint8Array,
        revision: row.revision as number,
        createRevision: row.create_revision as number,
        version: row.version as number,
        lease: leaseFromColumn(row.lease as Uint8Array | null),
        value: row.value as Uint8Array,
        previous: row.previous as number,
        jump: row.jump as number,
        ordinal: row.ordinal as number,
      };
    }
  }

  #newestLinks(range: KeyRange): ChainLink[] {
    const statement = this.#rangeStatement(
      `SELECT h.sequence AS sequence, h.revision AS revision, h.previous AS previous,
        h.jump AS jump ${NEWEST}`,
      "ORDER BY c.key",
      range,
    );
    return statement.all(...bounds(range)) as unknown as ChainLink[];
  }

  #rangeStatement(select: string, rest: string, range: KeyRange): Statement {
    const where = range.end === undefined ? "c.key >= ?" : "c.key >= ? AND c.key < ?";
    const sql = `${select} WHERE ${where} ${rest}`;
    let statement = this.#ranges.get(sql);
    if (statement === undefined) {
      statement = this.#database.prepare(sql);
      this.#ranges.set(sql, statement);
    }
    return statement;
  }
}

function bounds(range: KeyRange): Uint8Array[] {
  return range.end === undefined ? [range.key] : [range.key, range.end];
}

function toPair(row: SqlRow): KeyValue {
  return {
    key: row.key as Uint8Array,
    createRevision: row.createRevision as number,
    modRevision: row.modRevision as number,
    version: row.version as number,
    value: (row.value as Uint8Array | undefined) ?? NO_BYTES,
    lease: leaseFromColumn(row.lease as Uint8Array | null),
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
