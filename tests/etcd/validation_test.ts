import assert from "node:assert/strict";
import { test } from "node:test";
import { EtcdStatus } from "../../src/etcd/mod.ts";
import { checkTxn } from "../../src/etcd/validation.ts";
import {
  deleteRangeRequest,
  putRequest,
  rangeRequest,
  type TxnOperation,
  type TxnRequest,
} from "../../src/kv/mod.ts";

const key = (text: string) => new TextEncoder().encode(text);
const put = (name: string): TxnOperation => ({
  kind: "put",
  request: putRequest({ key: key(name) }),
});
const range = (name: string): TxnOperation => ({
  kind: "range",
  request: rangeRequest({ key: key(name) }),
});
const remove = (name: string, end = ""): TxnOperation => ({
  kind: "delete-range",
  request: deleteRangeRequest({ key: key(name), rangeEnd: key(end) }),
});
const nested = (success: TxnOperation[], failure: TxnOperation[] = []): TxnOperation => ({
  kind: "txn",
  request: txn(success, failure),
});

function txn(success: TxnOperation[], failure: TxnOperation[] = []): TxnRequest {
  return { compare: [], success, failure };
}

test("writes of one branch that meet the same key are refused", () => {
  const meeting = [
    [put("a"), put("a")],
    [put("b"), remove("a", "c")],
    [remove("b"), put("b")],
    [put("z"), remove("a", "\0")],
    [put("a"), nested([put("a")])],
    [put("a"), nested([], [put("a")])],
    [nested([put("a")]), nested([put("a")])],
    [put("a"), nested([remove("a")])],
    [remove("a"), nested([put("a")])],
  ];
  for (const operations of meeting) {
    assert.equal(checkTxn(txn(operations), 128), EtcdStatus.duplicateKey);
    assert.equal(checkTxn(txn([], operations), 128), EtcdStatus.duplicateKey);
  }
});

test("writes that do not meet, or only in branches that exclude each other, are taken", () => {
  const apart = [
    [put("a"), put("b")],
    [put("c"), remove("a", "c")],
    [remove("a"), remove("a", "c")],
    [put("a"), range("a")],
    [nested([put("a")], [put("a")])],
    [put("\u00e9"), put("e")],
  ];
  for (const operations of apart) {
    assert.equal(checkTxn(txn(operations), 128), undefined);
  }
  assert.equal(checkTxn(txn([put("a")], [put("a")]), 128), undefined);
});

test("too many operations, empty keys and unknown operations are refused", () => {
  const puts = Array.from({ length: 128 }, (_, index) => put(`key ${index}`));
  assert.equal(checkTxn(txn(puts), 128), undefined);
  assert.equal(checkTxn(txn([...puts, put("more")]), 128), EtcdStatus.tooManyOperations);
  assert.equal(checkTxn(txn([put("a"), put("b")]), 1), EtcdStatus.tooManyOperations);
  assert.equal(checkTxn(txn([nested([put("a")])]), 1), EtcdStatus.tooManyOperations);
  assert.equal(checkTxn(txn([put("")]), 128), EtcdStatus.keyNotProvided);
  assert.equal(checkTxn(txn([{ kind: "none" }]), 128), EtcdStatus.keyNotFound);
  const compare = [{ result: 0, target: 0, key: key(""), rangeEnd: key(""), operand: 0 }];
  assert.equal(checkTxn({ compare, success: [], failure: [] }, 128), EtcdStatus.keyNotProvided);
});
