/**
 * The seam between what is to be written and who writes it: operations are plain data, a
 * {@linkcode LogWriter} carries a list of them out in one durable transaction. Here through a
 * connection of the calling thread, which costs least on a fast disk.
 *
 * @module
 */

import type { PeerId, RaftLogEntry } from "../../raft/mod.ts";
import type { RegionState } from "../region_state.ts";
import { CORRUPT_ADVICE, type Database, type SqlValue, type Statement } from "./database.ts";
import { StorageError } from "../errors.ts";
import {
  encodeRegion,
  entryChecksum,
  entryTypeNumber,
  REGION_COLUMNS,
  snapshotChecksum,
} from "./rows.ts";
import { KEY_SQL } from "./schema.ts";

/** Appends entries that follow the last row of the region. */
export interface AppendOperation {
  readonly kind: "append";
  readonly slot: number;
  readonly regionId: number;
  readonly entries: readonly RaftLogEntry[];
}

/** Deletes the rows of a region from `low` to `high`, both included. */
export interface DeleteOperation {
  readonly kind: "delete";
  readonly slot: number;
  readonly low: number;
  readonly high: number;
}

/** Creates or replaces a region's row. */
export interface SaveRegionOperation {
  /** Whether there must be no row yet. */
  readonly kind: "create-region" | "save-region";
  /** The number that stands for the region in the keys of `raft_log`. */
  readonly slot: number;
  /** The region. */
  readonly regionId: number;
  /** The replica. */
  readonly peerId: PeerId;
  /** What to save. */
  readonly state: RegionState;
}

/** Replaces a region's snapshot; without data there is none afterwards. */
export interface SaveSnapshotOperation {
  readonly kind: "save-snapshot";
  readonly slot: number;
  readonly regionId: number;
  readonly index: number;
  readonly data: Uint8Array | undefined;
}

/** Takes free pages off the end of the database, at most so many. */
export interface VacuumOperation {
  readonly kind: "vacuum";
  readonly pagesMax: number;
}

/** One step of a transaction. */
export type WriteOperation =
  | AppendOperation
  | DeleteOperation
  | SaveRegionOperation
  | SaveSnapshotOperation
  | VacuumOperation;

/** How large a database is, in pages of 4096 bytes. */
export interface DatabaseSpace {
  readonly pages: number;
  /** Of these, how many hold nothing. */
  readonly freePages: number;
}

/** Writes transactions, one at a time. */
export interface LogWriter {
  /** Carries out all operations, in order, in one transaction; durable when it returns or resolves. */
  commit(operations: readonly WriteOperation[]): void | Promise<void>;
  /** Moves what was committed from the write-ahead log into the database, so that the former starts anew. */
  checkpoint(): void | Promise<void>;
  /** How much of the database is in use. */
  space(): DatabaseSpace | Promise<DatabaseSpace>;
  /** Closes what it opened. Called once, last. */
  close(): void | Promise<void>;
}

/** Entries written by one statement; measured, more gains nothing. */
const BATCH_ROWS = 16;
const ROW_SQL = `(${KEY_SQL}, ?, ?, ?, ?, ?)`;
const ROW_PARAMETERS = 7;

/** Writes in the calling thread, through one connection that it closes in the end. */
export class DirectWriter implements LogWriter {
  readonly #database: Database;
  readonly #begin: Statement;
  readonly #commit: Statement;
  readonly #rollback: Statement;
  readonly #checkpoint: Statement;
  readonly #pageCount: Statement;
  readonly #freeCount: Statement;
  readonly #insert: Statement;
  readonly #insertBatch: Statement;
  readonly #delete: Statement;
  readonly #createRegion: Statement;
  readonly #saveRegion: Statement;
  readonly #saveSnapshot: Statement;
  readonly #deleteSnapshot: Statement;
  readonly #batch: SqlValue[] = new Array(BATCH_ROWS * ROW_PARAMETERS).fill(null);

