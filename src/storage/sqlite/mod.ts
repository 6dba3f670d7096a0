/**
 * Durable storage in SQLite: one database a node, `raft.db`, shared by all its regions, next to
 * `lock.db`, which keeps a second process out.
 *
 * What it promises: a write is one transaction, synced before its promise resolves. Opening checks
 * every row and the write-ahead log, and refuses damaged data with an error that names it. The one
 * kind of damage that cannot be found is that of the very last transaction in the write-ahead log,
 * which looks like a write torn by a crash and is dropped as such.
 *
 * @module
 */

export type { Database, SqlValue, Statement } from "./database.ts";
export { type DumpOptions, type DumpRecord, dumpStorage } from "./dump.ts";
export type { CommitCounters, GroupMember, RegionWrite } from "./group_commit.ts";
export { SqliteNodeStorage, type SqliteStorageOptions } from "./node_storage.ts";
export { SqliteRaftStorage, VALUE_BYTES_MAX } from "./region_storage.ts";
export type { RegionRow } from "./rows.ts";
export { INDEX_MAX, SLOT_MAX } from "./schema.ts";
export { checkWal } from "./files.ts";
export { readUntouched, whileUntouched } from "./untouched.ts";
export {
  type RegionReport,
  type StorageReport,
  type VerifyOptions,
  verifyStorage,
} from "./verify.ts";
export type { WalScan } from "./wal.ts";
export { WORKER_FILE } from "./worker_writer.ts";
export type { SaveRegionOperation } from "./writer.ts";
export type { SyncTimes } from "./sync_time.ts";
export {
  SLOW_SYNC_MS,
  STALLED_SYNC_MS,
  type WriterChoice,
  type WriterOption,
} from "./writer_choice.ts";
export type { RegionState } from "../region_state.ts";
