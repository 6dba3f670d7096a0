/** The log, stable and unstable as one, against a plain array. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  CompactedError,
  createConfState,
  createEntry,
  EMPTY_HARD_STATE,
  entriesSize,
  entrySize,
  type LogStorage,
  RaftInvariantError,
  type RaftLogEntry,
  type Snapshot,
  UnavailableError,
} from "../../src/raft/mod.ts";
import { RaftLog } from "../../src/raft/log/mod.ts";
import { newStorage, write } from "./network.ts";

fc.configureGlobal({ numRuns: 300 });

const CONF = createConfState({ voters: [1] });

const entriesFrom = (index: number, terms: readonly number[]): RaftLogEntry[] =>
  terms.map((term, i) =>
    createEntry({ index: index + i, term, command: new Uint8Array((index + i) % 7) })
  );

const snapshotOf = (index: number, term: number): Snapshot => ({
  metadata: { index, term, confState: CONF },
  data: new Uint8Array(0),
});

/** A log of these terms, the first `stable` entries of it in storage, after a snapshot of `base`. */
function logOf(
  terms: readonly number[],
  stable: number,
  base = { index: 0, term: 0 },
  sizeMax = Infinity,
): RaftLog {
  const storage = newStorage(1, CONF, base);
  const entries = entriesFrom(base.index + 1, terms);
  write(storage, { entries: entries.slice(0, stable) });
  const log = new RaftLog(storage, sizeMax);
  log.append(entries.slice(stable));
  return log;
}

/** The obvious model of a log: the terms of all entries that were ever kept, and where it stands. */
class Model {
  readonly base: number;
  readonly baseTerm: number;
  entries: RaftLogEntry[];
  committed: number;
  applying: number;
  applied: number;

  constructor(base: number, baseTerm: number) {
    this.base =
      this.committed =
      this.applying =
      this.applied =
        base;
    this.baseTerm = baseTerm;
    this.entries = [];
  }

  get last(): number {
    return this.base + this.entries.length;
  }

  term(index: number): number | undefined {
    return index === this.base ? this.baseTerm : this.entries[index - this.base - 1]?.term;
  }

  /** The entries from `low` to before `high` within `sizeMax` bytes, at least one. */
  slice(low: number, high: number, sizeMax: number): RaftLogEntry[] {
    const all = this.entries.slice(low - this.base - 1, high - this.base - 1);
    let count = 0;
    let size = 0;
    while (count < all.length && (count === 0 || size + entrySize(all[count]) <= sizeMax)) {
      size += entrySize(all[count++]);
    }
    return all.slice(0, count);
  }
}

type Step =
  | { readonly kind: "append"; readonly at: number; readonly terms: readonly number[] }
  | {
    readonly kind: "leader";
    readonly at: number;
    readonly count: number;
    readonly commit: number;
  }
  | { readonly kind: "commit" | "persist" | "apply" | "slice"; readonly at: number };

const share = fc.double({ min: 0, max: 1, noNaN: true });
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    kind: fc.constant("append" as const),
    at: share,
    terms: fc.array(fc.integer({ min: 0, max: 1 }), { minLength: 1, maxLength: 4 }),
  }),
  fc.record({
    kind: fc.constant("leader" as const),
    at: share,
    count: fc.integer({ min: 0, max: 4 }),
    commit: fc.integer({ min: 0, max: 20 }),
  }),
  fc.record({
    kind: fc.constantFrom(
      "commit" as const,
      "persist" as const,
      "apply" as const,
      "slice" as const,
    ),
    at: share,
  }),
);

const between = (low: number, high: number, at: number) => low + Math.round((high - low) * at);

