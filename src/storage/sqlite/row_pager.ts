/**
 * Rows of `raft_log` in pages of bounded size. A page is one call that reads all of its rows, as
 * Deno's row iterators end silently where a read fails.
 *
 * @module
 */

import type { Database, SqlValue, Statement } from "./database.ts";
import { KEY_INDEX_SQL, KEY_SLOT_SQL, KEY_SQL } from "./schema.ts";

/** Most rows of a page. */
const PAGE_ROWS = 512;

/** Bytes of commands and contexts at which a page ends, at least one row. */
const PAGE_BYTES = 1024 * 1024;

/** What a row holds, in this order: index, term, type, command, context, checksum, slot. */
const COLUMNS = `${KEY_INDEX_SQL}, term, type, command, context, checksum, ${KEY_SLOT_SQL}`;

/** A place in `raft_log`. */
export type RowPosition = readonly [slot: number, index: number];

/** Reads pages through one connection. */
export class RowPager {
  readonly #lengths: Statement;
  readonly #rows: Statement;

  constructor(database: Database) {
    const range = `FROM raft_log WHERE key BETWEEN ${KEY_SQL} AND ${KEY_SQL} ORDER BY key LIMIT ?`;
    // Lengths are read without the values, however long these are.
    this.#lengths = database.prepare(
      `SELECT length(command) + ifnull(length(context), 0) ${range}`,
    );
    this.#rows = database.prepare(`SELECT ${COLUMNS} ${range}`);
  }

  /**
   * The first rows from `low` to `high`, both included: as many as fit into `bytesMax` (and into a
   * page), and one more, but at least one when there is any.
   */
  page(low: RowPosition, high: RowPosition, bytesMax = PAGE_BYTES): SqlValue[][] {
    const limit = Math.min(bytesMax, PAGE_BYTES);
    const lengths = this.#lengths.all(...low, ...high, PAGE_ROWS);
    if (lengths.length === 0) return [];
    let count = 0;
    let bytes = 0;
    do bytes += lengths[count++][0] as number; while (count < lengths.length && bytes <= limit);
    return this.#rows.all(...low, ...high, count);
  }
}
