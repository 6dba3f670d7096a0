import assert from "node:assert/strict";
import { test } from "node:test";
import {
  boundUnknownOutcomes,
  GET,
  KEY_MODEL,
  type KeyAction,
  type KeyCompare,
  type KeyOperation,
  type KeyOutput,
} from "../../scripts/torture/model.ts";
import { Recorder } from "../../scripts/torture/recorder.ts";
import type { SeenVersion } from "../../scripts/torture/revisions.ts";
import { checkLinearizability } from "../../src/sim/mod.ts";

const put = (value: number): KeyAction => ({ type: "put", value });
const version = (value: number, count: number, create: number, modify: number): SeenVersion => ({
  value,
  version: count,
  createRevision: create,
  modRevision: modify,
});

/** What the model makes of operations one after another, each with its comparison. */
function outcomes(...steps: [KeyAction, KeyCompare?][]): KeyOutput[] {
  let state = KEY_MODEL.initial();
  return steps.map(([then, compare]) => {
    const next = KEY_MODEL.step(state, { key: "k", compare, then, else: GET });
    state = next.state;
    return next.output;
  });
}

test("the value of a key that does not exist neither equals nor differs from any", () => {
  for (const operator of ["=", "!="] as const) {
    const [{ succeeded }] = outcomes([put(1), { field: "value", operator, operand: 7 }]);
    assert.equal(succeeded, false);
  }
});

test("versions count from the creation, which a deletion undoes", () => {
  const found = outcomes([put(1)], [put(2)], [GET], [{ type: "delete" }], [GET], [put(3)], [GET]);
  assert.deepEqual(found.map(({ version }) => version), [0, 1, 2, 2, 0, 0, 1]);
});

test("a key's creation is that of its first value, whatever was put since", () => {
  const isSince = (operand: number): KeyCompare => ({
    field: "createRevision",
    operator: "=",
    operand,
    revision: 9,
  });
  const found = outcomes([put(1)], [put(2)], [GET, isSince(1)], [GET, isSince(2)]);
  assert.deepEqual(found.slice(2).map(({ succeeded }) => succeeded), [true, false]);
});

const get = (call: number, at: number, value: number, count: number): KeyOperation => ({
  client: 1,
  call,
  return: at,
  input: { key: "k", then: GET, else: GET },
  output: { succeeded: true, value, version: count },
});
const lostPut = (call: number, value: number): KeyOperation => ({
  client: 2,
  call,
  return: undefined,
  input: { key: "k", then: put(value), else: GET },
  output: undefined,
});

/** Whether a history is linearizable; the same with and without what is known of unknown outcomes. */
function isLinearizable(history: KeyOperation[]): boolean {
  const [plain, bounded] = [history, boundUnknownOutcomes(history)].map((operations) =>
    checkLinearizability(operations, KEY_MODEL).verdict
  );
  assert.equal(plain, bounded);
  return bounded === "linearizable";
}

test("a write of unknown outcome took effect before it was seen, and stays", () => {
  assert.ok(isLinearizable([lostPut(0, 1), get(1, 2, 0, 0), get(3, 4, 1, 1), get(5, 6, 1, 1)]));
  assert.ok(!isLinearizable([lostPut(0, 1), get(1, 2, 1, 1), get(3, 4, 0, 0)]));
  const [bounded] = boundUnknownOutcomes([lostPut(0, 1), get(1, 9, 1, 1), get(3, 4, 1, 1)]);
  assert.equal(bounded.return, 4);
});

test("a write seen before it was called has no order", () => {
  assert.ok(!isLinearizable([get(1, 2, 1, 1), lostPut(3, 1)]));
});

test("a write of unknown outcome that nobody saw may be told by versions alone", () => {
  assert.ok(isLinearizable([lostPut(0, 1), lostPut(1, 2), get(5, 6, 2, 2)]));
  assert.ok(!isLinearizable([lostPut(1, 2), get(5, 6, 2, 2)]));
});

/** Records answers one after another: what was done, the revision, and the key before. */
function checked(...steps: [KeyAction, number, SeenVersion?][]): string | undefined {
  const recorder = new Recorder();
  for (const [then, revision, before] of steps) {
    const output = { succeeded: true, value: before?.value ?? 0, version: before?.version ?? 0 };
    const open = recorder.call(1, { key: "k", then, else: GET });
    recorder.answered(open, { output, revision, before });
  }
  return recorder.check().problem;
}

test("revisions that rise with every change are accepted", () => {
  assert.equal(
    checked(
      [put(1), 2],
      [put(2), 3, version(1, 1, 2, 2)],
      [GET, 3, version(2, 2, 2, 3)],
      [{ type: "delete" }, 7, version(2, 2, 2, 3)],
      [GET, 7],
    ),
    undefined,
  );
});

test("a revision that goes back, stands still at a write, or is given twice is noticed", () => {
  assert.match(checked([put(1), 5], [GET, 4, version(1, 1, 5, 5)])!, /revisions go back/);
  assert.match(checked([put(1), 5], [put(2), 5, version(1, 1, 5, 5)])!, /share a value or a rev/);
  assert.match(
    checked([put(1), 5], [{ type: "delete" }, 5, version(1, 1, 5, 5)])!,
    /revisions go back/,
  );
});

test("a value that appears at two revisions, or a version that does not fit them, is noticed", () => {
  assert.match(
    checked([put(1), 5], [GET, 6, version(1, 1, 6, 6)])!,
    /share a value or a revision/,
  );
  assert.match(checked([put(1), 5], [put(2), 6, version(1, 1, 4, 5)])!, /share a value/);
});
