/**
 * What a list of operations means in SQL: one transaction over the tables of `raft.db`. Its target is
 * a connection of the calling thread, or the list of what a thread of its own is to run.
 *
 * @module
 */

import type { RaftLogEntry } from "../../raft/mod.ts";
import type { SqlValue } from "./database.ts";
import {
  encodeRegion,
  entryChecksum,
  entryTypeNumber,
  REGION_COLUMNS,
  snapshotChecksum,
} from "./rows.ts";
import { KEY_SQL } from "./schema.ts";
import type { AppendOperation, WriteOperation } from "./writer.ts";

/** A prepared statement of a transaction. What it returns stays unknown: it may run later. */
export interface TransactionStatement {
  /** Runs it, whatever it changes. */
  run(...parameters: SqlValue[]): unknown;
  /** Runs it; the transaction fails unless it changes exactly one row, which `row` names. */
  runOne(row: string, ...parameters: SqlValue[]): unknown;
  /** Runs it through all the rows it returns. */
  all(...parameters: SqlValue[]): unknown;
}

/** Where a transaction is carried out. */
export interface TransactionTarget {
  /** Prepares a statement for many runs. */
  prepare(sql: string): TransactionStatement;
}

/** Entries written by one statement; measured, more gains nothing. */
const BATCH_ROWS = 16;
const ROW_SQL = `(${KEY_SQL}, ?, ?, ?, ?, ?)`;
const ROW_PARAMETERS = 7;

/** Carries out lists of operations, each in one transaction of `target`. */
export class Transaction {
  readonly #target: TransactionTarget;
  readonly #begin: TransactionStatement;
  readonly #commit: TransactionStatement;
  readonly #rollback: TransactionStatement;
  readonly #insert: TransactionStatement;
  readonly #insertBatch: TransactionStatement;
  readonly #delete: TransactionStatement;
  readonly #createRegion: TransactionStatement;
  readonly #saveRegion: TransactionStatement;
  readonly #saveSnapshot: TransactionStatement;
  readonly #deleteSnapshot: TransactionStatement;
  readonly #batch: SqlValue[] = new Array(BATCH_ROWS * ROW_PARAMETERS).fill(null);

  constructor(target: TransactionTarget) {
    const insert = "INSERT INTO raft_log VALUES ";
    const columns = REGION_COLUMNS.slice(1);
    this.#target = target;
    this.#begin = target.prepare("BEGIN IMMEDIATE");
    this.#commit = target.prepare("COMMIT");
    this.#rollback = target.prepare("ROLLBACK");
    this.#insert = target.prepare(insert + ROW_SQL);
    this.#insertBatch = target.prepare(insert + Array(BATCH_ROWS).fill(ROW_SQL).join(", "));
    this.#delete = target.prepare(
      `DELETE FROM raft_log WHERE key BETWEEN ${KEY_SQL} AND ${KEY_SQL}`,
    );
    this.#createRegion = target.prepare(
      `INSERT INTO raft_state (${REGION_COLUMNS.join(", ")}) ` +
        `VALUES (${REGION_COLUMNS.map(() => "?").join(", ")})`,
    );
    this.#saveRegion = target.prepare(
      `UPDATE raft_state SET ${columns.map((name) => `${name} = ?`).join(", ")} WHERE slot = ?`,
    );
    this.#saveSnapshot = target.prepare("REPLACE INTO raft_snapshot VALUES (?, ?, ?, ?)");
    this.#deleteSnapshot = target.prepare("DELETE FROM raft_snapshot WHERE slot = ?");
  }

  /** Carries out all operations, in order. @throws what the target throws; nothing is changed then. */
  run(operations: readonly WriteOperation[]): void {
    this.#begin.run();
    try {
      for (const operation of operations) this.#perform(operation);
      this.#commit.run();
    } catch (error) {
      this.#undo();
      throw error;
    }
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
      case "save-region": {
        const { slot, regionId, peerId, state } = operation;
        const [, ...values] = encodeRegion(slot, regionId, peerId, state);
        const row = `The row of region ${regionId} in raft_state`;
        return void this.#saveRegion.runOne(row, ...values, slot);
      }
      case "save-snapshot": {
        const { slot, regionId, index, data } = operation;
        if (data === undefined) return void this.#deleteSnapshot.run(slot);
        const checksum = snapshotChecksum(regionId, index, data);
        return void this.#saveSnapshot.run(slot, index, data, checksum);
      }
      case "vacuum":
        // Each step of the statement frees a page: it must run to its end.
        return void this.#target.prepare(`PRAGMA incremental_vacuum(${operation.pagesMax})`).all();
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
