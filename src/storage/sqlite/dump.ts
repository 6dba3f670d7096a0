/**
 * The contents of a stored node as records, for people and scripts: what is wrong with it, who it
 * belongs to, the state of each region, and its entries. It shows what is left of damaged data
 * instead of refusing it, never without saying so, and alters nothing.
 *
 * @module
 */

import { join, resolve } from "node:path";
import type { RaftLogEntry } from "../../raft/mod.ts";
import type { NodeIdentity } from "../contract.ts";
import type { RegionState } from "../region_state.ts";
import { type Database, type SqlValue, withStorageErrors } from "./database.ts";
import { DATABASE_FILE, readIdentity, readVersion } from "./files.ts";
import { whileClosed } from "./lock.ts";
import { decodeEntry, decodeRegion, REGION_COLUMNS, type RegionRow } from "./rows.ts";
import { RowPager } from "./row_pager.ts";
import { INDEX_MAX } from "./schema.ts";
import { readUntouched } from "./untouched.ts";
import { checkPresence, verifyClosed, type VerifyOptions } from "./verify.ts";

/** What to dump, and what to verify first. */
export interface DumpOptions extends VerifyOptions {
  /** Only this region. Default: all. */
  readonly regionId?: number;
  /** The first index of entries. Default 0. */
  readonly from?: number;
  /** The last index of entries. Default: no end. */
  readonly to?: number;
  /** Most entries of each region; 0 for its state only. Default: no limit. */
  readonly limit?: number;
}

/** One record of a dump. */
export type DumpRecord =
  /**
   * Something that `verifyStorage` finds to be wrong: what follows is then what SQLite shows of the
   * data, which may be of an earlier time or lack parts. `omitted` counts further ones.
   */
  | { readonly kind: "problem"; readonly problem: string; readonly omitted: number }
  | ({ readonly kind: "node"; readonly formatVersion: number } & NodeIdentity)
  | ({ readonly kind: "region" } & Omit<RegionRow, "state"> & { readonly state: RegionState })
  | ({ readonly kind: "entry"; readonly regionId: number } & RaftLogEntry)
  /** A row whose checksum is wrong; what it says cannot be relied on. */
  | { readonly kind: "damaged"; readonly table: string; readonly row: readonly SqlValue[] };

/**
 * Verifies the storage, then hands each record to `take`, in the order problems, node, each region
 * with its entries. Rows that a compaction has yet to delete are left out. The node must be stopped.
 *
 * @throws StorageError `STORAGE_LOCKED` while a node runs, `STORAGE_FORMAT` when there is no storage
 *   in the directory, `STORAGE_CORRUPT` when the database itself cannot be read.
 */
export function dumpStorage(options: DumpOptions, take: (record: DumpRecord) => void): void {
  const directory = resolve(options.directory);
  const path = join(directory, DATABASE_FILE);
  checkPresence(directory, path);
  whileClosed(directory, () => {
    const { problems, problemsOmitted } = verifyClosed(directory, path, options);
    for (const [i, problem] of problems.entries()) {
      const omitted = i === problems.length - 1 ? problemsOmitted : 0;
      take({ kind: "problem", problem, omitted });
    }
    const dump = (database: Database): void => dumpDatabase(database, path, options, take);
    withStorageErrors(`read ${path}`, () => readUntouched(path, dump, options.scratchDirectory));
  });
}

function dumpDatabase(
  database: Database,
  path: string,
  options: DumpOptions,
  take: (record: DumpRecord) => void,
): void {
  const formatVersion = readVersion(database, path);
  if (formatVersion === 0) return;
  take({ kind: "node", formatVersion, ...readIdentity(database, formatVersion, path) });
  const pager = new RowPager(database);
  const sql = `SELECT ${REGION_COLUMNS} FROM raft_state ORDER BY region_id`;
  for (const row of database.prepare(sql).all()) {
    const region = decodeRegion(row);
    if (region === undefined) {
      take({ kind: "damaged", table: "raft_state", row });
    } else if (options.regionId === undefined || options.regionId === region.regionId) {
      take({ kind: "region", ...region });
      dumpEntries(pager, region, options, take);
    }
  }
}

function dumpEntries(
  pager: RowPager,
  { slot, regionId, state }: RegionRow,
  options: DumpOptions,
  take: (record: DumpRecord) => void,
): void {
  const to = Math.min(options.to ?? INDEX_MAX, INDEX_MAX);
  let from = Math.max(options.from ?? 0, state.truncatedIndex + 1);
  let left = options.limit ?? Infinity;
  while (from <= to && left > 0) {
    const page = pager.page([slot, from], [slot, to]);
    if (page.length === 0) return;
    for (const row of page.slice(0, left)) {
      const entry = decodeEntry(regionId, row);
      if (entry === undefined) take({ kind: "damaged", table: "raft_log", row });
      else take({ kind: "entry", regionId, ...entry });
      from = (row[0] as number) + 1;
      left--;
    }
  }
}
