/**
 * Replication bookkeeping: what a leader knows about each peer. Decides nothing by itself; the role
 * logic asks.
 *
 * @module
 */

export * from "./inflights.ts";
export * from "./replication_state.ts";
export * from "./tracker.ts";