test("the log behaves as a plain array, wherever its entries are", () => {
  const base = fc.integer({ min: 0, max: 5 });
  fc.assert(fc.property(base, fc.array(step, { maxLength: 30 }), share, (baseIndex, steps, cut) => {
    const baseTerm = baseIndex === 0 ? 0 : 1;
    const storage = newStorage(1, CONF, { index: baseIndex, term: baseTerm });
    const log = new RaftLog(storage, Infinity);
    const model = new Model(baseIndex, baseTerm);
    const replace = (entries: RaftLogEntry[]) => {
      model.entries = [
        ...model.entries.slice(0, entries[0].index - model.base - 1),
        ...entries,
      ];
    };
    for (const what of steps) {
      if (what.kind === "append") {
        const from = between(model.committed + 1, model.last + 1, what.at);
        let term = Math.max(1, model.term(from - 1) ?? 1);
        const entries = entriesFrom(from, what.terms.map((more) => term += more));
        log.append(entries);
        replace(entries);
      } else if (what.kind === "leader") {
        // What a correct leader may send: it agrees with this log on a prefix past the commit index.
        const previous = between(model.committed, model.last, what.at);
        const shared = Math.min(what.count, 2);
        const term = (model.term(model.last) ?? 0) + 1;
        const entries = [
          ...model.slice(previous + 1, Math.min(previous + 1 + shared, model.last + 1), Infinity),
        ];
        while (entries.length < what.count) {
          entries.push(createEntry({ index: previous + 1 + entries.length, term }));
        }
        const isNew = entries.findIndex((entry) => model.term(entry.index) !== entry.term);
        const lastNew = log.maybeAppend(model.term(previous)!, previous, entries, what.commit);
        assert.equal(lastNew, previous + entries.length);
        if (isNew >= 0) replace(entries.slice(isNew));
        model.committed = Math.max(
          model.committed,
          Math.min(what.commit, previous + entries.length),
        );
      } else if (what.kind === "commit") {
        const index = between(model.committed, model.last, what.at);
        log.commitTo(index);
        model.committed = Math.max(model.committed, index);
      } else if (what.kind === "persist") {
        const entries = log.unstable.nextEntries();
        log.unstable.acceptInProgress();
        write(storage, { entries });
        log.unstable.stableTo(log.lastTerm(), log.lastIndex());
      } else if (what.kind === "apply") {
        const allowUnstable = what.at < 0.5;
        const stable = allowUnstable ? model.last : log.unstable.offset - 1;
        const high = Math.min(model.committed, stable);
        const expected = high > model.applying
          ? model.slice(model.applying + 1, high + 1, Infinity)
          : [];
        assert.equal(log.hasNextCommitted(allowUnstable), expected.length > 0);
        assert.deepEqual(log.nextCommitted(allowUnstable), expected);
        if (expected.length > 0) {
          log.acceptApplying(high, entriesSize(expected), allowUnstable);
          model.applying = high;
          const applied = between(model.applied, high, cut);
          log.appliedTo(applied, 0);
          model.applied = Math.max(model.applied, applied);
        }
      } else {
        const low = between(model.base + 1, model.last + 1, what.at);
        const high = between(low, model.last + 1, cut);
        for (const sizeMax of [0, 5, 12, 30, Infinity]) {
          assert.deepEqual([...log.slice(low, high, sizeMax)], model.slice(low, high, sizeMax));
        }
      }
      assert.equal(log.firstIndex(), model.base + 1);
      assert.equal(log.lastIndex(), model.last);
      assert.equal(log.lastTerm(), model.term(model.last));
      assert.deepEqual([log.committed, log.applying, log.applied], [
        model.committed,
        model.applying,
        model.applied,
      ]);
      for (let index = model.base; index <= model.last + 1; index++) {
        assert.equal(log.term(index), model.term(index));
      }
      assert.equal(log.term(model.base - 1), undefined);
    }
  }));
});

test("a log matches where it has the same term, and nowhere else (Raft §5.3)", () => {
  const log = logOf([1, 1, 2], 2);
  assert.equal(log.maybeAppend(2, 2, entriesFrom(3, [2]), 9), undefined);
  assert.equal(log.maybeAppend(2, 4, [], 9), undefined);
  assert.equal(log.committed, 0);
  assert.equal(log.maybeAppend(2, 3, [], 0), 3);
});

