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
  /** The most memory beyond that when idle, in MiB. */
  readonly aboveIdleMib: number;
  /** The most in buffers beyond those when idle, in MiB; what is garbage by now included. */
  readonly buffersAboveIdleMib: number;
  /** The figures when it took the most. */
  readonly highest: MemoryFigures;
  /** The longest time in which the event loop did not turn, in milliseconds. */
  readonly longestBlockMs: number;
  /** Time on processors, in milliseconds. */
  readonly cpuMs: number;
}

interface Sample {
  readonly atMs: number;
  readonly figures: MemoryFigures;
  /** How late it was. */
  readonly blockMs: number;
}

/** Watches this process. */
export class ProcessWatch {
  readonly #timer: ReturnType<typeof setInterval>;
  #idle = figures();
  #samples: Sample[] = [];
  #sampledAtMs = Date.now();
  #cpu = process.cpuUsage();

  /** What the process takes now is what it takes when idle. */
  constructor() {
    this.#sample();
    this.#timer = setInterval(() => this.#sample(), SAMPLE_MS);
  }

  /** From here on, what the process takes now is what it takes when idle. */
  idle(): MemoryFigures {
    this.#idle = figures();
    this.report();
    return this.#idle;
  }

  /** What was seen since the last call, until a moment of the clock of all processes. Default: now. */
  report(untilMs = Date.now()): ProcessReport {
    this.#sample();
    const seen = this.#samples.filter(({ atMs }) => atMs <= untilMs);
    this.#samples = this.#samples.filter(({ atMs }) => atMs > untilMs);
    const { user, system } = process.cpuUsage(this.#cpu);
    this.#cpu = process.cpuUsage();
    const highest = seen.reduce(
      (most, { figures }) => figures.residentMib > most.residentMib ? figures : most,
      this.#idle,
    );
    const buffersMib = Math.max(0, ...seen.map(({ figures }) => figures.buffersMib));
    return {
      aboveIdleMib: highest.residentMib - this.#idle.residentMib,
      buffersAboveIdleMib: buffersMib - this.#idle.buffersMib,
      highest,
      longestBlockMs: Math.max(0, ...seen.map(({ blockMs }) => blockMs)),
      cpuMs: Math.round((user + system) / 1000),
    };
  }

  /** Stops watching. */
  stop(): void {
    clearInterval(this.#timer);
  }

  #sample(): void {
    const atMs = Date.now();
    const blockMs = Math.max(0, atMs - this.#sampledAtMs - SAMPLE_MS);
    this.#sampledAtMs = atMs;
    this.#samples.push({ atMs, figures: figures(), blockMs });
  }
}

function figures(): MemoryFigures {
  const { rss, heapUsed, external } = process.memoryUsage();
  const [residentMib, heapMib, buffersMib] = [rss, heapUsed, external].map((bytes) =>
    Math.round(bytes / MIB)
  );
  return { residentMib, heapMib, buffersMib };
}
