/**
 * A run: rounds of clients and faults, each followed by a rest in which everything is checked.
 *
 * @module
 */

import { appendFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { historyToJson } from "../../src/sim/mod.ts";
import { TortureCluster } from "./cluster.ts";
import { storageProblems, untilAllServe, untilEqual, type Wait } from "./convergence.ts";
import type { FaultKind } from "./faults.ts";
import { settleMembers } from "./membership.ts";
import type { KeyOperation } from "./model.ts";
import { Nemesis } from "./nemesis.ts";
import { Recorder } from "./recorder.ts";
import { Workload } from "./workload.ts";

const NODES = 3;
const DEADLINE_MS = 120_000;
const KEYS_MS = 10_000;

/** A run of so long in which something never happened that should have says little, and fails. */
const RARE_SECONDS = 600;

/** What to run. */
export interface TortureOptions {
  readonly seed: number;
  /** How long there are faults, over all rounds. */
  readonly seconds: number;
  /** How long a round has faults. */
  readonly roundSeconds: number;
  readonly clients: number;
  /** Keys in use at a time. */
  readonly keys: number;
  /** Where the folder of the run is made; default: the system's temporary files. */
  readonly folder?: string;
  /** Whether the folder is kept when nothing failed, too. */
  readonly keep?: boolean;
  /** Gets a line now and then. */
  readonly log?: (line: string) => void;
}

/** What came of it. */
export interface TortureReport {
  readonly seed: number;
  rounds: number;
  /** How long there were faults: a round lasts longer while a kind of them has not come, or heals. */
  faultMs: number;
  operations: number;
  /** Of these, how many the clients had an answer to while there were faults. */
  answered: number;
  unknown: number;
  failed: number;
  elections: number;
  /** Snapshots that new members began with. */
  snapshotsToNew: number;
  /** Snapshots that members needed that were too far behind. */
  snapshotsToLagging: number;
  /** Processes that were killed while they installed one, and went on with it. */
  snapshotsResumed: number;
  /** Members that came and are voters: each in the place of one whose disk was lost, or was removed. */
  membersChanged: number;
  readonly faults: Record<FaultKind, number>;
  /** The longest time in which no client had an answer. */
  longestSilenceMs: number;
  /** The longest time from the end of the faults until every member served. */
  longestRecoveryMs: number;
  /** Of the checks of all histories. */
  checkMs: number;
  checkSteps: number;
  appliedIndex: number;
}

/** A run has failed: its folder is kept. */
export class TortureFailure extends Error {
  /** Holds the data, the logs, the faults and the history. */
  readonly folder: string;

  /** @param again the arguments that repeat the round. */
  constructor(folder: string, again: string, cause: unknown) {
    const what = cause instanceof Error ? cause.message : String(cause);
    super(
      `${what}\nkept: ${folder}\nthe same faults and operations again, though not to the ` +
        `millisecond: deno task torture ${again}`,
      { cause },
    );
    this.name = "TortureFailure";
    this.folder = folder;
  }
}

/** Runs it. @throws TortureFailure */
export async function torture(options: TortureOptions): Promise<TortureReport> {
  if (options.folder !== undefined) mkdirSync(options.folder, { recursive: true });
  const folder = mkdtempSync(join(options.folder ?? tmpdir(), `flaredb-torture-${options.seed}-`));
  const run = new Run(options, folder);
  try {
    await run.run();
  } catch (error) {
    writeFileSync(join(folder, "history.json"), historyToJson(run.history));
    writeFileSync(join(folder, "report.json"), JSON.stringify({ ...run.report, options }));
    const { roundSeconds, clients, keys } = options;
    const again = `--seed ${run.seed} --seconds ${roundSeconds} --round-seconds ${roundSeconds} ` +
      `--clients ${clients} --keys ${keys}`;
    throw new TortureFailure(folder, again, error);
  } finally {
    await run.close();
  }
  if (options.keep !== true) rmSync(folder, { recursive: true, force: true });
  return run.report;
}

class Run {
  readonly report: TortureReport;
  readonly #options: TortureOptions;
  readonly #folder: string;
  #recorder = new Recorder();
  #cluster: TortureCluster | undefined;

  constructor(options: TortureOptions, folder: string) {
    this.#options = options;
    this.#folder = folder;
    this.report = {
      seed: options.seed,
      rounds: 0,
      faultMs: 0,
      operations: 0,
      answered: 0,
      unknown: 0,
      failed: 0,
      elections: 0,
      snapshotsToNew: 0,
      snapshotsToLagging: 0,
      snapshotsResumed: 0,
      membersChanged: 0,
      faults: {} as Record<FaultKind, number>,
      longestSilenceMs: 0,
      longestRecoveryMs: 0,
      checkMs: 0,
      checkSteps: 0,
      appliedIndex: 0,
    };
  }

  /** Of the round under way, or the last one. */
  get history(): readonly KeyOperation[] {
    return this.#recorder.operations;
  }

  /** Of the round under way, or the last one; a run of its own begins with it. */
  get seed(): number {
    return this.#options.seed + Math.max(0, this.report.rounds - 1);
  }

  async run(): Promise<void> {
    const { seconds, roundSeconds } = this.#options;
    const cluster = this.#cluster = await TortureCluster.start(this.#folder, NODES);
    await untilAllServe(waitFor(cluster));
    while (this.report.faultMs < seconds * 1000) {
      const left = seconds - this.report.faultMs / 1000;
      await this.#round(cluster, Math.min(left, roundSeconds));
    }
    const ends = await cluster.stop();
    if (ends.some((how) => how !== "exit code 0")) {
      throw new Error(`the nodes did not stop cleanly: ${ends.join(", ")}`);
    }
    cluster.check();
    const problems = await storageProblems(cluster.folders);
    if (problems.length > 0) throw new Error(problems.join("\n"));
    if (seconds >= RARE_SECONDS && this.report.snapshotsToLagging === 0) {
      throw new Error("no member was ever so far behind that it needed a snapshot");
    }
  }

  async close(): Promise<void> {
    await this.#cluster?.close();
  }

  async #round(cluster: TortureCluster, seconds: number): Promise<void> {
    const { clients, keys, log } = this.#options;
    const round = this.report.rounds++;
    const { seed } = this;
    const recorder = this.#recorder = new Recorder();
    const { endpoints } = cluster;
    const prefix = `round-${round}`;
    const workload = new Workload(
      { seed, endpoints, clients, keys, keysMs: KEYS_MS, prefix, recorder },
    );
    const nemesis = new Nemesis(cluster, seed, (text) => this.#note(text));
    workload.start();
    let recoveryMs = 0;
    try {
      const start = performance.now();
      await nemesis.run(seconds * 1000);
      this.report.faultMs += performance.now() - start;
      this.#note("all faults are over");
      recoveryMs = await untilAllServe(waitFor(cluster));
      this.#note("all members serve");
      this.report.longestRecoveryMs = Math.max(this.report.longestRecoveryMs, recoveryMs);
    } finally {
      await workload.stop();
    }
    this.#note("no call is under way");
    await settleMembers(cluster, waitFor(cluster));
    this.#note("the members are those that run");
    const [state] = await untilEqual(waitFor(cluster));
    this.#note("all members are in the same state");
    const { problem, steps, milliseconds } = await workload.check(DEADLINE_MS);
    this.#add(nemesis, workload, recorder);
    const { elections, snapshotsToNew, snapshotsToLagging, snapshotsResumed } = cluster;
    const snapshots = { snapshotsToNew, snapshotsToLagging, snapshotsResumed };
    Object.assign(this.report, { elections, ...snapshots, appliedIndex: state.appliedIndex });
    cluster.appliedIndex = state.appliedIndex;
    cluster.check();
    this.report.checkSteps += steps;
    this.report.checkMs += milliseconds;
    if (problem !== undefined) throw new Error(problem);
    log?.(
      `round ${
        round + 1
      }: ${recorder.operations.length} operations, ${recorder.unknown} unknown, ` +
        `${elections} elections and ${
          snapshotsToNew + snapshotsToLagging
        } snapshots so far, members ${cluster.ids}, recovered in ${recoveryMs.toFixed(0)} ms, ` +
        `checked in ${milliseconds.toFixed(0)} ms`,
    );
  }

  #add(nemesis: Nemesis, workload: Workload, recorder: Recorder): void {
    const { report } = this;
    report.operations += recorder.operations.length;
    report.answered += workload.counts.succeeded;
    report.unknown += recorder.unknown;
    report.failed += workload.counts.failed;
    const { longestSilenceMs } = workload.counts;
    report.longestSilenceMs = Math.max(report.longestSilenceMs, longestSilenceMs);
    for (const [kind, count] of Object.entries(nemesis.counts) as [FaultKind, number][]) {
      report.faults[kind] = (report.faults[kind] ?? 0) + count;
    }
    report.membersChanged = report.faults["lost disk"] + report.faults.removal;
  }

  #note(text: string): void {
    const at = new Date().toISOString().slice(11, 23);
    appendFileSync(join(this.#folder, "faults.log"), `${at} ${text}\n`);
  }
}

function waitFor(cluster: TortureCluster): Wait {
  return { endpoints: cluster.endpoints, deadlineMs: DEADLINE_MS, check: () => cluster.check() };
}
