/**
 * Log compaction: when the log of a replica is shortened, and how far. It is kept short, but for what
 * followers that are alive still need, up to a hard limit; who is further behind gets a snapshot. It
 * never passes what the state machine has made durable.
 *
 * @module
 */

import { ConfigError, entrySize, type PeerId, type RaftLogEntry } from "../raft/mod.ts";
import type { ReplicationStatus } from "../raft/mod.ts";

/** When the log is compacted, and what is kept. All have defaults. Bytes are those of entries. */
export interface CompactionOptions {
  /** The log is compacted when it holds more applied entries than this. Default 50,000. */
  readonly entriesMax?: number;
  /** Or when those have more bytes than this. Default 64 MiB. */
  readonly bytesMax?: number;
  /** Applied entries that are kept, at most, for members that are a little behind. Default 10,000. */
  readonly keepEntries?: number;
  /** Bytes of them, at most. Default 16 MiB. */
  readonly keepBytes?: number;
  /**
   * A leader keeps up to this many applied entries for followers that lack them, unless they have been
   * silent for 120 election timeouts; those that lack more get a snapshot. Default 1,000,000.
   */
  readonly laggingEntriesMax?: number;
  /** And up to this many bytes. Default 512 MiB. */
  readonly laggingBytesMax?: number;
}

/** The options with every default filled in. */
export type CheckedCompaction = Required<CompactionOptions>;

const MIB = 1024 * 1024;

const DEFAULTS: CheckedCompaction = {
  entriesMax: 50_000,
  bytesMax: 64 * MIB,
  keepEntries: 10_000,
  keepBytes: 16 * MIB,
  laggingEntriesMax: 1_000_000,
  laggingBytesMax: 512 * MIB,
};

/**
 * Checks the options and fills in the defaults.
 *
 * @throws ConfigError naming the option, what it must be and what it is.
 */
export function checkCompaction(options: CompactionOptions = {}): CheckedCompaction {
  const checked = { ...DEFAULTS };
  for (const name of Object.keys(DEFAULTS) as (keyof CheckedCompaction)[]) {
    const value = options[name] ?? DEFAULTS[name];
    const min = name.startsWith("keep") ? 0 : 1;
    if (!Number.isSafeInteger(value) || value < min) {
      throw new ConfigError(
        `compaction.${name} must be an integer >= ${min}: current value is ${String(value)}`,
      );
    }
    checked[name] = value;
  }
  // What is kept must be less than what begins a compaction, or each would find nothing to do.
  checked.keepEntries = Math.min(checked.keepEntries, Math.floor(checked.entriesMax / 2));
  checked.keepBytes = Math.min(checked.keepBytes, Math.floor(checked.bytesMax / 2));
  return checked;
}

interface Mark {
  readonly index: number;
  /** Bytes of all entries up to and including `index`, since some fixed one. */
  readonly total: number;
}

const MARK_BYTES = 64 * 1024;
const MARK_ENTRIES = 512;

/**
 * How many bytes the entries of a log have, within the distance of two marks. Entries that were there
 * before it count with the average of a sample.
 */
export class LogMeter {
  #marks: Mark[];
  #last: Mark;

  /** @param averageBytes of the entries from `firstIndex` to `lastIndex`. */
  constructor(firstIndex: number, lastIndex: number, averageBytes: number) {
    const start = { index: firstIndex - 1, total: 0 };
    this.#last = { index: lastIndex, total: (lastIndex - firstIndex + 1) * averageBytes };
    this.#marks = [start, this.#last];
  }

