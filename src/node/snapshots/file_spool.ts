/**
 * The spool in files of one directory, whose format `spool_file.ts` describes.
 *
 * @module
 */

import { type FileHandle, mkdir, open, readdir, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { crc32 } from "node:zlib";
import type { SnapshotMetadata } from "../../raft/mod.ts";
import { syncDirectory } from "../../storage/durable_files.ts";
import { SnapshotSpoolError } from "../errors.ts";
import type { SnapshotChunks } from "../../transport/contract.ts";
import {
  REPLACE_ADVICE,
  type SnapshotSpool,
  type SpooledSnapshot,
  type SpoolWriter,
} from "./spool.ts";
import {
  ARRIVING,
  decodeFooter,
  encodeFooter,
  type Footer,
  FOOTER_BYTES,
  isSpoolName,
  SEALED,
  sealedNames,
} from "./spool_file.ts";

const READ_BYTES = 256 * 1024;

/**
 * Bytes after which what was written is synced: so few that the syncs of logs on the same disk, which
 * often wait for this one, wait for little; and that the sync at the end finds little to do.
 */
const SYNC_BYTES = 1024 * 1024;

/** Keeps snapshots in files of one directory, which it makes when it is needed. */
export class FileSpool implements SnapshotSpool {
  readonly #directory: string;
  #serial = 0;
  /** Whether a power cut leaves the directory. */
  #directoryIsDurable = false;

  constructor(directory: string) {
    this.#directory = directory;
  }

  async create(regionId: number, metadata: SnapshotMetadata): Promise<SpoolWriter> {
    const { index, term } = metadata;
    // No two snapshots share a name: one that was superseded may still be finishing.
    const path = join(this.#directory, `region-${regionId}-${index}-${++this.#serial}`);
    const what = `Cannot keep the snapshot of index ${index} of region ${regionId}`;
    try {
      await this.#makeDirectory();
      const handle = await open(path + ARRIVING, "w");
      return new FileSpoolWriter(handle, path, { regionId, index, term });
    } catch (cause) {
      throw new SnapshotSpoolError(`${what}: ${messageOf(cause)}`, { cause });
    }
  }

  async #makeDirectory(): Promise<void> {
    await mkdir(this.#directory, { recursive: true });
    if (this.#directoryIsDurable) return;
    syncDirectory(dirname(this.#directory));
    this.#directoryIsDurable = true;
  }

  async find(regionId: number, index: number): Promise<SpooledSnapshot | undefined> {
    let damaged: string | undefined;
    for (const name of sealedNames(await this.#names(), regionId, index)) {
      const path = join(this.#directory, name);
      const footer = await footerOf(path);
      if (footer?.regionId === regionId && footer.index === index) {
        return new FileSnapshot(path, footer);
      }
      damaged ??= path;
    }
    if (damaged === undefined) return undefined;
    throw new SnapshotSpoolError(
      `Cannot read ${damaged} as its footer is damaged: ${REPLACE_ADVICE}`,
    );
  }

  async clean(): Promise<void> {
    for (const name of await this.#names()) await removeQuietly(join(this.#directory, name));
  }

  async #names(): Promise<string[]> {
    try {
      const names = await readdir(this.#directory);
      return names.filter(isSpoolName);
    } catch (cause) {
      if ((cause as { code?: string }).code === "ENOENT") return [];
      throw new SnapshotSpoolError(`Cannot list ${this.#directory}: ${messageOf(cause)}`, {
        cause,
      });
    }
  }
}

class FileSpoolWriter implements SpoolWriter {
  readonly #handle: FileHandle;
  readonly #path: string;
  readonly #identity: Pick<Footer, "regionId" | "index" | "term">;
  #bytes = 0;
  #unsyncedBytes = 0;
  #checksum = 0;
  #open = true;
  #sealed = false;

  /** @param path of the file, without its ending. */
  constructor(
    handle: FileHandle,
    path: string,
    identity: Pick<Footer, "regionId" | "index" | "term">,
  ) {
    this.#handle = handle;
    this.#path = path;
    this.#identity = identity;
  }

  async write(bytes: Uint8Array): Promise<void> {
    await this.#guard(async () => {
      await writeAll(this.#handle, bytes, this.#bytes);
      this.#checksum = crc32(bytes, this.#checksum);
      this.#bytes += bytes.length;
      this.#unsyncedBytes += bytes.length;
      if (this.#unsyncedBytes < SYNC_BYTES) return;
      this.#unsyncedBytes = 0;
      await this.#handle.datasync();
    });
  }

  async seal(): Promise<SpooledSnapshot> {
    const footer = { ...this.#identity, bytes: this.#bytes, checksum: this.#checksum };
    await this.#guard(async () => {
      await writeAll(this.#handle, encodeFooter(footer), this.#bytes);
      await this.#handle.sync();
      this.#open = false;
      await this.#handle.close();
      await rename(this.#path + ARRIVING, this.#path + SEALED);
      syncDirectory(dirname(this.#path));
    });
    this.#sealed = true;
    return new FileSnapshot(this.#path + SEALED, footer);
  }

  async discard(): Promise<void> {
    try {
      if (this.#open) await this.#handle.close();
    } catch {
      // The file goes either way.
    }
    this.#open = false;
    await removeQuietly(this.#path + ARRIVING);
    // Its name could not be synced; one that was handed on is not this writer's any more.
    if (!this.#sealed) await removeQuietly(this.#path + SEALED);
  }

  async #guard(action: () => Promise<void>): Promise<void> {
    try {
      await action();
    } catch (cause) {
      throw new SnapshotSpoolError(
        `Cannot write ${this.#path}: ${messageOf(cause)}`,
        { cause },
      );
    }
  }
}

class FileSnapshot implements SpooledSnapshot {
  readonly regionId: number;
  readonly index: number;
  readonly term: number;
  readonly bytes: number;
  readonly place: string;
  readonly #checksum: number;

  constructor(path: string, footer: Footer) {
    this.regionId = footer.regionId;
    this.index = footer.index;
    this.term = footer.term;
    this.bytes = footer.bytes;
    this.place = path;
    this.#checksum = footer.checksum;
  }

  read(): SnapshotChunks {
    const spare: Uint8Array[] = [];
    return {
      [Symbol.asyncIterator]: () => this.#chunks(spare),
      recycle(chunk) {
        if (chunk.length === READ_BYTES && spare.length === 0) spare.push(chunk);
      },
    };
  }

  /** @param spare chunks that are read into before new ones are made. */
  async *#chunks(spare: Uint8Array[]): AsyncGenerator<Uint8Array> {
    let handle: FileHandle;
    try {
      handle = await open(this.place, "r");
    } catch (cause) {
      throw new SnapshotSpoolError(`Cannot open ${this.place}: ${messageOf(cause)}`, { cause });
    }
    try {
      let checksum = 0;
      for (let position = 0; position < this.bytes;) {
        const bytes = Math.min(READ_BYTES, this.bytes - position);
        const chunk = (bytes === READ_BYTES ? spare.pop() : undefined) ?? new Uint8Array(bytes);
        await this.#fill(handle, chunk, position);
        checksum = crc32(chunk, checksum);
        position += chunk.length;
        if (position === this.bytes && checksum !== this.#checksum) {
          throw new SnapshotSpoolError(`Cannot read ${this.place} as its checksum does not hold`);
        }
        yield chunk;
      }
    } finally {
      await handle.close();
    }
  }

  async remove(): Promise<void> {
    await removeQuietly(this.place);
  }

  async #fill(handle: FileHandle, into: Uint8Array, position: number): Promise<void> {
    try {
      if (await readAll(handle, into, position)) return;
    } catch (cause) {
      throw new SnapshotSpoolError(`Cannot read ${this.place}: ${messageOf(cause)}`, { cause });
    }
    throw new SnapshotSpoolError(`Cannot read ${this.place} as it is cut short`);
  }
}

async function footerOf(path: string): Promise<Footer | undefined> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(path, "r");
    return await readFooter(handle);
  } catch (cause) {
    throw new SnapshotSpoolError(`Cannot read ${path}: ${messageOf(cause)}`, { cause });
  } finally {
    await handle?.close();
  }
}

/** The footer of a file; undefined when it has none that is sound. */
async function readFooter(handle: FileHandle): Promise<Footer | undefined> {
  const { size } = await handle.stat();
  const bytes = new Uint8Array(FOOTER_BYTES);
  const stateBytes = size - FOOTER_BYTES;
  if (stateBytes < 0 || !(await readAll(handle, bytes, stateBytes))) return undefined;
  return decodeFooter(bytes, stateBytes);
}

async function writeAll(handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let start = 0; start < bytes.length;) {
    const { bytesWritten } = await handle.write(
      bytes,
      start,
      bytes.length - start,
      position + start,
    );
    start += bytesWritten;
  }
}

/** Fills `into`; false when the file ends before. */
async function readAll(handle: FileHandle, into: Uint8Array, position: number): Promise<boolean> {
  for (let start = 0; start < into.length;) {
    const { bytesRead } = await handle.read(into, start, into.length - start, position + start);
    if (bytesRead === 0) return false;
    start += bytesRead;
  }
  return true;
}

async function removeQuietly(path: string): Promise<void> {
  try {
    await rm(path, { force: true });
  } catch {
    // It is removed at the next start.
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
