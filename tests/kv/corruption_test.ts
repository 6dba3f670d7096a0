/** Damaged rows of the store: found at every read, when it is opened, and by verification. */

import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import {
  CompareResult,
  CompareTarget,
  deleteRangeRequest,
  encodeDeleteRangeCommand,
  encodePutCommand,
  encodeTxnCommand,
  KvStore,
  putRequest,
  rangeRequest,
  verifyStore,
} from "../../src/kv/mod.ts";
import { layout1File } from "./layout_1.ts";
import { applyAll, bytes, put, text, withDirectory } from "./support.ts";

const everything = { key: new Uint8Array([0]), rangeEnd: new Uint8Array([0]) };

/** A store with some keys of several versions, committed, so that other connections see it all. */
function fill(store: KvStore): void {
  for (let round = 1; round <= 3; round++) {
    for (const key of ["a", "b", "c", "d"]) put(store, key, `${key} of round ${round}`);
  }
  applyAll(store, encodeDeleteRangeCommand(deleteRangeRequest({ key: bytes("d") })));
  store.apply({
    commands: [],
    lastApplied: store.lastApplied() + 1,
    nodeState: [["session", bytes("state")]],
  });
  store.flush();
}

/** Runs a statement on the store's file through a connection of its own. */
function change(directory: string, sql: string): void {
  const database = new DatabaseSync(join(directory, "kv.db"));
  try {
    assert.ok(Number(database.prepare(sql).run().changes) > 0, `${sql} changes something`);
  } finally {
    database.close();
  }
}

function problemsOf(directory: string): string[] {
  const problems: string[] = [];
  verifyStore(join(directory, "kv.db"), (problem) => problems.push(problem));
  return problems;
}

const corrupt = { code: "KV_CORRUPT" };

/** Damage to what is stored of key `b` in each column, and the reads that must find it. */
const DAMAGE: readonly (readonly [sql: string, reads: readonly string[]])[] = [
  ["UPDATE history SET value = x'00' WHERE sequence = 10", ["newest", "range"]],
  ["UPDATE history SET value = zeroblob(0) WHERE sequence = 10", ["newest", "range"]],
  ["UPDATE history SET key = x'62ff' WHERE sequence = 10", ["newest", "range", "keys", "past"]],
  ["UPDATE history SET revision = revision + 1 WHERE sequence = 10", ["newest", "keys", "past"]],
  ["UPDATE history SET create_revision = 1 WHERE sequence = 10", ["newest", "keys", "put"]],
  ["UPDATE history SET version = version + 1 WHERE sequence = 10", ["newest", "keys", "put"]],
  ["UPDATE history SET version = 0 WHERE sequence = 10", ["newest", "range", "keys", "past"]],
  ["UPDATE history SET lease = x'0000000000000001' WHERE sequence = 10", ["newest", "keys"]],
  ["UPDATE history SET previous = 1 WHERE sequence = 10", ["newest", "past"]],
  ["UPDATE history SET previous = 5 WHERE sequence = 10", ["newest", "past"]],
  ["UPDATE history SET jump = 3 WHERE sequence = 10", ["newest", "put"]],
  ["UPDATE history SET ordinal = 9 WHERE sequence = 10", ["newest", "put"]],
  ["UPDATE history SET checksum = checksum + 1 WHERE sequence = 10", ["newest", "range"]],
  ["DELETE FROM history WHERE sequence = 10", ["newest", "range", "keys", "past", "put"]],
  ["DELETE FROM history WHERE sequence = 6", ["past"]],
  ["UPDATE current SET sequence = 6 WHERE key = x'62'", ["newest", "range", "count", "put"]],
  ["UPDATE current SET version = 0 WHERE key = x'62'", ["newest", "range", "keys", "count"]],
  ["UPDATE current SET version = 9 WHERE key = x'62'", ["newest", "count", "put"]],
  ["UPDATE current SET key = x'6263' WHERE key = x'62'", ["range", "keys", "past"]],
  ["UPDATE current SET version = 1 WHERE key = x'64'", ["range", "count"]],
];

