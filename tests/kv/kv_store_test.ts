import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import {
  encodePutCommand,
  type KvResult,
  KvStore,
  prefixRangeEnd,
  putRequest,
  rangeRequest,
  type RangeResult,
  SortOrder,
  SortTarget,
} from "../../src/kv/mod.ts";
import { applyAll, bytes, put, remove, text, withDirectory, withStore } from "./support.ts";

function get(store: KvStore, key: string, revision = 0): string | undefined {
  const { pairs } = store.range(rangeRequest({ key: bytes(key), revision }));
  return pairs[0] === undefined ? undefined : text(pairs[0].value);
}

function keysOf(result: RangeResult): string[] {
  return result.pairs.map((pair) => text(pair.key));
}

function expectPut(result: KvResult) {
  assert.equal(result.kind, "put");
  return result as KvResult & { kind: "put" };
}

test("an empty store is at revision 1 and has applied nothing", () =>
  withStore((store) => {
    assert.equal(store.revision, 1);
    assert.equal(store.lastApplied(), 0);
    assert.equal(store.durableIndex(), 0);
    assert.deepEqual(store.range(rangeRequest({ key: bytes("a") })), {
      kind: "range",
      revision: 1,
      pairs: [],
      more: false,
      count: 0,
    });
  }));

test("each put raises the revision and the key's version; a deletion starts them anew", () =>
  withStore((store) => {
    put(store, "a", "1");
    put(store, "a", "2");
    remove(store, "a");
    put(store, "a", "3");
    const { pairs } = store.range(rangeRequest({ key: bytes("a") }));
    assert.deepEqual(pairs, [{
      key: bytes("a"),
      createRevision: 5,
      modRevision: 5,
      version: 1,
      value: bytes("3"),
      lease: 0n,
    }]);
  }));

test("a past revision reads as it was", () =>
  withStore((store) => {
    put(store, "a", "1");
    put(store, "a", "2");
    remove(store, "a");
    put(store, "a", "3");
    assert.deepEqual([1, 2, 3, 4, 5].map((revision) => get(store, "a", revision)), [
      undefined,
      "1",
      "2",
      undefined,
      "3",
    ]);
  }));

test("a key written ten thousand times reads at every revision", () =>
  withStore((store) => {
    for (let batch = 0; batch < 100; batch++) {
      applyAll(
        store,
        ...Array.from({ length: 100 }, (_, i) => {
          const value = bytes(String(batch * 100 + i));
          return encodePutCommand(putRequest({ key: bytes("hot"), value }));
        }),
      );
    }
    for (let revision = 2; revision <= 10_001; revision += 37) {
      assert.equal(get(store, "hot", revision), String(revision - 2));
    }
    assert.equal(get(store, "hot", 1), undefined);
  }));

test("a future revision is refused with the store's revision", () =>
  withStore((store) => {
    put(store, "a", "1");
    assert.throws(
      () => store.range(rangeRequest({ key: bytes("a"), revision: 3 })),
      { code: "KV_FUTURE_REVISION", reason: "future-revision" },
    );
  }));

test("a range without bound, with bound, by prefix and reversed holds the right keys", () =>
  withStore((store) => {
    for (const key of ["a", "ab", "ac", "b", "c"]) put(store, key, key);
    const range = (key: string, rangeEnd: Uint8Array) =>
      keysOf(store.range(rangeRequest({ key: bytes(key), rangeEnd })));
    assert.deepEqual(range("ab", bytes("\0")), ["ab", "ac", "b", "c"]);
    assert.deepEqual(range("\0", bytes("\0")), ["a", "ab", "ac", "b", "c"]);
    assert.deepEqual(range("ab", bytes("b")), ["ab", "ac"]);
    assert.deepEqual(range("a", prefixRangeEnd(bytes("a"))), ["a", "ab", "ac"]);
    assert.deepEqual(range("b", bytes("a")), []);
  }));

