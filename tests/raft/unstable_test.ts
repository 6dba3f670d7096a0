/** The unstable tail of the log against a plain array. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { createConfState, createEntry, RaftInvariantError } from "../../src/raft/mod.ts";
import type { RaftLogEntry, Snapshot } from "../../src/raft/mod.ts";
import { Unstable } from "../../src/raft/log/mod.ts";

fc.configureGlobal({ numRuns: 300 });

const START = 5;

/** The obvious model: the unstable entries with a mark on those whose write has begun. */
interface Model {
  offset: number;
  entries: { entry: RaftLogEntry; begun: boolean }[];
  snapshot: Snapshot | undefined;
  snapshotBegun: boolean;
}

const entriesFrom = (index: number, terms: readonly number[]) =>
  terms.map((term, i) => createEntry({ index: index + i, term }));

const snapshotOf = (index: number, term: number): Snapshot => ({
  metadata: { index, term, confState: createConfState({ voters: [1] }) },
  data: new Uint8Array(0),
});

type Step =
  | { readonly kind: "append"; readonly back: number; readonly terms: readonly number[] }
  | {
    readonly kind: "begin";
  }
  | { readonly kind: "stable"; readonly ahead: number; readonly term: number }
  | {
    readonly kind: "restore" | "stable-snapshot";
    readonly ahead: number;
  };

const term = fc.integer({ min: 1, max: 3 });
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    kind: fc.constant("append" as const),
    back: fc.integer({ min: 0, max: 4 }),
    terms: fc.array(term, { minLength: 1, maxLength: 4 }),
  }),
  fc.record({ kind: fc.constant("begin" as const) }),
  fc.record({
    kind: fc.constant("stable" as const),
    ahead: fc.integer({ min: -2, max: 6 }),
    term,
  }),
  fc.record({
    kind: fc.constantFrom("restore" as const, "stable-snapshot" as const),
    ahead: fc.integer({ min: 0, max: 3 }),
  }),
);

function perform(unstable: Unstable, model: Model, what: Step): void {
  const end = model.offset + model.entries.length;
  if (what.kind === "append") {
    const from = Math.max(1, end - what.back);
    const entries = entriesFrom(from, what.terms);
    unstable.truncateAndAppend(entries);
    const kept = model.entries.slice(0, Math.max(0, from - model.offset));
    model.offset = Math.min(model.offset, from);
    model.entries = [...kept, ...entries.map((entry) => ({ entry, begun: false }))];
  } else if (what.kind === "begin") {
    unstable.acceptInProgress();
    for (const item of model.entries) item.begun = true;
    if (model.snapshot !== undefined) model.snapshotBegun = true;
  } else if (what.kind === "stable") {
    const index = model.offset + what.ahead;
    unstable.stableTo(what.term, index);
    const item = model.entries[index - model.offset];
    if (item?.begun === true && item.entry.term === what.term) {
      model.entries = model.entries.slice(index - model.offset + 1);
      model.offset = index + 1;
    }
  } else if (what.kind === "restore") {
    const snapshot = snapshotOf(end + what.ahead, 2);
    unstable.restore(snapshot);
    model.offset = end + what.ahead + 1;
    model.entries = [];
    model.snapshot = snapshot;
    model.snapshotBegun = false;
  } else {
    // Off by `ahead` from the right one, which must leave it alone.
    const index = (model.snapshot?.metadata.index ?? 0) + what.ahead;
    unstable.stableSnapshotTo(index);
    if (what.ahead === 0) model.snapshot = undefined;
  }
}

function compare(unstable: Unstable, model: Model): void {
  const { offset, entries, snapshot } = model;
  const end = offset + entries.length;
  const all = entries.map(({ entry }) => entry);
  const next = entries.filter(({ begun }) => !begun).map(({ entry }) => entry);
  assert.equal(unstable.offset, offset);
  assert.equal(unstable.length, entries.length);
  assert.deepEqual(unstable.slice(offset, end), all);
  assert.deepEqual(unstable.nextEntries(), next);
  assert.equal(unstable.hasNextEntries(), next.length > 0);
  assert.equal(unstable.offsetInProgress, end - next.length);
  assert.equal(unstable.snapshot, snapshot);
  assert.equal(unstable.nextSnapshot(), model.snapshotBegun ? undefined : snapshot);
  assert.equal(unstable.lastIndex(), all.length > 0 ? end - 1 : snapshot?.metadata.index);
  for (let index = offset - 2; index <= end + 1; index++) {
    const known = all.find((entry) => entry.index === index)?.term ??
      (snapshot?.metadata.index === index && index < offset ? snapshot.metadata.term : undefined);
    assert.equal(unstable.term(index), known);
  }
}

test("the unstable tail behaves as a plain array with a mark on what is being written", () => {
  fc.assert(fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
    const unstable = new Unstable(START);
    const model: Model = { offset: START, entries: [], snapshot: undefined, snapshotBegun: false };
    for (const what of steps) {
      perform(unstable, model, what);
      compare(unstable, model);
    }
  }));
});

test("a slice belongs to its caller", () => {
  const unstable = new Unstable(1);
  unstable.truncateAndAppend(entriesFrom(1, [1, 1, 1]));
  unstable.slice(1, 4).length = 0;
  assert.equal(unstable.length, 3);
});

test("an append does not change an array that was handed out before", () => {
  const unstable = new Unstable(1);
  const given = entriesFrom(1, [1, 1]);
  unstable.truncateAndAppend(given);
  const taken = unstable.nextEntries();
  unstable.truncateAndAppend(entriesFrom(3, [1]));
  unstable.truncateAndAppend(entriesFrom(2, [2]));
  assert.equal(given.length, 2);
  assert.deepEqual(taken.map((entry) => entry.term), [1, 1]);
});

test("a gap and a slice out of bounds are bugs", () => {
  const unstable = new Unstable(3);
  assert.throws(() => unstable.truncateAndAppend(entriesFrom(5, [1])), RaftInvariantError);
  unstable.truncateAndAppend(entriesFrom(3, [1, 1]));
  assert.throws(() => unstable.slice(2, 4), RaftInvariantError);
  assert.throws(() => unstable.slice(4, 6), RaftInvariantError);
  assert.throws(() => unstable.slice(5, 4), RaftInvariantError);
});
