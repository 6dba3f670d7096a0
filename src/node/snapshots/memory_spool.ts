/**
 * The spool of a node without a directory: for tests, and for states that are small.
 *
 * @module
 */

import type { SnapshotMetadata } from "../../raft/mod.ts";
import { SnapshotSpoolError } from "../errors.ts";
import type { SnapshotSpool, SpooledSnapshot, SpoolWriter } from "./spool.ts";

/** Most bytes of one snapshot in memory: 64 MiB. */
export const MEMORY_SPOOL_BYTES_MAX: number = 64 * 1024 * 1024;

/** Keeps snapshots in memory. A crash loses them. */
export class MemorySpool implements SnapshotSpool {
  create(regionId: number, metadata: SnapshotMetadata): Promise<SpoolWriter> {
    let parts: Uint8Array[] = [];
    let bytes = 0;
    const { index, term } = metadata;
    return Promise.resolve({
      write(part) {
        bytes += part.length;
        if (bytes > MEMORY_SPOOL_BYTES_MAX) {
          return Promise.reject(
            new SnapshotSpoolError(
              `a snapshot must have at most ${MEMORY_SPOOL_BYTES_MAX} bytes to be kept in memory: ` +
                "give the node a directory",
            ),
          );
        }
        parts.push(part.slice());
        return Promise.resolve();
      },
      seal: () => Promise.resolve(sealed(regionId, index, term, bytes, parts)),
      discard() {
        parts = [];
        return Promise.resolve();
      },
    });
  }

  find(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  clean(): Promise<void> {
    return Promise.resolve();
  }
}

function sealed(
  regionId: number,
  index: number,
  term: number,
  bytes: number,
  parts: Uint8Array[],
): SpooledSnapshot {
  return {
    regionId,
    index,
    term,
    bytes,
    place: "in memory",
    async *read() {
      for (const part of parts) yield await Promise.resolve(part);
    },
    remove() {
      parts = [];
      return Promise.resolve();
    },
  };
}
