/**
 * How far a load is, as a line of text: the share of the input, the rate and the remaining time.
 *
 * @module
 */

import type { LoadState } from "./load_pump.ts";

/** Turns the state of a load into lines, remembering earlier states for the rate. */
export class LoadProgress {
  private readonly totalBytes: number | undefined;
  private readonly startMs: number;
  /** Earlier states, oldest first, over at most `WINDOW_MS`. */
  private samples: { readonly atMs: number; readonly acknowledged: number }[];

  /** `totalBytes`: the size of the input, when it is known. */
  constructor(totalBytes: number | undefined, startMs: number) {
    this.totalBytes = totalBytes;
    this.startMs = startMs;
    this.samples = [{ atMs: startMs, acknowledged: 0 }];
  }

  /** The line for a load under way. */
  line(state: LoadState, nowMs: number): string {
    this.samples.push({ atMs: nowMs, acknowledged: state.acknowledged });
    while (this.samples.length > 2 && this.samples[1].atMs <= nowMs - WINDOW_MS) {
      this.samples.shift();
    }
    const oldest = this.samples[0];
    const rate = perSecond(state.acknowledged - oldest.acknowledged, nowMs - oldest.atMs);
    const parts = [`${count(state.acknowledged)} keys`, `${count(rate)} keys/s`];
    const share = this.share(state);
    if (share !== undefined) {
      parts.unshift(`${Math.floor(share * 100)} %`);
      if (share > 0) parts.push(`${duration(((nowMs - this.startMs) / share) * (1 - share))} left`);
    }
    if (state.retried > 0) parts.push(`${count(state.retried)} retries`);
    if (state.failed > 0) parts.push(`${count(state.failed)} failed`);
    return parts.join(", ");
  }

  /** The line for a load that has ended. */
  summary(state: LoadState, nowMs: number): string {
    const tookMs = nowMs - this.startMs;
    const rate = perSecond(state.acknowledged, tookMs);
    return `${count(state.acknowledged)} keys acknowledged in ${duration(tookMs)} ` +
      `(${count(rate)} keys/s), ${count(state.retried)} retries, ${count(state.failed)} failed`;
  }

  private share(state: LoadState): number | undefined {
    if (this.totalBytes === undefined || this.totalBytes === 0) return undefined;
    return Math.min(1, state.inputBytes / this.totalBytes);
  }
}

const WINDOW_MS = 5_000;

function perSecond(amount: number, ms: number): number {
  return ms <= 0 ? 0 : Math.round((amount * 1000) / ms);
}

/** A whole number with commas between thousands. */
export function count(value: number): string {
  return String(value).replace(/\B(?=(\d{3})+$)/g, ",");
}

/** A time span for people: `0.4 s`, `12 s`, `3 min 20 s`, `2 h 5 min`. */
export function duration(ms: number): string {
  if (ms < 10_000) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}