  constructor(database: Database) {
    const insert = "INSERT INTO raft_log VALUES ";
    const columns = REGION_COLUMNS.slice(1);
    this.#database = database;
    this.#begin = database.prepare("BEGIN IMMEDIATE");
    this.#commit = database.prepare("COMMIT");
    this.#rollback = database.prepare("ROLLBACK");
    this.#checkpoint = database.prepare("PRAGMA wal_checkpoint(PASSIVE)");
    this.#pageCount = database.prepare("PRAGMA page_count");
    this.#freeCount = database.prepare("PRAGMA freelist_count");
    this.#insert = database.prepare(insert + ROW_SQL);
    this.#insertBatch = database.prepare(insert + Array(BATCH_ROWS).fill(ROW_SQL).join(", "));
    this.#delete = database.prepare(
      `DELETE FROM raft_log WHERE key BETWEEN ${KEY_SQL} AND ${KEY_SQL}`,
    );
    this.#createRegion = database.prepare(
      `INSERT INTO raft_state (${REGION_COLUMNS.join(", ")}) ` +
        `VALUES (${REGION_COLUMNS.map(() => "?").join(", ")})`,
    );
    this.#saveRegion = database.prepare(
      `UPDATE raft_state SET ${columns.map((name) => `${name} = ?`).join(", ")} WHERE slot = ?`,
    );
    this.#saveSnapshot = database.prepare("REPLACE INTO raft_snapshot VALUES (?, ?, ?, ?)");
    this.#deleteSnapshot = database.prepare("DELETE FROM raft_snapshot WHERE slot = ?");
  }

  commit(operations: readonly WriteOperation[]): void {
    this.#begin.run();
    try {
      for (const operation of operations) this.#perform(operation);
      this.#commit.run();
    } catch (error) {
      this.#undo();
      throw error;
    }
  }

  checkpoint(): void {
    this.#checkpoint.all();
  }

  space(): DatabaseSpace {
    const pages = this.#pageCount.first()?.[0] as number;
    return { pages, freePages: this.#freeCount.first()?.[0] as number };
  }

  close(): void {
    this.#database.close();
  }

  #undo(): void {
    try {
      this.#rollback.run();
    } catch {
      // SQLite has rolled back by itself, as it does after most failures; the first error counts.
    }
  }

  #perform(operation: WriteOperation): void {
    switch (operation.kind) {
      case "append":
        return this.#append(operation);
      case "delete": {
        const { slot, low, high } = operation;
        return void this.#delete.run(slot, low, slot, high);
      }
      case "create-region": {
        const { slot, regionId, peerId, state } = operation;
        return void this.#createRegion.run(...encodeRegion(slot, regionId, peerId, state));
      }
      case "save-region":
        return this.#updateRegion(operation);
      case "save-snapshot": {
        const { slot, regionId, index, data } = operation;
        if (data === undefined) return void this.#deleteSnapshot.run(slot);
        const checksum = snapshotChecksum(regionId, index, data);
        return void this.#saveSnapshot.run(slot, index, data, checksum);
      }
      case "vacuum":
        // Each step of the statement frees a page: it must run to its end.
        return void this.#database.prepare(`PRAGMA incremental_vacuum(${operation.pagesMax})`)
          .all();
    }
  }

  #updateRegion(operation: SaveRegionOperation): void {
    const { slot, regionId, peerId, state } = operation;
    const [, ...values] = encodeRegion(slot, regionId, peerId, state);
    if (this.#saveRegion.run(...values, slot) !== 1) {
      throw new StorageError(
        "STORAGE_CORRUPT",
        `The row of region ${regionId} in raft_state is gone; ${CORRUPT_ADVICE}`,
      );
    }
  }

  #append({ slot, regionId, entries }: AppendOperation): void {
    let i = 0;
    for (; i + BATCH_ROWS <= entries.length; i += BATCH_ROWS) {
      for (let k = 0; k < BATCH_ROWS; k++) this.#bind(k, slot, regionId, entries[i + k]);
      this.#insertBatch.run(...this.#batch);
    }
    for (; i < entries.length; i++) {
      const { index, term, type, command, context } = entries[i];
      const number = entryTypeNumber(type);
      const checksum = entryChecksum(regionId, index, term, number, command, context);
      this.#insert.run(slot, index, term, number, command, context ?? null, checksum);
    }
  }

  #bind(row: number, slot: number, regionId: number, entry: RaftLogEntry): void {
    const { index, term, type, command, context } = entry;
    const number = entryTypeNumber(type);
    const batch = this.#batch;
    const at = row * ROW_PARAMETERS;
    batch[at] = slot;
    batch[at + 1] = index;
    batch[at + 2] = term;
    batch[at + 3] = number;
    batch[at + 4] = command;
    batch[at + 5] = context ?? null;
    batch[at + 6] = entryChecksum(regionId, index, term, number, command, context);
  }
}
