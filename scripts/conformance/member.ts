/**
 * One node of an interaction trace: a core, its storage, the queues of asynchronous storage writes,
 * and a state machine that appends commands to a byte string and keeps a snapshot after each.
 *
 * @module
 */

import { deepStrictEqual } from "node:assert/strict";
import {
  type Config,
  decodeConfChange,
  type LogStorage,
  type Message,
  type PeerId,
  type RaftLogEntry,
  RawNode,
  type Snapshot,
} from "../../src/raft/mod.ts";
import type { LogWrite } from "../../src/storage/mod.ts";
import type { Disk } from "./disks.ts";

/** The options of a core, without what the runner supplies itself. */
export type CoreOptions = Omit<Config, "id" | "storage" | "random" | "applied">;

/** One node: what it runs, what it has stored, and what is queued for its storage threads. */
export class Member {
  readonly id: PeerId;
  readonly options: CoreOptions;
  /** Storage messages that the append thread has yet to do. */
  appendQueue: Message[] = [];
  /** Storage messages that the apply thread has yet to do. */
  applyQueue: Message[] = [];
  /** The state machine after each entry it applied, oldest first; the first is its start. */
  readonly snapshots: Snapshot[];
  core: RawNode;
  readonly #disk: Disk;

  constructor(id: PeerId, options: CoreOptions, disk: Disk, start: Snapshot) {
    this.id = id;
    this.options = options;
    this.#disk = disk;
    this.snapshots = [start];
    this.core = this.#startCore();
  }

  /** The stable log. */
  get log(): LogStorage {
    return this.#disk.storage;
  }

  /** The newest snapshot of the state machine. */
  get newestSnapshot(): Snapshot {
    return this.snapshots.at(-1) as Snapshot;
  }

  /** Crashes and restarts: what was only in memory is gone. */
  async restart(): Promise<void> {
    this.appendQueue = [];
    this.applyQueue = [];
    await this.#disk.reopen();
    // What the log says the configuration is, and what the state machine says, must agree.
    const stored = this.#disk.storage.initialState().confState;
    deepStrictEqual(stored, this.newestSnapshot.metadata.confState);
    this.core = this.#startCore();
  }

  /** Writes to the log in one step; an installed snapshot becomes the state machine's state. */
  async append(write: LogWrite): Promise<void> {
    await this.#disk.storage.append(write);
    if (write.snapshot !== undefined) this.snapshots.push(write.snapshot);
  }

  /** Applies committed entries to the state machine and, for configuration changes, to the core. */
  async apply(entries: readonly RaftLogEntry[]): Promise<void> {
    for (const entry of entries) {
      if (entry.type === "normal") this.#advanceState(entry, entry.command);
      else await this.#applyConfChange(entry, entry.type);
    }
  }

  /** Discards entries up to and including `index`. */
  async compact(index: number): Promise<void> {
    await this.#disk.storage.compact(index);
  }

  async #applyConfChange(
    entry: RaftLogEntry,
    type: "conf-change" | "conf-change-v2",
  ): Promise<void> {
    const change = decodeConfChange(type, entry.command);
    const confState = this.core.applyConfChange(change);
    await this.#disk.storage.saveConfState(confState, entry.index);
    this.#advanceState(entry, change.context ?? new Uint8Array(0), confState);
  }

  #advanceState(
    entry: RaftLogEntry,
    update: Uint8Array,
    confState = this.newestSnapshot.metadata.confState,
  ): void {
    const before = this.newestSnapshot.data;
    const data = new Uint8Array(before.length + update.length);
    data.set(before);
    data.set(update, before.length);
    this.snapshots.push({ metadata: { index: entry.index, term: entry.term, confState }, data });
  }

  #startCore(): RawNode {
    return new RawNode({
      ...this.options,
      id: this.id,
      storage: this.#storageForCore(),
      applied: this.newestSnapshot.metadata.index,
      // The shortest timeout, always: traces that need another set it.
      random: () => 0,
    });
  }

  /** The stable log, except that snapshots come from the state machine's list. */
  #storageForCore(): LogStorage {
    const storage = () => this.#disk.storage;
    return {
      initialState: () => storage().initialState(),
      entries: (low, high, sizeMax) => storage().entries(low, high, sizeMax),
      term: (index) => storage().term(index),
      firstIndex: () => storage().firstIndex(),
      lastIndex: () => storage().lastIndex(),
      snapshot: () => this.newestSnapshot,
    };
  }
}
