/**
 * The check of a spooled snapshot for the tools, which look at the folder of a stopped node: whether
 * the next start can finish an installation that the end of the process interrupted.
 *
 * @module
 */

import { closeSync, fstatSync, openSync, readdirSync, readSync } from "node:fs";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { SnapshotSpoolError } from "../errors.ts";
import {
  decodeFooter,
  type Footer,
  FOOTER_BYTES,
  sealedNames,
  SPOOL_DIRECTORY,
} from "./spool_file.ts";

const READ_BYTES = 256 * 1024;

/**
 * Whether the folder of a stopped node holds a received snapshot of a region, whole and intact, from
 * which the next start restores the state machine. All of it is read.
 *
 * @param directory the `directory` that the node was opened with.
 * @param index what the snapshot stands for.
 * @param term the term of the entry with that index.
 * @throws SnapshotSpoolError when there is one, but it is damaged or cannot be read
 */
export function checkSpooledSnapshot(
  directory: string,
  regionId: number,
  index: number,
  term: number,
): boolean {
  const spool = join(directory, SPOOL_DIRECTORY);
  let damaged: string | undefined;
  for (const name of sealedNames(namesIn(spool), regionId, index)) {
    const path = join(spool, name);
    const footer = withFile(path, (file) => readFooter(file));
    if (footer?.regionId !== regionId || footer.index !== index) {
      damaged ??= path;
      continue;
    }
    // As when the node starts, the first that can be one is the one.
    if (footer.term !== term) return false;
    if (withFile(path, (file) => stateChecksum(file, footer.bytes)) === footer.checksum) {
      return true;
    }
    throw new SnapshotSpoolError(`Cannot read ${path} as its checksum does not hold`);
  }
  if (damaged === undefined) return false;
  throw new SnapshotSpoolError(`Cannot read ${damaged} as its footer is damaged`);
}

function namesIn(spool: string): string[] {
  try {
    return readdirSync(spool);
  } catch (cause) {
    if ((cause as { code?: string }).code === "ENOENT") return [];
    throw unreadable(spool, cause);
  }
}

function withFile<T>(path: string, read: (file: number) => T): T {
  try {
    const file = openSync(path, "r");
    try {
      return read(file);
    } finally {
      closeSync(file);
    }
  } catch (cause) {
    throw unreadable(path, cause);
  }
}

function unreadable(path: string, cause: unknown): SnapshotSpoolError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new SnapshotSpoolError(`Cannot read ${path}: ${reason}`, { cause });
}

function readFooter(file: number): Footer | undefined {
  const stateBytes = fstatSync(file).size - FOOTER_BYTES;
  const bytes = new Uint8Array(FOOTER_BYTES);
  if (stateBytes < 0 || readSync(file, bytes, 0, FOOTER_BYTES, stateBytes) < FOOTER_BYTES) {
    return undefined;
  }
  return decodeFooter(bytes, stateBytes);
}

/** The CRC-32 of the state; of less than all of it, where the file has become shorter. */
function stateChecksum(file: number, stateBytes: number): number {
  const chunk = new Uint8Array(READ_BYTES);
  let checksum = 0;
  for (let position = 0; position < stateBytes;) {
    const bytes = readSync(file, chunk, 0, Math.min(READ_BYTES, stateBytes - position), position);
    if (bytes === 0) break;
    checksum = crc32(chunk.subarray(0, bytes), checksum);
    position += bytes;
  }
  return checksum;
}
