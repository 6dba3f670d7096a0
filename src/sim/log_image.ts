/**
 * An image of what one replica has in its storage: its log, hard state and configuration. A replica
 * has two, one of all that was written and one of what is durable; a crash leaves the durable one. It
 * refuses writes that break the rules of a log, as every real storage does.
 *
 * @module
 */

import {
  CompactedError,
  type ConfState,
  entrySize,
  type HardState,
  type RaftLogEntry,
  type SnapshotMetadata,
  UnavailableError,
} from "../raft/mod.ts";
import type { LogWrite } from "../storage/contract.ts";
import { violated } from "./errors.ts";
import { mix } from "./trace.ts";

/** A snapshot as the storage keeps it. */
export interface StoredSnapshot {
  readonly metadata: SnapshotMetadata;
  readonly data: Uint8Array;
}

/** The contents of a replica's storage. */
export class LogImage {
  hardState: HardState;
  confState: ConfState;
  confStateIndex: number;
  truncatedIndex: number;
  truncatedTerm: number;
  /** The entries after `truncatedIndex`. */
  entries: RaftLogEntry[];
  /** The newest snapshot that was received, until the state machine has it for good. */
  snapshot: StoredSnapshot | undefined = undefined;
  /** Entries that a later write replaced by others, so far. */
  entriesReplaced = 0;
  #checksum = 0;

  /** An image right after installing a snapshot of `initial`, without data. */
  constructor(initial: SnapshotMetadata) {
    this.hardState = { currentTerm: initial.term, votedFor: 0, commitIndex: initial.index };
    this.confState = initial.confState;
    this.confStateIndex = initial.index;
    this.truncatedIndex = initial.index;
    this.truncatedTerm = initial.term;
    this.entries = [];
    this.#checksum = checksumOf(this.hardState);
  }

  /** Whether the hard state is what was saved. */
  get isIntact(): boolean {
    return this.#checksum === checksumOf(this.hardState);
  }

  /** Damages the hard state, as a flipped bit would. */
  flipVote(): void {
    this.hardState = { ...this.hardState, votedFor: this.hardState.votedFor ^ 1 };
  }

  /** A copy that shares the entries. */
  clone(): LogImage {
    const { truncatedIndex: index, truncatedTerm: term, confState } = this;
    const copy = new LogImage({ index, term, confState });
    copy.hardState = this.hardState;
    copy.confStateIndex = this.confStateIndex;
    copy.entries = this.entries.slice();
    copy.snapshot = this.snapshot;
    copy.#checksum = this.#checksum;
    return copy;
  }

  /** The last index. */
  get lastIndex(): number {
    return this.truncatedIndex + this.entries.length;
  }

  /** The term at `index`; -1 when it is not known. */
  termAt(index: number): number {
    if (index === this.truncatedIndex) return this.truncatedTerm;
    const entry = this.entries[index - this.truncatedIndex - 1];
    return entry === undefined ? -1 : entry.term;
  }

  /** The term at `index`. @throws CompactedError, UnavailableError outside the log. */
  term(index: number): number {
    if (index < this.truncatedIndex) throw new CompactedError();
    if (index > this.lastIndex) throw new UnavailableError();
    return this.termAt(index);
  }

  /** Entries as `LogStorage.entries` returns them. */
  slice(low: number, high: number, sizeMax: number): RaftLogEntry[] {
    if (low <= this.truncatedIndex) throw new CompactedError();
    if (high > this.lastIndex + 1) throw new UnavailableError();
    const result: RaftLogEntry[] = [];
    let size = 0;
    for (let index = low; index < high; index++) {
      const entry = this.entries[index - this.truncatedIndex - 1];
      size += entrySize(entry);
      if (size > sizeMax && result.length > 0) break;
      result.push(entry);
    }
    return result;
  }

