/**
 * What is checked when a database is opened: its tables, every row's checksum, and that the log of every region
 * follows its truncated index without a gap up to the last index that was written, with terms that
 * do not decrease. Rows are read in pages, so memory is bounded by the caches they fill.
 *
 * @module
 */

import type { RaftLogEntry } from "../../raft/mod.ts";
import { StorageError } from "../errors.ts";
import type { RegionState } from "../region_state.ts";
import { CORRUPT_ADVICE, type Database, type SqlValue } from "./database.ts";
import { addRow, type RowRange } from "./leftover_rows.ts";
import { LogCache } from "./log_cache.ts";
import {
  decodeEntry,
  decodeRegion,
  REGION_COLUMNS,
  type RegionRow,
  snapshotChecksum,
} from "./rows.ts";
import { RowPager, type RowPosition } from "./row_pager.ts";
import { changedTables, INDEX_MAX, SLOT_MAX } from "./schema.ts";

/** The lowest slot that a key could hold: nothing is ever stored there. */
const SLOT_MIN = -(SLOT_MAX + 1);

/** A region as it was found on disk. */
export interface LoadedRegion extends RegionRow {
  /** The tail of its log. */
  readonly cache: LogCache;
  /** Rows below the log that a compaction or a snapshot has left to delete. */
  readonly leftover: RowRange[];
  /** The stored snapshot has no data, as far as anybody needs to know without reading it. */
  readonly snapshotEmpty: boolean;
}

/** A region while its rows are being read. */
interface Progress extends RegionRow {
  readonly cache: LogCache;
  readonly leftover: RowRange[];
  snapshotEmpty: boolean;
  lastIndex: number;
  lastTerm: number;
}

/** Takes what was found to be wrong, as a clause: `"the row of … fails its checksum"`. May throw to end the check. */
export type ReportDamage = (found: string) => void;

/**
 * Reads and checks all regions of `database`, whose path `place` names in errors.
 *
 * @throws StorageError `STORAGE_CORRUPT` saying which row is wrong and how.
 */
export function loadRegions(
  database: Database,
  cacheBytesMax: number,
  place: string,
): LoadedRegion[] {
  return checkRegions(database, cacheBytesMax, (found) => {
    throw new StorageError("STORAGE_CORRUPT", `In ${place}, ${found}; ${CORRUPT_ADVICE}`);
  });
}

/**
 * Reads and checks all regions of `database`. What is returned can be relied on only when nothing
 * was reported.
 */
export function checkRegions(
  database: Database,
  cacheBytesMax: number,
  report: ReportDamage,
): LoadedRegion[] {
  for (const name of changedTables(database)) report(`the definition of ${name} is damaged`);
  const regions = new Map<number, Progress>();
  const damagedSlots = new Set<number>();
  for (const row of database.prepare(`SELECT ${REGION_COLUMNS} FROM raft_state`).all()) {
    const region = checkRegion(row, report);
    if (region === undefined) damagedSlots.add(row[0] as number);
    else regions.set(region.slot, region);
  }
  for (const row of allRows(new RowPager(database))) {
    const [index, slot] = [row[0] as number, row[6] as number];
    const region = regions.get(slot);
    if (region !== undefined) checkRow(region, index, row, cacheBytesMax, report);
    else if (!damagedSlots.has(slot)) {
      report(`raft_log has a row of index ${index} for the unknown slot ${slot}`);
    }
  }
  checkSnapshots(database, regions, report);
  for (const region of regions.values()) checkEnd(region, report);
  return [...regions.values()];
}

function checkRegion(row: SqlValue[], report: ReportDamage): Progress | undefined {
  const decoded = decodeRegion(row);
  if (decoded === undefined) {
    report(`the row of region ${row[1]} (slot ${row[0]}) in raft_state fails its checksum`);
    return undefined;
  }
  const { regionId, state } = decoded;
  checkState(regionId, state, report);
  return {
    ...decoded,
    cache: new LogCache(state.truncatedIndex + 1),
    leftover: [],
    snapshotEmpty: true,
    lastIndex: state.truncatedIndex,
    lastTerm: state.truncatedTerm,
  };
}

