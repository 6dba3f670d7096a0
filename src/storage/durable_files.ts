/**
 * What it takes that files are on the disk and not in the system's memory alone, for every room that
 * keeps files.
 *
 * @module
 */

import { closeSync, fsyncSync, openSync, readSync, writeSync } from "node:fs";
import process from "node:process";

const CHUNK_BYTES = 1024 * 1024;

/**
 * Makes the names in a directory durable, where the system can (not on Windows): without it a power cut
 * may take the name of a file whose content is on the disk.
 *
 * @throws whatever the system says: the directory cannot be opened or synced.
 */
export function syncDirectory(directory: string): void {
  if (process.platform === "win32") return;
  const handle = openSync(directory, "r");
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}

/**
 * Writes a file once more, as it is read, to where it is, and syncs it. Where the last sync of a process
 * failed, the system may go on showing as written what never reached the disk: it tries no page twice,
 * and no later sync tells of it. After this all of it is there. Every sector gets the bytes that it has
 * or should have had, so that a crash meanwhile changes nothing. Nobody may write to the file meanwhile.
 *
 * @throws whatever the system says: the file is absent, or cannot be read, written or synced.
 */
export function rewriteFile(path: string): void {
  const file = openSync(path, "r+");
  try {
    const buffer = new Uint8Array(CHUNK_BYTES);
    for (let offset = 0;;) {
      const read = readSync(file, buffer, 0, buffer.length, offset);
      if (read === 0) break;
      for (let done = 0; done < read;) {
        done += writeSync(file, buffer, done, read - done, offset + done);
      }
      offset += read;
    }
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}
