/**
 * The two clocks a node needs, behind one narrow interface, so that tests and simulations bring
 * their own: a monotonic clock for deadlines, and a regular tick for the core.
 *
 * @module
 */

/** A monotonic clock. It never goes back, and is not the time of day. */
export interface Clock {
  /** Milliseconds since some fixed moment; may have a fraction. */
  now(): number;
  /**
   * Calls `run` about every `intervalMs` until the returned function is called. A call that could
   * not be made in time is skipped, not made up for: a paused process must not see a burst of ticks
   * and take its leader for dead.
   */
  every(intervalMs: number, run: () => void): () => void;
}

/** The clock of the machine: `performance.now` and `setInterval`. */
export const SYSTEM_CLOCK: Clock = {
  now: () => performance.now(),
  every(intervalMs, run) {
    const timer = setInterval(run, intervalMs);
    return () => clearInterval(timer);
  },
};