test("the end of a prefix of 0xff bytes has no bound", () => {
  assert.deepEqual(prefixRangeEnd(Uint8Array.of(0xff, 0xff)), Uint8Array.of(0));
  assert.deepEqual(prefixRangeEnd(Uint8Array.of(0x61, 0xff)), Uint8Array.of(0x62));
  assert.deepEqual(prefixRangeEnd(bytes("")), Uint8Array.of(0));
});

test("a limit cuts the pairs and says so; the count is of the whole range", () =>
  withStore((store) => {
    for (const key of ["a", "b", "c"]) put(store, key, key);
    const all = { key: bytes("\0"), rangeEnd: bytes("\0") };
    const two = store.range(rangeRequest({ ...all, limit: 2 }));
    assert.deepEqual([keysOf(two), two.more, two.count], [["a", "b"], true, 3]);
    const three = store.range(rangeRequest({ ...all, limit: 3 }));
    assert.deepEqual([keysOf(three), three.more, three.count], [["a", "b", "c"], false, 3]);
  }));

test("a range sorts by value in descending order and keeps the values out when asked", () =>
  withStore((store) => {
    put(store, "a", "2");
    put(store, "b", "3");
    put(store, "c", "1");
    const result = store.range(rangeRequest({
      key: bytes("\0"),
      rangeEnd: bytes("\0"),
      sortTarget: SortTarget.value,
      sortOrder: SortOrder.descend,
      keysOnly: true,
    }));
    assert.deepEqual(keysOf(result), ["b", "a", "c"]);
    assert.ok(result.pairs.every((pair) => pair.value.length === 0));
  }));

test("deleting what is not there leaves the revision alone", () =>
  withStore((store) => {
    put(store, "a", "1");
    assert.deepEqual(remove(store, "b"), {
      kind: "delete-range",
      revision: 2,
      deleted: 0,
      previous: [],
    });
    assert.equal(store.revision, 2);
  }));

test("a deleted range is one revision and returns what it held when asked", () =>
  withStore((store) => {
    put(store, "a", "1");
    put(store, "b", "2");
    const result = remove(store, "a", { rangeEnd: bytes("c"), prevKv: true });
    assert.equal(result.kind, "delete-range");
    const deletion = result as KvResult & { kind: "delete-range" };
    assert.equal(deletion.deleted, 2);
    assert.equal(deletion.revision, 4);
    assert.deepEqual(deletion.previous.map((pair) => text(pair.value)), ["1", "2"]);
  }));

test("a put returns the pair before it only when asked", () =>
  withStore((store) => {
    put(store, "a", "1");
    assert.equal(expectPut(put(store, "a", "2")).previous, undefined);
    assert.equal(text(expectPut(put(store, "a", "3", { prevKv: true })).previous!.value), "2");
    assert.equal(expectPut(put(store, "b", "1", { prevKv: true })).previous, undefined);
  }));

test("a put that keeps the value needs the key, and keeps it", () =>
  withStore((store) => {
    const refused = put(store, "a", "", { ignoreValue: true });
    assert.deepEqual([refused.kind, (refused as { reason?: string }).reason], [
      "failure",
      "key-not-found",
    ]);
    assert.equal(store.revision, 1);
    put(store, "a", "kept");
    put(store, "a", "", { ignoreValue: true });
    assert.equal(get(store, "a"), "kept");
    assert.equal(store.revision, 3);
  }));

test("a put with a lease is refused as no lease exists", () =>
  withStore((store) => {
    const refused = put(store, "a", "1", { lease: 0x7fff_ffff_ffff_fff1n });
    assert.equal((refused as { reason?: string }).reason, "lease-not-found");
  }));

test("commands that cannot be understood are refused as results and change nothing", () =>
  withStore((store) => {
    const command = encodePutCommand(putRequest({ key: bytes("a") }));
    const newer = command.slice();
    newer[1] = 2;
    const results = applyAll(
      store,
      newer,
      command.subarray(0, command.length - 1),
      bytes("hello"),
      Uint8Array.of(),
      Uint8Array.of(8, 1),
      encodePutCommand(putRequest({ key: bytes("") })),
    );
    assert.deepEqual(results.map((result) => (result as { reason?: string }).reason), [
      "unknown-command-version",
      "malformed-command",
      "malformed-command",
      "unknown-command-version",
      "unknown-command",
      "key-not-provided",
    ]);
    assert.equal(store.revision, 1);
    assert.equal(store.lastApplied(), 6);
  }));

