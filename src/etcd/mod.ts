/**
 * The etcd v3 API over a replicated key-value store, and a small client of it.
 *
 * @module
 */

export * from "./client.ts";
export * from "./errors.ts";
export * from "./grpc_status.ts";
export * from "./messages.ts";