const READS: Readonly<Record<string, (store: KvStore) => unknown>> = {
  newest: (store) => store.range(rangeRequest({ key: bytes("b") })),
  range: (store) => store.range(rangeRequest(everything)),
  keys: (store) => store.range(rangeRequest({ ...everything, keysOnly: true })),
  count: (store) => store.range(rangeRequest({ ...everything, countOnly: true })),
  past: (store) => store.range(rangeRequest({ ...everything, revision: 4 })),
  put: (store) => put(store, "b", "anew"),
};

for (const [sql, reads] of DAMAGE) {
  test(`a read finds ${sql.replaceAll(/x'(\w*)'/g, "$1")}`, () =>
    withDirectory(async (directory) => {
      for (const read of reads) {
        const data = join(directory, read);
        const store = KvStore.open({ directory: data });
        fill(store);
        change(data, sql);
        assert.throws(() => READS[read](store), corrupt, `${read} after ${sql}`);
        // It is of no use from then on, and whoever runs it is told why.
        assert.throws(() => store.range(rangeRequest(everything)), { code: "KV_USAGE" });
        assert.equal((await store.failed).code, "KV_CORRUPT");
        store.close();
        const before = readFileSync(join(data, "kv.db"));
        assert.notEqual(problemsOf(data).length, 0, `verify finds ${sql}`);
        assert.throws(() => KvStore.open({ directory: data }), corrupt);
        assert.deepEqual(readFileSync(join(data, "kv.db")), before);
      }
    }));
}

test("opening and verification find damage that no read would meet", () =>
  withDirectory((directory) => {
    const damage: readonly (readonly [sql: string, problem: RegExp])[] = [
      ["UPDATE meta SET revision = revision + 1", /row of meta is missing or fails/],
      ["DELETE FROM meta", /row of meta is missing/],
      ["UPDATE node_state SET value = x'01'", /row "session" of node_state fails its checksum/],
      ["DELETE FROM current WHERE key = x'61'", /do not lead to the newest rows/],
      ["DELETE FROM history WHERE sequence = 13", /ends at row 12 .* written up to row 13/],
      ["DELETE FROM history WHERE sequence = 3", /row 4 of history follows row 2/],
      // A whole older row, as a page that was not written leaves it.
      [
        "UPDATE current SET (sequence, version, sum) = (6, 2, (1 + 6 * 31 + 2 * 37) % 2147483647) " +
        "WHERE key = x'62'",
        /do not lead to the newest rows/,
      ],
    ];
    for (const [number, [sql, problem]] of damage.entries()) {
      const data = join(directory, String(number));
      const store = KvStore.open({ directory: data });
      fill(store);
      store.close();
      assert.deepEqual(problemsOf(data), []);
      change(data, sql);
      assert.match(problemsOf(data).join("\n"), problem, sql);
      assert.throws(() => KvStore.open({ directory: data }), { ...corrupt, message: problem });
    }
  }));

test("opening finds a changed table", () =>
  withDirectory((directory) => {
    const store = KvStore.open({ directory });
    store.close();
    const database = new DatabaseSync(join(directory, "kv.db"));
    database.exec("CREATE INDEX more ON history (revision)");
    database.close();
    assert.deepEqual(problemsOf(directory), ["the definition of more is damaged"]);
    assert.throws(() => KvStore.open({ directory }), corrupt);
  }));

test("verification and opening find a column whose name is damaged, which no query finds then", () =>
  withDirectory((directory) => {
    const store = KvStore.open({ directory });
    fill(store);
    store.close();
    const path = join(directory, "kv.db");
    const whole = readFileSync(path);
    for (const column of ["revision", "create_revision", "checksum", "sequence"]) {
      const at = whole.indexOf(`${column} `);
      assert.ok(at > 0 && at < 4096, `${column} is in the definitions`);
      const damaged = Buffer.from(whole);
      damaged[at] ^= 2;
      writeFileSync(path, damaged);
      assert.match(problemsOf(directory).join(), /the definition of \w+ is damaged/, column);
      assert.throws(() => KvStore.open({ directory }), corrupt, column);
    }
  }));

