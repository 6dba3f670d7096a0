/**
 * Group commit: writes of all regions that are asked for in one turn of the event loop, or while a
 * transaction is under way, share the next transaction, and with it one sync and one promise.
 *
 * @module
 */

import { setImmediate, setTimeout } from "node:timers";
import { closedError, type StorageError } from "../errors.ts";
import type { RegionState } from "../region_state.ts";
import { toStorageError } from "./database.ts";
import { VACUUM_INTERVAL_MS, VACUUM_PAGES, VacuumPlan } from "./vacuum.ts";
import type { LogWriter, SaveRegionOperation, WriteOperation } from "./writer.ts";

/** What one group writes for one region. */
export interface RegionWrite {
  /** The state as of the last write in the group. */
  state: RegionState;
  /** The lowest index whose row the group writes or deletes for good; `Infinity` when none. */
  lowIndex: number;
}

/** A region, as the committer sees it. */
export interface GroupMember {
  /** The operation that saves a state of the region. */
  saveOperation(state: RegionState): SaveRegionOperation;
  /** Told once `write` is durable. */
  committed(write: RegionWrite): void;
}

/** The writes that will be committed together. */
export interface WriteGroup {
  readonly operations: WriteOperation[];
  readonly regions: Map<GroupMember, RegionWrite>;
  /** Resolves once all of it is durable. */
  readonly promise: Promise<void>;
  readonly resolve: () => void;
  readonly reject: (error: StorageError) => void;
  /** The bytes of its entries and snapshots. */
  bytes: number;
  /** Whether it deletes rows, so that there may be space to give back afterwards. */
  frees: boolean;
}

/** The limits of a {@linkcode GroupCommitter}. */
export interface GroupCommitLimits {
  /** A group that holds this many bytes is full; later writes go into the next. */
  readonly transactionBytesMax: number;
  /** The size of the write-ahead log, about, at which it is moved into the database. */
  readonly checkpointBytes: number;
}

/** What a {@linkcode GroupCommitter} has committed since it began. */
export interface CommitCounters {
  /** Transactions, each with a sync. */
  transactions: number;
  /** Entries in them; `entries / transactions` is the batching. */
  entries: number;
}

/** What a transaction adds to the write-ahead log besides its rows, about: two pages a region touched. */
const REGION_WAL_BYTES = 2 * 4096;

/** What taking a page off the file adds to the write-ahead log, about: itself and what points to it. */
const VACUUM_WAL_BYTES = 2 * 4096;

/** Collects writes into groups and has them committed one after the other. */
export class GroupCommitter {
  /** What was committed so far. */
  readonly counters: Readonly<CommitCounters>;
  readonly #counters: CommitCounters = { transactions: 0, entries: 0 };
  readonly #writer: LogWriter;
  readonly #limits: GroupCommitLimits;
  readonly #action: string;
  /** Groups to commit, in order; only the last one still takes writes. */
  readonly #groups: WriteGroup[] = [];
  #scheduled = false;
  #walBytes = 0;
  #spaceUnknown = false;
  readonly #vacuum = new VacuumPlan();
  #vacuumScheduled = false;
  #failure: StorageError | undefined = undefined;
  #closing = false;
  #idle: (() => void) | undefined = undefined;
  readonly #flush = (): void => this.#start();

  /** `place` names the database in errors. */
  constructor(writer: LogWriter, limits: GroupCommitLimits, place: string) {
    this.#writer = writer;
    this.#limits = limits;
    this.#action = `write to ${place}`;
    this.counters = this.#counters;
  }

  /** The error that every write rejects with now, if any. */
  get failure(): StorageError | undefined {
    return this.#closing ? closedError() : this.#failure;
  }

  /** Whether `close` was called. */
  get closing(): boolean {
    return this.#closing;
  }

