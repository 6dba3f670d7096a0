/** Results as bytes, and the sessions that keep them, in the store and its snapshots. */

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { KvStore } from "../../src/kv/mod.ts";
import { RESULT_CODEC } from "../../src/kv/result_codec.ts";
import type { KeyValue, KvResult, KvSuccess } from "../../src/kv/mod.ts";
import { withDirectory } from "./support.ts";

const NUMBER = fc.oneof(fc.nat(), fc.constantFrom(0, 1, Number.MAX_SAFE_INTEGER));
const BYTES = fc.uint8Array({ maxLength: 20 });
const LEASE = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });

const PAIR: fc.Arbitrary<KeyValue> = fc.tuple(BYTES, NUMBER, NUMBER, NUMBER, BYTES, LEASE)
  .map(([key, createRevision, modRevision, version, value, lease]) => ({
    key,
    createRevision,
    modRevision,
    version,
    value,
    lease,
  }));
const PAIRS = fc.array(PAIR, { maxLength: 4 });

const SIMPLE: fc.Arbitrary<KvSuccess> = fc.oneof(
  fc.tuple(NUMBER, fc.option(PAIR, { nil: undefined })).map(([revision, previous]) => ({
    kind: "put" as const,
    revision,
    previous,
  })),
  fc.tuple(NUMBER, NUMBER, PAIRS).map(([revision, deleted, previous]) => ({
    kind: "delete-range" as const,
    revision,
    deleted,
    previous,
  })),
  fc.tuple(NUMBER, PAIRS, fc.boolean(), NUMBER).map(([revision, pairs, more, count]) => ({
    kind: "range" as const,
    revision,
    pairs,
    more,
    count,
  })),
  fc.constant({ kind: "none" as const }),
);

function txn(results: fc.Arbitrary<KvSuccess>): fc.Arbitrary<KvSuccess> {
  return fc.tuple(NUMBER, fc.boolean(), fc.array(results, { maxLength: 3 }))
    .map(([revision, succeeded, all]) => ({ kind: "txn", revision, succeeded, results: all }));
}

const RESULT: fc.Arbitrary<KvResult> = fc.oneof(
  SIMPLE,
  txn(SIMPLE),
  txn(txn(SIMPLE)),
  fc.tuple(NUMBER, fc.constantFrom("compacted" as const, "key-not-found" as const), fc.string())
    .map(([revision, reason, message]) => ({
      kind: "failure" as const,
      revision,
      reason,
      message,
    })),
);

/** Bytes compare by what they hold, whatever their class. */
function plain(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value, (_, one) => {
    if (one instanceof Uint8Array) return [...one];
    return typeof one === "bigint" ? `${one}n` : one;
  }));
}

test("property: every result survives its encoding, and equal results have equal bytes", () => {
  fc.assert(fc.property(RESULT, (result) => {
    const bytes = RESULT_CODEC.encode(result);
    const decoded = RESULT_CODEC.decode(bytes);
    assert.deepEqual(plain(decoded), plain(result));
    assert.deepEqual(RESULT_CODEC.encode(decoded), bytes);
  }));
});

test("a result of a kind that this version does not know is refused", () => {
  assert.throws(() => RESULT_CODEC.decode(Uint8Array.of(15 << 3 | 2, 0)), { code: "KV_DECODE" });
  assert.throws(() => RESULT_CODEC.decode(new Uint8Array()), { code: "KV_DECODE" });
});

test("what a session keeps is committed with its batch, lasts, and travels with a snapshot", () =>
  withDirectory((first) =>
    withDirectory(async (second) => {
      const asked: unknown[] = [];
      const batch = {
        commands: [{ index: 2, term: 1, bytes: Uint8Array.of(0xff) }],
        lastApplied: 2,
        nodeState: [["member/1", Uint8Array.of(1)]] as const,
        sessionState: (results: readonly unknown[]) => {
          asked.push(results);
          return [["session/2", Uint8Array.of(2)]] as const;
        },
      };
      let store = KvStore.open({ directory: first });
      const results = store.apply(batch);
      assert.deepEqual(asked, [results]);
      store.close();
      store = KvStore.open({ directory: first });
      assert.deepEqual(stateOf(store), [["member/1", [1]], ["session/2", [2]]]);
      const other = KvStore.open({ directory: second });
      await other.restore(store.snapshot(), 2);
      assert.deepEqual(stateOf(other), stateOf(store));
      store.close();
      other.close();
    })
  ));

/** The node's own state, in the order of keys. */
function stateOf(store: KvStore): unknown {
  return [...store.nodeState()].sort(([a], [b]) => a < b ? -1 : 1).map((
    [key, value],
  ) => [key, [...value]]);
}
