/**
 * Writing the write-ahead log once more that a process left behind. Where its last sync failed, the
 * system may go on showing pages as written that never reached the disk: it tries no page twice, and no
 * later sync tells of them. SQLite would recover their frames and add to them; after a power cut there
 * would be a hole in the log, and everything behind it, acknowledged since, would be lost.
 *
 * So the frames are written as they are seen, to where they are, and synced: what SQLite recovers is
 * then on the disk, before it copies any of it into the database or adds to it. Every sector gets the
 * bytes that it has or should have had, so that a crash meanwhile changes nothing.
 *
 * @module
 */

import { closeSync, fsyncSync, openSync, readSync, writeSync } from "node:fs";
import { StorageError } from "../errors.ts";

const HEADER_BYTES = 32;
const FRAME_HEADER_BYTES = 24;

/** Where the header has the size of a page. */
const PAGE_SIZE_OFFSET = 8;

const CHUNK_BYTES = 1024 * 1024;

/**
 * Writes the header and the first `frames` frames of the write-ahead log at `path` again, and syncs them.
 * Nobody may have it open.
 *
 * @throws StorageError `STORAGE_IO` when the file is shorter; else what the file system throws.
 */
export function rewriteWal(path: string, frames: number): void {
  const file = openSync(path, "r+");
  try {
    const buffer = new Uint8Array(CHUNK_BYTES);
    readFully(file, path, buffer.subarray(0, HEADER_BYTES), 0);
    const stored = new DataView(buffer.buffer).getUint32(PAGE_SIZE_OFFSET);
    const pageBytes = stored === 1 ? 65536 : stored;
    const end = HEADER_BYTES + frames * (FRAME_HEADER_BYTES + pageBytes);
    for (let offset = 0; offset < end; offset += CHUNK_BYTES) {
      const chunk = buffer.subarray(0, Math.min(CHUNK_BYTES, end - offset));
      readFully(file, path, chunk, offset);
      for (let done = 0; done < chunk.length;) {
        done += writeSync(file, chunk, done, chunk.length - done, offset + done);
      }
    }
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

function readFully(file: number, path: string, bytes: Uint8Array, offset: number): void {
  for (let done = 0; done < bytes.length;) {
    const read = readSync(file, bytes, done, bytes.length - done, offset + done);
    if (read === 0) {
      throw new StorageError(
        "STORAGE_IO",
        `Cannot read ${path} up to ${offset + bytes.length}: it ends at ${offset + done}`,
      );
    }
    done += read;
  }
}
