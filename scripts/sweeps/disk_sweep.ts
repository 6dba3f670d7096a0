/**
 * Un-synced writes lost: scripted runs are recorded (`recording.ts`), and from that images of the disk
 * are made as a power cut at many moments may leave it (`disk_model.ts`). One script writes to the log
 * alone; the other is a follower that applies to its key-value store, and receives and installs
 * snapshots, whose log, store and spool are then images of one moment. Each image must open, show
 * exactly one of the states of the run with nothing acknowledged missing, and a follower must go on from
 * it to the end of its script: what its store has lost its log must still hold, and what its log begins
 * after its store or its spool. Two more runs go on from a log and from a store whose last sync had
 * failed (`restart.ts`, `store_restart.ts`): of these, the disk holds less than the run saw.
 *
 *     deno task disk:sweep --count 2000
 *
 * @module
 */

import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { Disk, type DiskEvent } from "./disk_model.ts";
import { writeSnapshots } from "./follower.ts";
import { examine } from "./follower_examination.ts";
import { SCRIPT, SNAPSHOTS } from "./follower_script.ts";
import { record } from "./recording.ts";
import { leaveLog, restartStepOf } from "./restart.ts";
import { leaveStore, storeAnswers, storeStepOf } from "./store_restart.ts";
import {
  commandOf,
  count as tally,
  Numbers,
  runAsTask,
  straceMissing,
  type SweepReport,
  withDirectory,
} from "./sweep.ts";
import { expectedStates, stepOf } from "./workload.ts";

const STEPS = 40;

const LOG_FILES = ["raft.db", "raft.db-wal", "raft.db-journal"];
const STORE_FILES = ["", "-wal", "-journal"].flatMap((suffix) => [
  `kv.db${suffix}`,
  `kv.db-restoring${suffix}`,
]);
const SPOOL_FILES = SNAPSHOTS.flatMap((index) => [
  `snapshots/region-1-${index}-1.arriving`,
  `snapshots/region-1-${index}-1.snapshot`,
]);

/** The step that an image is in. @throws when it is none, or not the truth. */
type ExamineImage = (directory: string, acknowledged: number) => number | Promise<number>;

/** Makes and opens `count` images of a log. @throws when one is misread or lacks something acknowledged. */
export function diskSweep(count: number, seed: number): Promise<SweepReport> {
  return withDirectory(async (parent) => {
    const states = await expectedStates(STEPS);
    const directory = join(parent, "run");
    const command = commandOf("workload_process.ts", [directory, "direct", String(STEPS)]);
    const events = await record(directory, LOG_FILES, command);
    const report = await sweepImages(
      events,
      STEPS,
      count,
      seed,
      parent,
      (image) => stepOf(image, states),
    );
    return { "recorded events": events.length, ...report };
  });
}

/**
 * Makes `count` images of a follower's log, store and spool, and lets it go on from each.
 *
 * @throws when one is misread, lacks something acknowledged, or the follower cannot go on.
 */
export function followerDiskSweep(count: number, seed: number): Promise<SweepReport> {
  return withDirectory(async (parent) => {
    const directory = join(parent, "run");
    await writeSnapshots(parent, SNAPSHOTS, false);
    const files = [...LOG_FILES, ...STORE_FILES, "snapshots", ...SPOOL_FILES];
    const command = commandOf("follower_process.ts", [directory, "direct", parent]);
    const events = await record(directory, files, command);
    const behind: SweepReport = {};
    const report = await sweepImages(
      events,
      SCRIPT.length,
      count,
      seed,
      parent,
      async (image, acknowledged) => {
        const found = await examine({ directory: image, snapshots: parent, acknowledged });
        if (found.appliedIndex < found.lastIndex) {
          tally(behind, "follower's images with a store behind its log");
        }
        return found.step;
      },
    );
    return {
      "follower's recorded events": events.length,
      ...Object.fromEntries(
        Object.entries(report).map(([what, times]) => [`follower's ${what}`, times]),
      ),
      ...behind,
    };
  });
}

/** Steps after the start; few of the store, as it is the first checkpoint that matters. */
const RESTART_STEPS = { log: 10, store: 2 };

/**
 * Makes `count` images of a log, and of a store, that goes on where a process was killed whose last sync
 * had failed, and opens them.
 *
 * @throws when one is misread or lacks something acknowledged.
 */
export function restartDiskSweep(count: number, seed: number): Promise<SweepReport> {
  return withDirectory(async (parent) => {
    const answers = storeAnswers(join(parent, "model"), RESTART_STEPS.store);
    const storeStep: ExamineImage = (image) => storeStepOf(image, answers);
    const report: SweepReport = {};
    for (
      const [what, leave, files, examineImage] of [
        ["log", leaveLog, LOG_FILES, restartStepOf],
        ["store", leaveStore, STORE_FILES, storeStep],
      ] as const
    ) {
      const directory = join(parent, what);
      const left = await leave(directory);
      const steps = RESTART_STEPS[what];
      const command = commandOf("restart_process.ts", [what, directory, String(steps)]);
      const events = [...left, ...await record(directory, files, command)];
      const found = await sweepImages(
        events,
        steps,
        count,
        seed,
        parent,
        examineImage,
        left.length,
      );
      for (const [images, times] of Object.entries(found)) {
        report[`restarted ${what}'s ${images}`] = times;
      }
    }
    return report;
  });
}

/**
 * Opens images of moments that are spread over the run, after the first `before` events; several ways to
 * lose data at each.
 */
async function sweepImages(
  events: readonly DiskEvent[],
  steps: number,
  count: number,
  seed: number,
  parent: string,
  examineImage: ExamineImage,
  before = 0,
): Promise<SweepReport> {
  if (!events.some((event) => event.kind === "acknowledged" && event.step === steps)) {
    throw new Error("the trace lacks what was acknowledged");
  }
  const numbers = new Numbers(seed);
  const report: SweepReport = {};
  const directory = join(parent, "image");
  for (let image = 0; image < count; image++) {
    const moment = before + Math.floor((image + 1) / count * (events.length - before));
    mkdirSync(directory);
    const { disk, acknowledged } = replay(events.slice(0, moment));
    const lost = disk.cutPower(directory, numbers);
    const where = `image ${image} at event ${moment}, ${lost} changes lost`;
    let step: number;
    try {
      step = await examineImage(directory, acknowledged);
    } catch (cause) {
      throw new Error(`${where}, step ${acknowledged} acknowledged: ${cause}`, { cause });
    }
    if (step < acknowledged || step > acknowledged + 1) {
      throw new Error(`${where}: step ${acknowledged} was acknowledged, ${step} is shown`);
    }
    tally(report, lost === 0 ? "images with every write" : "images that lack writes");
    if (step > acknowledged) tally(report, "images with a step that was not acknowledged yet");
    rmSync(directory, { recursive: true });
  }
  return report;
}

function replay(events: readonly DiskEvent[]): { disk: Disk; acknowledged: number } {
  const disk = new Disk();
  let acknowledged = 0;
  for (const event of events) {
    if (event.kind === "acknowledged") acknowledged = event.step;
    else disk.apply(event);
  }
  return { disk, acknowledged };
}

async function allSweeps(count: number, seed: number): Promise<SweepReport> {
  return {
    ...await diskSweep(count, seed),
    ...await followerDiskSweep(count, seed),
    ...await restartDiskSweep(count, seed),
  };
}

if (import.meta.main) {
  const missing = straceMissing();
  if (missing === false) await runAsTask("disk sweep", 2000, allSweeps);
  else console.log(`disk sweep: skipped, ${missing}`);
}
