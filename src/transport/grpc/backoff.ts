/**
 * How long to wait before connecting again.
 *
 * @module
 */

/** Delays that double from failure to failure, half fixed and half random, up to a limit. */
export class Backoff {
  private readonly delayMsMin: number;
  private readonly delayMsMax: number;
  private readonly random: () => number;
  private delayMs: number;

  /** @param random yields a number from 0 up to, not including, 1. */
  constructor(delayMsMin: number, delayMsMax: number, random: () => number) {
    this.delayMsMin = delayMsMin;
    this.delayMsMax = delayMsMax;
    this.random = random;
    this.delayMs = delayMsMin;
  }

  /** A connection was lost that had lasted `lastedMs`: a lasting one starts the delays anew. */
  lost(lastedMs: number): void {
    if (lastedMs >= this.delayMsMax) this.delayMs = this.delayMsMin;
  }

  /** The delay before the next attempt, in milliseconds; the one after it is twice as long. */
  next(): number {
    const delayMs = this.delayMs;
    this.delayMs = Math.min(this.delayMsMax, delayMs * 2);
    return delayMs * (0.5 + 0.5 * this.random());
  }
}
