/**
 * Raft for TypeScript. This module is what most users need: a node that replicates a state machine
 * (`Node`), its durable storage in SQLite and its gRPC transport. The consensus core alone is
 * `@flaredb/raft/raft`; the key-value store and its etcd v3 API are `@flaredb/raft/kv` and
 * `@flaredb/raft/etcd`.
 *
 * @module
 */

export * from "./src/raft/mod.ts";
