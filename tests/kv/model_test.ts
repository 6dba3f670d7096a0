import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  deleteRangeRequest,
  encodeDeleteRangeCommand,
  encodePutCommand,
  type KvResult,
  KvStore,
  putRequest,
  rangeRequest,
} from "../../src/kv/mod.ts";
import { bytes, collect, Model, streamOf, withDirectory } from "./support.ts";

const keys = fc.constantFrom("a", "aa", "ab", "b", "ba", "c", "\0", "~");
const rangeEnds = fc.constantFrom("", "", "\0", "aa", "b", "c", "~");

const puts = fc.record({
  kind: fc.constant("put" as const),
  key: keys,
  value: fc.constantFrom("", "1", "2", "3"),
  ignoreValue: fc.oneof(fc.constant(false), fc.boolean()),
  prevKv: fc.boolean(),
});
const deletions = fc.record({
  kind: fc.constant("delete" as const),
  key: keys,
  rangeEnd: rangeEnds,
  prevKv: fc.boolean(),
});
const reads = fc.record({
  key: keys,
  rangeEnd: rangeEnds,
  limit: fc.nat(4),
  age: fc.nat(12),
  sortOrder: fc.nat(2),
  sortTarget: fc.nat(4),
  keysOnly: fc.boolean(),
  countOnly: fc.boolean(),
  minModRevision: fc.constantFrom(0, 0, 0, 3),
  maxModRevision: fc.constantFrom(0, 0, 0, 9),
  minCreateRevision: fc.constantFrom(0, 0, 0, 3),
  maxCreateRevision: fc.constantFrom(0, 0, 0, 9),
});
const steps = fc.oneof(
  { weight: 6, arbitrary: fc.array(fc.oneof(puts, puts, deletions), { minLength: 1 }) },
  { weight: 6, arbitrary: reads },
  { weight: 1, arbitrary: fc.constantFrom("reopen", "flush", "move") },
);

type Write = (typeof puts | typeof deletions) extends fc.Arbitrary<infer T> ? T : never;
type Read = typeof reads extends fc.Arbitrary<infer T> ? T : never;

function applyToModel(model: Model, write: Write): [Uint8Array, KvResult] {
  if (write.kind === "delete") {
    const { key, rangeEnd, prevKv } = write;
    const request = deleteRangeRequest({ key: bytes(key), rangeEnd: bytes(rangeEnd), prevKv });
    return [encodeDeleteRangeCommand(request), model.deleteRange(request)];
  }
  const request = putRequest({ ...write, key: bytes(write.key), value: bytes(write.value) });
  return [encodePutCommand(request), model.put(request)];
}

function withoutMessage(result: KvResult): KvResult {
  return result.kind === "failure" ? { ...result, message: "" } : result;
}

function writeAll(store: KvStore, model: Model, writes: readonly Write[]): void {
  const before = store.lastApplied();
  const expected: KvResult[] = [];
  const commands = writes.map((write, i) => {
    const [command, result] = applyToModel(model, write);
    expected.push(result);
    return { index: before + 1 + i, term: 1, bytes: command };
  });
  const lastApplied = before + commands.length;
  const state: [string, Uint8Array] = ["writes", bytes(String(lastApplied))];
  const results = store.apply({ commands, lastApplied, nodeState: [state] });
  assert.deepEqual(results.map(withoutMessage), expected);
}

function readBoth(store: KvStore, model: Model, read: Read): void {
  const revision = read.age === 0 ? 0 : Math.max(1, model.revision + 1 - read.age);
  const request = rangeRequest({
    ...read,
    key: bytes(read.key),
    rangeEnd: bytes(read.rangeEnd),
    revision,
  });
  assert.deepEqual(store.range(request), model.range(request));
}

/** Another store, restored from a snapshot of `store`, which goes on being written meanwhile. */
async function moveTo(directory: string, store: KvStore): Promise<KvStore> {
  const index = store.lastApplied();
  const snapshot = store.snapshot();
  const moved = KvStore.open({ directory });
  await moved.restore(streamOf(await collect(snapshot)), index);
  store.close();
  return moved;
}

test("the store agrees with a plain model under random writes, reads, reopenings and moves", () =>
  fc.assert(
    fc.asyncProperty(
      fc.array(steps, { minLength: 5, maxLength: 30 }),
      fc.integer({ min: 1, max: 20 }),
      (sequence, commitRows) =>
        withDirectory(async (root) => {
          let generation = 0;
          let directory = `${root}/${generation}`;
          const open = () =>
            KvStore.open({ directory, commitRows, checkpointRows: commitRows * 3 });
          let store = open();
          const model = new Model();
          for (const step of sequence) {
            if (Array.isArray(step)) writeAll(store, model, step);
            else if (typeof step === "object") readBoth(store, model, step);
            else if (step === "flush") store.flush();
            else if (step === "move") {
              directory = `${root}/${++generation}`;
              store = await moveTo(directory, store);
            } else {
              store.close();
              store = open();
            }
            assert.equal(store.revision, model.revision);
            const applied = store.nodeState().get("writes");
            assert.deepEqual(applied ?? bytes("0"), bytes(String(store.lastApplied())));
          }
          for (let revision = 1; revision <= model.revision; revision++) {
            const all = rangeRequest({ key: bytes("\0"), rangeEnd: bytes("\0"), revision });
            assert.deepEqual(store.range(all), model.range(all));
          }
          store.close();
        }),
    ),
    { numRuns: 60 },
  ));
