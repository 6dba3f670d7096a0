/**
 * The scripted run as a process: `workload_process.ts <directory> <direct | worker> <steps>`. It prints
 * (and writes to `<directory>.acks`, for those who trace it) the number of each step once it is
 * acknowledged, then `done`; or `failed <code>` when the storage stops with a typed error. Half way it
 * closes the storage and opens it again.
 *
 * @module
 */

import { openSync, writeSync } from "node:fs";
import process from "node:process";
import { StorageError } from "../../src/storage/mod.ts";
import { SqliteNodeStorage } from "../../src/storage/sqlite/mod.ts";
import { LIMITS, runStep } from "./workload.ts";

const [directory, writer, count] = process.argv.slice(2);
const steps = Number(count);
const acks = openSync(`${directory}.acks`, "w");

function say(line: string): void {
  writeSync(acks, line + "\n");
  writeSync(1, line + "\n");
}

function open(): Promise<SqliteNodeStorage> {
  return SqliteNodeStorage.open({ directory, ...LIMITS, writer: writer as "direct" | "worker" });
}

try {
  let node = await open();
  for (let step = 0; step < steps; step++) {
    await runStep(node, step);
    say(String(step + 1));
    if (step !== Math.floor(steps / 2)) continue;
    await node.close();
    node = await open();
  }
  await node.close();
  say("done");
} catch (error) {
  if (!(error instanceof StorageError)) throw error;
  say(`failed ${error.code}`);
}
process.exit(0);
