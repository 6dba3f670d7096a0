import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type Compare,
  CompareResult,
  CompareTarget,
  deleteRangeRequest,
  encodeTxnCommand,
  type KvResult,
  type KvStore,
  putRequest,
  rangeRequest,
  type TxnOperation,
  type TxnRequest,
  type TxnResult,
} from "../../src/kv/mod.ts";
import { applyAll, bytes, put, remove, text, withStore } from "./support.ts";

function run(store: KvStore, request: Partial<TxnRequest>): KvResult {
  const complete = { compare: [], success: [], failure: [], ...request };
  return applyAll(store, encodeTxnCommand(complete))[0]!;
}

function expectTxn(result: KvResult): TxnResult {
  assert.equal(result.kind, "txn");
  return result as TxnResult;
}

function compare(
  target: keyof typeof CompareTarget,
  result: keyof typeof CompareResult,
  key: string,
  operand: Compare["operand"],
  rangeEnd = "",
): Compare {
  return {
    target: CompareTarget[target],
    result: CompareResult[result],
    key: bytes(key),
    rangeEnd: bytes(rangeEnd),
    operand,
  };
}

function putting(key: string, value: string): TxnOperation {
  return { kind: "put", request: putRequest({ key: bytes(key), value: bytes(value) }) };
}

function reading(key: string, revision = 0): TxnOperation {
  return { kind: "range", request: rangeRequest({ key: bytes(key), revision }) };
}

function deleting(key: string, rangeEnd = ""): TxnOperation {
  const request = deleteRangeRequest({ key: bytes(key), rangeEnd: bytes(rangeEnd) });
  return { kind: "delete-range", request };
}

function valueOf(store: KvStore, key: string): string | undefined {
  const pair = store.range(rangeRequest({ key: bytes(key) })).pairs[0];
  return pair && text(pair.value);
}

test("every comparison holds exactly where it should", () =>
  withStore((store) => {
    put(store, "other", "x");
    put(store, "key", "b");
    put(store, "key", "m");
    const facts: [keyof typeof CompareTarget, Compare["operand"][]][] = [
      ["version", [1, 2, 3]],
      ["create", [2, 3, 4]],
      ["mod", [3, 4, 5]],
      ["value", [bytes("a"), bytes("m"), bytes("z")]],
      ["lease", [-1n, 0n, 1n]],
    ];
    const expected: [keyof typeof CompareResult, boolean[]][] = [
      ["equal", [false, true, false]],
      ["notEqual", [true, false, true]],
      ["greater", [true, false, false]],
      ["less", [false, false, true]],
    ];
    for (const [target, operands] of facts) {
      for (const [result, outcomes] of expected) {
        const found = operands.map((operand) =>
          expectTxn(run(store, { compare: [compare(target, result, "key", operand)] })).succeeded
        );
        assert.deepEqual(found, outcomes, `${target} ${result}`);
      }
    }
  }));

test("an absent key has version 0 and no value to compare with", () =>
  withStore((store) => {
    const holds = (condition: Compare) => expectTxn(run(store, { compare: [condition] })).succeeded;
    assert.equal(holds(compare("version", "equal", "none", 0)), true);
    assert.equal(holds(compare("create", "greater", "none", 0)), false);
    assert.equal(holds(compare("value", "equal", "none", bytes(""))), false);
    assert.equal(holds(compare("value", "notEqual", "none", bytes("x"))), false);
  }));

test("a comparison of a range must hold for every key of it", () =>
  withStore((store) => {
    put(store, "a1", "same");
    put(store, "a2", "same");
    const same = [compare("value", "equal", "a", bytes("same"), "b")];
    assert.equal(expectTxn(run(store, { compare: same })).succeeded, true);
    put(store, "a3", "different");
    assert.equal(expectTxn(run(store, { compare: same })).succeeded, false);
  }));

test("all writes of a transaction are one revision; reads in it see those before them", () =>
  withStore((store) => {
    put(store, "a", "old");
    const result = expectTxn(run(store, {
      success: [reading("a"), putting("a", "new"), reading("a"), putting("b", "1"), deleting("a")],
    }));
    assert.equal(result.revision, 3);
    assert.equal(store.revision, 3);
    const [before, , after, , deletion] = result.results;
    assert.ok(before?.kind === "range" && after?.kind === "range");
    assert.deepEqual([before.revision, after.revision], [2, 3]);
    assert.deepEqual([before, after].map((range) => text(range.pairs[0]!.value)), ["old", "new"]);
    assert.ok(deletion?.kind === "delete-range" && deletion.deleted === 1);
    assert.deepEqual([valueOf(store, "a"), valueOf(store, "b")], [undefined, "1"]);
    const past = store.range(rangeRequest({ key: bytes("a"), revision: 2 }));
    assert.equal(text(past.pairs[0]!.value), "old");
  }));

test("a transaction whose comparison fails runs the other branch", () =>
  withStore((store) => {
    const result = expectTxn(run(store, {
      compare: [compare("version", "greater", "lock", 0)],
      success: [putting("lock", "taken twice")],
      failure: [putting("lock", "taken")],
    }));
    assert.equal(result.succeeded, false);
    assert.equal(valueOf(store, "lock"), "taken");
  }));

test("a transaction that changes nothing leaves the revision alone", () =>
  withStore((store) => {
    put(store, "a", "1");
    const result = expectTxn(run(store, { success: [reading("a"), deleting("none")] }));
    assert.equal(result.revision, 2);
    assert.equal(store.revision, 2);
  }));

test("nothing of a transaction happens when one of its operations cannot", () =>
  withStore((store) => {
    const impossible: [TxnOperation, string][] = [
      [
        { kind: "put", request: putRequest({ key: bytes("b"), ignoreValue: true }) },
        "key-not-found",
      ],
      [{ kind: "put", request: putRequest({ key: bytes("b"), lease: 7n }) }, "lease-not-found"],
      [reading("a", 99), "future-revision"],
      [deleting(""), "key-not-provided"],
    ];
    for (const [operation, reason] of impossible) {
      const nested: TxnOperation = {
        kind: "txn",
        request: { compare: [], success: [putting("c", "1"), operation], failure: [] },
      };
      for (const last of [operation, nested]) {
        const result = run(store, { success: [putting("a", "1"), last] });
        assert.deepEqual([result.kind, (result as { reason?: string }).reason], [
          "failure",
          reason,
        ]);
      }
    }
    assert.equal(store.revision, 1);
    assert.equal(valueOf(store, "a"), undefined);
  }));

test("a nested transaction compares with the state before the outer one", () =>
  withStore((store) => {
    const nested: TxnOperation = {
      kind: "txn",
      request: {
        compare: [compare("version", "equal", "a", 0)],
        success: [putting("b", "a was absent")],
        failure: [putting("b", "a was there")],
      },
    };
    const result = expectTxn(run(store, { success: [putting("a", "1"), nested, reading("b")] }));
    const [, inner, read] = result.results;
    assert.ok(inner?.kind === "txn" && inner.succeeded);
    assert.ok(read?.kind === "range" && text(read.pairs[0]!.value) === "a was absent");
    assert.equal(store.revision, 2);
  }));

test("keeping the value of a key that the same transaction deletes writes an empty one", () =>
  withStore((store) => {
    put(store, "a", "1");
    const keeping = putRequest({ key: bytes("a"), ignoreValue: true, ignoreLease: true });
    run(store, { success: [deleting("a"), { kind: "put", request: keeping }] });
    assert.equal(valueOf(store, "a"), "");
    remove(store, "a");
    assert.equal(store.revision, 4);
  }));
