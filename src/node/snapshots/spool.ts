/**
 * Where a node keeps the state of a snapshot between its arrival and its installation: in a file of
 * its directory, synced and checked, so that a crash at any moment of the installation finds it again;
 * or, for nodes without a directory, in memory.
 *
 * @module
 */

import type { SnapshotMetadata } from "../../raft/mod.ts";
import type { SnapshotChunks } from "../../transport/contract.ts";

/**
 * What to do about a member whose state machine cannot be restored from its snapshot: the log begins
 * after that, so that no leader sends it again.
 */
export const REPLACE_ADVICE = "replace this member by a new one with an empty data folder";

/** A snapshot whose state is here, whole. */
export interface SpooledSnapshot {
  readonly regionId: number;
  /** What it stands for. */
  readonly index: number;
  readonly term: number;
  /** Bytes of its state. */
  readonly bytes: number;
  /** Where it is, for messages. */
  readonly place: string;
  /**
   * Its state. The last chunk is handed out only when the checksum of all holds; nobody sees the
   * whole of a damaged one.
   *
   * @throws SnapshotSpoolError (by rejection) when it is damaged or cannot be read.
   */
  read(): SnapshotChunks;
  /** Removes it. Never rejects: what is left is removed at the next start. */
  remove(): Promise<void>;
}

/** Takes the state of one snapshot. Calls do not overlap. */
export interface SpoolWriter {
  /** Appends a piece. */
  write(bytes: Uint8Array): Promise<void>;
  /** Makes it durable; what there was of the region before may be gone then. */
  seal(): Promise<SpooledSnapshot>;
  /** Forgets it. Never rejects. */
  discard(): Promise<void>;
}

/** The spool of a node. */
export interface SnapshotSpool {
  /** Begins to take a snapshot. */
  create(regionId: number, metadata: SnapshotMetadata): Promise<SpoolWriter>;
  /**
   * The sealed snapshot of a region with this index, if there is one.
   *
   * @throws SnapshotSpoolError (by rejection) when there is one, but it is damaged or cannot be read.
   */
  find(regionId: number, index: number): Promise<SpooledSnapshot | undefined>;
  /** Removes everything that was left behind. */
  clean(): Promise<void>;
}
