/**
 * A node's log that goes on after a crash, as a process: `restart_process.ts <directory> <steps>`. It
 * opens the log, appends an entry a step, and prints (and writes to `<directory>.acks`, for those who
 * trace it) the number of each step once it is acknowledged, then `done`; or `failed <code>` when the
 * storage stops with a typed error. It ends without closing the log.
 *
 * @module
 */

import { openSync, writeSync } from "node:fs";
import process from "node:process";
import { StorageError } from "../../src/storage/mod.ts";
import { appendStep, openLog } from "./restart.ts";

const [directory, steps] = process.argv.slice(2);
const acks = openSync(`${directory}.acks`, "w");

function say(line: string): void {
  writeSync(acks, line + "\n");
  writeSync(1, line + "\n");
}

try {
  const node = await openLog(directory);
  for (let step = 1; step <= Number(steps); step++) {
    await appendStep(node);
    say(String(step));
  }
  say("done");
} catch (error) {
  if (!(error instanceof StorageError)) throw error;
  say(`failed ${error.code}`);
}
process.exit(0);
