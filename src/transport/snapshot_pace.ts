/**
 * How fast a snapshot is read and sent: slowly enough that whoever writes meanwhile hardly notices. It
 * rests after each turn, at least as long as the limit of bytes a second asks for, and several times as
 * long as it has worked; and longer when the event loop turns late, as others have much to do then.
 *
 * @module
 */

import { setImmediate, setTimeout } from "node:timers/promises";

/** For how long it works in one turn of the event loop, at most, beside one chunk of the source. */
const TURN_MS = 0.5;

/** How much longer it rests than it works, at least: a fifth of the event loop is what it takes. */
const REST_SHARE = 4;

/** Longest rest out of consideration for others, in milliseconds: a transfer always goes on. */
const POLITE_MS_MAX = 100;

/** Timers count whole milliseconds: what is shorter or longer is made up for by the next rest. */
const TIMER_MS = 1;

/** Waits between the turns of a transfer. */
export class SnapshotPace {
  private readonly bytesPerSecondMax: number;
  private readonly nowMs: () => number;
  private turnStartMs: number;
  private workedMs = 0;
  /** By how much the event loop was late after the last rest. */
  private lateMs = 0;
  /** The rest that is due and was not taken yet; less than nothing when a timer was late. */
  private owedMs = 0;

  /**
   * @param bytesPerSecondMax most bytes a second, over any time longer than a few rests.
   * @param nowMs a clock in milliseconds that never goes back.
   */
  constructor(bytesPerSecondMax: number, nowMs: () => number) {
    this.bytesPerSecondMax = bytesPerSecondMax;
    this.nowMs = nowMs;
    this.turnStartMs = nowMs();
  }

  /** Does work of this turn; what it waits for afterwards, if it returns a promise, is none. */
  work<Result>(action: () => Result): Result {
    const startMs = this.nowMs();
    const result = action();
    this.workedMs += this.nowMs() - startMs;
    return result;
  }

  /** Whether this turn has lasted long enough. */
  get isDue(): boolean {
    return this.workedMs >= TURN_MS;
  }

  /** Rests after a turn that has read `bytes`; the next one begins when this resolves. */
  async rest(bytes: number): Promise<void> {
    const startMs = this.nowMs();
    const paceMs = bytes * 1000 / this.bytesPerSecondMax - (startMs - this.turnStartMs);
    const politeMs = Math.max(this.workedMs * REST_SHARE, this.lateMs);
    this.owedMs += Math.max(paceMs, Math.min(politeMs, POLITE_MS_MAX));
    const askedMs = Math.max(0, Math.floor(this.owedMs));
    if (askedMs >= 1) await setTimeout(askedMs);
    else await setImmediate();
    this.turnStartMs = this.nowMs();
    this.workedMs = 0;
    const restedMs = this.turnStartMs - startMs;
    // A timer is up to a millisecond late by itself; whatever is more, others have worked.
    this.lateMs = Math.max(0, restedMs - askedMs - TIMER_MS);
    this.owedMs = Math.max(-TIMER_MS, this.owedMs - restedMs);
  }
}
