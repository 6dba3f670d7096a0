/**
 * Fault sweep: scripted runs are repeated, and each time `strace` has another call on their files
 * fail: the n-th sync, write, open, truncation, removal or renaming, with an I/O error or a full disk.
 * One script writes to the log alone, with either writer; two go on from a log and from a store that a
 * killed process left (`restart.ts`, `store_restart.ts`); the other is a follower that applies to its
 * key-value store, and receives and installs snapshots, see `follower_script.ts`. Each run must end as if
 * nothing had been, or stop with a typed error; and what is on the disk afterwards is exactly one of the
 * states of the run, with everything acknowledged in it, from where a follower goes on.
 *
 *     deno task fault:sweep                            every call
 *     deno task fault:sweep --count 20                 20 calls, of every kind alike
 *     deno task fault:sweep --only openat              every call of a kind
 *     node scripts/sweeps/fault_sweep.ts --jobs 2      on Node, two runs at a time
 *
 * @module
 */

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { SqliteNodeStorage, verifyStorage } from "../../src/storage/sqlite/mod.ts";
import { type FaultSweepOptions, runOneFault, type Scenario, sweepFaults } from "./faults.ts";
import { writeSnapshots } from "./follower.ts";
import { examine } from "./follower_examination.ts";
import { SCRIPT, SNAPSHOTS } from "./follower_script.ts";
import { leaveLog, restartStepOf } from "./restart.ts";
import { hasLog, leaveStore, storeAnswers, storeStepOf } from "./store_restart.ts";
import {
  commandOf,
  type ProcessResult,
  runAsTask,
  straceMissing,
  type SweepReport,
  withDirectory,
} from "./sweep.ts";
import { expectedStates, LIMITS, stepOf } from "./workload.ts";

/** The thread repeats what the event loop does: each kind of step once is enough. */
const STEPS = { direct: 24, worker: 17 };

/** Attempts to receive one snapshot, each with a file of its own. */
const ARRIVALS = [1, 2, 3];

/**
 * Lets the calls of all scripts fail, one after the other.
 *
 * @throws when a run ends otherwise than with the truth.
 */
export function faultSweep(options: FaultSweepOptions): Promise<SweepReport> {
  return withDirectory(async (parent) => {
    const states = await expectedStates(STEPS.direct);
    const [small, large] = [join(parent, "small"), join(parent, "large")];
    mkdirSync(small);
    mkdirSync(large);
    await writeSnapshots(small, SNAPSHOTS, false);
    await writeSnapshots(large, SNAPSHOTS, true);
    const scenarios = [
      ...logScenarios(states),
      RESTARTED_LOG,
      restartedStore(parent),
      ...followerScenarios(small, large),
    ];
    return await sweepFaults(parent, scenarios, options);
  });
}

const LOG_FILES = ["", "/raft.db", "/raft.db-wal", "/raft.db-journal", "/lock.db"];

/** Faults that SQLite itself does not tell of, unless it is asked in the right way. */
export interface HiddenFaults {
  /** The sync of the journal with which the new log is turned to its write-ahead log. */
  readonly logCreation: string | undefined;
  /** The same of the new store. */
  readonly storeCreation: string | undefined;
  /** The opening of the lock's file, which SQLite then opens for reading only; and that of the log. */
  readonly lock: string | undefined;
  readonly log: string | undefined;
  /** The sync of the write-ahead log that a killed process left, before SQLite opens it. */
  readonly logRewriting: string | undefined;
  /** The sync of the store's write-ahead log at a checkpoint; closing the store must not try again. */
  readonly storeCheckpoint: string | undefined;
}

/** Lets each of them happen to the follower. @returns how it ends. */
export function hiddenFaults(): Promise<HiddenFaults> {
  return withDirectory(async (parent) => {
    await writeSnapshots(parent, SNAPSHOTS, false);
    const fault = (file: string, call: "fsync" | "openat", when: number) =>
      runOneFault(
        join(parent, "run"),
        {
          name: file,
          paths: (directory) => [join(directory, file)],
          command: (directory) => commandOf("follower_process.ts", [directory, "direct", parent]),
          check: () => Promise.resolve(""),
        },
        call,
        when,
      );
    const restarted = (scenario: Scenario, file: string, when: number) =>
      runOneFault(
        join(parent, "restart"),
        { ...scenario, paths: (directory) => [join(directory, file)] },
        "fsync",
        when,
      );
    return {
      logCreation: await fault("raft.db-journal", "fsync", 1),
      storeCreation: await fault("kv.db-journal", "fsync", 1),
      // When it is started again: the files are there.
      lock: await fault("lock.db", "openat", 2),
      log: await fault("raft.db", "openat", LOG_OPENINGS),
      logRewriting: await restarted(RESTARTED_LOG, "raft.db-wal", 1),
      storeCheckpoint: await restarted(
        restartedStore(parent),
        "kv.db-wal",
        SYNCS_BEFORE_FLUSH + 1,
      ),
    };
  });
}

/** The openings of the log up to that for writing, when the follower is started for the second time. */
const LOG_OPENINGS = 5;

/** The syncs of the store's write-ahead log before the first of a flush: it is rewritten, moved, begun. */
const SYNCS_BEFORE_FLUSH = 3;

/** The script that writes to the log alone. */
function logScenarios(states: readonly string[]): Scenario[] {
  return (["direct", "worker"] as const).map((writer) => ({
    name: `log, ${writer}`,
    paths: (directory) => LOG_FILES.map((name) => directory + name),
    command: (directory) =>
      commandOf("workload_process.ts", [directory, writer, String(STEPS[writer])]),
    // The database is created in the event loop, whose calls would hide those of the thread.
    prepare: async (directory) => {
      if (writer === "direct") return;
      await (await SqliteNodeStorage.open({ directory, ...LIMITS, writer: "direct" })).close();
    },
    check: (directory, result) => checkLog(directory, result, (image) => stepOf(image, states)),
  }));
}

