/**
 * How long this disk takes to make a small write durable: what decides between writing in the event
 * loop and in a thread of its own.
 *
 * @module
 */

import { closeSync, fdatasyncSync, openSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";

/** The file that is written and removed again. */
const SCRATCH_FILE = "sync-time.tmp";

/** A page of SQLite. */
const WRITE_BYTES = 4096;

/** Samples of a fast disk; the first one, which also makes the file, does not count. */
const SAMPLES_MAX = 9;

/** A slow disk gets no more samples after this long, in milliseconds. */
const BUDGET_MS = 60;

const SAMPLES_MIN = 3;

/** How long synced writes took, in milliseconds. */
export interface SyncTimes {
  /** The median, in milliseconds. */
  readonly medianMs: number;
  /** The longest, in milliseconds. */
  readonly longestMs: number;
}

/**
 * Times synced writes in `directory`. Takes a few milliseconds on a
 * fast disk, a few writes on a slow one.
 *
 * @throws the file system's error when the directory cannot be written.
 */
export function measureSync(directory: string): SyncTimes {
  const path = join(directory, SCRATCH_FILE);
  const file = openSync(path, "w");
  try {
    const bytes = new Uint8Array(WRITE_BYTES);
    const samples: number[] = [];
    const start = performance.now();
    for (let i = 0; i <= SAMPLES_MAX; i++) {
      const before = performance.now();
      writeSync(file, bytes, 0, WRITE_BYTES, i * WRITE_BYTES);
      fdatasyncSync(file);
      const now = performance.now();
      if (i > 0) samples.push(now - before);
      if (samples.length >= SAMPLES_MIN && now - start > BUDGET_MS) break;
    }
    samples.sort((a, b) => a - b);
    const medianMs = samples[Math.floor(samples.length / 2)];
    return { medianMs, longestMs: samples[samples.length - 1] };
  } finally {
    closeSync(file);
    rmSync(path, { force: true });
  }
}