test("a comparison, a previous value and a kept value are never taken from a damaged row", () =>
  withDirectory((directory) => {
    const target = CompareTarget.value;
    const compare = [{
      target,
      result: CompareResult.equal,
      key: bytes("b"),
      rangeEnd: new Uint8Array(0),
      operand: bytes("b of round 3"),
    }];
    const commands = [
      encodeTxnCommand({ compare, success: [], failure: [] }),
      encodePutCommand(putRequest({ key: bytes("b"), value: bytes("x"), prevKv: true })),
      encodePutCommand(
        putRequest({ key: bytes("b"), value: new Uint8Array(0), ignoreValue: true }),
      ),
      encodeDeleteRangeCommand(deleteRangeRequest({ key: bytes("b"), prevKv: true })),
    ];
    for (const [number, command] of commands.entries()) {
      const data = join(directory, String(number));
      const store = KvStore.open({ directory: data });
      fill(store);
      change(data, "UPDATE history SET value = x'00' WHERE sequence = 10");
      assert.throws(() => applyAll(store, command), corrupt);
      store.close();
    }
  }));

test("a snapshot ends with an error at a damaged row, and the store with it", () =>
  withDirectory(async (directory) => {
    const store = KvStore.open({ directory });
    fill(store);
    change(directory, "UPDATE history SET value = x'00' WHERE sequence = 7");
    await assert.rejects(async () => {
      for await (const _ of store.snapshot()) { /* Only whether it ends well counts. */ }
    }, { code: "KV_SNAPSHOT", message: /row 7 of history fails its checksum/ });
    assert.equal((await store.failed).code, "KV_CORRUPT");
    store.close();
  }));

test("a write-ahead log that is damaged ends there, and the log of the node goes on", () =>
  withDirectory((directory) => {
    const live = join(directory, "live");
    const store = KvStore.open({ directory: live, commitRows: 1 });
    for (let round = 1; round <= 5; round++) put(store, "a", `round ${round}`);
    const [database, log] = ["kv.db", "kv.db-wal"].map((name) => readFileSync(join(live, name)));
    store.close();
    // The page of the third commit, after the header and two frames or more a commit.
    log[log.length - 3 * (24 + 4096) + 500] ^= 1;
    const image = join(directory, "image");
    const opened = KvStore.open({ directory: image });
    opened.close();
    writeFileSync(join(image, "kv.db"), database);
    writeFileSync(join(image, "kv.db-wal"), log);
    const again = KvStore.open({ directory: image });
    const applied = again.lastApplied();
    assert.ok(applied > 0 && applied < 5, `applied ${applied}`);
    const [pair] = again.range(rangeRequest({ key: bytes("a") })).pairs;
    assert.equal(text(pair.value), `round ${applied}`);
    assert.equal(again.durableIndex(), applied);
    again.close();
  }));

test("a file of the first layout is migrated, and then checked like any other", () =>
  withDirectory((directory) => {
    const path = join(directory, "kv.db");
    writeFileSync(path, layout1File());
    const { layout, appliedIndex } = verifyStore(path, assert.fail);
    assert.deepEqual({ layout, appliedIndex }, { layout: 1, appliedIndex: 61 });
    for (const round of ["migrated", "opened again"]) {
      const store = KvStore.open({ directory });
      assert.equal(store.lastApplied(), 61, round);
      assert.deepEqual([...store.nodeState()].map(([key, value]) => [key, text(value)]), [
        ["empty", ""],
        ["session", "state"],
      ]);
      const { pairs } = store.range(rangeRequest(everything));
      assert.deepEqual(pairs.map(({ key, value }) => [text(key), text(value)]), [
        ["a", "a 20"],
        ["c", ""],
      ]);
      for (let revision = 2; revision < 62; revision++) {
        const past = store.range(rangeRequest({ ...everything, revision })).pairs;
        assert.equal(past.length, Math.min(3, revision - 1), `revision ${revision}`);
      }
      store.close();
    }
    assert.equal(verifyStore(path, assert.fail).versions, 61);
    change(directory, "UPDATE history SET value = x'00' WHERE sequence = 7");
    assert.throws(() => KvStore.open({ directory }), corrupt);
  }));

test("a store of a newer layout is refused", () =>
  withDirectory((directory) => {
    KvStore.open({ directory }).close();
    const database = new DatabaseSync(join(directory, "kv.db"));
    database.exec("PRAGMA user_version = 99");
    database.close();
    assert.throws(() => KvStore.open({ directory }), { code: "KV_STORAGE", message: /found 99/ });
  }));
