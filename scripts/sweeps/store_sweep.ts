/**
 * Corruption sweep of the key-value store: every page of `kv.db` and every frame of its write-ahead
 * log is damaged in turn, while the store is closed and while it is open. Then opening, `verify` or the
 * read finds it; or every answer is exactly as before, as the damage lies where nothing is; or the log
 * ends earlier, and every answer is what it was at an earlier index, from where the node's log goes on.
 * Any other answer fails the sweep, but for one that an open store gives: where the structure of a
 * page, which has no checksum, comes to hide rows while the store is open, they may be missing from an
 * answer, until the store is opened again or verified, which finds it. What is answered is true always.
 *
 * @module
 */

import { copyFileSync, existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { KvCorruptError, KvStorageError, KvStore, verifyStore } from "../../src/kv/mod.ts";
import { whileUntouched } from "../../src/storage/sqlite/mod.ts";
import { damagedCopy, type Target, targetsOf } from "./damage.ts";
import { answersOf, runStep } from "./store_workload.ts";
import { count as tally, Numbers, type SweepReport, withDirectory } from "./sweep.ts";

const FILES = ["kv.db", "kv.db-wal"];
const STEPS = 120;

/** Few pages are kept in memory, and everything is written at once. */
const LIMITS = { cacheBytes: 1, commitRows: 1, checkpointRows: 1_000_000 };

/** Runs the sweep with `kinds` damages a page. @throws when damage led to a wrong answer. */
export function storeSweep(kinds: number, seed: number): Promise<SweepReport> {
  return withDirectory((parent) => {
    const numbers = new Numbers(seed);
    const report: SweepReport = {};
    for (const closed of [true, false]) {
      const image = join(parent, `image-${closed}`);
      const answers = makeImage(join(parent, `live-${closed}`), image, closed);
      for (const target of targetsOf(image, FILES)) {
        for (let kind = 0; kind < kinds; kind++) {
          const { content, damage } = damagedCopy(image, target, kind, numbers);
          const copy = join(parent, "copy");
          const examined = closed && target.file === FILES[0]
            ? [examineClosed, examineOpen]
            : [examineClosed];
          for (const examine of examined) {
            mkdirSync(copy);
            copyFiles(image, copy);
            try {
              const found = examine(copy, target, content, answers);
              tally(report, `store's ${target.what.split(" ")[0]}: ${found}`);
            } catch (cause) {
              throw new Error(`${target.what} of ${target.file}, ${damage}: ${cause}`, { cause });
            }
            rmSync(copy, { recursive: true });
          }
        }
      }
    }
    return Promise.resolve(report);
  });
}

function copyFiles(from: string, to: string): void {
  for (const name of FILES) {
    if (existsSync(join(from, name))) copyFileSync(join(from, name), join(to, name));
  }
}

/**
 * The files of a store, closed, or with its second half in the write-ahead log alone; and what it
 * answered after each step.
 */
function makeImage(live: string, image: string, closed: boolean): string[] {
  const store = KvStore.open({ directory: live, ...LIMITS });
  const answers = [answersOf(store)];
  for (let step = 1; step <= STEPS; step++) {
    runStep(store, step);
    answers.push(answersOf(store));
    if (step === STEPS / 2) store.flush();
  }
  if (closed) store.close();
  mkdirSync(image);
  copyFiles(live, image);
  store.close();
  return answers;
}

/** What the tools and an opened store make of the damage. @throws when an answer is wrong. */
function examineClosed(
  copy: string,
  target: Target,
  content: Uint8Array,
  answers: readonly string[],
): string {
  writeFileSync(join(copy, target.file), content);
  let problems = 0;
  whileUntouched(join(copy, FILES[0]), (location) => verifyStore(location, () => problems++));
  const found = answersUnlessRefused(() => KvStore.open({ directory: copy, ...LIMITS }));
  if (found === undefined) {
    if (problems === 0) throw new Error("it is refused, but verify finds nothing");
    return "found by open and verify";
  }
  const step = answers.indexOf(found);
  if (step < 0 || (step < STEPS && target.file === FILES[0])) {
    throw new Error(`a wrong answer: ${difference(found, answers[STEPS])}`);
  }
  if (problems > 0) return "found by verify";
  return step === STEPS ? "where nothing is stored" : "the log ends there; the node's goes on";
}

/** What a store answers whose file is damaged while it is open. @throws when an answer is wrong. */
function examineOpen(
  copy: string,
  target: Target,
  content: Uint8Array,
  answers: readonly string[],
): string {
  const found = answersUnlessRefused(() => {
    const store = KvStore.open({ directory: copy, ...LIMITS });
    writeFileSync(join(copy, target.file), content);
    return store;
  });
  if (found === undefined) return "found by a read of the open store";
  if (found === answers[STEPS]) return "where the open store reads nothing, or has it in memory";
  if (!isPartOf(JSON.parse(found), JSON.parse(answers[STEPS]))) {
    throw new Error(`a wrong answer of an open store: ${difference(found, answers[STEPS])}`);
  }
  let problems = 0;
  whileUntouched(join(copy, FILES[0]), (location) => verifyStore(location, () => problems++));
  if (problems > 0) return "rows hidden from the open store by their page, found by verify";
  throw new Error("rows are missing, but verify finds nothing");
}

/**
 * Whether answers only lack pairs: a row that its page's own structure hides has no checksum that
 * could tell.
 */
function isPartOf(found: Answers, expected: Answers): boolean {
  const [applied, state, ranges] = found;
  return JSON.stringify([applied, state]) === JSON.stringify(expected.slice(0, 2)) &&
    ranges.every(({ revision, pairs }, i) => {
      const known = new Set(expected[2][i].pairs.map((pair) => JSON.stringify(pair)));
      return revision === expected[2][i].revision &&
        pairs.every((pair) => known.has(JSON.stringify(pair)));
    });
}

/** What {@linkcode answersOf} writes. */
type Answers = [
  applied: number,
  state: unknown,
  ranges: { readonly revision: number; readonly pairs: readonly unknown[] }[],
];

function answersUnlessRefused(open: () => KvStore): string | undefined {
  let store: KvStore | undefined;
  try {
    store = open();
    return answersOf(store);
  } catch (error) {
    if (error instanceof KvCorruptError || error instanceof KvStorageError) return undefined;
    throw error;
  } finally {
    try {
      store?.close();
    } catch {
      // Its last checkpoint may meet the damage.
    }
  }
}

function difference(found: string, expected: string): string {
  let at = 0;
  while (found[at] === expected[at]) at++;
  const part = (text: string): string => text.slice(Math.max(0, at - 80), at + 40);
  return `${part(found)} instead of ${part(expected)}`;
}
