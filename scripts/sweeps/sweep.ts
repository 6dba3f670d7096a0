/**
 * What the sweeps share: numbers from a seed, temporary directories, processes on the runtime at hand,
 * `strace`, and how a sweep is run as a task.
 *
 * @module
 */

import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { integer, readCommandLine } from "../command_line.ts";

/** How often something happened, by what it was. */
export type SweepReport = Record<string, number>;

/** Numbers that follow from a seed (a linear congruential generator). */
export class Numbers {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** An integer from 0 to before `bound`. */
  below(bound: number): number {
    this.#state = (Math.imul(this.#state, 1664525) + 1013904223) >>> 0;
    return Math.floor(this.#state / 2 ** 32 * bound);
  }

  /** True once in `times`. */
  once(times: number): boolean {
    return this.below(times) === 0;
  }
}

/** Runs `work` with a new directory, which is removed afterwards. */
export async function withDirectory<T>(work: (directory: string) => Promise<T>): Promise<T> {
  const directory = mkdtempSync(join(tmpdir(), "flaredb-sweep-"));
  try {
    return await work(directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** The command line that runs a script of this directory on the runtime at hand. */
export function commandOf(script: string, args: readonly string[]): string[] {
  const path = fileURLToPath(new URL(script, import.meta.url));
  const runtime = process.versions.deno === undefined ? [] : ["run", "-A", "--no-check"];
  return [process.execPath, ...runtime, path, ...args];
}

/** How a process ended. */
export interface ProcessResult {
  readonly code: number | null;
  readonly signal: string | null;
  readonly lines: readonly string[];
  readonly errors: string;
}

/** Runs a process to its end, with more in its environment; kills it after `deadlineMs`. */
export function runProcess(
  command: readonly string[],
  environment: Readonly<Record<string, string>> = {},
  deadlineMs = 120_000,
): Promise<ProcessResult> {
  const [file, ...args] = command;
  const child = spawn(file, args, {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, NODE_NO_WARNINGS: "1", ...environment },
  });
  let [output, errors] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text: string) => output += text);
  child.stderr.setEncoding("utf8").on("data", (text: string) => errors += text);
  const timer = setTimeout(() => child.kill("SIGKILL"), deadlineMs);
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => {
      clearTimeout(timer);
      resolve({ code, signal, lines: output.split("\n").filter((line) => line !== ""), errors });
    });
  });
}

/** Why `strace` cannot trace here, or false when it can. */
export function straceMissing(): string | false {
  const { status, error } = spawnSync("strace", ["-f", "-o", "/dev/null", "true"]);
  if (error !== undefined) return "strace is not installed";
  return status === 0 ? false : "strace is not allowed to trace here";
}

const OPTIONS = {
  options: {
    count: { type: "string" },
    seed: { type: "string" },
    jobs: { type: "string", default: "1" },
    only: { type: "string", default: "" },
  },
} as const;

/**
 * Runs `sweep` as a task: `--count N` and `--seed N`, and where it can do several things at a time, or a
 * part, `--jobs N` and `--only TEXT`; prints its report, ends with 1 when it fails.
 */
export async function runAsTask(
  name: string,
  defaultCount: number,
  sweep: (count: number, seed: number, jobs: number, only: string) => Promise<SweepReport>,
): Promise<void> {
  const usage = `deno task ${name.replace(" ", ":")} [options]

  --count N    how much is tried (default: ${defaultCount === Infinity ? "all" : defaultCount})
  --seed N     decides what happens when (default: a new one)
  --jobs N     how much at a time, where that can be (default 1)
  --only TEXT  a part, where there are parts (default: all)
`;
  const { count, seed, jobs, only } = readCommandLine(usage, OPTIONS, ({ values }) => ({
    count: values.count === undefined ? defaultCount : integer("count", values.count, 1),
    seed: integer("seed", values.seed ?? `${Date.now() % 1_000_000}`, 0),
    jobs: integer("jobs", values.jobs, 1, 256),
    only: values.only,
  }));
  console.log(`${name}: count ${count}, seed ${seed}, ${process.execPath}`);
  const start = performance.now();
  try {
    const report = await sweep(count, seed, jobs, only);
    for (const [what, times] of Object.entries(report)) {
      console.log(`  ${String(times).padStart(6)}  ${what}`);
    }
    console.log(`${name}: passed in ${((performance.now() - start) / 1000).toFixed(1)} s`);
  } catch (error) {
    console.error(`${name}: FAILED with seed ${seed}`, error);
    process.exitCode = 1;
  }
}

/** Counts one more of `what`. */
export function count(report: SweepReport, what: string): void {
  report[what] = (report[what] ?? 0) + 1;
}
