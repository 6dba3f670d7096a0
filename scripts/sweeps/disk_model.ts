/**
 * A model of what a disk holds after a power cut: what was synced is there; of the rest every write may
 * be there, be missing, or be there in part (sectors of 512 bytes), whatever its order was. Names in a
 * directory are as they were at their last sync, or at any moment after it, each directory by itself.
 *
 * @module
 */

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import type { Numbers } from "./sweep.ts";

const SECTOR_BYTES = 512;

/** What happened to the files, in order. Paths are relative; `.` is the directory of all. */
export type DiskEvent =
  | { readonly kind: "create" | "remove" | "make-directory" | "sync"; readonly path: string }
  | { readonly kind: "rename"; readonly path: string; readonly to: string }
  | {
    readonly kind: "write";
    readonly path: string;
    readonly at: number;
    readonly bytes: Uint8Array;
  }
  | { readonly kind: "truncate"; readonly path: string; readonly size: number }
  | { readonly kind: "acknowledged"; readonly step: number };

/** What happens to files, without what a process says. */
export type FileEvent = Exclude<DiskEvent, { readonly kind: "acknowledged" }>;

/**
 * What happened to a database in `directory` and its write-ahead log, so that the disk has all of the
 * one and the first `syncedBytes` bytes of the other.
 */
export function partlySynced(
  directory: string,
  database: string,
  syncedBytes: number,
): FileEvent[] {
  const log = `${database}-wal`;
  const read = (name: string) => readFileSync(join(directory, name));
  return [
    { kind: "create", path: database },
    { kind: "write", path: database, at: 0, bytes: read(database) },
    { kind: "sync", path: database },
    { kind: "create", path: log },
    { kind: "write", path: log, at: 0, bytes: read(log).subarray(0, syncedBytes) },
    { kind: "sync", path: log },
    { kind: "sync", path: "." },
  ];
}

type FileChange = Extract<DiskEvent, { kind: "write" | "truncate" }>;

/** A file: what is durable, and what was done since. */
class DiskFile {
  #durable: Uint8Array = new Uint8Array(0);
  #changes: FileChange[] = [];

  change(event: FileChange): void {
    this.#changes.push(event);
  }

  sync(): void {
    for (const change of this.#changes.splice(0)) this.#durable = changed(this.#durable, change);
  }

  /** Writes it as it is when the power is cut, and returns how many changes are missing. */
  cutPower(path: string, numbers: Numbers, keep: "all" | "none" | "some"): number {
    let content: Uint8Array = this.#durable;
    let lost = 0;
    for (const change of this.#changes) {
      if (keep === "all" || (keep === "some" && numbers.once(2))) {
        content = changed(content, change);
      } else {
        lost++;
        if (keep === "some" && change.kind === "write" && numbers.once(4)) {
          content = changed(content, torn(change, numbers));
        }
      }
    }
    writeFileSync(path, content);
    return lost;
  }
}

function changed(content: Uint8Array, change: FileChange): Uint8Array {
  const size = change.kind === "truncate"
    ? change.size
    : Math.max(content.length, change.at + change.bytes.length);
  const result = new Uint8Array(size);
  result.set(content.subarray(0, size));
  if (change.kind === "write") result.set(change.bytes, change.at);
  return result;
}

/** A run of whole sectors from the beginning or the end of a write. */
function torn(change: Extract<FileChange, { kind: "write" }>, numbers: Numbers): FileChange {
  const { at, bytes } = change;
  const first = SECTOR_BYTES - at % SECTOR_BYTES;
  const cut = Math.min(bytes.length, first + SECTOR_BYTES * numbers.below(8));
  return numbers.once(2)
    ? { ...change, bytes: bytes.subarray(0, cut) }
    : { ...change, at: at + cut, bytes: bytes.subarray(cut) };
}

type Names = Map<string, DiskFile | DiskDirectory>;

/** The names in a directory, and since when they are durable. */
class DiskDirectory {
  #durable: Names = new Map();
  /** The names after each change since they were last synced. */
  #history: Names[] = [];
  names: Names = new Map();

  rename(change: (names: Names) => void): void {
    this.names = new Map(this.names);
    change(this.names);
    this.#history.push(this.names);
  }

  sync(): void {
    this.#durable = this.names;
    this.#history = [];
  }

  cutPower(path: string, numbers: Numbers, keep: "all" | "none" | "some"): number {
    const kept = keep === "all"
      ? this.#history.length
      : keep === "none"
      ? 0
      : numbers.below(this.#history.length + 1);
    const names = kept === 0 ? this.#durable : this.#history[kept - 1];
    let lost = this.#history.length - kept;
    mkdirSync(path, { recursive: true });
    for (const [name, node] of names) {
      lost += node.cutPower(join(path, name), numbers, howToKeep(numbers));
    }
    return lost;
  }
}

/** Mostly some; each node by itself, so that one file may be whole and another as it was long ago. */
function howToKeep(numbers: Numbers): "all" | "none" | "some" {
  return (["all", "none", "some", "some", "some"] as const)[numbers.below(5)];
}

/** The disk, as recorded events leave it. */
export class Disk {
  readonly #root = new DiskDirectory();

  /** Lets something happen. */
  apply(event: Exclude<DiskEvent, { kind: "acknowledged" }>): void {
    const { path } = event;
    const name = basename(path);
    const directory = this.#directory(dirname(path));
    switch (event.kind) {
      case "create":
        if (directory.names.has(name)) return;
        return directory.rename((names) => names.set(name, new DiskFile()));
      case "make-directory":
        return directory.rename((names) => names.set(name, new DiskDirectory()));
      case "remove":
        if (!directory.names.has(name)) return;
        return directory.rename((names) => names.delete(name));
      case "rename": {
        const node = directory.names.get(name);
        if (node === undefined || dirname(event.to) !== dirname(path)) {
          throw new Error(`an unexpected renaming of ${path} to ${event.to}`);
        }
        return directory.rename((names) => {
          names.delete(name);
          names.set(basename(event.to), node);
        });
      }
      case "sync":
        return (path === "." ? this.#root : directory.names.get(name))?.sync();
      default: {
        const file = directory.names.get(name);
        if (file instanceof DiskFile) file.change(event);
      }
    }
  }

  /** Writes to `target` what a power cut leaves, and returns how many changes are lost. */
  cutPower(target: string, numbers: Numbers): number {
    return this.#root.cutPower(target, numbers, howToKeep(numbers));
  }

  #directory(path: string): DiskDirectory {
    if (path === ".") return this.#root;
    const found = this.#directory(dirname(path)).names.get(basename(path));
    if (found instanceof DiskDirectory) return found;
    throw new Error(`${path} is no directory`);
  }
}
