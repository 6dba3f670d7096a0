/**
 * Restoring the store from a snapshot: into a new file beside the store's, which takes its place once
 * it is whole and on the disk. Whatever ends a restoration before leaves the store as it was, and what
 * is left of the new file goes at the next start.
 *
 * Nothing here keeps the event loop for long, so that a replica that restores gigabytes goes on to
 * answer its leader: rows are inserted for a few milliseconds a turn, and the syncs of the new file,
 * which nobody else has open, are those of the file system's threads and not of SQLite.
 *
 * @module
 */

import { existsSync, renameSync, rmSync, statSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { dirname } from "node:path";
import { setTimeout } from "node:timers/promises";
import type { SnapshotChunks } from "../node/state_machine.ts";
import { syncDirectory } from "../storage/durable_files.ts";
import { Database } from "./database.ts";
import { KvSnapshotError, KvStorageError } from "./errors.ts";
import { metaRow, nodeStateRow, prepareSchema, WRITE_META, WRITE_NODE_STATE } from "./schema.ts";
import { decodeSnapshot, type SnapshotRecord } from "./snapshot_codec.ts";
import { VersionTable } from "./version_table.ts";

/** What the name of the new file has behind that of the store's. */
export const RESTORING_SUFFIX = "-restoring";

/** Pages are written once; what does not fit is written early. */
const CACHE_BYTES = 4 * 1024 * 1024;

/**
 * After how many bytes of values what was written is synced: so few that the syncs of logs on the same
 * disk wait for little, and that little is left for the end.
 */
const SYNC_BYTES = 1024 * 1024;

/** For how long rows are inserted in one turn of the event loop, in milliseconds. */
const TURN_MS = 2;

/** For how long others have the processor after each such turn, in milliseconds: about a third of it. */
const REST_MS = 1;

/** Removes what an interrupted restoration has left beside the store at `path`. */
export function removeRestoration(path: string): void {
  for (const suffix of ["", "-journal", "-wal", "-shm"]) {
    rmSync(path + RESTORING_SUFFIX + suffix, { force: true });
  }
}

/**
 * Writes a snapshot to a new file beside the store at `path`. On the disk when it resolves.
 *
 * @param lastApplied the index the snapshot was taken at, which it must agree with.
 * @param bytesMax the most that the file may have.
 * @throws KvSnapshotError when the snapshot is damaged, or whatever the disk says; nothing is left
 */
export async function writeRestoration(
  path: string,
  chunks: SnapshotChunks,
  lastApplied: number,
  bytesMax: number,
): Promise<void> {
  removeRestoration(path);
  const restoring = path + RESTORING_SUFFIX;
  const writer = new Database(restoring, {
    cacheBytes: CACHE_BYTES,
    synchronous: "off",
    journal: "memory",
    bytesMax,
  });
  let file: FileHandle | undefined;
  try {
    prepareSchema(writer);
    file = await open(restoring, "r+");
    writer.begin("immediate");
    await insertRecords(writer, file, chunks, lastApplied);
    writer.commit();
    writer.useWriteAheadLog();
    writer.close();
    await file.sync();
    await file.close();
  } catch (error) {
    await discard(path, writer, file);
    throw error;
  }
}

/** Removes what a failed restoration has left, as far as the disk lets it; its error counts more. */
async function discard(
  path: string,
  writer: Database,
  file: FileHandle | undefined,
): Promise<void> {
  try {
    writer.close();
    await file?.close();
    removeRestoration(path);
  } catch {
    // It is removed when the store is opened again.
  }
}

/**
 * Puts the new file in the place of the store's, which nobody in this process has open any more.
 *
 * @throws KvStorageError when somebody else has; the store stays as it was
 */
export function installRestoration(path: string): void {
  const log = `${path}-wal`;
  // Its frames would be taken for those of the new file.
  if (existsSync(log) && statSync(log).size > 0) {
    throw new KvStorageError(`Cannot restore ${path} as another process has it open`);
  }
  rmSync(log, { force: true });
  syncDirectory(dirname(path));
  renameSync(path + RESTORING_SUFFIX, path);
  syncDirectory(dirname(path));
}

async function insertRecords(
  writer: Database,
  file: FileHandle,
  chunks: SnapshotChunks,
  lastApplied: number,
): Promise<void> {
  const insert = recordInserter(writer, lastApplied);
  let bytes = 0;
  let turnEndMs = performance.now() + TURN_MS;
  for await (const record of decodeSnapshot(chunks)) {
    if (record.kind === "version") bytes += record.row.value.length;
    insert(record);
    if (bytes >= SYNC_BYTES) {
      bytes = 0;
      await file.datasync();
    } else if (performance.now() < turnEndMs) {
      continue;
    }
    await setTimeout(REST_MS);
    turnEndMs = performance.now() + TURN_MS;
  }
}

function recordInserter(writer: Database, lastApplied: number): (record: SnapshotRecord) => void {
  const versions = new VersionTable(writer);
  const writeMeta = writer.prepare(WRITE_META);
  const writeNodeState = writer.prepare(WRITE_NODE_STATE);
  return (record) => {
    switch (record.kind) {
      case "version":
        return versions.insert(record.row);
      case "node-state":
        return writeNodeState.run(...nodeStateRow(record.key, record.value));
      case "header":
        if (record.meta.lastApplied !== lastApplied) {
          throw new KvSnapshotError(
            `Cannot restore: expected a snapshot as of index ${lastApplied}, found ` +
              `${record.meta.lastApplied}`,
          );
        }
        return writeMeta.run(...metaRow(record.meta));
    }
  };
}
