/**
 * The unstable tail of the log: entries and a snapshot that are not known to be on stable storage.
 * Part of it may be on its way there already (in progress); it stays here until the write is
 * confirmed, so that what is read from storage is never ahead of what is durable.
 *
 * @module
 */

import { RaftInvariantError } from "../errors.ts";
import type { RaftLogEntry, Snapshot } from "../types.ts";

const NONE: readonly RaftLogEntry[] = Object.freeze([]);

/** Entries from `offset` on, and the snapshot before them when one was received. */
export class Unstable {
  #snapshot: Snapshot | undefined = undefined;
  #snapshotInProgress = false;
  #entries: RaftLogEntry[] = [];
  #offset: number;
  #offsetInProgress: number;

  /** @param offset the index after the last stable entry. */
  constructor(offset: number) {
    this.#offset = offset;
    this.#offsetInProgress = offset;
  }

  /**
   * The index of the first unstable entry. It may lie before the end of the stable log: the next
   * write then truncates there.
   */
  get offset(): number {
    return this.#offset;
  }

  /** The index after the last entry whose write has begun; at least `offset`. */
  get offsetInProgress(): number {
    return this.#offsetInProgress;
  }

  /** The received snapshot until it is stable. */
  get snapshot(): Snapshot | undefined {
    return this.#snapshot;
  }

  /** How many entries are unstable, in progress or not. */
  get length(): number {
    return this.#entries.length;
  }

  /** The last index that this tail knows of; undefined when it is empty. */
  lastIndex(): number | undefined {
    if (this.#entries.length > 0) return this.#offset + this.#entries.length - 1;
    return this.#snapshot?.metadata.index;
  }

  /** The term at `index`; undefined when this tail does not know it. */
  term(index: number): number | undefined {
    if (index >= this.#offset) return this.#entries[index - this.#offset]?.term;
    const metadata = this.#snapshot?.metadata;
    return metadata?.index === index ? metadata.term : undefined;
  }

  /** The entries whose write has not begun. */
  nextEntries(): readonly RaftLogEntry[] {
    const begun = this.#offsetInProgress - this.#offset;
    return begun === this.#entries.length ? NONE : this.#entries.slice(begun);
  }

  /** Whether there are entries whose write has not begun. */
  hasNextEntries(): boolean {
    return this.#entries.length > this.#offsetInProgress - this.#offset;
  }

  /** The snapshot, when its write has not begun. */
  nextSnapshot(): Snapshot | undefined {
    return this.#snapshotInProgress ? undefined : this.#snapshot;
  }

  /** Marks everything as being written. */
  acceptInProgress(): void {
    this.#offsetInProgress = this.#offset + this.#entries.length;
    if (this.#snapshot !== undefined) this.#snapshotInProgress = true;
  }

  /**
   * Forgets the entries up to (`term`, `index`), which are stable now. Nothing happens when they
   * were replaced in the meantime or never written. Only to be called when no write under way can
   * still overwrite them.
   */
  stableTo(term: number, index: number): void {
    if (index < this.#offset || index >= this.#offsetInProgress) return;
    if (this.term(index) !== term) return;
    const count = index + 1 - this.#offset;
    this.#entries = count === this.#entries.length ? [] : this.#entries.slice(count);
    this.#offset = index + 1;
  }

  /** Forgets the snapshot of `index`, which is stable and applied now. */
  stableSnapshotTo(index: number): void {
    if (this.#snapshot?.metadata.index !== index) return;
    this.#snapshot = undefined;
    this.#snapshotInProgress = false;
  }

  /** Replaces everything by a snapshot. */
  restore(snapshot: Snapshot): void {
    this.#offset = snapshot.metadata.index + 1;
    this.#offsetInProgress = this.#offset;
    this.#entries = [];
    this.#snapshot = snapshot;
    this.#snapshotInProgress = false;
  }

  /** Appends `entries` (at least one), after cutting off whatever they replace. */
  truncateAndAppend(entries: readonly RaftLogEntry[]): void {
    const from = entries[0].index;
    const end = this.#offset + this.#entries.length;
    if (from > end) {
      throw new RaftInvariantError(`cannot append at ${from}: the unstable log ends before ${end}`);
    }
    if (from === end) {
      for (let i = 0; i < entries.length; i++) this.#entries.push(entries[i]);
    } else if (from <= this.#offset) {
      this.#entries = entries.slice();
      this.#offset = from;
      this.#offsetInProgress = from;
    } else {
      this.#entries = this.#entries.slice(0, from - this.#offset).concat(entries);
      this.#offsetInProgress = Math.min(this.#offsetInProgress, from);
    }
  }

  /**
   * The entries from `low` (inclusive) to `high` (exclusive); the caller owns the array.
   *
   * @throws RaftInvariantError when they are not all here.
   */
  slice(low: number, high: number): RaftLogEntry[] {
    const end = this.#offset + this.#entries.length;
    if (low > high || low < this.#offset || high > end) {
      throw new RaftInvariantError(
        `unstable entries [${low}, ${high}) are out of bounds [${this.#offset}, ${end})`,
      );
    }
    return this.#entries.slice(low - this.#offset, high - this.#offset);
  }
}