test("a batch that was applied already is refused and changes nothing", () =>
  withStore((store) => {
    const command = encodePutCommand(putRequest({ key: bytes("a") }));
    const batch = { commands: [{ index: 3, term: 1, bytes: command }], nodeState: [] };
    store.apply({ ...batch, lastApplied: 3 });
    assert.throws(() => store.apply({ ...batch, lastApplied: 3 }), { code: "KV_USAGE" });
    assert.throws(() => store.apply({ ...batch, lastApplied: 4 }), { code: "KV_USAGE" });
    assert.throws(
      () => store.apply({ commands: [], nodeState: [], lastApplied: 3 }),
      { code: "KV_USAGE" },
    );
    assert.equal(store.revision, 2);
  }));

test("state, lastApplied and the node's state survive a reopening together", () =>
  withDirectory((directory) => {
    const store = KvStore.open({ directory });
    put(store, "a", "1");
    store.apply({
      commands: [],
      lastApplied: 7,
      nodeState: [["x", bytes("1")], ["y", bytes("2")], ["x", undefined]],
    });
    store.close();
    const again = KvStore.open({ directory });
    assert.equal(again.lastApplied(), 7);
    assert.equal(again.durableIndex(), 7);
    assert.equal(again.revision, 2);
    assert.equal(get(again, "a"), "1");
    assert.deepEqual([...again.nodeState()], [["y", bytes("2")]]);
    again.close();
  }));

test("what a crash loses is lost whole: state, lastApplied and revision agree", () =>
  withDirectory((directory) => {
    const store = KvStore.open({ directory, commitRows: 4, checkpointRows: 1_000_000 });
    for (let i = 1; i <= 10; i++) put(store, `key${i}`, String(i));
    // What a killed process leaves behind: the files as they are now, without a clean close.
    const files = ["kv.db", "kv.db-wal"].map((name) => [name, readFileSync(join(directory, name))]);
    store.close();
    return withDirectory((crashed) => {
      for (const [name, content] of files) {
        writeFileSync(join(crashed, name as string), content as Uint8Array);
      }
      const again = KvStore.open({ directory: crashed });
      assert.equal(again.lastApplied(), 8);
      assert.equal(again.revision, 9);
      assert.equal(get(again, "key8"), "8");
      assert.equal(get(again, "key9"), undefined);
      put(again, "key9", "9");
      assert.equal(again.lastApplied(), 9);
      again.close();
    });
  }));

test("the durable index moves only with a checkpoint", () =>
  withStore((store) => {
    for (let i = 0; i < 7; i++) put(store, "a", String(i));
    assert.equal(store.durableIndex(), 0);
    put(store, "a", "8");
    assert.equal(store.durableIndex(), 8);
    put(store, "a", "9");
    assert.equal(store.durableIndex(), 8);
    store.flush();
    assert.equal(store.durableIndex(), 9);
  }, { commitRows: 2, checkpointRows: 8 }));

test("a file that is no database is refused as damaged", () =>
  withDirectory((directory) => {
    writeFileSync(join(directory, "kv.db"), "this is not a database, but long enough to be one\n");
    assert.throws(() => KvStore.open({ directory }), { code: "KV_CORRUPT" });
  }));

test("a closed store refuses every call, and closes again without complaint", () =>
  withDirectory((directory) => {
    const store = KvStore.open({ directory });
    store.close();
    store.close();
    assert.throws(() => put(store, "a", "1"), { code: "KV_USAGE" });
    assert.throws(() => get(store, "a"), { code: "KV_USAGE" });
  }));

test("a limit that is no positive integer is refused", () =>
  withDirectory((directory) => {
    assert.throws(() => KvStore.open({ directory, commitRows: 0 }), { code: "INVALID_CONFIG" });
  }));
