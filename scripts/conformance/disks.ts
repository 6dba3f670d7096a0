/**
 * Where the nodes of a trace keep their logs: in memory, or in SQLite databases of a temporary
 * folder, one a node. A restart closes the storage and opens it again, checks included.
 *
 * @module
 */

import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { PeerId, SnapshotMetadata } from "../../src/raft/mod.ts";
import { MemoryDisk, MemoryNodeStorage } from "../../src/storage/mod.ts";
import type { NodeIdentity, NodeStorage, RaftStorage } from "../../src/storage/mod.ts";

/** The kinds of storage that a trace can run on. */
export const STORAGE_KINDS = ["memory", "sqlite"] as const;
/** A kind of storage. */
export type StorageKind = (typeof STORAGE_KINDS)[number];

/** Opens the storage of one node; each time on the same contents. */
type Open = () => Promise<NodeStorage>;

const REGION_ID = 1;

/** Memory of Linux as files: a trace restarts processes, never machines, and need not wait for a disk. */
const MEMORY_FOLDER = "/dev/shm";

/** The disk of one node. */
export class Disk {
  /** The stored log; another object after `reopen`. */
  storage: RaftStorage;
  readonly #open: Open;
  #node: NodeStorage;

  private constructor(open: Open, node: NodeStorage, storage: RaftStorage) {
    this.#open = open;
    this.#node = node;
    this.storage = storage;
  }

  /** A disk with the log of a replica that starts as `initial` says, or empty. */
  static async create(open: Open, id: PeerId, initial?: SnapshotMetadata): Promise<Disk> {
    const node = await open();
    const bootstrap = { regionId: REGION_ID, peerId: id };
    const storage = await node.createRegion(
      initial === undefined ? bootstrap : { ...bootstrap, initial },
    );
    return new Disk(open, node, storage);
  }

  /** Closes the storage and opens it again, as a restart does. */
  async reopen(): Promise<void> {
    await this.#node.close();
    this.#node = await this.#open();
    const storage = this.#node.region(REGION_ID);
    if (storage === undefined) throw new Error("the storage has lost its region");
    this.storage = storage;
  }

  /** Closes the storage for good. */
  async close(): Promise<void> {
    await this.#node.close();
  }
}

/** The disks of the nodes of one trace. */
export class Disks {
  readonly #kind: StorageKind;
  readonly #disks: Disk[] = [];
  #folder: string | undefined;

  constructor(kind: StorageKind) {
    this.#kind = kind;
  }

  /** The disk of a new node, which starts as `initial` says, or empty. */
  async create(id: PeerId, initial: SnapshotMetadata | undefined): Promise<Disk> {
    const disk = await Disk.create(await this.#opener(id), id, initial);
    this.#disks.push(disk);
    return disk;
  }

  /** Closes all disks and removes what they hold. */
  async close(): Promise<void> {
    for (const disk of this.#disks) await disk.close();
    if (this.#folder !== undefined) await rm(this.#folder, { recursive: true, force: true });
  }

  async #opener(id: PeerId): Promise<Open> {
    const identity: NodeIdentity = { clusterId: "conformance", nodeId: id };
    if (this.#kind === "memory") {
      const contents = new MemoryDisk();
      return () => Promise.resolve(new MemoryNodeStorage(identity, contents));
    }
    const parent = existsSync(MEMORY_FOLDER) ? MEMORY_FOLDER : tmpdir();
    this.#folder ??= await mkdtemp(join(parent, "raft-conformance-"));
    const directory = join(this.#folder, `node-${id}`);
    // Loaded only when asked for: the module needs node:sqlite.
    const { SqliteNodeStorage } = await import("../../src/storage/sqlite/mod.ts");
    // Directly: to time the disk, and to start a thread, would cost more than a trace.
    return () => SqliteNodeStorage.open({ directory, identity, writer: "direct" });
  }
}
