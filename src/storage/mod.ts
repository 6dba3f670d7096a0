/**
 * Durable storage of the log and state of replicas: the contract, its conformance suite, and storage
 * in memory. Storage in SQLite is the sub-face `sqlite/mod.ts`.
 *
 * @module
 */

export * from "./contract.ts";
export * from "./errors.ts";
export * from "./memory.ts";
export * from "./conformance/mod.ts";
