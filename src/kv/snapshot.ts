/**
 * Taking snapshots of the store, each over a connection of its own.
 *
 * @module
 */

import type { SnapshotChunks } from "../node/state_machine.ts";
import type { Database } from "./database.ts";
import { freeValue, reasonOf } from "./database.ts";
import { KvCorruptError, KvSnapshotError } from "./errors.ts";
import { readMeta, readNodeState } from "./schema.ts";
import { encodeSnapshot, SNAPSHOT_CHUNK_BYTES, type SnapshotRecord } from "./snapshot_codec.ts";
import { VersionTable } from "./version_table.ts";

/**
 * Everything in the store as one read transaction of `reader` sees it; the value of a version is gone
 * when the next record is asked for.
 */
function* readRecords(reader: Database): Generator<SnapshotRecord> {
  yield { kind: "header", meta: readMeta(reader) };
  for (const [key, value] of readNodeState(reader)) yield { kind: "node-state", key, value };
  const newest = reader.prepare("SELECT max(sequence) AS sequence FROM history").get()!.sequence;
  let last: number | null = null;
  for (const row of new VersionTable(reader).history()) {
    yield { kind: "version", row };
    last = row.sequence;
    freeValue(row.value);
  }
  // Some runtimes end an iteration without an error when its connection is closed.
  if (last !== newest) {
    throw new KvSnapshotError(
      `Cannot go on with the snapshot: it ended at row ${last} of ${newest}`,
    );
  }
}

/**
 * Streams the state as it is now; `reader` is closed at the end, or when the stream is given up.
 *
 * @param closed is called once, after `reader` was closed.
 * @param damaged is called when a row turns out to be.
 */
export function snapshotChunks(
  reader: Database,
  closed: () => void,
  damaged: (error: KvCorruptError) => void,
): SnapshotChunks {
  reader.begin();
  // A read transaction begins with its first read, not with BEGIN.
  readMeta(reader);
  const spare: Uint8Array[] = [];
  const chunks = encodeSnapshot(readRecords(reader), spare);
  const release = () => {
    chunks.return(undefined);
    reader.close();
    closed();
  };
  return {
    [Symbol.asyncIterator]: () => ({
      next() {
        try {
          const result = chunks.next();
          if (result.done === true) release();
          return Promise.resolve(result);
        } catch (cause) {
          release();
          if (cause instanceof KvCorruptError) damaged(cause);
          if (cause instanceof KvSnapshotError) return Promise.reject(cause);
          const message = `Cannot go on with the snapshot: ${reasonOf(cause)}`;
          return Promise.reject(new KvSnapshotError(message, { cause }));
        }
      },
      return() {
        release();
        return Promise.resolve({ done: true, value: undefined });
      },
    }),
    recycle(chunk) {
      if (chunk.length === SNAPSHOT_CHUNK_BYTES && spare.length === 0) spare.push(chunk);
    },
  };
}