  /** The group that takes writes now; it is committed after the current turn of the event loop. */
  group(): WriteGroup {
    const last = this.#groups[this.#groups.length - 1];
    if (last !== undefined && last.bytes < this.#limits.transactionBytesMax) return last;
    const group = createGroup();
    this.#groups.push(group);
    this.#schedule();
    return group;
  }

  /** Looks for space to give back to the file system, and goes on giving it back over time. */
  reclaim(): void {
    if (this.failure !== undefined) return;
    this.#spaceUnknown = true;
    this.#schedule();
  }

  /** Refuses writes from now on, and resolves once those asked for before are done or have failed. */
  close(): Promise<void> {
    this.#closing = true;
    const done = new Promise<void>((resolve) => this.#idle = resolve);
    if (!this.#scheduled) this.#finish();
    return done;
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(this.#flush);
  }

  #start(): void {
    if (this.#walBytes >= this.#limits.checkpointBytes) {
      this.#walBytes = 0;
      return this.#carryOut(() => this.#writer.checkpoint(), () => this.#next());
    }
    if (this.#spaceUnknown && !this.#closing) return this.#planVacuum();
    const group = this.#groups.shift();
    if (group === undefined) return this.#next();
    this.#commit(group);
  }

  #planVacuum(): void {
    this.#spaceUnknown = false;
    this.#carryOut(() => this.#writer.space(), (space) => {
      this.#vacuum.update(space);
      this.#scheduleVacuum();
      this.#next();
    });
  }

  #commit(group: WriteGroup): void {
    for (const [region, write] of group.regions) {
      group.operations.push(region.saveOperation(write.state));
    }
    this.#carryOut(() => this.#writer.commit(group.operations), () => {
      this.#count(group);
      this.#walBytes += group.bytes + (1 + group.regions.size) * REGION_WAL_BYTES;
      this.#spaceUnknown ||= group.frees;
      for (const [region, write] of group.regions) region.committed(write);
      group.resolve();
      this.#next();
    }, group);
  }

  #count(group: WriteGroup): void {
    this.#counters.transactions++;
    for (const operation of group.operations) {
      if (operation.kind === "append") this.#counters.entries += operation.entries.length;
    }
  }

  #carryOut<T>(work: () => T | Promise<T>, done: (value: T) => void, group?: WriteGroup): void {
    try {
      const pending = work();
      if (!(pending instanceof Promise)) return done(pending);
      pending.then(done).catch((error) => this.#fail(error, group));
    } catch (error) {
      this.#fail(error, group);
    }
  }

  /** The timer keeps no process alive: what is left is given back the next time. */
  #scheduleVacuum(): void {
    if (this.#vacuumScheduled || !this.#vacuum.pending) return;
    this.#vacuumScheduled = true;
    setTimeout(() => {
      this.#vacuumScheduled = false;
      if (this.failure === undefined && this.#vacuum.pending) this.#vacuumSome();
    }, VACUUM_INTERVAL_MS).unref();
  }

  #vacuumSome(): void {
    const last = this.#vacuum.next();
    const group = this.group();
    group.operations.push({ kind: "vacuum", pagesMax: VACUUM_PAGES });
    group.bytes += VACUUM_PAGES * VACUUM_WAL_BYTES;
    group.promise.then(() => {
      if (this.failure !== undefined) return;
      if (!last) return this.#scheduleVacuum();
      // The file shrinks only now; then see whether there is more.
      this.#walBytes = this.#limits.checkpointBytes;
      this.reclaim();
    }, () => {});
  }

  #next(): void {
    this.#scheduled = false;
    const more = this.#groups.length > 0 || this.#walBytes >= this.#limits.checkpointBytes ||
      (this.#spaceUnknown && !this.#closing);
    if (more) this.#schedule();
    else this.#finish();
  }

  #fail(cause: unknown, group: WriteGroup | undefined): void {
    const failure = toStorageError(cause, this.#action);
    this.#failure ??= failure;
    group?.reject(failure);
    for (const waiting of this.#groups.splice(0)) waiting.reject(failure);
    this.#scheduled = false;
    this.#finish();
  }

  #finish(): void {
    this.#idle?.();
  }
}

function createGroup(): WriteGroup {
  let resolve!: () => void;
  let reject!: (error: StorageError) => void;
  const promise = new Promise<void>((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  // Whoever ignores the promise meets the same error at the next call.
  promise.catch(() => {});
  return { operations: [], regions: new Map(), promise, resolve, reject, bytes: 0, frees: false };
}
