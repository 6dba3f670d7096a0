/**
 * One replica under fuzz: a `RawNode`, its storage, and a host that carries out what it asks for, at
 * once or with delays, with synchronous or asynchronous writes.
 *
 * @module
 */

import {
  APPEND_THREAD,
  APPLY_THREAD,
  ConfChangeError,
  type Config,
  type ConfState,
  decodeConfChange,
  type Message,
  type PeerId,
  type RaftLogEntry,
  RawNode,
  type Snapshot,
} from "../../src/raft/mod.ts";
import { MemoryStorage } from "../../src/storage/mod.ts";
import { InvariantViolation } from "./invariants.ts";
import type { Random } from "./random.ts";

/** Most answers of the storage that are remembered. */
const ANSWERS_MAX = 20;

/** The options that vary from world to world. */
export type ReplicaOptions = Omit<Config, "id" | "storage" | "random">;

/** A replica and its host. */
export class Replica {
  readonly id: PeerId;
  readonly storage: MemoryStorage;
  readonly options: ReplicaOptions;
  readonly #random: Random;
  node: RawNode;
  #applied: number;
  #configuration: ConfState;
  /** With asynchronous writes: what the storage threads have still to do. */
  #appends: Message[] = [];
  #applies: Message[] = [];
  /** The latest answers of the storage threads, to be forged from. */
  readonly answers: Message[] = [];
  /** With synchronous writes: a Ready was carried out and not concluded yet. */
  #mustAdvance = false;

  constructor(id: PeerId, confState: ConfState, options: ReplicaOptions, random: Random) {
    this.id = id;
    this.options = options;
    this.#random = random;
    this.#configuration = confState;
    const initial = { index: 3, term: 1, confState };
    this.storage = new MemoryStorage({ regionId: 1, peerId: id, initial });
    this.#applied = 3;
    this.node = this.#start();
  }

  #start(): RawNode {
    return new RawNode({
      ...this.options,
      id: this.id,
      storage: this.storage,
      applied: this.#applied,
      random: (bound) => this.#random.below(bound),
    });
  }

  /** The process dies; what was not written is gone. */
  restart(): void {
    this.#appends = [];
    this.#applies = [];
    this.#mustAdvance = false;
    this.node = this.#start();
  }

  /** Does some of what is to be done; returns the messages for others. */
  drive(): Message[] {
    if (this.options.asyncStorageWrites === true) return this.#driveAsync();
    return this.#driveSync();
  }

  #driveSync(): Message[] {
    const out: Message[] = [];
    for (let i = 0; i < 10; i++) {
      if (this.#mustAdvance) {
        this.#mustAdvance = false;
        this.node.advance();
      }
      if (!this.node.hasReady()) break;
      const ready = this.node.ready();
      this.#mustAdvance = true;
      out.push(...ready.messages);
      this.#write(ready.entries, ready.snapshot, ready.hardState);
      out.push(...ready.messagesAfterAppend);
      this.#apply(ready.committedEntries);
      // Now and then messages arrive before the Ready is concluded.
      if (this.#random.oneIn(4)) break;
    }
    return out;
  }

  #driveAsync(): Message[] {
    const out: Message[] = [];
    for (let i = 0; i < 6; i++) {
      if (this.node.hasReady()) {
        for (const message of this.node.ready().messages) {
          if (message.to === APPEND_THREAD) this.#appends.push(message);
          else if (message.to === APPLY_THREAD) this.#applies.push(message);
          else out.push(message);
        }
      }
      if (!this.#random.oneIn(3)) this.#workAppend(out);
      if (!this.#random.oneIn(3)) this.#workApply(out);
    }
    return out;
  }

  #workAppend(out: Message[]): void {
    const message = this.#appends.shift();
    if (message === undefined) return;
    const { entries, snapshot, term, vote, commit } = message;
    const hardState = term !== 0 || vote !== 0 || commit !== 0
      ? { currentTerm: term, votedFor: vote, commitIndex: commit }
      : undefined;
    this.#write(entries, snapshot, hardState);
    this.#respond(message, out);
  }

  #workApply(out: Message[]): void {
    const message = this.#applies.shift();
    if (message === undefined) return;
    this.#apply(message.entries);
    this.#respond(message, out);
  }

  #respond(message: Message, out: Message[]): void {
    for (const response of message.responses ?? []) {
      if (response.to !== this.id) {
        out.push(response);
        continue;
      }
      this.answers.push(response);
      if (this.answers.length > ANSWERS_MAX) this.answers.shift();
      this.node.step(response);
    }
  }

  #write(
    entries: readonly RaftLogEntry[],
    snapshot: Snapshot | undefined,
    hardState: Parameters<MemoryStorage["append"]>[0]["hardState"],
  ): void {
    this.storage.append({ entries, snapshot, hardState }).catch(() => {});
    const last = entries[entries.length - 1];
    const lastIndex = last?.index ?? snapshot?.metadata.index;
    if (lastIndex !== undefined && this.storage.lastIndex() !== lastIndex) {
      throw new InvariantViolation(`the storage refuses to write up to ${lastIndex}`);
    }
    const stored = this.storage.initialState().hardState;
    if (
      hardState !== undefined &&
      (stored.currentTerm !== hardState.currentTerm || stored.votedFor !== hardState.votedFor)
    ) {
      throw new InvariantViolation("the storage refuses the hard state");
    }
    if (snapshot !== undefined && snapshot.metadata.index > this.#applied) {
      this.#applied = snapshot.metadata.index;
      this.#configuration = snapshot.metadata.confState;
    }
  }

  #apply(entries: readonly RaftLogEntry[]): void {
    for (const entry of entries) {
      if (entry.index <= this.#applied) continue;
      if (entry.index !== this.#applied + 1) {
        throw new InvariantViolation(`entry ${entry.index} is applied after ${this.#applied}`);
      }
      this.#applied = entry.index;
      if (entry.type !== "normal") this.#applyConfChange(entry);
    }
  }

  /** A forged change may not fit; a host then voids it. */
  #applyConfChange(entry: RaftLogEntry): void {
    try {
      const change = decodeConfChange(entry.type, entry.command);
      this.#configuration = this.node.applyConfChange(change);
    } catch (error) {
      if (!(error instanceof ConfChangeError)) throw error;
      return;
    }
    this.storage.saveConfState(this.#configuration, entry.index).catch(() => {});
  }

  /** Discards the applied part of the stored log, and keeps a snapshot in its place. */
  compact(): void {
    const index = Math.min(this.#applied, this.storage.lastIndex());
    if (index <= this.storage.firstIndex()) return;
    const term = this.storage.term(index);
    const snapshot: Snapshot = {
      metadata: { index, term, confState: this.#configuration },
      data: new Uint8Array(0),
    };
    this.storage.compact(index, snapshot).catch(() => {});
  }

  /**
   * Whether an answer of the storage claims what this host knows to be untrue: that something is
   * written or applied that is not. Only the host itself could tell such a lie, and the core has to
   * believe it.
   */
  isLie(message: Message): boolean {
    if (message.type === "storage-apply-response") {
      return message.entries.some((entry) => entry.index > this.#applied);
    }
    if (message.type !== "storage-append-response") return false;
    const { snapshot, index } = message;
    if (snapshot !== undefined && snapshot.metadata.index > this.#applied) return true;
    return index !== 0 && (this.#appends.length > 0 || this.#mustAdvance);
  }
}
