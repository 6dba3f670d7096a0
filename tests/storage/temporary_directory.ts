/**
 * Temporary directories for tests of storages on disk.
 *
 * @module
 */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Makes a new directory; call `remove` when done. */
export function temporaryDirectory(): { path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), "flaredb-storage-"));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

/** Runs `work` with a new directory, which is removed afterwards. */
export async function withDirectory<T>(work: (path: string) => Promise<T> | T): Promise<T> {
  const directory = temporaryDirectory();
  try {
    return await work(directory.path);
  } finally {
    directory.remove();
  }
}