function checkState(regionId: number, state: RegionState, report: ReportDamage): void {
  const { hardState: { commitIndex }, truncatedIndex, lastIndex, confStateIndex } = state;
  const within = (name: string, index: number, low: number): void => {
    if (index >= low && index <= lastIndex) return;
    report(
      `region ${regionId} has a ${name} of ${index}, which must lie from ${low} to its last ` +
        `index ${lastIndex}`,
    );
  };
  within("truncated index", truncatedIndex, 0);
  within("commit index", commitIndex, truncatedIndex);
  within("configuration index", confStateIndex, 0);
  if (state.snapshot !== undefined) {
    within("snapshot index", state.snapshot.index, truncatedIndex);
  }
}

function checkRow(
  region: Progress,
  index: number,
  row: SqlValue[],
  cacheBytesMax: number,
  report: ReportDamage,
): void {
  if (index <= region.state.truncatedIndex) return addRow(region.leftover, index);
  checkEntry(region, index, decodeEntry(region.regionId, row), report);
  region.cache.evict(cacheBytesMax, index);
}

function* allRows(pager: RowPager): Generator<SqlValue[]> {
  let low: RowPosition = [SLOT_MIN, 0];
  for (;;) {
    const page = pager.page(low, [SLOT_MAX, INDEX_MAX]);
    yield* page;
    const last = page.at(-1);
    if (last === undefined) return;
    const [index, slot] = [last[0] as number, last[6] as number];
    if (index === INDEX_MAX && slot === SLOT_MAX) return;
    low = index === INDEX_MAX ? [slot + 1, 0] : [slot, index + 1];
  }
}

function checkEntry(
  region: Progress,
  index: number,
  entry: RaftLogEntry | undefined,
  report: ReportDamage,
): void {
  const { regionId, lastIndex, lastTerm } = region;
  if (index !== lastIndex + 1) {
    report(
      `the log of region ${regionId} has a gap: index ${index} follows ${lastIndex} in raft_log`,
    );
  }
  region.lastIndex = index;
  if (entry === undefined) {
    return report(`the row of region ${regionId}, index ${index} in raft_log fails its checksum`);
  }
  if (entry.term < lastTerm) {
    report(
      `the log of region ${regionId} has term ${entry.term} at index ${index} after term ` +
        `${lastTerm}: terms never decrease`,
    );
  }
  region.cache.push(entry);
  region.lastTerm = entry.term;
}

function checkSnapshots(
  database: Database,
  regions: Map<number, Progress>,
  report: ReportDamage,
): void {
  const row = database.prepare('SELECT "index", data, checksum FROM raft_snapshot WHERE slot = ?');
  for (const region of regions.values()) {
    const { slot, regionId, state: { snapshot } } = region;
    if (snapshot === undefined) continue;
    const found = row.first(slot);
    if (found === undefined || found[0] !== snapshot.index) {
      report(`the snapshot of region ${regionId}, index ${snapshot.index}, is missing`);
      continue;
    }
    const data = found[1] as Uint8Array;
    if (snapshotChecksum(regionId, snapshot.index, data) !== found[2]) {
      report(`the snapshot of region ${regionId}, index ${snapshot.index}, fails its checksum`);
    }
    region.snapshotEmpty = data.length === 0;
  }
}

function checkEnd(region: Progress, report: ReportDamage): void {
  const { regionId, state, lastIndex, lastTerm } = region;
  if (lastIndex !== state.lastIndex || lastTerm !== state.lastTerm) {
    report(
      `the log of region ${regionId} ends at index ${lastIndex} of term ${lastTerm} in raft_log, ` +
        `but was written up to index ${state.lastIndex} of term ${state.lastTerm}`,
    );
  }
}
