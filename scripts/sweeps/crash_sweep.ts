/**
 * Crash sweep: a node with a key-value store writes under load and is killed with SIGKILL at a random
 * moment, again and again on the same data, with either writer. After each kill the data verifies, the
 * hard state has not gone back and no vote has changed; after each restart everything acknowledged is
 * there, and every entry was applied exactly once (each put has a key of its own, so its version is 1
 * and the revision counts the keys). That says little unless starts find a store that has applied a part
 * of the log, and a log that was compacted: the sweep counts them, and fails where they are too few.
 *
 *     deno task crash:sweep --count 500
 *
 * @module
 */

import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import type { HardState } from "../../src/raft/mod.ts";
import { readUntouched, type RegionReport, verifyStorage } from "../../src/storage/sqlite/mod.ts";
import {
  commandOf,
  count as tally,
  Numbers,
  runAsTask,
  type SweepReport,
  withDirectory,
} from "./sweep.ts";

/** The longest that a node writes before it is killed, in milliseconds. */
const WRITING_MS_MAX = 150;

/** How long a node may take to start before the sweep gives up, in milliseconds: machines are busy. */
const DEADLINE_MS = 180_000;

/** The share of the starts that must have found each of {@linkcode FOUND}, where there are some. */
const FOUND_PART = 0.2;

/** From how many kills on. */
const FOUND_KILLS = 25;

/** What starts find, without which the sweep would show nothing. */
const FOUND = {
  applied: "starts that found a store with puts in it",
  behind: "starts that applied more puts to such a store",
  compacted: "starts that found a compacted log",
} as const;

/** The first index of a log that was never compacted: a new replica begins at index 1. */
const FIRST_INDEX = 2;

/** The log's database keeps as many free bytes, and gives back what exceeds them. */
const FREE_BYTES_KEPT = 4 * 1024 * 1024;

interface StoreState {
  /** What was there before anything of the log was applied. */
  readonly found: { readonly revision: number; readonly firstIndex: number };
  readonly keys: readonly string[];
  readonly revision: number;
  /** The highest version of a key. */
  readonly version: number;
}

/** Kills a node `kills` times. @throws when it lost, doubled or took back anything. */
export function crashSweep(kills: number, seed: number): Promise<SweepReport> {
  return withDirectory(async (directory) => {
    const numbers = new Numbers(seed);
    const acknowledged = new Set<string>();
    const report: SweepReport = {};
    let before: Findings | undefined;
    for (let run = 0; run <= kills; run++) {
      const writer = numbers.once(2) ? "direct" : "worker";
      const node = new CrashingNode(directory, writer, run === kills ? "check" : String(run));
      const early = run < kills && run > 0 && numbers.once(8);
      if (early) await node.wait(numbers.below(WRITING_MS_MAX));
      else await node.started();
      if (!early && run < kills) await node.wait(numbers.below(WRITING_MS_MAX));
      await (run < kills ? node.kill() : node.ended());
      if (node.state !== undefined) checkState(node.state, acknowledged, report);
      for (const key of node.acknowledged) acknowledged.add(key);
      tally(report, run === kills ? "last checks" : `kills, writer ${writer}`);
      if (early) tally(report, "kills while it started");
      const after = checkData(directory, before);
      if (run < kills) tallyData(after, before, report);
      before = after ?? before;
    }
    report["puts acknowledged"] = acknowledged.size;
    report["term at the end"] = before?.region.hardState.currentTerm ?? 0;
    if (kills >= FOUND_KILLS) checkFound(kills, report);
    return report;
  });
}

/** Counts what a kill has interrupted. */
function tallyData(
  after: Findings | undefined,
  before: Findings | undefined,
  report: SweepReport,
): void {
  if (after === undefined || before === undefined) return;
  if (after.leftoverRows > 0) tally(report, "kills before the rows of a compaction were deleted");
  if (after.freeBytes > FREE_BYTES_KEPT) tally(report, "kills while space was to be given back");
  if (after.databaseBytes < before.databaseBytes) tally(report, "kills after some was");
}

/** @throws where too few starts found what the sweep is about. */
function checkFound(kills: number, report: SweepReport): void {
  for (const what of Object.values(FOUND)) {
    const times = report[what] ?? 0;
    if (times >= kills * FOUND_PART) continue;
    throw new Error(`${what}: ${times} of ${kills}, which are too few to show anything`);
  }
}

function checkState(
  { found: atStart, keys, revision, version }: StoreState,
  acknowledged: Set<string>,
  report: SweepReport,
): void {
  if (atStart.revision > 1) {
    tally(report, FOUND.applied);
    if (revision > atStart.revision) tally(report, FOUND.behind);
  }
  if (atStart.firstIndex > FIRST_INDEX) tally(report, FOUND.compacted);
  const found = new Set(keys);
  for (const key of acknowledged) {
    if (!found.has(key)) throw new Error(`put ${key} was acknowledged and is missing`);
  }
  if (version > 1 || revision !== keys.length + 1) {
    throw new Error(
      `an entry was applied twice, or not: ${keys.length} keys, revision ${revision}, ` +
        `highest version ${version}`,
    );
  }
}

