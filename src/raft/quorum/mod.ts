/**
 * Quorums: the arithmetic of majorities, simple and joint. Pure functions of what is passed in.
 *
 * @module
 */

export * from "./majority.ts";
export * from "./joint.ts";
