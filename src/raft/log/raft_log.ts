/**
 * The log as the protocol sees it: the stable part in storage and the unstable tail in memory as
 * one, with the positions up to which it is committed, being applied and applied.
 *
 * @module
 */

import { CompactedError, RaftInvariantError, UnavailableError } from "../errors.ts";
import { entriesSize, limitedLength } from "../size.ts";
import type { LogStorage } from "../storage.ts";
import type { RaftLogEntry, Snapshot } from "../types.ts";
import { Unstable } from "./unstable.ts";

const NONE: readonly RaftLogEntry[] = Object.freeze([]);

/** The replicated log of one peer (Raft §5.3). applied ≤ applying ≤ committed ≤ lastIndex. */
export class RaftLog {
  /** The tail that is not known to be stable. */
  readonly unstable: Unstable;
  readonly #storage: LogStorage;
  readonly #applyingSizeMax: number;
  #committed: number;
  #applying: number;
  #applied: number;
  #applyingSize = 0;
  #applyingPaused = false;

  /**
   * @param applyingSizeMax most bytes of committed entries handed out and not yet applied.
   */
  constructor(storage: LogStorage, applyingSizeMax: number) {
    this.#storage = storage;
    this.#applyingSizeMax = applyingSizeMax;
    this.unstable = new Unstable(storage.lastIndex() + 1);
    this.#committed = this.#applying = this.#applied = storage.firstIndex() - 1;
  }

  /** The highest index known to be committed. */
  get committed(): number {
    return this.#committed;
  }

  /** The highest index handed out to be applied. */
  get applying(): number {
    return this.#applying;
  }

  /** The highest index known to be applied. */
  get applied(): number {
    return this.#applied;
  }

  /** The first index whose entry is at hand. */
  firstIndex(): number {
    const snapshot = this.unstable.snapshot;
    return snapshot !== undefined ? snapshot.metadata.index + 1 : this.#storage.firstIndex();
  }

  /** The last index of the log. */
  lastIndex(): number {
    return this.unstable.lastIndex() ?? this.#storage.lastIndex();
  }

  /** The term of the last entry. */
  lastTerm(): number {
    const index = this.lastIndex();
    const term = this.term(index);
    if (term === undefined) {
      throw new RaftInvariantError(`the term of last index ${index} is unknown`);
    }
    return term;
  }

  /** The term at `index`, or undefined when it was compacted or lies beyond the end. */
  term(index: number): number | undefined {
    const unstable = this.unstable.term(index);
    if (unstable !== undefined) return unstable;
    if (index + 1 < this.firstIndex() || index > this.lastIndex()) return undefined;
    try {
      return this.#storage.term(index);
    } catch (error) {
      if (error instanceof CompactedError || error instanceof UnavailableError) return undefined;
      throw error;
    }
  }

  /** Whether the entry at `index` has this term. */
  matchesTerm(index: number, term: number): boolean {
    return this.term(index) === term;
  }

  /**
   * Whether a log that ends in (`lastTerm`, `lastIndex`) is at least as up to date as this one: the
   * later last term wins, then the longer log (Raft §5.4.1).
   */
  isUpToDate(lastTerm: number, lastIndex: number): boolean {
    const ourTerm = this.lastTerm();
    return lastTerm > ourTerm || (lastTerm === ourTerm && lastIndex >= this.lastIndex());
  }

  /**
   * Appends a leader's entries after (`previousTerm`, `previousIndex`) if the log matches there,
   * cutting off what conflicts, and commits up to `commit` as far as the entries reach (Raft §5.3).
   * Returns the last new index, or undefined when the log does not match.
   */
  maybeAppend(
    previousTerm: number,
    previousIndex: number,
    entries: readonly RaftLogEntry[],
    commit: number,
  ): number | undefined {
    if (!this.matchesTerm(previousIndex, previousTerm)) return undefined;
    const lastNew = previousIndex + entries.length;
    const fresh = this.#firstToAppend(entries);
    if (fresh < entries.length) this.append(fresh === 0 ? entries : entries.slice(fresh));
    this.commitTo(Math.min(commit, lastNew));
    return lastNew;
  }

  /** Appends entries, cutting off what they replace. @throws RaftInvariantError for committed ones. */
  append(entries: readonly RaftLogEntry[]): void {
    if (entries.length === 0) return;
    if (entries[0].index <= this.#committed) {
      throw new RaftInvariantError(
        `cannot replace entry ${entries[0].index}: committed up to ${this.#committed}`,
      );
    }
    this.unstable.truncateAndAppend(entries);
  }

  /**
   * Where this log may match another of which only one entry is known: the largest index up to
   * `index` whose term is at most `term`, with that term (0 when it is not known). Log terms never
   * decrease, so nothing above it can match. Lets a leader skip a whole term a probe (Raft §5.3).
   */
  findConflictByTerm(index: number, term: number): { index: number; term: number } {
    for (; index > 0; index--) {
      const ours = this.term(index);
      if (ours === undefined) return { index, term: 0 };
      if (ours <= term) return { index, term: ours };
    }
    return { index: 0, term: 0 };
  }

