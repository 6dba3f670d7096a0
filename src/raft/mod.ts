/**
 * The consensus core (manual below; completed with the core).
 *
 * @module
 */

export * from "./types.ts";
export * from "./errors.ts";
export * from "./storage.ts";
export * from "./config.ts";
export * from "./events.ts";
export * from "./ready.ts";
