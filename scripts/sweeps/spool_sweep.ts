/**
 * Corruption sweep of a snapshot that has arrived: each block of its file, and each field of the footer,
 * is damaged in turn, or the file is cut off there. What must follow depends on how far the follower
 * was, whose life `follower_script.ts` describes:
 *
 * - The log begins after the snapshot, and the process ended before the state was restored: `verify`
 *   finds the damage and names the file; the node refuses to start, and alters nothing, so that with the
 *   intact file it starts and comes to the end of the script.
 * - The log does not know of it: it is no problem, the node starts without it, and the leader sends anew.
 * - It is damaged just before the running node restores from it: the node stops, or has read enough.
 *
 * A state other than that of one index fails the sweep.
 *
 * @module
 */

import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { RaftError } from "../../src/raft/mod.ts";
import { damagedCopy, type Target } from "./damage.ts";
import { Follower, writeSnapshots } from "./follower.ts";
import { examine, problemsOf } from "./follower_examination.ts";
import { SCRIPT, SNAPSHOTS, type Step } from "./follower_script.ts";
import { count as tally, Numbers, type SweepReport, withDirectory } from "./sweep.ts";

const BLOCK_BYTES = 4096;

/** The fields of the footer by their lengths, see `src/node/snapshots/spool_file.ts`. */
const FOOTER_FIELDS = { magic: 8, region: 8, index: 8, term: 8, bytes: 8, checksum: 4, own: 4 };

/** How many steps come before the first snapshot of the script. */
const STEPS_BEFORE = SCRIPT.findIndex(({ kind }) => kind === "snapshot");

const INSTALL = SCRIPT[STEPS_BEFORE] as Extract<Step, { kind: "snapshot" }>;

/** The folders of a follower at three moments, and the snapshot's file in that of its spool. */
interface Images {
  /** Before the snapshot came. */
  readonly before: string;
  /** When it has arrived, and the log does not know of it. */
  readonly arrived: string;
  /** When the log begins after it, and the store is the one of before. */
  readonly installing: string;
  /** The name of its file. */
  readonly file: string;
}

/** The content of the damaged file, and what damage that is. */
interface Damage {
  readonly content: Uint8Array;
  readonly damage: string;
}

/** Runs the sweep with `kinds` damages a block or field. @throws when damage led to a wrong state. */
export function spoolSweep(kinds: number, seed: number): Promise<SweepReport> {
  return withDirectory(async (parent) => {
    await writeSnapshots(parent, SNAPSHOTS, false);
    const images = await makeImages(parent);
    const numbers = new Numbers(seed);
    const report: SweepReport = {};
    const moments = [examineInterrupted, examineUnknown, examineRunning];
    const spool = join(images.installing, "snapshots");
    for (const [number, target] of targetsOf(spool, images.file).entries()) {
      for (let kind = number; kind < number + kinds; kind++) {
        const { content, damage } = damagedOrCut(spool, target, kind, numbers);
        for (const examineMoment of moments) {
          const copy = join(parent, "copy");
          const found = await examineMoment(images, copy, content, parent).catch((cause) => {
            throw new Error(`${target.what} of ${target.file}, ${damage}: ${cause}`, { cause });
          });
          tally(report, `snapshot's ${target.what.split(" ")[0]}: ${found}`);
          rmSync(copy, { recursive: true });
        }
      }
    }
    return report;
  });
}

/** Lets a follower live until it restores its store from the first snapshot. */
async function makeImages(parent: string): Promise<Images> {
  const [before, arrived, installing] = ["before", "arrived", "installing"].map((name) =>
    join(parent, name)
  );
  const options = { directory: join(parent, "live"), snapshots: parent, writer: "direct" } as const;
  let follower = await Follower.open(options);
  for (const step of SCRIPT.slice(0, STEPS_BEFORE)) {
    if (step.kind === "restart") {
      await follower.stop();
      follower = await Follower.open(options);
    } else {
      await follower.acknowledge(step);
      await follower.settle(step.kind === "append" ? step.commit : step.index, step.term);
    }
  }
  copyNode(options.directory, before);
  beforeRestoring(follower, () => {
    copyNode(options.directory, installing);
    copyNode(before, arrived);
    cpSync(join(installing, "snapshots"), join(arrived, "snapshots"), { recursive: true });
  });
  await follower.acknowledge(INSTALL);
  await follower.stop();
  const [file] = readdirSync(join(installing, "snapshots"));
  return { before, arrived, installing, file };
}

/** Lets something happen when the store is about to be restored: the log knows of the snapshot then. */
function beforeRestoring({ store }: Follower, happens: () => void): void {
  const restore = store.restore.bind(store);
  store.restore = (chunks, index) => {
    happens();
    return restore(chunks, index);
  };
}

