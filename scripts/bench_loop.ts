/**
 * Measures how long the event loop is held up while a node writes, on every runtime that is installed:
 *
 *     deno task bench:loop [seconds]
 *
 * First a single node with SQLite and the key-value store takes 1,000 proposals a second, and a timer
 * of 1 ms measures how late it is called; before that the timer must see a block of 50 ms that is
 * injected. Then, with a disk slowed to 20 ms a sync by `strace`, three nodes replicate over memory
 * and the gaps between the heartbeats that the leader sends are measured, for either writer; its store
 * is checkpointed meanwhile. Between the two it measures the longest thing that a loop waits for: the
 * checkpoint of a store's write-ahead log that has grown while a snapshot was read. Ends with 1 where the
 * loop is late, or with the default writer the heartbeats are, or leadership is lost.
 *
 * @module
 */

import { spawnSync } from "node:child_process";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { runProcess, straceMissing } from "./sweeps/sweep.ts";

const SCRIPT = fileURLToPath(new URL("./bench_loop_process.ts", import.meta.url));
const RUNTIMES = [["deno", "run", "-A", "--no-check"], ["node"], ["bun"]];
const SLOW_SYNC_MICROSECONDS = 20_000;
const LOG_MIB = "256";

const seconds = process.argv[2] ?? "10";

async function run(name: string, command: readonly string[]): Promise<void> {
  const { code, lines, errors } = await runProcess(command, {}, 120_000 + 1000 * Number(seconds));
  for (const line of lines) console.log(`${name.padEnd(6)} ${line}`);
  if (code === 0) return;
  console.error(`${name}: ended with ${code}: ${errors}`);
  process.exitCode = 1;
}

const missing = straceMissing();
for (const runtime of RUNTIMES) {
  const [name] = runtime;
  if (spawnSync(name, ["--version"]).status !== 0) {
    console.log(`${name.padEnd(6)} not installed`);
    continue;
  }
  await run(name, [...runtime, SCRIPT, "loop", seconds]);
  await run(name, [...runtime, SCRIPT, "checkpoint", LOG_MIB]);
  if (missing !== false) {
    console.log(`${name.padEnd(6)} slow disk: skipped, ${missing}`);
    continue;
  }
  const calls = "fsync,fdatasync";
  const strace = ["strace", "-f", "--seccomp-bpf", "-o", "/dev/null", "-e", `trace=${calls}`];
  const slow = [...strace, "-e", `inject=${calls}:delay_enter=${SLOW_SYNC_MICROSECONDS}`];
  for (const writer of ["auto", "direct"]) {
    await run(name, [...slow, ...runtime, SCRIPT, "heartbeats", seconds, writer]);
  }
}
