import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  type ConfState,
  createConfState,
  createEntry,
  entrySize,
  type HardState,
  type RaftLogEntry,
  type Snapshot,
} from "../../src/raft/mod.ts";
import {
  MemoryDisk,
  MemoryNodeStorage,
  type NodeStorage,
  type RaftStorage,
} from "../../src/storage/mod.ts";
import { SqliteNodeStorage } from "../../src/storage/sqlite/mod.ts";
import { withDirectory } from "./temporary_directory.ts";

const identity = { clusterId: "tests", nodeId: 1 };
const REGIONS = [1, 2];

/** Many syncs: generous where the disk is busy. */
const SLOW = { timeout: 60_000 };

/** The plainest storage there can be. `entries[i]` has index `truncated.index + 1 + i`. */
interface Model {
  truncated: { index: number; term: number };
  entries: RaftLogEntry[];
  hardState: HardState;
  confState: ConfState;
  confStateIndex: number;
  snapshot: Snapshot | undefined;
}

/** A random step; the numbers are fitted to the state of the region when it is run. */
interface Step {
  readonly kind: "append" | "hard-state" | "compact" | "conf-state" | "install" | "own" | "reopen";
  readonly region: number;
  readonly a: number;
  readonly b: number;
  readonly size: number;
  /** Whether to wait for the write before the next step. */
  readonly wait: boolean;
}

const STEP: fc.Arbitrary<Step> = fc.record({
  kind: fc.oneof(
    { weight: 8, arbitrary: fc.constant("append" as const) },
    ...(["hard-state", "compact", "conf-state", "install", "own", "reopen"] as const)
      .map((kind) => ({ weight: 1, arbitrary: fc.constant(kind) })),
  ),
  region: fc.constantFrom(...REGIONS),
  a: fc.nat(20),
  b: fc.nat(20),
  size: fc.oneof(fc.nat(300), fc.constantFrom(0, 5000)),
  wait: fc.nat(3).map((n) => n === 0),
});

function emptyModel(): Model {
  return {
    truncated: { index: 0, term: 0 },
    entries: [],
    hardState: { currentTerm: 0, votedFor: 0, commitIndex: 0 },
    confState: createConfState(),
    confStateIndex: 0,
    snapshot: undefined,
  };
}

const lastIndex = (model: Model) => model.truncated.index + model.entries.length;
const termAt = (model: Model, index: number) =>
  index === model.truncated.index
    ? model.truncated.term
    : model.entries[index - model.truncated.index - 1].term;

function commit(model: Model, index: number): void {
  const commitIndex = Math.max(model.hardState.commitIndex, index);
  model.hardState = { ...model.hardState, commitIndex };
}

/** Does a step to the model and starts it on the storage. */
function perform(step: Step, model: Model, storage: RaftStorage): Promise<void> {
  const { a, b, size } = step;
  const last = lastIndex(model);
  const between = (low: number, high: number) => low + a % (high - low + 1);
  switch (step.kind) {
    case "append": {
      const first = between(model.hardState.commitIndex + 1, last + 1);
      const term = termAt(model, first - 1) + (b % 2);
      const entries = Array.from({ length: 1 + b }, (_, i) =>
        createEntry({
          index: first + i,
          term: term + (i > b / 2 ? 1 : 0),
          type: (["normal", "conf-change", "conf-change-v2"] as const)[i % 3],
          command: new Uint8Array(size).fill(first + i),
          context: a % 3 === 0 ? new Uint8Array(b).fill(a) : undefined,
        }));
      model.entries.length = first - 1 - model.truncated.index;
      model.entries.push(...entries);
      return storage.append({ entries });
    }
    case "hard-state": {
      const currentTerm = model.hardState.currentTerm + 1 + b;
      const commitIndex = between(0, last);
      model.hardState = { ...model.hardState, currentTerm, votedFor: a };
      commit(model, commitIndex);
      return storage.append({ hardState: { currentTerm, votedFor: a, commitIndex } });
    }
    case "compact": {
      const index = between(model.truncated.index, last);
      compactModel(model, index);
      return storage.compact(index);
    }
    case "own": {
      const low = Math.max(model.truncated.index, model.snapshot?.metadata.index ?? 0);
      const index = between(low, last);
      const term = termAt(model, index);
      const confState = createConfState({ voters: [a, b] });
      const snapshot = { metadata: { index, term, confState }, data: new Uint8Array(size) };
      const compactIndex = Math.max(0, index - b);
      model.snapshot = snapshot;
      commit(model, index);
      compactModel(model, compactIndex);
      return storage.compact(compactIndex, snapshot);
    }
    case "conf-state": {
      const index = between(model.confStateIndex, last);
      model.confState = createConfState({ voters: [a], learners: [b], autoLeave: a > b });
      model.confStateIndex = index;
      commit(model, index);
      return storage.saveConfState(model.confState, index);
    }
    default: {
      const index = between(model.hardState.commitIndex, last + 5);
      const confState = createConfState({ voters: [b], votersOutgoing: [a] });
      const metadata = { index, term: termAt(model, last) + 1, confState };
      const entries = Array.from(
        { length: b % 4 },
        (_, i) => createEntry({ index: index + 1 + i, term: metadata.term }),
      );
      model.truncated = { index, term: metadata.term };
      model.entries = [...entries];
      model.confState = confState;
      model.confStateIndex = index;
      model.snapshot = { metadata, data: new Uint8Array(size).fill(1) };
      commit(model, index);
      return storage.append({ snapshot: model.snapshot, entries });
    }
  }
}

