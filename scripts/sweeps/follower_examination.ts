/**
 * Whether what is on the disk of a scripted follower is the truth: the log is the one before or after
 * the step that was under way, the store holds the state of one index, and the two fit each other, so
 * that the follower starts again and comes to the end of the script.
 *
 * @module
 */

import { existsSync } from "node:fs";
import { join } from "node:path";
import { type KvStore, rangeRequest, verifyStore } from "../../src/kv/mod.ts";
import { checkSpooledSnapshot } from "../../src/node/mod.ts";
import type { RaftStorage } from "../../src/storage/mod.ts";
import { readUntouched, verifyStorage, whileUntouched } from "../../src/storage/sqlite/mod.ts";
import { Follower, FOLLOWER_IDENTITY, type FollowerOptions } from "./follower.ts";
import {
  entryOf,
  LAST_INDEX,
  type Pair,
  type ScriptedLog,
  scriptedLogs,
  type Step,
  storeAt,
  valueText,
} from "./follower_script.ts";

/** What was found. */
export interface Examination {
  /** The step whose log there is. */
  readonly step: number;
  /** What the store had applied, and where the log ended. */
  readonly appliedIndex: number;
  readonly lastIndex: number;
}

/** What a follower is examined with. */
export interface ExaminationOptions extends Pick<FollowerOptions, "directory" | "snapshots"> {
  /** Steps that were acknowledged. */
  readonly acknowledged: number;
  /** Whether the first snapshot is large. */
  readonly large?: boolean;
  /** A step that the leader repeats before it brings the follower to the end. */
  readonly repeated?: Exclude<Step, { kind: "restart" }>;
}

const text = new TextDecoder();

/**
 * Examines what is on the disk, then starts the follower and lets it go on to the end of the script.
 *
 * @throws when anything is not the truth, or the follower cannot be started.
 */
export async function examine(options: ExaminationOptions): Promise<Examination> {
  const { directory, snapshots, acknowledged } = options;
  // Nothing can be verified of what was not even created.
  const problems = acknowledged > 0 ? problemsOf(directory) : [];
  if (problems.length > 0) throw new Error(problems.join("\n"));
  const follower = await Follower.open({ directory, snapshots, writer: "direct" });
  const found = await examineRunning(follower, options).catch(async (error) => {
    await follower.stop();
    throw error;
  });
  const error = await follower.stop();
  if (error !== undefined) throw error;
  return found;
}

async function examineRunning(
  follower: Follower,
  { acknowledged, large = false, repeated }: ExaminationOptions,
): Promise<Examination> {
  const region = follower.storage.region(1) as RaftStorage;
  const step = stepOf(region, acknowledged);
  const appliedIndex = checkStore(follower.store, large);
  if (appliedIndex > region.lastIndex() || appliedIndex < region.firstIndex() - 1) {
    if (appliedIndex !== 0 || region.firstIndex() !== 2) {
      throw new Error(`the store is at ${appliedIndex}, which the log does not reach`);
    }
  }
  const lastIndex = region.lastIndex();
  if (repeated !== undefined) await repeat(follower, repeated, large);
  await follower.finish();
  const end = checkStore(follower.store, large);
  if (end !== LAST_INDEX) throw new Error(`it came to index ${end} of ${LAST_INDEX}`);
  return { step, appliedIndex, lastIndex };
}

/** Lets the follower take a step again. */
async function repeat(
  follower: Follower,
  step: Exclude<Step, { kind: "restart" }>,
  large: boolean,
): Promise<void> {
  await follower.acknowledge(step);
  const commit = step.kind === "append" ? step.commit : step.index;
  await follower.settle(commit, step.term);
  const appliedIndex = checkStore(follower.store, large);
  if (appliedIndex !== commit) throw new Error(`it came to index ${appliedIndex} of ${commit}`);
}

/** What is wrong with the files, as `flaredb storage verify` says. */
export function problemsOf(directory: string): readonly string[] {
  const store = join(directory, "kv.db");
  return verifyStorage({
    directory,
    appliedIndex: () => appliedIndexOf(store),
    snapshotArrived: (regionId, index, term) =>
      checkSpooledSnapshot(directory, regionId, index, term),
    checkBeside: (report) => {
      if (existsSync(store)) whileUntouched(store, (location) => verifyStore(location, report));
    },
  }).problems;
}

/** Nothing, while there is no store or no table. */
function appliedIndexOf(path: string): number {
  if (!existsSync(path)) return 0;
  return readUntouched(path, (database) => {
    const tables = database.prepare("SELECT count(*) FROM sqlite_schema WHERE name = 'meta'");
    if (tables.first()?.[0] === 0) return 0;
    return database.prepare("SELECT last_applied FROM meta").first()?.[0] as number;
  });
}

/** The step after which the log is what it is: the one acknowledged last, or the next. */
function stepOf(region: RaftStorage, acknowledged: number): number {
  const { clusterId, nodeId } = FOLLOWER_IDENTITY;
  for (const [step, log] of scriptedLogs().entries()) {
    if (step < acknowledged || step > acknowledged + 1) continue;
    if (isLog(region, log)) return step;
  }
  throw new Error(
    `node ${nodeId} of ${clusterId} has entries ${region.firstIndex()} to ${region.lastIndex()}, ` +
      `which is not the log of step ${acknowledged} or of the next`,
  );
}

function isLog(region: RaftStorage, { base, terms }: ScriptedLog): boolean {
  const [first, last] = [region.firstIndex(), region.lastIndex()];
  if (last !== base + terms.length - 1 || first - 1 < base) return false;
  if (region.term(first - 1) !== terms[first - 1 - base]) return false;
  const entries = first > last ? [] : region.entries(first, last + 1, Infinity);
  return entries.length === last - first + 1 && entries.every((entry, at) => {
    const expected = entryOf(first + at, terms[first + at - base]);
    return JSON.stringify(entry, bytesAsText) === JSON.stringify(expected, bytesAsText);
  });
}

function bytesAsText(_key: string, value: unknown): unknown {
  return value instanceof Uint8Array ? String(value) : value;
}

/** What the store has applied. @throws unless it holds exactly the state of that. */
function checkStore(store: KvStore, large: boolean): number {
  const appliedIndex = store.lastApplied();
  const everything = new Uint8Array([0]);
  const { pairs, revision } = store.range(rangeRequest({ key: everything, rangeEnd: everything }));
  const found: Pair[] = pairs.map((pair) => [
    text.decode(pair.key),
    pair.createRevision,
    pair.modRevision,
    pair.version,
    valueText(pair.value),
  ]);
  const expected = storeAt(appliedIndex, large);
  if (JSON.stringify({ revision, pairs: found }) !== JSON.stringify(expected)) {
    throw new Error(`the store of index ${appliedIndex} does not hold the state of that index`);
  }
  return appliedIndex;
}