/** What is on the disk after a kill. */
interface Findings {
  readonly region: RegionReport;
  /** Rows below the log, whose deletion follows. */
  readonly leftoverRows: number;
  readonly databaseBytes: number;
  readonly freeBytes: number;
}

/** Verifies what is on the disk, and that it follows what was there before. */
function checkData(directory: string, before: Findings | undefined): Findings | undefined {
  if (!existsSync(join(directory, "raft.db"))) return before;
  const report = verifyStorage({ directory, appliedIndex: () => appliedIndex(directory) });
  // A process that was killed while it made the database left one without tables.
  if (before === undefined && report.regions.length === 0) return undefined;
  if (!report.sound) throw new Error(report.problems.join("\n"));
  const [region] = report.regions;
  if (before !== undefined) checkHardState(region.hardState, before.region.hardState);
  const { databaseBytes, freeBytes = 0 } = report;
  return { region, leftoverRows: leftoverRows(directory), databaseBytes, freeBytes };
}

function checkHardState(now: HardState, old: HardState): void {
  const back = now.currentTerm < old.currentTerm || now.commitIndex < old.commitIndex;
  const changed = now.currentTerm === old.currentTerm && old.votedFor !== 0 &&
    now.votedFor !== old.votedFor;
  if (!back && !changed) return;
  throw new Error(`hard state ${JSON.stringify(now)} follows ${JSON.stringify(old)}`);
}

/** Rows of the one region that are no part of its log. */
function leftoverRows(directory: string): number {
  return readUntouched(join(directory, "raft.db"), (database) => {
    const rows = database.prepare(
      'SELECT count(*) FROM raft_log_by_region WHERE "index" <= (SELECT truncated_index FROM raft_state)',
    );
    return rows.first()?.[0] as number;
  });
}

function appliedIndex(directory: string): number | undefined {
  const path = join(directory, "kv.db");
  if (!existsSync(path)) return undefined;
  return readUntouched(path, (database) => {
    const tables = database.prepare("SELECT count(*) FROM sqlite_schema WHERE name = 'meta'");
    if (tables.first()?.[0] === 0) return undefined;
    return database.prepare("SELECT last_applied FROM meta").first()?.[0] as number | undefined;
  });
}

/** The process that is killed. */
class CrashingNode {
  /** What its store held when it started, once that is known. */
  state: StoreState | undefined = undefined;
  readonly acknowledged: string[] = [];
  readonly #process: ChildProcess;
  readonly #exited: Promise<void>;
  readonly #started: Promise<void>;
  #errors = "";

  constructor(directory: string, writer: string, run: string) {
    const [file, ...args] = commandOf("crash_process.ts", [directory, writer, run]);
    const child = spawn(file, args, {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, NODE_NO_WARNINGS: "1" },
    });
    this.#process = child;
    child.stderr.setEncoding("utf8").on("data", (text: string) => this.#errors += text);
    this.#exited = new Promise((resolve) => child.once("close", () => resolve()));
    let partial = "";
    this.#started = new Promise((resolve, reject) => {
      child.stdout.setEncoding("utf8").on("data", (text: string) => {
        const lines = (partial + text).split("\n");
        partial = lines.pop() ?? "";
        for (const line of lines) this.#take(line);
        if (this.state !== undefined) resolve();
      });
      const fail = () => {
        child.kill("SIGKILL");
        reject(new Error(`the node did not start: ${this.#errors}`));
      };
      const timer = setTimeout(fail, DEADLINE_MS);
      this.#exited.then(() => {
        clearTimeout(timer);
        fail();
      });
    });
    this.#started.catch(() => {});
  }

  /** Resolves once it has printed its state. */
  started(): Promise<void> {
    return this.#started;
  }

  /** Resolves after some time. */
  wait(timeMs: number): Promise<void> {
    return new Promise((resolve) => setTimeout(resolve, timeMs));
  }

  /** Kills it, and waits until it is gone and all it printed is read. */
  async kill(): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.#exited;
  }

  /** Waits until it ends by itself. */
  ended(): Promise<void> {
    return this.#exited;
  }

  #take(line: string): void {
    if (line.startsWith("state ")) this.state = JSON.parse(line.slice("state ".length));
    else if (line.startsWith("ack ")) this.acknowledged.push(line.slice("ack ".length));
  }
}

if (import.meta.main) await runAsTask("crash sweep", 500, crashSweep);