function compactModel(model: Model, index: number): void {
  if (index <= model.truncated.index) return;
  const term = termAt(model, index);
  model.entries.splice(0, index - model.truncated.index);
  model.truncated = { index, term };
  commit(model, index);
  if (model.snapshot !== undefined && model.snapshot.metadata.index < index) {
    model.snapshot = undefined;
  }
}

function check(model: Model, storage: RaftStorage, { a, b, size }: Step): void {
  const [first, last] = [model.truncated.index + 1, lastIndex(model)];
  assert.deepEqual([storage.firstIndex(), storage.lastIndex()], [first, last]);
  assert.deepEqual(storage.initialState().hardState, model.hardState);
  assert.deepEqual(storage.initialState().confState, model.confState);
  assert.equal(storage.confStateIndex(), model.confStateIndex);
  for (let index = first - 1; index <= last; index++) {
    assert.equal(storage.term(index), termAt(model, index));
  }
  assert.deepEqual(
    first > last ? [] : storage.entries(first, last + 1, Infinity),
    model.entries,
  );
  const low = first + a % (last - first + 2);
  const high = Math.min(last + 1, low + b);
  const range = model.entries.slice(low - first, high - first);
  let bytes = 0;
  const within = range.filter((entry, i) => (bytes += entrySize(entry)) <= size || i === 0);
  assert.deepEqual(storage.entries(low, high, size), within);
  const index = Math.max(model.truncated.index, model.confStateIndex);
  const placeholder = {
    metadata: { index, term: termAt(model, index), confState: model.confState },
    data: new Uint8Array(0),
  };
  assert.deepEqual(storage.snapshot(), model.snapshot ?? placeholder);
}

async function run(steps: readonly Step[], open: () => Promise<NodeStorage>): Promise<void> {
  let node = await open();
  try {
    const models = new Map(REGIONS.map((id) => [id, emptyModel()]));
    for (const regionId of REGIONS) await node.createRegion({ regionId, peerId: 1 });
    for (const step of steps) {
      if (step.kind === "reopen") {
        await node.close();
        node = await open();
      } else {
        const storage = node.region(step.region) as RaftStorage;
        const write = perform(step, models.get(step.region) as Model, storage);
        if (step.wait) await write;
      }
      for (const [id, model] of models) check(model, node.region(id) as RaftStorage, step);
    }
    await node.close();
    node = await open();
    for (const [id, model] of models) {
      check(model, node.region(id) as RaftStorage, { ...steps[0], a: 0, b: 20, size: 1000 });
    }
  } finally {
    await node.close();
  }
}

const STEPS = fc.array(STEP, { minLength: 1, maxLength: 40 });

test("memory storage does what a plain array does, under random writes and reopenings", () =>
  fc.assert(
    fc.asyncProperty(STEPS, (steps) => {
      const disk = new MemoryDisk();
      return run(steps, () => Promise.resolve(new MemoryNodeStorage(identity, disk)));
    }),
    { numRuns: 200 },
  ));

test(
  "SQLite storage does what a plain array does, under random writes and reopenings",
  SLOW,
  () =>
    fc.assert(
      fc.asyncProperty(
        STEPS,
        fc.constantFrom(0, 2000, undefined),
        fc.constantFrom(1, 3000, undefined),
        fc.constantFrom(4096, 100_000, undefined),
        (steps, cacheBytesMax, transactionBytesMax, checkpointBytes) =>
          withDirectory((directory) => {
            const limits = { cacheBytesMax, transactionBytesMax, checkpointBytes };
            return run(steps, () => SqliteNodeStorage.open({ directory, identity, ...limits }));
          }),
      ),
      { numRuns: 25 },
    ),
);
