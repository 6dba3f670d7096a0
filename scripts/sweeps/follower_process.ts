/**
 * The scripted life of a follower as a process:
 * `follower_process.ts <directory> <auto | direct | worker> <snapshots>`. It prints (and writes to
 * `<directory>.acks`, for those who trace it) the number of each step once it is acknowledged, then
 * `done`; or, when the follower stops, `failed <codes> <opening | running> <times it was logged>`.
 *
 * @module
 */

import { openSync, writeSync } from "node:fs";
import process from "node:process";
import { RaftError } from "../../src/raft/mod.ts";
import { Follower, type FollowerOptions } from "./follower.ts";
import { SCRIPT } from "./follower_script.ts";

const [directory, writer, snapshots] = process.argv.slice(2);
const acks = openSync(`${directory}.acks`, "w");

/** What was logged of a failure: that the node stops, or that a snapshot was given up. */
const failures: string[] = [];
const options: FollowerOptions = {
  directory,
  writer: writer as FollowerOptions["writer"],
  snapshots,
  log: (text) => /stops: |given up/.test(text) && failures.push(text),
};

function say(line: string): void {
  writeSync(acks, line + "\n");
  writeSync(1, line + "\n");
}

let phase = "opening";

async function run(): Promise<void> {
  let follower = await Follower.open(options);
  let [commit, term] = [1, 1];
  for (const [number, step] of SCRIPT.entries()) {
    phase = "running";
    if (step.kind === "restart") {
      await follower.stop();
      phase = "opening";
      follower = await Follower.open(options);
    } else {
      await follower.acknowledge(step);
      term = step.term;
      commit = step.kind === "append" ? step.commit : step.index;
    }
    say(String(number + 1));
    if (step.kind !== "restart") await follower.settle(commit, term);
  }
  await follower.stop();
}

/** The codes of an error and of what caused it. */
function codesOf(error: RaftError): string {
  const { cause } = error;
  return cause instanceof RaftError ? `${error.code}/${codesOf(cause)}` : error.code;
}

try {
  await run();
  say("done");
} catch (error) {
  if (!(error instanceof RaftError)) throw error;
  const stops = failures.filter((text) => text.includes("stops: ")).length;
  const said = error.code === "SNAPSHOT_SPOOL" && stops === 0 ? failures.length : stops;
  say(`failed ${codesOf(error)} ${phase} ${said}`);
}
process.exit(0);
