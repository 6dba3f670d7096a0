/**
 * The multi-version key-value store: a replicated state machine on SQLite with the semantics of the
 * etcd v3 store, its requests and results, and the codec of its commands.
 *
 * @module
 */

export * from "./command_codec.ts";
export * from "./errors.ts";
export * from "./kv_store.ts";
export * from "./protobuf.ts";
export * from "./request_codec.ts";
export type { KvStoreOptions } from "./store_options.ts";
export * from "./types.ts";
export type { ReportDamage } from "./check.ts";
export { type StoreReport, verifyStore } from "./verify.ts";
