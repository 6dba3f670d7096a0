/**
 * A storage of one's own: a journal. Every write becomes a line of JSON with a checksum, synced before
 * it is acknowledged; reads come from memory, which also holds the rules of the log. Opening replays
 * the journal. (It is never shortened: a real one would begin a new file at times.)
 *
 * @module
 */

import { Buffer } from "node:buffer";
import * as fs from "node:fs";
import { crc32 } from "node:zlib";
import { createEntry, type RaftLogEntry } from "../../src/raft/mod.ts";
import * as storage from "../../src/storage/mod.ts";

/** One write: a region (0 for the node), what was called, and with which parameters. */
type JournalRecord = [regionId: number, method: string, ...parameters: unknown[]];

/** The database of one node in one file. */
export class JournalStorage implements storage.NodeStorage {
  readonly identity: storage.NodeIdentity;
  readonly #path: string;
  readonly #file: number;
  readonly #sync: (file: number) => void;
  /** Says to all regions whether this is closed. */
  readonly #memory: storage.MemoryNodeStorage;
  readonly #regions = new Map<number, storage.MemoryStorage>();
  #replaying = true;
  #failure: storage.StorageError | undefined = undefined;
  #newest: Promise<unknown> = Promise.resolve();

  /**
   * Opens or creates the journal at `path`. After a crash remove `<path>.lock` by hand.
   */
  constructor(path: string, identity: storage.NodeIdentity, sync = fs.fdatasyncSync) {
    this.identity = identity;
    this.#path = path;
    this.#sync = sync;
    this.#memory = new storage.MemoryNodeStorage(identity);
    const { records, bytes } = readJournal(path);
    const owner = records.length > 0 ? records[0][2] : identity;
    if (JSON.stringify(owner) !== JSON.stringify(identity)) {
      throw new storage.StorageError("STORAGE_IDENTITY", `${path} belongs to another node`);
    }
    try {
      fs.closeSync(fs.openSync(`${path}.lock`, "wx"));
    } catch (cause) {
      throw new storage.StorageError("STORAGE_LOCKED", `${path} is open already`, { cause });
    }
    this.#file = fs.openSync(path, "a");
    // What follows is a line that a crash tore: it was never acknowledged.
    fs.ftruncateSync(this.#file, bytes);
    for (const [regionId, method, ...parameters] of records.slice(1)) {
      const subject = method === "createRegion" ? this : this.#regions.get(regionId);
      (subject as unknown as Record<string, (...all: unknown[]) => void>)[method](...parameters);
    }
    this.#replaying = false;
    if (records.length === 0) this.#append(lineOf([0, "identity", identity]));
  }

  regionIds(): number[] {
    this.#memory.regionIds(); // Throws once it is closed.
    return [...this.#regions.keys()].sort((a, b) => a - b);
  }

  region(regionId: number): storage.RaftStorage | undefined {
    this.#memory.regionIds();
    return this.#regions.get(regionId);
  }

  createRegion(bootstrap: storage.RegionBootstrap): Promise<storage.RaftStorage> {
    const { regionId } = bootstrap;
    // deno-lint-ignore require-await -- rejects instead of throwing.
    return this.#write([regionId, "createRegion", bootstrap], async () => {
      if (this.regionIds().includes(regionId)) {
        throw new storage.StorageError("STORAGE_REGION_EXISTS", `Region ${regionId} exists`);
      }
      const region = new storage.MemoryStorage(bootstrap, this.#memory);
      for (const method of ["append", "saveConfState", "compact"] as const) {
        const change = region[method].bind(region) as (...all: unknown[]) => Promise<void>;
        const journaled = (...all: unknown[]): Promise<void> =>
          this.#write([regionId, method, ...all], () => change(...all));
        Object.defineProperty(region, method, { value: journaled });
      }
      this.#regions.set(regionId, region);
      return region;
    });
  }

  async close(): Promise<void> {
    if (this.#memory.isClosed()) return;
    await this.#memory.close();
    await this.#newest;
    fs.closeSync(this.#file);
    fs.rmSync(`${this.#path}.lock`);
  }

  /** Has memory take or refuse a write at once; then it is journaled, in the order of the calls. */
  #write<T>(record: JournalRecord, change: () => Promise<T>): Promise<T> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    if (this.#replaying) return change();
    const line = lineOf(record);
    const write = change().then((result) => {
      this.#append(line);
      return result;
    });
    this.#newest = write.catch(() => {});
    return write;
  }

  #append(line: string): void {
    if (this.#failure !== undefined) throw this.#failure;
    try {
      fs.writeSync(this.#file, line);
      this.#sync(this.#file);
    } catch (cause) {
      throw this.#failure = new storage.StorageError("STORAGE_IO", "Cannot write", { cause });
    }
  }
}

/** A line: a checksum and JSON, in which bytes are `{"base64": …}`. */
function lineOf(record: JournalRecord): string {
  const text = JSON.stringify(
    record,
    (_key, value) =>
      value instanceof Uint8Array ? { base64: Buffer.from(value).toString("base64") } : value,
  );
  return `${crc32(text)} ${text}\n`;
}

/** The records in a journal, and how many bytes of it are whole lines. */
function readJournal(path: string): { records: JournalRecord[]; bytes: number } {
  const content = fs.existsSync(path) ? fs.readFileSync(path) : Buffer.alloc(0);
  const records: JournalRecord[] = [];
  let bytes = 0;
  for (let end; (end = content.indexOf("\n", bytes)) >= 0; bytes = end + 1) {
    const [checksum, text] = content.toString("utf8", bytes, end).split(/ (.*)/);
    if (checksum !== String(crc32(text))) {
      throw new storage.StorageError("STORAGE_CORRUPT", `${path} is damaged at byte ${bytes}`);
    }
    records.push(JSON.parse(text, revive));
  }
  return { records, bytes };
}
function revive(key: string, value: unknown): unknown {
  if (key === "entries") return (value as RaftLogEntry[]).map(createEntry);
  const { base64 } = (value ?? {}) as { base64?: string };
  return typeof base64 === "string" ? new Uint8Array(Buffer.from(base64, "base64")) : value;
}
