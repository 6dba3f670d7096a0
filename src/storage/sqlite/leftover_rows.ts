/**
 * Which rows of a region lie below its log, and wait to be deleted: what a compaction or a snapshot
 * has left behind. They are a few runs of indices with nothing between them, as a snapshot may lie far
 * beyond the end of the log that it replaces; nobody looks for rows where there never were any.
 *
 * @module
 */

/** Rows of successive indices, both ends included. */
export interface RowRange {
  /** The first index. */
  low: number;
  /** The last index. */
  high: number;
}

/** The rows of one region that are left to delete. */
export class LeftoverRows {
  /** What snapshots left behind, in ascending order; the run of the log itself is not among it. */
  readonly #ranges: RowRange[];
  /** Where the run that the log is the end of begins: the first of its rows that may exist. */
  #logLow: number;

  /**
   * @param ranges what was found below the log, in ascending order; this owns it from now on.
   * @param firstIndex of the log.
   */
  constructor(ranges: RowRange[], firstIndex: number) {
    this.#ranges = ranges;
    this.#logLow = firstIndex;
  }

  /** A snapshot of `index` replaces the log, whose rows end at `lastRow`. */
  replaceLog(index: number, lastRow: number): void {
    if (this.#logLow <= lastRow) this.#ranges.push({ low: this.#logLow, high: lastRow });
    this.#logLow = index + 1;
  }

  /**
   * Takes the next rows at or below `truncatedIndex`, at most `rowsMax`; undefined when there are no
   * more.
   */
  take(truncatedIndex: number, rowsMax: number): RowRange | undefined {
    const range = this.#ranges[0] ?? { low: this.#logLow, high: truncatedIndex };
    const { low } = range;
    const high = Math.min(low + rowsMax - 1, range.high, truncatedIndex);
    if (low > high) return undefined;
    if (this.#ranges.length === 0) this.#logLow = high + 1;
    else if (high === range.high) this.#ranges.shift();
    else range.low = high + 1;
    return { low, high };
  }
}

/** Adds a row to ranges of rows that were found before it, in ascending order. */
export function addRow(ranges: RowRange[], index: number): void {
  const last = ranges[ranges.length - 1];
  if (last !== undefined && last.high === index - 1) last.high = index;
  else ranges.push({ low: index, high: index });
}
