/**
 * Raft for TypeScript. This module is what most users need: `Node`, which replicates a
 * `StateMachine`; its durable storage in SQLite; its transport over gRPC; and the consensus core
 * below them, `RawNode`. The core alone, without gRPC and SQLite, is `@flaredb/raft/raft`; the
 * key-value store and its etcd v3 API are `@flaredb/raft/kv` and `@flaredb/raft/etcd`.
 *
 * @module
 */

export * from "./src/raft/mod.ts";
export * from "./src/node/mod.ts";
export type {
  LogWrite,
  NodeIdentity,
  NodeStorage,
  RaftStorage,
  RegionBootstrap,
} from "./src/storage/contract.ts";
export {
  MemoryDisk,
  MemoryNodeStorage,
  MemoryStorage,
  StorageError,
  type StorageErrorCode,
} from "./src/storage/mod.ts";
export { SqliteNodeStorage, type SqliteStorageOptions } from "./src/storage/sqlite/mod.ts";
export * from "./src/transport/mod.ts";
export {
  GrpcTransport,
  type GrpcTransportOptions,
  type TlsOptions,
} from "./src/transport/grpc/mod.ts";
