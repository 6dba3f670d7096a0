/**
 * The key-value store's part of `flaredb storage`: what is in `kv.db` beside the log, and whether it
 * is sound.
 *
 * @module
 */

import { existsSync } from "node:fs";
import { join } from "node:path";
import { KV_FILE, type StoreReport, verifyStore } from "../kv/mod.ts";
import { StorageError } from "../storage/mod.ts";
import { checkWal, whileUntouched } from "../storage/sqlite/mod.ts";

/** What was found, and where the write-ahead log is damaged. */
export interface FoundStore extends StoreReport {
  /**
   * Where the write-ahead log of the store is damaged, so that what follows in it is dropped: no
   * problem of its own, as the log of the node brings it again.
   */
  readonly logDamage: string | undefined;
}

/** Verifies the key-value store in `directory`; undefined when there is none. */
export function findStore(
  directory: string,
  scratchDirectory: string | undefined,
  report: (problem: string) => void,
): FoundStore | undefined {
  const path = join(directory, KV_FILE);
  if (!existsSync(path)) return undefined;
  const verify = (location: string | URL): StoreReport =>
    verifyStore(location, (found) => report(`In ${path}, ${found}`));
  return { ...whileUntouched(path, verify, scratchDirectory), logDamage: logDamage(path) };
}

/**
 * Where the write-ahead log of the store at `path` is damaged, if it is. Its commits are not synced
 * one by one, so that a power cut may leave this too.
 */
export function logDamage(path: string): string | undefined {
  try {
    checkWal(path);
    return undefined;
  } catch (error) {
    if (!(error instanceof StorageError && error.code === "STORAGE_CORRUPT")) throw error;
    return /^.*? is damaged \(offset \d+/.exec(error.message)?.[0] ?? error.message;
  }
}
