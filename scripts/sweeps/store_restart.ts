/**
 * A key-value store as a killed process leaves it whose last sync had failed: the end of its
 * write-ahead log may be in the system's memory alone. A checkpoint of whoever goes on from there copies
 * what that memory shows, and a power cut meanwhile must not leave a mix of two states.
 *
 * @module
 */

import { copyFileSync, existsSync, mkdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { KvStore } from "../../src/kv/mod.ts";
import { type FileEvent, partlySynced } from "./disk_model.ts";
import { answersOf, runStep } from "./store_workload.ts";

/** The steps of the killed process: to the last checkpoint, to the last sync, and in all. */
const [CHECKPOINTED, SYNCED, WRITTEN] = [40, 41, 60];

const [DATABASE, LOG] = ["kv.db", "kv.db-wal"];

/** Everything is written at once, and checkpoints are left to the script. */
function open(directory: string): KvStore {
  return KvStore.open({ directory, commitRows: 1, checkpointRows: 1_000_000 });
}

/** Leaves such a store in `directory`; returns what of it is on the disk, as what happened there. */
export function leaveStore(directory: string): FileEvent[] {
  const live = `${directory}-live`;
  let store = open(live);
  let syncedBytes = 0;
  for (let step = 1; step <= WRITTEN; step++) {
    runStep(store, step);
    if (step === CHECKPOINTED) {
      // So that the write-ahead log is as long as what follows.
      store.close();
      store = open(live);
    }
    if (step === SYNCED) syncedBytes = statSync(join(live, LOG)).size;
  }
  mkdirSync(directory);
  for (const name of [DATABASE, LOG]) copyFileSync(join(live, name), join(directory, name));
  store.close();
  rmSync(live, { recursive: true });
  return partlySynced(directory, DATABASE, syncedBytes);
}

/**
 * Goes on with so many steps, and says when the store is open and each step durable. Where it fails it is
 * closed, as a node does.
 */
export function continueStore(
  directory: string,
  steps: number,
  say: (what: string | number) => void,
): void {
  const store = open(directory);
  say("open");
  try {
    for (let step = 1; step <= steps; step++) {
      runStep(store, WRITTEN + step);
      store.flush();
      say(step);
    }
  } catch (error) {
    store.close();
    throw error;
  }
}

/** Whether the write-ahead log is still there. */
export function hasLog(directory: string): boolean {
  const log = join(directory, LOG);
  return existsSync(log) && statSync(log).size > 0;
}

/** What a store answers after each number of steps, `more` of them after what was left. */
export function storeAnswers(directory: string, more: number): string[] {
  const store = open(directory);
  const answers = [answersOf(store)];
  for (let step = 1; step <= WRITTEN + more; step++) {
    runStep(store, step);
    answers.push(answersOf(store));
  }
  store.close();
  return answers;
}

/**
 * How many steps the store in `directory` has, after what was left.
 *
 * @throws when it cannot be opened, lacks what was checkpointed, or answers what it never should.
 */
export function storeStepOf(directory: string, answers: readonly string[]): number {
  const store = open(directory);
  try {
    const applied = store.lastApplied();
    if (applied < CHECKPOINTED) throw new Error(`${directory} is at index ${applied}`);
    if (answersOf(store) !== answers[applied]) throw new Error(`${directory} shows a mix`);
    return Math.max(0, applied - WRITTEN);
  } finally {
    store.close();
  }
}
