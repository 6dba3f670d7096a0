/**
 * Fault sweep: the scripted run is repeated, and each time `strace` has another call on its files
 * fail: the n-th sync, write, open, truncation, removal or renaming, with an I/O error or a full disk.
 * Each run must end as if nothing had been, or stop with a typed error; and what is on the disk
 * afterwards is exactly one of the states of the run, with everything acknowledged in it.
 *
 *     deno task fault:sweep              every call
 *     deno task fault:sweep --count 20   20 calls, spread over the run
 *
 * @module
 */

import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { StorageError } from "../../src/storage/mod.ts";
import { SqliteNodeStorage, verifyStorage } from "../../src/storage/sqlite/mod.ts";
import {
  commandOf,
  count as tally,
  runAsTask,
  runProcess,
  straceMissing,
  type SweepReport,
  withDirectory,
} from "./sweep.ts";
import { expectedStates, LIMITS, runStep, stepOf } from "./workload.ts";

const STEPS = 24;

/** Pages of a database with tables and nothing in them, about. */
const PAGES_MIN = 7;

const CALLS = [
  "fsync",
  "fdatasync",
  "pwrite64",
  "openat",
  "ftruncate",
  "unlink",
  "rename",
] as const;

const ERRORS = ["EIO", "ENOSPC"] as const;

/** A call that is made to fail. */
interface Fault {
  readonly call: string;
  /** Which of these calls, from 1. */
  readonly when: number;
  readonly error: (typeof ERRORS)[number];
  readonly writer: "direct" | "worker";
}

/**
 * Runs the script once a fault: `count` of all there are, evenly spread over calls, errors and writers.
 *
 * @throws when a run ends otherwise than with the truth.
 */
export function faultSweep(count: number): Promise<SweepReport> {
  return withDirectory(async (parent) => {
    const states = await expectedStates(STEPS);
    const report: SweepReport = {};
    const faults = chosen(await allFaults(parent), count);
    for (const fault of faults) {
      const { writer } = fault;
      const directory = join(parent, "run");
      const where = `${writer}, ${fault.call} ${fault.when} fails with ${fault.error}`;
      const inject = `inject=${fault.call}:error=${fault.error}:when=${fault.when}`;
      const { lines, code, errors } = await trace(parent, directory, writer, ["-e", inject]);
      const end = lines.at(-1) ?? "";
      if (code !== 0 || !/^(done|failed STORAGE_\w+)$/.test(end)) {
        throw new Error(`${where}: it ended with ${code}, ${end}: ${errors}`);
      }
      const acknowledged = lines.filter((line) => /^\d+$/.test(line)).length;
      const step = await check(directory, states, acknowledged).catch((cause) => {
        throw new Error(`${where}, ${end}: ${cause}`, { cause });
      });
      if (step < acknowledged || step > acknowledged + 1) {
        throw new Error(`${where}, ${end}: step ${acknowledged} acknowledged, ${step} shown`);
      }
      tally(report, `${fault.call}: ${end}`);
      rmSync(directory, { recursive: true, force: true });
    }
    return report;
  });
}

/**
 * Runs the script on disks of many sizes, without any tool: the database may grow to so many pages
 * only, from the fewest on which a storage can be created. `step` is the difference between sizes.
 *
 * @throws when a run on a full disk ends otherwise than with the truth.
 */
export function fullDiskSweep(step: number): Promise<SweepReport> {
  return withDirectory(async (parent) => {
    const states = await expectedStates(STEPS);
    const report: SweepReport = {};
    for (let pages = PAGES_MIN; report["done"] === undefined; pages += step) {
      const directory = join(parent, String(pages));
      const writer = pages % 2 === 0 ? "direct" : "worker";
      let acknowledged = 0;
      let end = "done";
      try {
        const databaseBytesMax = pages * 4096;
        const options = { directory, ...LIMITS, writer, databaseBytesMax } as const;
        const node = await SqliteNodeStorage.open(options);
        try {
          for (; acknowledged < STEPS; acknowledged++) await runStep(node, acknowledged);
        } finally {
          await node.close();
        }
      } catch (error) {
        end = (error as StorageError).code;
        if (end !== "STORAGE_FULL") throw error;
      }
      const found = await check(directory, states, acknowledged);
      if (found !== acknowledged) {
        throw new Error(`${pages} pages: step ${acknowledged} acknowledged, ${found} shown`);
      }
      tally(report, end);
    }
    return report;
  });
}

/** The step that is stored. Nothing is, when the storage could not even be created. */
async function check(directory: string, states: string[], acknowledged: number): Promise<number> {
  if (acknowledged > 0) {
    const { sound, problems } = verifyStorage({ directory });
    if (!sound) throw new Error(problems.join("\n"));
  }
  return await stepOf(directory, states);
}

/** Every call of the script on its files, with both errors. */
async function allFaults(parent: string): Promise<Fault[]> {
  const directory = join(parent, "count");
  const output = join(parent, "trace");
  await trace(parent, directory, "direct", ["-e", `trace=${CALLS}`]);
  const lines = readFileSync(output, "latin1").split("\n");
  const faults: Fault[] = [];
  for (const call of CALLS) {
    const times = lines.filter((line) => new RegExp(`^\\d+ +${call}\\(`).test(line)).length;
    for (let when = 1; when <= times; when++) {
      for (const [i, error] of ERRORS.entries()) {
        // Each error meets each writer.
        const writer = (when + i) % 2 === 0 ? "direct" : "worker";
        faults.push({ call, when, error, writer });
      }
    }
  }
  return faults;
}

function chosen(faults: readonly Fault[], count: number): Fault[] {
  if (count >= faults.length) return [...faults];
  return Array.from({ length: count }, (_, i) => faults[Math.floor(i * faults.length / count)]);
}

/** Runs the script under `strace`, which sees calls on its files only. */
function trace(parent: string, directory: string, writer: string, options: readonly string[]) {
  const paths = ["", "/raft.db", "/raft.db-wal", "/raft.db-journal", "/lock.db", "/sync-time.tmp"];
  return runProcess([
    "strace",
    ...["-f", "-o", join(parent, "trace"), ...options],
    ...paths.flatMap((path) => ["-P", directory + path]),
    ...commandOf("workload_process.ts", [directory, writer, String(STEPS)]),
  ]);
}

if (import.meta.main) {
  const missing = straceMissing();
  if (missing === false) await runAsTask("fault sweep", Infinity, faultSweep);
  else console.log(`fault sweep: skipped, ${missing}`);
}
