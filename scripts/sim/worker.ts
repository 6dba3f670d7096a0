/**
 * A worker process of a sweep: runs the ranges of seeds it is told, one line each, and answers each
 * with a summary.
 *
 * @module
 */

import process from "node:process";
import { createInterface } from "node:readline";
import { runSeeds } from "./seeds.ts";

// Errors are results here; their stacks would cost a tenth of the time.
Error.stackTraceLimit = 0;

// A sweep that is interrupted waits for what is under way: its workers end with their input.
process.on("SIGINT", () => {});

for await (const line of createInterface({ input: process.stdin })) {
  const { from, to, options } = JSON.parse(line);
  process.stdout.write(`${JSON.stringify(runSeeds(from, to, options))}\n`);
}
