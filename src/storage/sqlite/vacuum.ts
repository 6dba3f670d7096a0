/**
 * Gives space back to the file system: what compaction deleted leaves free pages in the database,
 * which later rows fill again; what exceeds that need is cut off the end of the file, a few pages a
 * transaction, so that no write waits long for it. (The file itself shrinks at the next checkpoint.)
 *
 * @module
 */

import type { DatabaseSpace } from "./writer.ts";

/** Pages (of 4096 bytes) that one transaction takes off the file, at most. */
export const VACUUM_PAGES = 32;

/** The pause between such transactions, in milliseconds: about 12 MiB a second go back. */
export const VACUUM_INTERVAL_MS = 10;

/** Free pages that are always kept: 4 MiB. */
const FREE_PAGES_MIN = 1024;

/** Free pages that are kept for each page in use: a log that is compacted regularly needs them again. */
const FREE_PART = 0.25;

/** How many free pages are too many. */
export function excessPages({ pages, freePages }: DatabaseSpace): number {
  const kept = Math.max(FREE_PAGES_MIN, Math.ceil((pages - freePages) * FREE_PART));
  return Math.max(0, freePages - kept);
}

/** What is left to take off the file. */
export class VacuumPlan {
  #turns = 0;
  /** The free pages when the plan was made; 0 when there is none. */
  #freePages = 0;

  /** Whether transactions are still to be made. */
  get pending(): boolean {
    return this.#turns > 0;
  }

  /**
   * Makes or changes the plan after rows were deleted or the last one was carried out; a plan that
   * changed nothing is not repeated.
   */
  update(space: DatabaseSpace): void {
    const stuck = this.#turns === 0 && this.#freePages > 0 && space.freePages >= this.#freePages;
    const excess = stuck ? 0 : excessPages(space);
    this.#turns = Math.ceil(excess / VACUUM_PAGES);
    this.#freePages = excess > 0 ? space.freePages : 0;
  }

  /** Takes the next transaction; returns whether it is the last one. */
  next(): boolean {
    this.#turns--;
    return this.#turns === 0;
  }
}