/** What a process that ends now leaves: an index of SQLite's is not of it. */
function copyNode(from: string, to: string): void {
  mkdirSync(to);
  for (const name of ["raft.db", "raft.db-wal", "kv.db", "kv.db-wal"]) {
    if (existsSync(join(from, name))) copyFileSync(join(from, name), join(to, name));
  }
  const spool = join(from, "snapshots");
  if (existsSync(spool)) cpSync(spool, join(to, "snapshots"), { recursive: true });
}

function targetsOf(spool: string, file: string): Target[] {
  const footerBytes = Object.values(FOOTER_FIELDS).reduce((sum, bytes) => sum + bytes);
  const end = readFileSync(join(spool, file)).length - footerBytes;
  const targets: Target[] = [];
  for (let offset = 0; offset < end; offset += BLOCK_BYTES) {
    const what = `block ${offset / BLOCK_BYTES + 1}`;
    targets.push({ file, what, offset, bytes: Math.min(BLOCK_BYTES, end - offset) });
  }
  let offset = end;
  for (const [name, bytes] of Object.entries(FOOTER_FIELDS)) {
    targets.push({ file, what: `footer ${name}`, offset, bytes });
    offset += bytes;
  }
  return targets;
}

/** Neighbours are damaged in different ways, so that few damages show every kind. */
function damagedOrCut(spool: string, target: Target, kind: number, numbers: Numbers): Damage {
  return kind % 5 === 4 ? cutCopy(spool, target) : damagedCopy(spool, target, kind % 5, numbers);
}

function cutCopy(spool: string, { file, offset }: Target): Damage {
  return {
    content: new Uint8Array(readFileSync(join(spool, file))).subarray(0, offset),
    damage: "cut off",
  };
}

/** The log begins after the snapshot, the store is behind. */
async function examineInterrupted(
  { installing, file }: Images,
  copy: string,
  content: Uint8Array,
  snapshots: string,
): Promise<string> {
  const path = join(copy, "snapshots", file);
  const options = { directory: copy, snapshots, writer: "direct" } as const;
  copyNode(installing, copy);
  writeFileSync(path, content);
  expectFound(copy, path);
  const refusal = await Follower.open(options).then(() => undefined, (error) => error);
  if (!(refusal instanceof RaftError)) throw new Error(`it is not refused: ${refusal}`);
  if (!refusal.message.includes(path)) throw new Error(`no file is named: ${refusal.message}`);
  expectFound(copy, path);
  copyFileSync(join(installing, "snapshots", file), path);
  const { step } = await examine({ directory: copy, snapshots, acknowledged: STEPS_BEFORE + 1 });
  if (step !== STEPS_BEFORE + 1) throw new Error(`the log is that of step ${step}`);
  return `found by verify and start, ${refusal.code}`;
}

function expectFound(directory: string, path: string): void {
  const problems = problemsOf(directory).join("\n");
  if (!/the entries between are gone/.test(problems)) throw new Error(`not found: ${problems}`);
  if (!problems.includes(path)) throw new Error(`no file is named: ${problems}`);
}

/** The log does not know of the snapshot: whatever its file holds, it is of no use. */
async function examineUnknown(
  { arrived, file }: Images,
  copy: string,
  content: Uint8Array,
  snapshots: string,
): Promise<string> {
  copyNode(arrived, copy);
  writeFileSync(join(copy, "snapshots", file), content);
  await examine({ directory: copy, snapshots, acknowledged: STEPS_BEFORE, repeated: INSTALL });
  return "not needed, and sent anew";
}

/** The node runs, and is about to read the file. */
async function examineRunning(
  { before, installing, file }: Images,
  copy: string,
  content: Uint8Array,
  snapshots: string,
): Promise<string> {
  const path = join(copy, "snapshots", file);
  copyNode(before, copy);
  const follower = await Follower.open({ directory: copy, snapshots, writer: "direct" });
  beforeRestoring(follower, () => writeFileSync(path, content));
  const error = await follower.acknowledge(INSTALL).then(() => undefined, (error) => error);
  await follower.stop();
  if (error === undefined) {
    await examine({ directory: copy, snapshots, acknowledged: STEPS_BEFORE + 1 });
    return "not read by the node that runs";
  }
  if (!(error instanceof RaftError)) throw error;
  if (!error.message.includes(path)) throw new Error(`no file is named: ${error.message}`);
  copyFileSync(join(installing, "snapshots", file), path);
  await examine({ directory: copy, snapshots, acknowledged: STEPS_BEFORE + 1 });
  return `the node that runs stops, ${error.code}`;
}
