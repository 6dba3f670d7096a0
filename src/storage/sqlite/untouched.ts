/**
 * Reading a database without altering anything: neither its files nor their directory. SQLite itself
 * recovers the write-ahead log, and writes to do so; so a database with a log is copied and the copy
 * is read, and one without is opened as a file that nobody changes.
 *
 * @module
 */

import { constants, copyFileSync, existsSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { pathToFileURL } from "node:url";
import { type Database, openDatabase } from "./database.ts";

/**
 * Runs `read` on the database at `path`, which nobody may write meanwhile.
 *
 * @param scratchDirectory where the copy goes, when one is needed: as large as the database and its
 *   log. Default: the system's directory for temporary files. (On file systems that can share blocks
 *   between files, within one of them, it takes no space.)
 */
export function readUntouched<T>(
  path: string,
  read: (database: Database) => T,
  scratchDirectory?: string,
): T {
  return whileUntouched(path, (location) => {
    const database = openDatabase(location, { readOnly: true });
    try {
      return read(database);
    } finally {
      database.close();
    }
  }, scratchDirectory);
}

/**
 * Like {@linkcode readUntouched}, for those who open the database themselves, read-only: `use` is
 * told where it is, which is a URL of SQLite's or a path.
 */
export function whileUntouched<T>(
  path: string,
  use: (location: string | URL) => T,
  scratchDirectory: string = tmpdir(),
): T {
  const log = `${path}-wal`;
  if (!existsSync(log) || statSync(log).size === 0) return use(immutable(path));
  const copies = mkdtempSync(join(scratchDirectory, "flaredb-read-"));
  try {
    const copy = join(copies, basename(path));
    copyFileSync(path, copy, constants.COPYFILE_FICLONE);
    copyFileSync(log, `${copy}-wal`, constants.COPYFILE_FICLONE);
    return use(copy);
  } finally {
    rmSync(copies, { recursive: true, force: true });
  }
}

/** SQLite takes no lock on such a file, and makes no others beside it. */
function immutable(path: string): URL {
  const url = pathToFileURL(path);
  url.searchParams.set("immutable", "1");
  return url;
}