  /** Makes one atomic write. @throws InvariantViolation when it breaks a rule of the log. */
  append(write: LogWrite): void {
    if (write.snapshot !== undefined) this.#install(write.snapshot);
    if (write.entries !== undefined) this.#append(write.entries);
    if (write.hardState !== undefined) this.#save(write.hardState);
  }

  /** Saves a configuration. */
  saveConfState(confState: ConfState, index: number): void {
    if (index < this.confStateIndex || index > this.lastIndex) {
      violated(
        "monotonicity",
        `a configuration of index ${index} is saved after that of ${this.confStateIndex}, ` +
          `and the log ends at ${this.lastIndex}`,
      );
    }
    this.confState = confState;
    this.confStateIndex = index;
    this.#commit(index);
  }

  /** Discards entries up to `index`. */
  compact(index: number): void {
    if (index <= this.truncatedIndex) return;
    this.truncatedTerm = this.term(index);
    this.entries.splice(0, index - this.truncatedIndex);
    this.truncatedIndex = index;
    this.#commit(index);
    if (this.snapshot !== undefined && this.snapshot.metadata.index < index) {
      this.snapshot = undefined;
    }
  }

  #install(snapshot: StoredSnapshot): void {
    const { index, term, confState } = snapshot.metadata;
    if (index < this.hardState.commitIndex) {
      violated(
        "monotonicity",
        `a snapshot of ${index} replaces a log committed to ${this.hardState.commitIndex}`,
      );
    }
    this.entries = [];
    this.truncatedIndex = index;
    this.truncatedTerm = term;
    this.confState = confState;
    this.confStateIndex = index;
    this.snapshot = snapshot;
    this.#commit(index);
  }

  #append(entries: readonly RaftLogEntry[]): void {
    if (entries.length === 0) return;
    const first = entries[0].index;
    if (first > this.lastIndex + 1) {
      violated(
        "log-matching",
        `an entry of ${first} is written, the log ends at ${this.lastIndex}`,
      );
    }
    if (first <= this.hardState.commitIndex || first <= this.truncatedIndex) {
      violated(
        "leader-completeness",
        `entry ${first} is written over a log committed to ${this.hardState.commitIndex}`,
      );
    }
    let term = this.termAt(first - 1);
    const kept = first - this.truncatedIndex - 1;
    if (this.entries.length > kept) {
      this.entriesReplaced += this.entries.length - kept;
      this.entries.length = kept;
    }
    for (let position = 0; position < entries.length; position++) {
      const entry = entries[position];
      if (entry.index !== first + position || entry.term < term) {
        violated(
          "log-matching",
          `entry ${entry.term}/${entry.index} is written after term ${term}`,
        );
      }
      term = entry.term;
      this.entries.push(entry);
    }
  }

  #save(hardState: HardState): void {
    const old = this.hardState;
    const voted = hardState.currentTerm === old.currentTerm && old.votedFor !== 0;
    if (
      hardState.currentTerm < old.currentTerm || (voted && hardState.votedFor !== old.votedFor)
    ) {
      violated(
        "monotonicity",
        `term ${old.currentTerm} and vote ${old.votedFor} are followed by ` +
          `${hardState.currentTerm} and ${hardState.votedFor}`,
      );
    }
    if (hardState.commitIndex > this.lastIndex) {
      violated(
        "index-order",
        `commit index ${hardState.commitIndex} is beyond the last index ${this.lastIndex}`,
      );
    }
    const commitIndex = Math.max(old.commitIndex, hardState.commitIndex);
    this.hardState = commitIndex === hardState.commitIndex
      ? hardState
      : { ...hardState, commitIndex };
    this.#checksum = checksumOf(this.hardState);
  }

  #commit(index: number): void {
    if (index > this.hardState.commitIndex) {
      this.hardState = { ...this.hardState, commitIndex: index };
      this.#checksum = checksumOf(this.hardState);
    }
  }
}

function checksumOf(state: HardState): number {
  return mix(mix(mix(0, state.currentTerm), state.votedFor), state.commitIndex);
}
