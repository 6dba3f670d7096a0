/**
 * A node's log or its key-value store that goes on after a crash, as a process:
 * `restart_process.ts <log|store> <directory> <steps>`. It opens it, appends an entry or applies a
 * command a step, and prints (and writes to `<directory>.acks`, for those who trace it) the number of
 * each step once it is durable, then `done`; or `failed <code> <opening|running>` when a typed error
 * ends it. Where nothing fails it ends without closing what it opened.
 *
 * @module
 */

import { openSync, writeSync } from "node:fs";
import process from "node:process";
import { RaftError } from "../../src/raft/mod.ts";
import { continueLog } from "./restart.ts";
import { continueStore } from "./store_restart.ts";

const [what, directory, steps] = process.argv.slice(2);
const acks = openSync(`${directory}.acks`, "w");

let phase = "opening";

function say(line: string | number): void {
  phase = "running";
  writeSync(acks, `${line}\n`);
  writeSync(1, `${line}\n`);
}

try {
  await (what === "log" ? continueLog : continueStore)(directory, Number(steps), say);
  say("done");
} catch (error) {
  if (!(error instanceof RaftError)) throw error;
  say(`failed ${error.code} ${phase}`);
}
process.exit(0);
