/**
 * How much memory a process takes beyond what it took at first.
 *
 * @module
 */

import process from "node:process";

const MIB = 1024 * 1024;

/** Watches the resident memory of this process. */
export class MemoryWatch {
  readonly #idle: number;
  #highest: number;
  readonly #timer: ReturnType<typeof setInterval>;

  constructor() {
    this.#idle = this.#highest = process.memoryUsage().rss;
    this.#timer = setInterval(() => {
      this.#highest = Math.max(this.#highest, process.memoryUsage().rss);
    }, 20);
  }

  /** The most it has taken beyond the beginning, in MiB. */
  growth(): number {
    return Math.round((this.#highest - this.#idle) / MIB);
  }

  /** Stops watching. */
  stop(): void {
    clearInterval(this.#timer);
  }
}
