/**
 * The sync of a directory, for every room that makes, renames or removes files: without it a power cut
 * may take the name of a file whose content is on the disk.
 *
 * @module
 */

import { closeSync, fsyncSync, openSync } from "node:fs";
import process from "node:process";

/**
 * Makes the names in a directory durable, where the system can (not on Windows).
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