test("conflicting entries and all that follow are cut off, equal ones are kept (Raft §5.3)", () => {
  const log = logOf([1, 1, 1, 1], 4);
  // The same entries again, shorter than what is there: nothing is cut off.
  log.maybeAppend(1, 1, entriesFrom(2, [1]), 0);
  assert.equal(log.lastIndex(), 4);
  assert.equal(log.unstable.length, 0);
  log.maybeAppend(1, 1, entriesFrom(2, [1, 2]), 0);
  assert.equal(log.lastIndex(), 3);
  assert.deepEqual(log.unstable.nextEntries().map((entry) => entry.index), [3]);
});

test("a follower commits no further than the last new entry (Raft figure 2)", () => {
  const log = logOf([1, 1, 1], 3);
  log.maybeAppend(1, 1, entriesFrom(2, [1]), 3);
  assert.equal(log.committed, 2);
});

test("the log with the later last term is more up to date, then the longer one (Raft §5.4.1)", () => {
  const log = logOf([1, 2, 2], 1);
  assert.equal(log.isUpToDate(3, 1), true);
  assert.equal(log.isUpToDate(2, 3), true);
  assert.equal(log.isUpToDate(2, 4), true);
  assert.equal(log.isUpToDate(2, 2), false);
  assert.equal(log.isUpToDate(1, 9), false);
});

test("only entries of the given term are committed by counting (Raft §5.4.2)", () => {
  const log = logOf([1, 2, 2], 3);
  assert.equal(log.maybeCommit(1, 2), false);
  assert.equal(log.maybeCommit(4, 2), false);
  assert.equal(log.maybeCommit(2, 2), true);
  assert.equal(log.maybeCommit(2, 2), false);
  assert.equal(log.maybeCommit(3, 0), false);
  assert.equal(log.committed, 2);
});

test("the conflict by term is the last place where the logs may match", () => {
  fc.assert(fc.property(
    fc.array(fc.integer({ min: 0, max: 1 }), { minLength: 1, maxLength: 8 }),
    fc.integer({ min: 0, max: 10 }),
    fc.integer({ min: 0, max: 6 }),
    (steps, index, term) => {
      let current = 1;
      const terms = steps.map((more) => current += more);
      const log = logOf(terms, 3, { index: 2, term: 1 });
      const at = (i: number) => i === 2 ? 1 : terms[i - 3];
      // Obvious: walk down to the first entry whose term is unknown or not too large.
      let expected = index;
      while (expected > 0 && at(expected) !== undefined && at(expected) > term) expected--;
      assert.deepEqual(log.findConflictByTerm(index, term), {
        index: expected,
        term: expected === 0 ? 0 : at(expected) ?? 0,
      });
    },
  ));
});

test("committed entries are paged by size, and the rest waits for what is being applied", () => {
  const sizes = entriesFrom(1, [1, 1, 1, 1]).map(entrySize);
  const log = logOf([1, 1, 1, 1], 4, undefined, sizes[0] + sizes[1]);
  log.commitTo(4);
  const page = log.nextCommitted(true);
  assert.deepEqual(page.map((entry) => entry.index), [1, 2]);
  log.acceptApplying(2, entriesSize(page), true);
  assert.equal(log.hasNextCommitted(true), false);
  log.appliedTo(1, sizes[0]);
  assert.deepEqual(log.nextCommitted(true).map((entry) => entry.index), [3]);
});

test("a page that the size limit cut short pauses until some of it is applied", () => {
  const sizes = entriesFrom(1, [1, 1, 1]).map(entrySize);
  // Room is left after the first page, but not enough for the next entry.
  const log = logOf([1, 1, 1], 3, undefined, sizes[0] + sizes[1] + 1);
  log.commitTo(3);
  const page = log.nextCommitted(true);
  log.acceptApplying(2, entriesSize(page), true);
  assert.equal(log.hasNextCommitted(true), false);
  log.appliedTo(2, entriesSize(page));
  assert.deepEqual(log.nextCommitted(true).map((entry) => entry.index), [3]);
});