const RESTART_STEPS = 4;

/** The script that goes on from a log that a killed process left. */
const RESTARTED_LOG: Scenario = {
  name: "restarted log",
  paths: (directory) => LOG_FILES.map((name) => directory + name),
  command: (directory) =>
    commandOf("restart_process.ts", ["log", directory, String(RESTART_STEPS)]),
  prepare: async (directory) => void await leaveLog(directory),
  check: (directory, result) => checkLog(directory, result, restartStepOf),
};

/** The same for a store. */
function restartedStore(parent: string): Scenario {
  const answers = storeAnswers(join(parent, "model"), RESTART_STEPS);
  return {
    name: "restarted store",
    paths: (directory) => ["/kv.db", "/kv.db-wal"].map((name) => directory + name),
    command: (directory) =>
      commandOf("restart_process.ts", ["store", directory, String(RESTART_STEPS)]),
    prepare: (directory) => void leaveStore(directory),
    check: (directory, result) => {
      const { end, acknowledged } = typedEnd(result, /^(done|failed KV_\w+ (opening|running))$/);
      if (end !== "done" && !hasLog(directory)) throw new Error("its write-ahead log is gone");
      expectStep(storeStepOf(directory, answers), acknowledged);
      return end;
    },
  };
}

async function checkLog(
  directory: string,
  result: ProcessResult,
  stepIn: (directory: string) => Promise<number>,
): Promise<string> {
  const { end, acknowledged } = typedEnd(result, /^(done|failed STORAGE_\w+( opening| running)?)$/);
  if (acknowledged > 0) {
    const { sound, problems } = verifyStorage({ directory });
    if (!sound) throw new Error(problems.join("\n"));
  }
  expectStep(await stepIn(directory), acknowledged);
  return end;
}

function typedEnd(
  { code, lines }: ProcessResult,
  ends: RegExp,
): { end: string; acknowledged: number } {
  const end = lines.at(-1) ?? "";
  if (code !== 0 || !ends.test(end)) throw new Error("no typed end");
  return { end, acknowledged: acknowledgedBy(lines) };
}

function expectStep(step: number, acknowledged: number): void {
  if (step >= acknowledged && step <= acknowledged + 1) return;
  throw new Error(`step ${acknowledged} acknowledged, ${step} shown`);
}

/** A follower, by the files that one of its parts writes. */
function followerScenarios(small: string, large: string): Scenario[] {
  const folder = "/snapshots";
  const arrivals = SNAPSHOTS.flatMap((index) =>
    ARRIVALS.flatMap((serial) =>
      ["arriving", "snapshot"].map((end) => `${folder}/region-1-${index}-${serial}.${end}`)
    )
  );
  const restoring = ["", "-journal", "-wal"].map((suffix) => `/kv.db-restoring${suffix}`);
  const of = (
    name: string,
    files: readonly string[],
    { writer = "direct", snapshots = small }: { writer?: string; snapshots?: string } = {},
  ): Scenario => ({
    name: `follower's ${name}`,
    paths: (directory) => files.map((file) => directory + file),
    command: (directory) => commandOf("follower_process.ts", [directory, writer, snapshots]),
    check: (directory, result) => checkFollower(directory, result, snapshots, snapshots === large),
  });
  return [
    of("log", LOG_FILES),
    of("scratch file", ["/sync-time.tmp"], { writer: "auto" }),
    of("store", ["/kv.db", "/kv.db-wal", "/kv.db-journal"]),
    of("spool", arrivals),
    of("folder of the spool", [folder]),
    of("new store", restoring),
    // Only what is large is synced before its end.
    { ...of("spool of a large state", arrivals, { snapshots: large }), calls: SYNCS },
    { ...of("new store of a large state", restoring, { snapshots: large }), calls: SYNCS },
  ];
}

const SYNCS = ["fsync", "fdatasync"] as const;

async function checkFollower(
  directory: string,
  { code, lines }: ProcessResult,
  snapshots: string,
  large: boolean,
): Promise<string> {
  const end = lines.at(-1) ?? "";
  const [, codes, phase, times] = /^failed ([A-Z_/]+) (opening|running) (\d+)$/.exec(end) ?? [];
  if (code !== 0 || (end !== "done" && codes === undefined)) throw new Error("no typed end");
  const acknowledged = acknowledgedBy(lines);
  if (end === "done" && acknowledged !== SCRIPT.length) throw new Error("it did not do all");
  // Whoever opens a node is told by the rejection; each attempt at a snapshot is logged.
  const expected = phase === "opening" ? 0 : codes === "SNAPSHOT_SPOOL" ? ARRIVALS.length : 1;
  if (codes !== undefined && Number(times) !== expected) {
    throw new Error(`the failure was logged ${times} times instead of ${expected}`);
  }
  await examine({ directory, snapshots, acknowledged, large });
  return codes === undefined ? "done" : `failed ${codes} while ${phase}`;
}

function acknowledgedBy(lines: readonly string[]): number {
  return lines.filter((line) => /^\d+$/.test(line)).length;
}

if (import.meta.main) {
  const missing = straceMissing();
  const run = (count: number, seed: number, jobs: number, only: string) =>
    faultSweep({ count, seed, jobs, only });
  if (missing === false) await runAsTask("fault sweep", Infinity, run);
  else console.log(`fault sweep: skipped, ${missing}`);
}