  /** Raises the commit index; never lowers it. @throws RaftInvariantError beyond the end. */
  commitTo(index: number): void {
    if (index <= this.#committed) return;
    if (index > this.lastIndex()) {
      throw new RaftInvariantError(
        `cannot commit ${index}: the log ends at ${this.lastIndex()}; was it lost or truncated?`,
      );
    }
    this.#committed = index;
  }

  /** Commits up to `index` if it is new and its entry is of `term`; whether it did. */
  maybeCommit(index: number, term: number): boolean {
    if (term === 0 || index <= this.#committed || !this.matchesTerm(index, term)) return false;
    this.commitTo(index);
    return true;
  }

  /** Notes that entries up to `index`, of `size` bytes, were applied. */
  appliedTo(index: number, size: number): void {
    if (index > this.#committed || index < this.#applied) {
      throw new RaftInvariantError(
        `applied ${index} is out of range [${this.#applied}, ${this.#committed}]`,
      );
    }
    this.#applied = index;
    this.#applying = Math.max(this.#applying, index);
    this.#applyingSize = Math.max(0, this.#applyingSize - size);
    this.#applyingPaused = this.#applyingSize >= this.#applyingSizeMax;
  }

  /** Notes that entries up to `index`, of `size` bytes, were handed out to be applied. */
  acceptApplying(index: number, size: number, allowUnstable: boolean): void {
    if (index > this.#committed) {
      throw new RaftInvariantError(`applying ${index} is beyond committed ${this.#committed}`);
    }
    this.#applying = index;
    this.#applyingSize += size;
    // A page that ends early was cut by the limit: wait until some of it is applied.
    this.#applyingPaused = this.#applyingSize >= this.#applyingSizeMax ||
      index < this.#appliableIndex(allowUnstable);
  }

  /** Whether committed entries wait to be handed out. */
  hasNextCommitted(allowUnstable: boolean): boolean {
    // A snapshot comes first: nothing after it may be applied before.
    if (this.#applyingPaused || this.unstable.snapshot !== undefined) return false;
    return this.#applying < this.#appliableIndex(allowUnstable);
  }

  /**
   * The next page of committed entries to apply.
   *
   * @param allowUnstable whether entries may be applied that are not stable here yet.
   */
  nextCommitted(allowUnstable: boolean): readonly RaftLogEntry[] {
    if (!this.hasNextCommitted(allowUnstable)) return NONE;
    const sizeMax = this.#applyingSizeMax - this.#applyingSize;
    return this.slice(this.#applying + 1, this.#appliableIndex(allowUnstable) + 1, sizeMax);
  }

  /** The newest snapshot, received or from storage. @throws SnapshotTemporarilyUnavailableError */
  snapshot(): Snapshot {
    return this.unstable.snapshot ?? this.#storage.snapshot();
  }

  /** Replaces the log by a snapshot, which is committed by nature. */
  restore(snapshot: Snapshot): void {
    this.#committed = snapshot.metadata.index;
    this.unstable.restore(snapshot);
  }

  /**
   * The entries from `index` to the end, within `sizeMax` bytes but at least one.
   *
   * @throws CompactedError when `index` was compacted.
   */
  entries(index: number, sizeMax: number): readonly RaftLogEntry[] {
    const last = this.lastIndex();
    return index > last ? NONE : this.slice(index, last + 1, sizeMax);
  }

  /**
   * The entries from `low` (inclusive) to `high` (exclusive), cut to `sizeMax` bytes but at least
   * one.
   *
   * @throws CompactedError when `low` was compacted.
   */
  slice(low: number, high: number, sizeMax: number): readonly RaftLogEntry[] {
    if (low > high || high > this.lastIndex() + 1) {
      throw new RaftInvariantError(
        `entries [${low}, ${high}) are out of bounds: the log ends at ${this.lastIndex()}`,
      );
    }
    if (low < this.firstIndex()) throw new CompactedError();
    if (low === high) return NONE;
    const offset = this.unstable.offset;
    if (low >= offset) return limited(this.unstable.slice(low, high), sizeMax);
    const cut = Math.min(high, offset);
    const stable = this.#storage.entries(low, cut, sizeMax);
    if (high <= offset || stable.length < cut - low) return stable;
    const left = sizeMax - entriesSize(stable);
    if (left <= 0) return stable;
    const unstable = limited(this.unstable.slice(offset, high), left);
    // limited() yields at least one entry, which may not fit behind the stable ones.
    if (unstable.length === 1 && entriesSize(unstable) > left) return stable;
    return stable.concat(unstable);
  }

  /** Visits the entries of [`low`, `high`) in pages of `pageSize` bytes, until `visit` returns false. */
  scan(
    low: number,
    high: number,
    pageSize: number,
    visit: (entries: readonly RaftLogEntry[]) => boolean,
  ): void {
    while (low < high) {
      const page = this.slice(low, high, pageSize);
      if (page.length === 0) {
        throw new RaftInvariantError(`storage returned no entries for [${low}, ${high})`);
      }
      if (!visit(page)) return;
      low += page.length;
    }
  }

  /** The position of the first of `entries` that this log lacks or holds with another term. */
  #firstToAppend(entries: readonly RaftLogEntry[]): number {
    let i = 0;
    while (i < entries.length && this.matchesTerm(entries[i].index, entries[i].term)) i++;
    return i;
  }

  #appliableIndex(allowUnstable: boolean): number {
    if (allowUnstable) return this.#committed;
    return Math.min(this.#committed, this.unstable.offset - 1);
  }
}

function limited(entries: RaftLogEntry[], sizeMax: number): RaftLogEntry[] {
  const length = limitedLength(entries, sizeMax);
  if (length < entries.length) entries.length = length;
  return entries;
}
