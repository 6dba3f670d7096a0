/**
 * The log: the stable part in storage and the unstable tail as one.
 *
 * @module
 */

export * from "./raft_log.ts";
export * from "./unstable.ts";
