import assert from "node:assert/strict";
import { test } from "node:test";
import {
  Chance,
  KV_HISTORY_REVISIONS,
  type KvInput,
  KvMachine,
  KvModel,
  type KvOperation,
  type KvOutput,
  KvWorkload,
} from "../../src/sim/mod.ts";

/** A machine that is given transactions one by one. */
class Store {
  readonly machine: KvMachine = new KvMachine();
  readonly #workload: KvWorkload = new KvWorkload();
  #index = 0;

  transact(input: KvInput): KvOutput {
    const index = ++this.#index;
    const bytes = this.#workload.encode(input);
    return this.machine.apply({
      commands: [{ index, term: 1, bytes }],
      lastApplied: index,
      nodeState: [],
    })[0];
  }

  do(...then: KvOperation[]): KvOutput {
    return this.transact({ compare: [], then, else: [] });
  }
}

const put = (key: number, value: number): KvOperation => ({ type: "put", key, value });
const read = (key: number, end = key + 1, revision = 0): KvOperation => ({
  type: "range",
  key,
  end,
  revision,
});

test("the machine and the model agree on whatever clients do, across snapshots", () => {
  const chance = new Chance(4, 1);
  const workload = new KvWorkload();
  const model = new KvModel();
  let state = model.initial();
  let machine = new KvMachine();
  for (let index = 1; index <= 3000; index++) {
    const { input } = workload.next(chance, 0);
    const command = { index, term: 1, bytes: workload.encode(input) };
    const [found] = machine.apply({ commands: [command], lastApplied: index, nodeState: [] });
    const next = model.step(state, input);
    assert.deepEqual(found, next.output);
    assert.ok(model.equal(found, next.output));
    state = next.state;
    workload.output(found, input);
    if (index % 100 !== 0) continue;
    const copy = new KvMachine();
    copy.load(machine.save(), machine.lastApplied());
    assert.equal(copy.digest(), machine.digest());
    assert.equal(copy.lastApplied(), index);
    machine = copy;
  }
  assert.ok(state.revision > 1000);
});

test("all changes of a transaction share one revision, and a read changes none", () => {
  const store = new Store();
  assert.equal(store.do(put(0, 7), put(1, 8)).revision, 1);
  const { revision, results } = store.do(read(0, 4));
  assert.equal(revision, 1);
  assert.deepEqual(results[0].map(({ key, modify }) => [key, modify]), [[0, 1], [1, 1]]);
});

test("version counts the puts since a key was created, and starts again after a deletion", () => {
  const store = new Store();
  store.do(put(2, 5));
  store.do(put(2, 6));
  assert.deepEqual(store.do(read(2)).results, [[
    { key: 2, value: 6, version: 2, create: 1, modify: 2 },
  ]]);
  store.do({ type: "delete", key: 0, end: 4 });
  store.do(put(2, 7));
  assert.deepEqual(store.do(read(2)).results, [[
    { key: 2, value: 7, version: 1, create: 4, modify: 4 },
  ]]);
});

test("deleting what is absent makes no revision", () => {
  assert.equal(new Store().do({ type: "delete", key: 0, end: 4 }).revision, 0);
});

test("the past is read as it was, until it is compacted", () => {
  const store = new Store();
  for (let value = 1; value <= KV_HISTORY_REVISIONS + 2; value++) store.do(put(0, value));
  assert.equal(store.do(read(0, 1, 3)).results[0][0].value, 3);
  assert.equal(store.do(read(0, 1, 1)).failure, "compacted");
  assert.equal(store.do(read(0, 1, 99)).failure, "future-revision");
});

test("a transaction that reads what is compacted changes nothing", () => {
  const store = new Store();
  for (let value = 1; value <= KV_HISTORY_REVISIONS + 2; value++) store.do(put(0, value));
  const { revision } = store.do(put(1, 1), read(0, 1, 1));
  assert.equal(revision, KV_HISTORY_REVISIONS + 2);
  assert.deepEqual(store.do(read(1)).results, [[]]);
});

test("every field can be compared, and the value of an absent key equals nothing", () => {
  const store = new Store();
  store.do(put(0, 9));
  store.do(put(0, 10));
  const holds = (field: "value" | "version" | "create" | "modify", key: number, operand: number) =>
    store.transact({ compare: [{ key, field, operator: "=", operand }], then: [], else: [] })
      .succeeded;
  assert.deepEqual(
    [holds("value", 0, 10), holds("version", 0, 2), holds("create", 0, 1), holds("modify", 0, 2)],
    [true, true, true, true],
  );
  assert.deepEqual(
    [holds("value", 1, 0), holds("version", 1, 0), holds("create", 1, 0), holds("modify", 1, 0)],
    [false, true, true, true],
  );
  assert.equal(holds("version", 0, 3), false);
});

test("all comparisons must hold, and otherwise the other branch is done", () => {
  const store = new Store();
  store.do(put(0, 1));
  const compare = [
    { key: 0, field: "version", operator: "=", operand: 1 } as const,
    { key: 1, field: "version", operator: ">", operand: 0 } as const,
  ];
  const output = store.transact({ compare, then: [put(0, 2)], else: [put(1, 3), read(0, 2)] });
  assert.equal(output.succeeded, false);
  assert.deepEqual(output.results[1].map(({ value }) => value), [1, 3]);
});
