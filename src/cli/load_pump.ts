/**
 * The engine of `flaredb load`: keeps a bounded number of writes in flight, repeats those that
 * failed in passing, and keeps the order of writes to the same key. A write of unknown outcome is
 * repeated too: `put` sees to it that it takes effect once.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import type { LoadRecord } from "./load_records.ts";

/** What the engine is given. */
export interface LoadPumpOptions {
  /** Most writes in flight: from 1. */
  readonly inFlight: number;
  /** Give up when no write at all was acknowledged for so long. */
  readonly patienceMs: number;
  /** Ends the load early. */
  readonly signal: AbortSignal;
  /** Writes once; `attempt` counts from 0, for choosing another endpoint each time. */
  readonly put: (record: LoadRecord, attempt: number) => Promise<void>;
  /** Called when a write is not attempted any more, whatever became of it. */
  readonly ended?: (record: LoadRecord) => void;
  /** Whether a failed write may succeed when it is repeated. */
  readonly mayPass: (error: unknown) => boolean;
  /** Says for people why a write failed. */
  readonly describe: (error: unknown) => string;
  /** Called once a write is acknowledged, before it is counted. When it throws, the write failed. */
  readonly acknowledged: (record: LoadRecord) => void;
  /** Called when a write has failed for good. */
  readonly failed: (record: LoadRecord, error: unknown) => void;
  /** A monotonic clock, in milliseconds. */
  readonly now: () => number;
}

/** How far a load is; updated in place while it runs. */
export interface LoadState {
  acknowledged: number;
  failed: number;
  /** Attempts that were repeated. */
  retried: number;
  /** Bytes of the input up to the last acknowledged record. */
  inputBytes: number;
  /** Why the load ended before its input, or undefined. */
  stoppedBecause: string | undefined;
}

/** A load at its start. */
export function initialLoadState(): LoadState {
  return { acknowledged: 0, failed: 0, retried: 0, inputBytes: 0, stoppedBecause: undefined };
}

const BACKOFF_MS_MIN = 10;
const BACKOFF_MS_MAX = 500;

/**
 * Writes all records; resolves when the last is acknowledged or has failed.
 *
 * @throws whatever reading the records throws, after the writes under way have ended.
 */
export async function pumpRecords(
  records: AsyncIterable<LoadRecord>,
  state: LoadState,
  options: LoadPumpOptions,
): Promise<void> {
  const pump = new LoadPump(records[Symbol.asyncIterator](), state, options);
  await Promise.all(Array.from({ length: options.inFlight }, () => pump.work()));
  if (pump.inputError !== undefined) throw pump.inputError;
}

class LoadPump {
  inputError: unknown;
  private readonly records: AsyncIterator<LoadRecord>;
  private readonly state: LoadState;
  private readonly options: LoadPumpOptions;
  /** The last write to each key that is in flight. */
  private readonly lastOfKey = new Map<string, Promise<void>>();
  private lastAcknowledgedMs: number;
  private ended = false;

  constructor(records: AsyncIterator<LoadRecord>, state: LoadState, options: LoadPumpOptions) {
    this.records = records;
    this.state = state;
    this.options = options;
    this.lastAcknowledgedMs = options.now();
  }

  /** Takes one record after the other until there are no more. */
  async work(): Promise<void> {
    while (!this.ended) {
      if (this.options.signal.aborted) return this.stop("it was interrupted");
      const record = await this.next();
      if (record === undefined) return;
      const key = keyText(record.key);
      const write = this.writeAfter(this.lastOfKey.get(key), record);
      this.lastOfKey.set(key, write);
      await write;
      if (this.lastOfKey.get(key) === write) this.lastOfKey.delete(key);
    }
  }

  private async next(): Promise<LoadRecord | undefined> {
    try {
      const result = await this.records.next();
      if (result.done !== true) return result.value;
      if (this.options.signal.aborted) this.stop("it was interrupted");
    } catch (error) {
      this.inputError ??= error;
    }
    this.ended = true;
    return undefined;
  }

  private async writeAfter(previous: Promise<void> | undefined, record: LoadRecord): Promise<void> {
    if (previous !== undefined) await previous;
    try {
      await this.write(record);
    } finally {
      this.options.ended?.(record);
    }
  }

  private async write(record: LoadRecord): Promise<void> {
    for (let attempt = 0;; attempt++) {
      try {
        await this.options.put(record, attempt);
        this.lastAcknowledgedMs = this.options.now();
        this.options.acknowledged(record);
        this.state.acknowledged += 1;
        this.state.inputBytes = Math.max(this.state.inputBytes, record.inputBytes);
        return;
      } catch (error) {
        if (!this.options.mayPass(error) || this.outOfPatience(error)) {
          this.state.failed += 1;
          this.options.failed(record, error);
          return;
        }
        this.state.retried += 1;
        await backoff(attempt, this.options.signal);
      }
    }
  }

  /** Whether to repeat no more; the first to notice ends the load. */
  private outOfPatience(error: unknown): boolean {
    if (this.state.stoppedBecause !== undefined) return true;
    if (this.options.signal.aborted) {
      this.stop("it was interrupted");
      return true;
    }
    const waitedMs = this.options.now() - this.lastAcknowledgedMs;
    if (waitedMs < this.options.patienceMs) return false;
    this.stop(
      `no write was acknowledged for ${Math.round(waitedMs / 1000)} s: ${
        this.options.describe(error)
      }`,
    );
    return true;
  }

  private stop(because: string): void {
    this.ended = true;
    this.state.stoppedBecause ??= because;
  }
}

function keyText(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.length).toString("latin1");
}

function backoff(attempt: number, signal: AbortSignal): Promise<void> {
  const bound = Math.min(BACKOFF_MS_MAX, BACKOFF_MS_MIN * 2 ** attempt);
  const delayMs = bound * (0.5 + Math.random() / 2);
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, delayMs);
    signal.addEventListener("abort", done, { once: true });
  });
}
