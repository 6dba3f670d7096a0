/**
 * Membership: configurations, how they change, and their bytes. Pure functions.
 *
 * @module
 */

export * from "./codec.ts";
export * from "./changer.ts";
export * from "./restore.ts";
