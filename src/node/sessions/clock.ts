/**
 * Lets the clock of the sessions go on. The leader measures on its own monotonic clock how much time has
 * passed since it said so last, or since it began to lead while there were sessions, and says it in an
 * entry. Time that nobody measured (while there is no leader, or of an entry that was lost) does not pass:
 * sessions may live longer than they asked, never shorter by more than the resolution of the clock.
 *
 * @module
 */

/** Measures when to say how much time has passed. */
export class SessionClock {
  readonly #intervalMs: number;
  #term = 0;
  #since: number | undefined;

  /** @param intervalMs how often it is said. */
  constructor(intervalMs: number) {
    this.#intervalMs = intervalMs;
  }

  /**
   * A tick has passed.
   *
   * @param now the monotonic clock, in milliseconds.
   * @param term the term this peer leads in, or 0; also 0 while there are no sessions.
   * @returns how much time to say has passed, in milliseconds, or 0. A pause of the process counts for
   *   two intervals at most.
   */
  tick(now: number, term: number): number {
    if (term === 0 || term !== this.#term || this.#since === undefined) {
      this.#term = term;
      this.#since = term === 0 ? undefined : now;
      return 0;
    }
    const elapsed = now - this.#since;
    if (elapsed < this.#intervalMs) return 0;
    this.#since = now;
    return Math.min(Math.floor(elapsed), 2 * this.#intervalMs);
  }
}
