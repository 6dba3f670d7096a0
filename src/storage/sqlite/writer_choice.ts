/**
 * Where SQLite writes: in the event loop, which costs least, or in a thread of its own, which keeps
 * the loop alive while the disk is slow.
 *
 * @module
 */

import { measureSync, type SyncTimes } from "./sync_time.ts";

/**
 * Where SQLite writes. `direct`: in the event loop, which is blocked for as long as each transaction
 * takes to reach the disk. `worker`: in a thread of its own, at 3 to 25 % of the throughput and about
 * 0.1 ms a transaction. `auto`: whichever suits the disk, see {@linkcode SLOW_SYNC_MS}.
 */
export type WriterOption = "auto" | "direct" | "worker";

/** What was chosen, and why. */
export interface WriterChoice {
  /** In the event loop, or in a thread of its own. */
  readonly mode: "direct" | "worker";
  /** The reason, as a clause for people: `"a sync takes 0.21 ms"`. */
  readonly reason: string;
  /** How long synced writes took when it was decided, where that was measured. */
  readonly sync: SyncTimes | undefined;
}

/**
 * `auto` takes the thread when a synced write takes this long or longer, in milliseconds. At 1,000
 * transactions a second a sync of 1 ms leaves the event loop no time for anything else; below it the
 * pauses stay far shorter than a heartbeat.
 */
export const SLOW_SYNC_MS: number = 1;

/**
 * `auto` also takes the thread when one of the few writes it times takes this long or longer, in
 * milliseconds: a disk that others share is often fast and sometimes slow, and the loop would stop then.
 */
export const STALLED_SYNC_MS: number = 5;

/** Decides how to write in `directory`, which exists. Never throws. */
export function chooseWriter(option: WriterOption, directory: string): WriterChoice {
  if (option !== "auto") return { mode: option, reason: "as asked for", sync: undefined };
  try {
    const sync = measureSync(directory);
    const slow = sync.medianMs >= SLOW_SYNC_MS || sync.longestMs >= STALLED_SYNC_MS;
    const reason = `a sync takes ${sync.medianMs.toFixed(2)} ms, at most ` +
      `${sync.longestMs.toFixed(2)} ms (slow: ${SLOW_SYNC_MS} ms, at most ${STALLED_SYNC_MS} ms)`;
    return { mode: slow ? "worker" : "direct", reason, sync };
  } catch (error) {
    const found = error instanceof Error ? error.message : String(error);
    return { mode: "worker", reason: `a sync could not be timed: ${found}`, sync: undefined };
  }
}
