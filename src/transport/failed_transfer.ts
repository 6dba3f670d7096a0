/**
 * The transfer of a snapshot that ends before it begins.
 *
 * @module
 */

import type { OutgoingSnapshot, SnapshotTransfer } from "./contract.ts";

/** A transfer that has failed; the snapshot's source is closed. */
export function failedTransfer(snapshot: OutgoingSnapshot, reason: string): SnapshotTransfer {
  snapshot.chunks[Symbol.asyncIterator]().return?.()?.then(undefined, () => {});
  return {
    done: Promise.resolve({ ok: false, reason }),
    progress: () => ({ readBytes: 0, storedBytes: 0, resumptions: 0 }),
    abort: () => {},
  };
}
