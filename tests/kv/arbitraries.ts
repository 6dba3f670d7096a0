/** Random requests and pairs, for property tests of codecs. */

import fc from "fast-check";
import type { Compare, KeyValue, TxnOperation, TxnRequest } from "../../src/kv/mod.ts";
import { record, signedNumbers, someBytes, someLeases, someNumbers } from "./reflection.ts";

export const keyValues: fc.Arbitrary<KeyValue> = record({
  key: someBytes,
  createRevision: someNumbers,
  modRevision: someNumbers,
  version: someNumbers,
  value: someBytes,
  lease: someLeases,
});

export const rangeRequests = record({
  key: someBytes,
  rangeEnd: someBytes,
  limit: signedNumbers,
  revision: signedNumbers,
  sortOrder: fc.nat(2),
  sortTarget: fc.nat(4),
  serializable: fc.boolean(),
  keysOnly: fc.boolean(),
  countOnly: fc.boolean(),
  minModRevision: someNumbers,
  maxModRevision: someNumbers,
  minCreateRevision: someNumbers,
  maxCreateRevision: someNumbers,
});

export const putRequests = record({
  key: someBytes,
  value: someBytes,
  lease: someLeases,
  prevKv: fc.boolean(),
  ignoreValue: fc.boolean(),
  ignoreLease: fc.boolean(),
});

export const deleteRangeRequests = record({
  key: someBytes,
  rangeEnd: someBytes,
  prevKv: fc.boolean(),
});

const operands = [signedNumbers, signedNumbers, signedNumbers, someBytes, someLeases] as const;

export const compares: fc.Arbitrary<Compare> = fc.nat(4).chain((target) =>
  record({
    result: fc.nat(3),
    target: fc.constant(target),
    key: someBytes,
    rangeEnd: someBytes,
    operand: operands[target] as fc.Arbitrary<number | bigint | Uint8Array>,
  })
);

const { txn } = fc.letrec<{ txn: TxnRequest; operation: TxnOperation }>((tie) => ({
  operation: fc.oneof(
    { maxDepth: 2 },
    fc.constant({ kind: "none" as const }),
    record({ kind: fc.constant("range" as const), request: rangeRequests }),
    record({ kind: fc.constant("put" as const), request: putRequests }),
    record({ kind: fc.constant("delete-range" as const), request: deleteRangeRequests }),
    record({ kind: fc.constant("txn" as const), request: tie("txn") }),
  ) as fc.Arbitrary<TxnOperation>,
  txn: record({
    compare: fc.array(compares, { maxLength: 3 }),
    success: fc.array(tie("operation"), { maxLength: 3 }),
    failure: fc.array(tie("operation"), { maxLength: 3 }),
  }),
}));

export const txnRequests: fc.Arbitrary<TxnRequest> = txn;
