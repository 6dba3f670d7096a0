/**
 * Corruption sweep: every page of the database and every frame of the write-ahead log is damaged in
 * turn. Then opening or `verify` finds it; or what is stored reads exactly as before, as the damage
 * lies where nothing is (or where a newer page in the log covers it); or it is in the log's very last
 * transaction, which then is missing as a whole. Any other answer fails the sweep.
 *
 *     deno task corruption:sweep --count 5
 *
 * `count` is how many kinds of damage each page and frame gets.
 *
 * @module
 */

import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { StorageError } from "../../src/storage/mod.ts";
import { SqliteNodeStorage, verifyStorage } from "../../src/storage/sqlite/mod.ts";
import { count as tally, Numbers, runAsTask, type SweepReport, withDirectory } from "./sweep.ts";
import { expectedStates, LIMITS, runStep, stepOf } from "./workload.ts";

const PAGE_BYTES = 4096;
const WAL_HEADER_BYTES = 32;
const FRAME_BYTES = 24 + PAGE_BYTES;
const FILES = ["raft.db", "raft.db-wal"];
const STEPS = 100;

/** A part of a file that is damaged as one. */
interface Target {
  readonly file: string;
  readonly what: string;
  readonly offset: number;
  readonly bytes: number;
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
      for (const target of targetsOf(image)) {
        for (let kind = 0; kind < kinds; kind++) {
          const copy = join(parent, "copy");
          mkdirSync(copy);
          for (const name of filesOf(image)) copyFileSync(join(image, name), join(copy, name));
          const damage = damageFile(join(copy, target.file), target, kind, numbers);
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

function targetsOf(image: string): Target[] {
  const sizeOf = (name: string): number => {
    const path = join(image, name);
    return existsSync(path) ? statSync(path).size : 0;
  };
  const [database, log] = FILES.map(sizeOf);
  const targets: Target[] = [];
  for (let offset = 0; offset < database; offset += PAGE_BYTES) {
    const what = `page ${offset / PAGE_BYTES + 1}`;
    targets.push({ file: FILES[0], what, offset, bytes: PAGE_BYTES });
  }
  if (log > 0) {
    targets.push({ file: FILES[1], what: "log's header", offset: 0, bytes: WAL_HEADER_BYTES });
  }
  for (let offset = WAL_HEADER_BYTES; offset + FRAME_BYTES <= log; offset += FRAME_BYTES) {
    const what = `frame ${(offset - WAL_HEADER_BYTES) / FRAME_BYTES + 1}`;
    targets.push({ file: FILES[1], what, offset, bytes: FRAME_BYTES });
  }
  return targets;
}

/** Damages the target; returns how. */
function damageFile(path: string, target: Target, kind: number, numbers: Numbers): string {
  const content = readFileSync(path);
  const part = content.subarray(target.offset, target.offset + target.bytes);
  if (kind % 4 === 1) part.fill(0);
  if (kind % 4 === 3) { for (let i = 0; i < part.length; i++) part[i] = numbers.below(256); }
  const at = kind % 4 === 2 ? numbers.below(Math.min(24, part.length)) : numbers.below(part.length);
  const bit = 1 << numbers.below(8);
  if (kind % 2 === 0) part[at] ^= bit;
  writeFileSync(path, content);
  return kind % 2 === 0 ? `byte ${at} xor ${bit}` : kind % 4 === 1 ? "zeros" : "noise";
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

if (import.meta.main) await runAsTask("corruption sweep", 5, corruptionSweep);
