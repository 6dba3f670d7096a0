/**
 * Reads of what is no longer cached: pages of entries, single terms, the data of a snapshot. Every
 * row read is checked again.
 *
 * @module
 */

import { entrySize, type RaftLogEntry } from "../../raft/mod.ts";
import { StorageError } from "../errors.ts";
import {
  CORRUPT_ADVICE,
  type Database,
  type SqlValue,
  type Statement,
  withStorageErrors,
} from "./database.ts";
import { decodeEntry, snapshotChecksum } from "./rows.ts";
import { RowPager } from "./row_pager.ts";

/** A region as far as a reader needs to know it. */
interface RegionName {
  readonly regionId: number;
}

/** Reads rows of committed transactions through one connection. */
export class LogReader {
  readonly #place: string;
  readonly #pager: RowPager;
  readonly #snapshot: Statement;

  /** `place` names the database in errors. */
  constructor(database: Database, place: string) {
    this.#place = place;
    this.#pager = new RowPager(database);
    this.#snapshot = database.prepare(
      'SELECT data, checksum FROM raft_snapshot WHERE slot = ? AND "index" = ?',
    );
  }

  /**
   * The entries from `low` to before `high`, cut to `sizeMax` as `LogStorage.entries` asks, and
   * their size; all of these rows exist.
   */
  entries(
    region: RegionName,
    slot: number,
    low: number,
    high: number,
    sizeMax: number,
  ): { entries: RaftLogEntry[]; bytes: number } {
    return this.#read(() => {
      const entries: RaftLogEntry[] = [];
      let bytes = 0;
      for (let next = low; next < high; next = low + entries.length) {
        const page = this.#pager.page([slot, next], [slot, high - 1], sizeMax - bytes);
        if (page.length === 0) this.#missing(region, next);
        for (const row of page) {
          const entry = this.#decode(region, low + entries.length, row);
          const size = entrySize(entry);
          if (bytes + size > sizeMax && entries.length > 0) return { entries, bytes };
          bytes += size;
          entries.push(entry);
        }
      }
      return { entries, bytes };
    });
  }

  /** The term at `index`, whose row exists. */
  term(region: RegionName, slot: number, index: number): number {
    return this.#read(() => {
      const [row] = this.#pager.page([slot, index], [slot, index], 0);
      if (row === undefined) this.#missing(region, index);
      return this.#decode(region, index, row).term;
    });
  }

  /** The data of the stored snapshot of `index`. */
  snapshotData(region: RegionName, slot: number, index: number): Uint8Array {
    return this.#read(() => {
      const row = this.#snapshot.first(slot, index);
      const data = row?.[0] as Uint8Array | undefined;
      if (
        row === undefined || data === undefined ||
        snapshotChecksum(region.regionId, index, data) !== row[1]
      ) {
        this.#corrupt(`the snapshot of region ${region.regionId}, index ${index}, is damaged`);
      }
      return data;
    });
  }

  #decode(region: RegionName, index: number, row: SqlValue[]): RaftLogEntry {
    if (row[0] !== index) this.#missing(region, index);
    const entry = decodeEntry(region.regionId, row);
    if (entry === undefined) {
      this.#corrupt(
        `the row of region ${region.regionId}, index ${index} in raft_log fails its checksum`,
      );
    }
    return entry;
  }

  #missing(region: RegionName, index: number): never {
    this.#corrupt(`the row of region ${region.regionId}, index ${index} in raft_log is missing`);
  }

  #corrupt(found: string): never {
    throw new StorageError("STORAGE_CORRUPT", `In ${this.#place}, ${found}; ${CORRUPT_ADVICE}`);
  }

  #read<T>(work: () => T): T {
    return withStorageErrors(`read ${this.#place}`, work);
  }
}