  /** Entries were appended, perhaps in place of others. */
  append(entries: readonly RaftLogEntry[]): void {
    if (entries.length === 0) return;
    const before = entries[0].index - 1;
    if (before !== this.#last.index) this.#cutAfter(before);
    let { total } = this.#last;
    for (const entry of entries) {
      total += entrySize(entry);
      this.#last = { index: entry.index, total };
      const mark = this.#marks[this.#marks.length - 1];
      if (total - mark.total >= MARK_BYTES || entry.index - mark.index >= MARK_ENTRIES) {
        this.#marks.push(this.#last);
      }
    }
  }

  /** A snapshot has replaced the log. */
  reset(index: number): void {
    this.#last = { index, total: this.#last.total };
    this.#marks = [this.#last];
  }

  /** Entries up to `index` were discarded. */
  discard(index: number): void {
    let first = 0;
    while (first + 1 < this.#marks.length && this.#marks[first + 1].index <= index) first++;
    this.#marks.splice(0, first);
  }

  /** Bytes of the entries after `low` up to and including `high`. */
  bytes(low: number, high: number): number {
    return Math.max(0, this.#totalAt(high) - this.#totalAt(low));
  }

  /** The lowest index after which the entries up to `high` have at most `bytesMax` bytes. */
  lowestWithin(bytesMax: number, high: number): number {
    let low = this.#marks[0].index;
    let up = high;
    while (low < up) {
      const middle = Math.floor((low + up) / 2);
      if (this.bytes(middle, high) <= bytesMax) up = middle;
      else low = middle + 1;
    }
    return low;
  }

  #cutAfter(index: number): void {
    const total = this.#totalAt(index);
    while (this.#marks.length > 1 && this.#marks[this.#marks.length - 1].index > index) {
      this.#marks.pop();
    }
    this.#last = { index, total };
    if (this.#marks[this.#marks.length - 1].index > index) this.#marks = [this.#last];
  }

  #totalAt(index: number): number {
    const marks = this.#marks;
    let low = 0;
    let high = marks.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (marks[middle].index <= index) low = middle + 1;
      else high = middle;
    }
    const before = marks[low - 1];
    if (before === undefined) return marks[0].total;
    const after = marks[low] ?? this.#last;
    if (after.index <= before.index) return before.total;
    const share = Math.min(1, (index - before.index) / (after.index - before.index));
    return before.total + share * (after.total - before.total);
  }
}

/** What a compaction depends on. */
export interface CompactionFacts {
  readonly firstIndex: number;
  /** What the state machine has applied, as the peer knows. */
  readonly lastApplied: number;
  readonly meter: LogMeter;
  /** The lowest index that followers, and snapshots on their way to them, build on. */
  readonly neededIndex: number;
}

/** Whether the log is long enough to be compacted. */
export function isCompactionDue(
  facts: Pick<CompactionFacts, "firstIndex" | "lastApplied" | "meter">,
  options: CheckedCompaction,
): boolean {
  const { firstIndex, lastApplied, meter } = facts;
  return lastApplied - firstIndex + 1 > options.entriesMax ||
    meter.bytes(firstIndex - 1, lastApplied) > options.bytesMax;
}

/** Up to which index a log may be compacted that is due, the state machine's durability apart. */
export function compactionTarget(facts: CompactionFacts, options: CheckedCompaction): number {
  const { lastApplied, meter, neededIndex } = facts;
  const behind = (entries: number, bytes: number): number =>
    Math.max(lastApplied - entries, meter.lowestWithin(bytes, lastApplied));
  const wanted = behind(options.keepEntries, options.keepBytes);
  const hard = behind(options.laggingEntriesMax, options.laggingBytesMax);
  return Math.min(wanted, Math.max(neededIndex, hard));
}

/** The lowest index that the followers that are alive build on; infinite when there are none. */
export function neededByFollowers(
  isAlive: (id: PeerId) => boolean,
  self: PeerId,
  progress: ReadonlyMap<PeerId, ReplicationStatus> | undefined,
): number {
  let needed = Infinity;
  for (const [id, replica] of progress ?? []) {
    if (id === self || !isAlive(id)) continue;
    const index = replica.state === "snapshot" ? replica.pendingSnapshot : replica.matchIndex;
    needed = Math.min(needed, index);
  }
  return needed;
}
