/**
 * The tail of one region's log in memory, within a limit of bytes, so that what a healthy group asks
 * for never touches the disk.
 *
 * @module
 */

import type { RaftLogEntry } from "../../raft/mod.ts";

/** What an entry costs besides its bytes, about. */
const ENTRY_OVERHEAD_BYTES = 128;

/** A run of entries that ends with the last one of the log. */
export class LogCache {
  /** Entries from `#start` on are cached; those before it are evicted and wait to be cut off. */
  #entries: (RaftLogEntry | undefined)[] = [];
  #start = 0;
  #first: number;
  #bytes = 0;

  /** Starts empty, before the entry of index `first`. */
  constructor(first: number) {
    this.#first = first;
  }

  /** The first cached index; one past the last when nothing is cached. */
  get firstIndex(): number {
    return this.#first;
  }

  /** The memory that the entries take, about. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The entry at `index`, which must be cached. */
  get(index: number): RaftLogEntry {
    return this.#entries[this.#start + index - this.#first] as RaftLogEntry;
  }

  /** Appends the entry that follows the last. */
  push(entry: RaftLogEntry): void {
    this.#entries.push(entry);
    this.#bytes += sizeOf(entry);
  }

  /** Forgets everything from `index` on, where the next entry will be pushed. */
  truncate(index: number): void {
    if (index <= this.#first) return this.reset(index);
    const length = this.#start + index - this.#first;
    for (let i = length; i < this.#entries.length; i++) {
      this.#bytes -= sizeOf(this.#entries[i] as RaftLogEntry);
    }
    this.#entries.length = length;
  }

  /** Forgets everything; the next entry will have index `first`. */
  reset(first: number): void {
    this.#entries = [];
    this.#start = 0;
    this.#first = first;
    this.#bytes = 0;
  }

  /** Forgets the oldest entries, up to `index` at most, while they exceed `bytesMax`. */
  evict(bytesMax: number, index: number): void {
    while (this.#bytes > bytesMax && this.#first <= index && this.#start < this.#entries.length) {
      this.#dropFirst();
    }
    this.#cutOff();
  }

  /** Forgets everything up to `index`, which the log no longer holds. */
  discard(index: number): void {
    while (this.#first <= index && this.#start < this.#entries.length) this.#dropFirst();
    if (this.#first <= index) this.reset(index + 1);
    this.#cutOff();
  }

  #dropFirst(): void {
    this.#bytes -= sizeOf(this.#entries[this.#start] as RaftLogEntry);
    this.#entries[this.#start] = undefined;
    this.#start++;
    this.#first++;
  }

  #cutOff(): void {
    if (this.#start > 1024 && this.#start * 2 > this.#entries.length) {
      this.#entries.splice(0, this.#start);
      this.#start = 0;
    }
  }
}

function sizeOf(entry: RaftLogEntry): number {
  return ENTRY_OVERHEAD_BYTES + entry.command.length + (entry.context?.length ?? 0);
}