test("with asynchronous writes only stable entries are applied", () => {
  const log = logOf([1, 1, 1], 1);
  log.commitTo(3);
  assert.deepEqual(log.nextCommitted(false).map((entry) => entry.index), [1]);
  assert.deepEqual(log.nextCommitted(true).map((entry) => entry.index), [1, 2, 3]);
});

test("nothing is applied while a snapshot waits", () => {
  const log = logOf([1, 1, 1], 3);
  log.restore(snapshotOf(8, 2));
  assert.deepEqual([log.firstIndex(), log.lastIndex(), log.lastTerm()], [9, 8, 2]);
  assert.equal(log.committed, 8);
  log.append(entriesFrom(9, [2]));
  log.commitTo(9);
  assert.equal(log.hasNextCommitted(true), false);
  log.unstable.stableSnapshotTo(8);
  log.appliedTo(8, 0);
  assert.deepEqual(log.nextCommitted(true).map((entry) => entry.index), [9]);
});

test("a received snapshot is preferred to the one in storage", () => {
  const log = logOf([1], 1, { index: 3, term: 1 });
  assert.equal(log.snapshot().metadata.index, 3);
  log.restore(snapshotOf(8, 2));
  assert.equal(log.snapshot().metadata.index, 8);
});

test("scanning visits every entry in pages, until told to stop", () => {
  const log = logOf([1, 1, 1, 1, 1], 3);
  const pages: number[][] = [];
  log.scan(2, 6, entrySize(entriesFrom(2, [1])[0]), (page) => {
    pages.push(page.map((entry) => entry.index));
    return pages.length < 3;
  });
  assert.deepEqual(pages, [[2], [3], [4]]);
});

test("reading what was compacted is refused, reading beyond the end is a bug", () => {
  const log = logOf([1, 1], 1, { index: 4, term: 1 });
  assert.throws(() => log.slice(4, 6, Infinity), CompactedError);
  assert.throws(() => log.entries(4, Infinity), CompactedError);
  assert.deepEqual(log.entries(7, Infinity), []);
  assert.throws(() => log.slice(5, 8, Infinity), RaftInvariantError);
  assert.throws(() => log.slice(6, 5, Infinity), RaftInvariantError);
});

test("the log refuses to forget what is committed, and to run ahead of itself", () => {
  const log = logOf([1, 1, 1], 3);
  log.commitTo(2);
  assert.throws(() => log.append(entriesFrom(2, [2])), RaftInvariantError);
  assert.throws(() => log.commitTo(4), RaftInvariantError);
  log.commitTo(1);
  assert.equal(log.committed, 2);
  assert.throws(() => log.appliedTo(3, 0), RaftInvariantError);
  assert.throws(() => log.acceptApplying(3, 0, true), RaftInvariantError);
  log.appliedTo(2, 0);
  assert.throws(() => log.appliedTo(1, 0), RaftInvariantError);
});

test("errors of a storage are known ones, or stop the replica", () => {
  let failure: Error = new UnavailableError();
  const failing: LogStorage = {
    initialState: () => ({ hardState: EMPTY_HARD_STATE, confState: CONF }),
    entries: () => [],
    term: () => {
      throw failure;
    },
    firstIndex: () => 1,
    lastIndex: () => 1,
    snapshot: () => snapshotOf(0, 0),
  };
  const log = new RaftLog(failing, Infinity);
  assert.equal(log.term(1), undefined);
  assert.throws(() => log.lastTerm(), RaftInvariantError);
  assert.throws(() => log.scan(1, 2, 100, () => true), RaftInvariantError);
  failure = new Error("the disk is on fire");
  assert.throws(() => log.term(1), /on fire/);
});
