/**
 * Corruption sweep: every page of the database and every frame of the write-ahead log is damaged in
 * turn. Then opening or `verify` finds it; or what is stored reads exactly as before, as the damage
 * lies where nothing is (or where a newer page in the log covers it); or it is in the log's very last
 * transaction, which then is missing as a whole. Any other answer fails the sweep. The task runs
 * `store_sweep.ts` and `spool_sweep.ts` too.
 *
 *     deno task corruption:sweep --count 5
 *
 * `count` is how many kinds of damage each page, frame and block gets.
 *
 * @module
 */

import { copyFileSync, existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { StorageError } from "../../src/storage/mod.ts";
import { SqliteNodeStorage, verifyStorage } from "../../src/storage/sqlite/mod.ts";
import { damagedCopy, targetsOf } from "./damage.ts";
import { spoolSweep } from "./spool_sweep.ts";
import { storeSweep } from "./store_sweep.ts";
import { count as tally, Numbers, runAsTask, type SweepReport, withDirectory } from "./sweep.ts";
import { expectedStates, LIMITS, runStep, stepOf } from "./workload.ts";

const FILES = ["raft.db", "raft.db-wal"];
const STEPS = 100;

/** Runs the sweeps of the log, of the key-value store, and of a snapshot that has arrived. */
async function allSweeps(kinds: number, seed: number): Promise<SweepReport> {
  return {
    ...await corruptionSweep(kinds, seed),
    ...await storeSweep(kinds, seed),
    ...await spoolSweep(kinds, seed),
  };
}

/** Runs the sweep with `kinds` damages a page. @throws when damage led to a wrong answer. */
export function corruptionSweep(kinds: number, seed: number): Promise<SweepReport> {
  return withDirectory(async (parent) => {
    const states = await expectedStates(STEPS);
    const numbers = new Numbers(seed);
    const report: SweepReport = {};
    for (const closed of [true, false]) {
      const image = join(parent, `image-${closed}`);
      await makeImage(join(parent, `live-${closed}`), image, closed);
      for (const target of targetsOf(image, FILES)) {
        for (let kind = 0; kind < kinds; kind++) {
          const copy = join(parent, "copy");
          mkdirSync(copy);
          for (const name of filesOf(image)) copyFileSync(join(image, name), join(copy, name));
          const { content, damage } = damagedCopy(image, target, kind, numbers);
          writeFileSync(join(copy, target.file), content);
          const found = await examine(copy, states).catch((cause) => {
            throw new Error(`${target.what} of ${target.file}, ${damage}: ${cause}`, { cause });
          });
          tally(report, `${target.what.split(" ")[0]}: ${found}`);
          rmSync(copy, { recursive: true });
        }
      }
    }
    return report;
  });
}

/**
 * The files of a storage: closed, so that all pages are in use; or in the middle of its work, where
 * the second half is in the write-ahead log alone.
 */
async function makeImage(live: string, image: string, closed: boolean): Promise<void> {
  const options = { directory: live, ...LIMITS, writer: "direct" } as const;
  let node = await SqliteNodeStorage.open(options);
  for (let step = 0; step < STEPS; step++) {
    await runStep(node, step);
    if (step !== STEPS / 2) continue;
    await node.close();
    node = await SqliteNodeStorage.open({ ...options, checkpointBytes: 16 * 1024 * 1024 });
  }
  if (closed) await node.close();
  mkdirSync(image);
  for (const name of filesOf(live)) copyFileSync(join(live, name), join(image, name));
  await node.close();
}

function filesOf(directory: string): string[] {
  return FILES.filter((name) => existsSync(join(directory, name)));
}

/** What the tools make of the damaged copy. @throws when they see a state that is not the last one. */
async function examine(copy: string, states: readonly string[]): Promise<string> {
  const { sound } = verifyStorage({ directory: copy });
  const step = await stepOf(copy, states).catch((error) => {
    if (error instanceof StorageError) return undefined;
    throw error;
  });
  if (step === undefined) return sound ? "found when it was opened" : "found by open and verify";
  if (step === STEPS) return sound ? "where nothing is stored" : "found by verify";
  if (step === STEPS - 1 && sound) return "in the last transaction, which is gone as a whole";
  throw new Error(`step ${step} of ${STEPS} is shown`);
}

if (import.meta.main) await runAsTask("corruption sweep", 5, allSweeps);
