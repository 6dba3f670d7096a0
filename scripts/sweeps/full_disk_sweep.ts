/**
 * Full disks, without any tool: a database may grow to so many pages only, from the fewest on which it
 * can be created to as many as the script needs; first that of the log, then that of the key-value store,
 * which is also the limit of the store that a snapshot becomes. Each run ends with a typed error, and
 * shows everything acknowledged once there is space again.
 *
 * @module
 */

import { join } from "node:path";
import { RaftError } from "../../src/raft/mod.ts";
import { SqliteNodeStorage, verifyStorage } from "../../src/storage/sqlite/mod.ts";
import { Follower, type FollowerOptions, writeSnapshots } from "./follower.ts";
import { examine } from "./follower_examination.ts";
import { SCRIPT, SNAPSHOTS } from "./follower_script.ts";
import { count as tally, type SweepReport, withDirectory } from "./sweep.ts";
import { expectedStates, LIMITS, runStep, stepOf } from "./workload.ts";

const STEPS = 24;
const PAGE_BYTES = 4096;

/** Pages of a log with tables and nothing in them, about; and of a store. */
const PAGES_MIN = 7;
const STORE_PAGES_MIN = 2;

/**
 * Runs the script of the log on disks of many sizes. `step` is the difference between sizes, in pages.
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
        const databaseBytesMax = pages * PAGE_BYTES;
        const options = { directory, ...LIMITS, writer, databaseBytesMax } as const;
        const node = await SqliteNodeStorage.open(options);
        try {
          for (; acknowledged < STEPS; acknowledged++) await runStep(node, acknowledged);
        } finally {
          await node.close();
        }
      } catch (error) {
        end = (error as RaftError).code;
        if (end !== "STORAGE_FULL") throw error;
      }
      if (acknowledged > 0) {
        const { sound, problems } = verifyStorage({ directory });
        if (!sound) throw new Error(problems.join("\n"));
      }
      const found = await stepOf(directory, states);
      if (found !== acknowledged) {
        throw new Error(`${pages} pages: step ${acknowledged} acknowledged, ${found} shown`);
      }
      tally(report, end);
    }
    return report;
  });
}

/**
 * Runs the script of the follower with stores of many sizes. `step` is the difference between sizes, in
 * pages.
 *
 * @throws when a run on a full disk ends otherwise than with the truth.
 */
export function fullStoreSweep(step: number): Promise<SweepReport> {
  return withDirectory(async (snapshots) => {
    await writeSnapshots(snapshots, SNAPSHOTS, false);
    const report: SweepReport = {};
    for (let pages = STORE_PAGES_MIN; report["done"] === undefined; pages += step) {
      const directory = join(snapshots, String(pages));
      const store = { databaseBytesMax: pages * PAGE_BYTES };
      const { acknowledged, end } = await live({ directory, snapshots, writer: "direct", store });
      await examine({ directory, snapshots, acknowledged }).catch((cause) => {
        throw new Error(`${pages} pages, ${acknowledged} steps, ${end}: ${cause}`, { cause });
      });
      tally(report, end);
    }
    return report;
  });
}

/** Lives the scripted life; how many steps were acknowledged, and how it ended. */
async function live(options: FollowerOptions): Promise<{ acknowledged: number; end: string }> {
  let acknowledged = 0;
  let follower: Follower | undefined;
  try {
    follower = await Follower.open(options);
    for (const step of SCRIPT) {
      if (step.kind === "restart") {
        await follower.stop();
        follower = await Follower.open(options);
        acknowledged++;
        continue;
      }
      await follower.acknowledge(step);
      acknowledged++;
      await follower.settle(step.kind === "append" ? step.commit : step.index, step.term);
    }
    await follower.stop();
    return { acknowledged, end: "done" };
  } catch (error) {
    await follower?.stop();
    for (let cause = error; cause instanceof RaftError; cause = cause.cause) {
      if (cause.code === "KV_STORAGE") return { acknowledged, end: cause.code };
    }
    throw error;
  }
}
