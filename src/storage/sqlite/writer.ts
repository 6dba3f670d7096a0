/**
 * The seam between what is to be written and who writes it: operations are plain data, a
 * {@linkcode LogWriter} carries a list of them out in one durable transaction. Here through a
 * connection of the calling thread, which costs least on a fast disk.
 *
 * @module
 */

import type { PeerId, RaftLogEntry } from "../../raft/mod.ts";
import type { RegionState } from "../region_state.ts";
import type { Database, Statement } from "./database.ts";
import { Transaction } from "./transaction.ts";

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

/** Moves the write-ahead log into the database, as far as nobody reads from it. */
export const CHECKPOINT_SQL = "PRAGMA wal_checkpoint(PASSIVE)";

/** The two numbers of {@linkcode DatabaseSpace}. */
export const SPACE_SQL: readonly [pages: string, freePages: string] = [
  "PRAGMA page_count",
  "PRAGMA freelist_count",
];

/** Writes in the calling thread, through one connection that it closes in the end. */
export class DirectWriter implements LogWriter {
  readonly #database: Database;
  readonly #transaction: Transaction;
  readonly #checkpoint: Statement;
  readonly #space: readonly Statement[];

  constructor(database: Database) {
    this.#database = database;
    this.#transaction = new Transaction(database);
    this.#checkpoint = database.prepare(CHECKPOINT_SQL);
    this.#space = SPACE_SQL.map((sql) => database.prepare(sql));
  }

  commit(operations: readonly WriteOperation[]): void {
    this.#transaction.run(operations);
  }

  checkpoint(): void {
    this.#checkpoint.all();
  }

  space(): DatabaseSpace {
    const [pages, freePages] = this.#space.map((statement) => statement.first()?.[0] as number);
    return { pages, freePages };
  }

  close(): void {
    this.#database.close();
  }
}
