/**
 * A sweep over seeds by several worker processes.
 *
 * @module
 */

import { spawn } from "node:child_process";
import { availableParallelism } from "node:os";
import process from "node:process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { SimArguments } from "./arguments.ts";
import { addSummary, emptySummary, type Summary } from "./seeds.ts";

/** Seeds a worker runs before it reports. */
const SEEDS_PER_RANGE = 50;
const WORKER = fileURLToPath(new URL("./worker.ts", import.meta.url));

/** Told now and then how far a sweep is. */
export type Progress = (summary: Summary, seconds: number) => void;

/** Runs a sweep to its end, or until enough seeds have failed, or `signal` is aborted. */
export async function sweep(
  args: SimArguments,
  progress: Progress,
  signal: AbortSignal,
): Promise<Summary> {
  const sum = emptySummary();
  const started = performance.now();
  const end = args.from + args.seeds;
  let next = args.from;
  const nextRange = (): { from: number; to: number } | undefined => {
    if (next >= end || sum.failed.length >= args.stopAfter || signal.aborted) return undefined;
    const from = next;
    next = Math.min(end, from + SEEDS_PER_RANGE);
    return { from, to: next };
  };
  const report = (part: Summary): void => {
    addSummary(sum, part);
    progress(sum, (performance.now() - started) / 1000);
  };
  const jobs = Math.max(1, args.jobs ?? availableParallelism());
  await Promise.all(Array.from({ length: jobs }, () => work(args, nextRange, report)));
  return sum;
}

async function work(
  args: SimArguments,
  nextRange: () => { from: number; to: number } | undefined,
  report: (part: Summary) => void,
): Promise<void> {
  const isDeno = "deno" in process.versions;
  const child = spawn(process.execPath, [...(isDeno ? ["run", "-A"] : []), WORKER], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const ended = new Promise<number | null>((resolve) => child.on("close", resolve));
  const send = (): void => {
    const range = nextRange();
    if (range === undefined) child.stdin.end();
    else child.stdin.write(`${JSON.stringify({ ...range, options: args.options })}\n`);
  };
  send();
  for await (const line of createInterface({ input: child.stdout })) {
    report(JSON.parse(line) as Summary);
    send();
  }
  const code = await ended;
  if (code !== 0) throw new Error(`a worker of the sweep ended with exit code ${code}`);
}
