/**
 * What a process takes in memory beyond what it took at first, and for how long it could not turn to
 * anything else.
 *
 * @module
 */

import process from "node:process";

const MIB = 1024 * 1024;
const SAMPLE_MS = 10;

/** What a process has in memory, in MiB. */
export interface MemoryFigures {
  /** Resident: what the system counts. */
  readonly residentMib: number;
  /** In the heap of JavaScript, what is garbage by now included. */
  readonly heapMib: number;
  /** In buffers outside of it, what is garbage by now included. */
  readonly buffersMib: number;
}

/** What was seen in one phase. */
export interface ProcessReport {
  /** The most memory beyond that at the beginning, in MiB. */
  readonly aboveIdleMib: number;
  /** The most in buffers beyond that at the beginning, in MiB; what is garbage by now included. */
  readonly buffersAboveIdleMib: number;
  /** The figures when it took the most. */
  readonly highest: MemoryFigures;
  /** The longest time in which the event loop did not turn, in milliseconds. */
  readonly longestBlockMs: number;
  /** Time on processors, in milliseconds. */
  readonly cpuMs: number;
}

/** Watches this process. */
export class ProcessWatch {
  readonly #idle = figures();
  readonly #timer: ReturnType<typeof setInterval>;
  #highest = this.#idle;
  #highestBuffersMib = 0;
  #longestBlockMs = 0;
  #sampledAt = performance.now();
  #cpu = process.cpuUsage();

  /** What the process takes now is what it takes when idle. */
  constructor() {
    this.#timer = setInterval(() => this.#sample(), SAMPLE_MS);
  }

  /** What was seen since the last call. */
  report(): ProcessReport {
    this.#sample();
    const { user, system } = process.cpuUsage(this.#cpu);
    const report = {
      aboveIdleMib: this.#highest.residentMib - this.#idle.residentMib,
      buffersAboveIdleMib: this.#highestBuffersMib - this.#idle.buffersMib,
      highest: this.#highest,
      longestBlockMs: Math.round(this.#longestBlockMs),
      cpuMs: Math.round((user + system) / 1000),
    };
    this.#cpu = process.cpuUsage();
    this.#highest = figures();
    this.#highestBuffersMib = 0;
    this.#longestBlockMs = 0;
    return report;
  }

  /** Stops watching. */
  stop(): void {
    clearInterval(this.#timer);
  }

  #sample(): void {
    const now = performance.now();
    this.#longestBlockMs = Math.max(this.#longestBlockMs, now - this.#sampledAt - SAMPLE_MS);
    this.#sampledAt = now;
    const found = figures();
    this.#highestBuffersMib = Math.max(this.#highestBuffersMib, found.buffersMib);
    if (found.residentMib > this.#highest.residentMib) this.#highest = found;
  }
}

function figures(): MemoryFigures {
  const { rss, heapUsed, external } = process.memoryUsage();
  const [residentMib, heapMib, buffersMib] = [rss, heapUsed, external].map((bytes) =>
    Math.round(bytes / MIB)
  );
  return { residentMib, heapMib, buffersMib };
}
