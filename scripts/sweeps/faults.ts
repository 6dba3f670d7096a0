/**
 * Faults under a process that runs a script: each call it makes on some of its files is made to fail
 * in a run of its own, through `strace`, with an I/O error or a full disk. A scenario says which files,
 * and what must hold afterwards.
 *
 * `strace` counts calls by thread. A scenario's files should be written by one thread, then each of
 * its calls fails in turn; where two threads make as many, one run lets the n-th call of either fail,
 * and the process may have stopped before the second. The report says how many did fail.
 *
 * @module
 */

import { readFileSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import {
  count as tally,
  Numbers,
  type ProcessResult,
  runProcess,
  type SweepReport,
} from "./sweep.ts";

/** Syncs, writes, openings, truncations, and changes of names, as the runtimes make them. */
export const FAILING_CALLS = [
  "fsync",
  "fdatasync",
  "pwrite64",
  "write",
  "openat",
  "ftruncate",
  "unlink",
  "unlinkat",
  "rename",
  "renameat",
  "mkdir",
] as const;

type Call = (typeof FAILING_CALLS)[number];

const ERRORS = ["EIO", "ENOSPC"] as const;

/** A script and some of its files. */
export interface Scenario {
  readonly name: string;
  /** The files whose calls fail, in the directory of the run. */
  paths(directory: string): string[];
  /** The calls that fail. Default: all of {@linkcode FAILING_CALLS}. */
  readonly calls?: readonly Call[];
  /** The command line that runs the script in a directory. */
  command(directory: string): string[];
  /** Makes what the script finds. */
  prepare?(directory: string): void | Promise<void>;
  /** What became of a run. @throws unless it ended in a correct state, or stopped as it should. */
  check(directory: string, result: ProcessResult): string | Promise<string>;
}

/** A call that is made to fail. */
interface Fault {
  readonly scenario: Scenario;
  readonly call: Call;
  /** Which of these calls of a thread, from 1. */
  readonly when: number;
  readonly error: (typeof ERRORS)[number];
  /** Whether all later ones fail as well: a full disk stays full for those who write. */
  readonly lasts: boolean;
}

/** How a sweep over faults is run. */
export interface FaultSweepOptions {
  /** How many faults, of every kind alike; `Infinity` for all. */
  readonly count: number;
  /** Chooses them. */
  readonly seed: number;
  /** Runs at a time. Default 1. */
  readonly jobs?: number;
  /** Only kinds whose name, as in the report (`follower's spool, rename`), contains this. Default: all. */
  readonly only?: string;
}

/**
 * Runs a scenario with one call failing, the one of its kind that `when` says, from 1, and returns how
 * it ended.
 *
 * @throws when the process did not come to the call, or ended otherwise than with the truth.
 */
export async function runOneFault(
  directory: string,
  scenario: Scenario,
  call: Call,
  when: number,
): Promise<string | undefined> {
  await scenario.prepare?.(directory);
  const inject = `inject=${call}:error=EIO:when=${when}`;
  const result = await trace(directory, scenario, [call], ["-e", inject]);
  const failed = linesOf(directory).some((line) => line.includes("(INJECTED)"));
  if (!failed) throw new Error(`it makes no such call of ${call}: ${result.errors}`);
  await scenario.check(directory, result);
  remove(directory);
  return result.lines.at(-1);
}

/** Lets calls of the scenarios fail. @throws when a run ends otherwise than with the truth. */
export async function sweepFaults(
  parent: string,
  scenarios: readonly Scenario[],
  { count, seed, jobs = 1, only = "" }: FaultSweepOptions,
): Promise<SweepReport> {
  const report: SweepReport = {};
  const kinds: Fault[][] = [];
  for (const scenario of scenarios) {
    const counts = await countCalls(join(parent, "count"), scenario);
    for (const [call, threads] of counts) {
      if (!`${scenario.name}, ${call}`.includes(only)) continue;
      kinds.push(faultsOf(scenario, call, Math.max(...threads.values())));
      const calls = [...threads.values()].reduce((sum, times) => sum + times, 0);
      add(report, "calls of the scripts", calls);
    }
  }
  const faults = chosen(kinds, count, new Numbers(seed));
  const run = async (job: number): Promise<void> => {
    for (let fault = faults.shift(); fault !== undefined; fault = faults.shift()) {
      await runFault(join(parent, `run-${job}`), fault, report);
    }
  };
  await Promise.all(Array.from({ length: jobs }, (_, job) => run(job)));
  return report;
}

function faultsOf(scenario: Scenario, call: Call, times: number): Fault[] {
  const writes = call === "pwrite64" || call === "write";
  return ERRORS.flatMap((error) =>
    Array.from({ length: times }, (_, i) => {
      return { scenario, call, when: i + 1, error, lasts: writes && error === "ENOSPC" };
    })
  );
}

function chosen(kinds: readonly Fault[][], count: number, numbers: Numbers): Fault[] {
  const all = kinds.flat();
  if (count >= all.length) return all;
  return Array.from({ length: count }, (_, i) => {
    const kind = kinds[Math.floor(i * kinds.length / count)];
    return kind[numbers.below(kind.length)];
  });
}

async function runFault(directory: string, fault: Fault, report: SweepReport): Promise<void> {
  const { scenario, call, when, error, lasts } = fault;
  const where = `${scenario.name}: ${call} ${when}${lasts ? " and later" : ""} with ${error}`;
  await scenario.prepare?.(directory);
  const inject = `inject=${call}:error=${error}:when=${when}${lasts ? "+" : ""}`;
  const result = await trace(directory, scenario, [call], ["-e", inject]);
  const failed = linesOf(directory).filter((line) => line.includes("(INJECTED)")).length;
  const text = result.lines.at(-1) ?? `nothing, ${result.code}, ${result.signal}`;
  let outcome: string;
  try {
    outcome = await scenario.check(directory, result);
  } catch (cause) {
    throw new Error(`${where}, which said ${text}: ${cause}\n${result.errors}`, { cause });
  }
  if (failed === 0) tally(report, "runs that did not come to the call");
  else tally(report, "runs in which a call failed");
  if (!lasts && error === "EIO") add(report, "calls that failed with EIO", failed);
  if (failed > 0) tally(report, `${scenario.name}, ${call}: ${outcome}`);
  remove(directory);
}

/** How often each thread makes each call. */
async function countCalls(
  directory: string,
  scenario: Scenario,
): Promise<Map<Call, Map<string, number>>> {
  await scenario.prepare?.(directory);
  const calls = scenario.calls ?? FAILING_CALLS;
  const result = await trace(directory, scenario, calls, []);
  await scenario.check(directory, result);
  const counts = new Map<Call, Map<string, number>>();
  for (const line of linesOf(directory)) {
    const [, thread, call] = /^(\d+) +(\w+)\(/.exec(line) ?? [];
    if (!calls.includes(call as Call)) continue;
    const threads = counts.get(call as Call) ?? new Map<string, number>();
    counts.set(call as Call, threads.set(thread, (threads.get(thread) ?? 0) + 1));
  }
  remove(directory);
  return counts;
}

/** Runs the script under `strace`, which sees calls on the scenario's files only. */
function trace(
  directory: string,
  scenario: Scenario,
  calls: readonly Call[],
  options: readonly string[],
): Promise<ProcessResult> {
  const command = [
    "strace",
    ...["-f", "--seccomp-bpf", "-o", `${directory}.trace`, "-e", `trace=${calls}`, ...options],
    ...scenario.paths(directory).flatMap((path) => ["-P", path]),
    ...scenario.command(directory),
  ];
  // One thread for the files that are written outside of the event loop, so that calls have an order.
  // Starting takes most of a run's time: Node keeps what it has compiled.
  const cache = join(dirname(directory), "compiled");
  return runProcess(command, { UV_THREADPOOL_SIZE: "1", NODE_COMPILE_CACHE: cache });
}

function add(report: SweepReport, what: string, times: number): void {
  report[what] = (report[what] ?? 0) + times;
}

function linesOf(directory: string): string[] {
  return readFileSync(`${directory}.trace`, "latin1").split("\n");
}

function remove(directory: string): void {
  for (const suffix of ["", ".trace", ".acks"]) {
    rmSync(directory + suffix, { recursive: true, force: true });
  }
}
