import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { createEntry, type RaftLogEntry } from "../../src/raft/mod.ts";
import { type RaftStorage, StorageError } from "../../src/storage/mod.ts";
import { INDEX_MAX, SqliteNodeStorage } from "../../src/storage/sqlite/mod.ts";
import { withDirectory } from "./temporary_directory.ts";

const identity = { clusterId: "tests", nodeId: 1 };

function entriesOf(low: number, high: number, bytes: number): RaftLogEntry[] {
  const entries: RaftLogEntry[] = [];
  for (let index = low; index <= high; index++) {
    entries.push(createEntry({ index, term: 1, command: new Uint8Array(bytes).fill(index) }));
  }
  return entries;
}

test("a full disk is a typed and final error, and everything acknowledged is there afterwards", () =>
  withDirectory(async (directory) => {
    const databaseBytesMax = 100 * 4096;
    let storage = await SqliteNodeStorage.open({ directory, identity, databaseBytesMax });
    const region = await storage.createRegion({ regionId: 1, peerId: 1 });
    const other = await storage.createRegion({ regionId: 2, peerId: 1 });
    let acknowledged = 0;
    let failure: unknown;
    while (failure === undefined && acknowledged < 1000) {
      const write = region.append({ entries: entriesOf(acknowledged + 1, acknowledged + 5, 2000) });
      failure = await write.then(() => undefined, (error) => error);
      if (failure === undefined) acknowledged += 5;
    }
    assert.ok(failure instanceof StorageError);
    assert.equal(failure.code, "STORAGE_FULL");
    assert.match(failure.message, /write to .*raft\.db.*full.*free some space/);
    assert.ok(failure.cause instanceof Error);
    assert.ok(acknowledged > 50);
    for (const call of [() => other.append({}), () => region.compact(10), () => other.compact(0)]) {
      await assert.rejects(call(), (error) => error === failure);
    }
    await storage.close();
    storage = await SqliteNodeStorage.open({ directory, identity });
    const reopened = storage.region(1);
    assert.equal(reopened?.lastIndex(), acknowledged);
    assert.deepEqual(
      reopened?.entries(1, acknowledged + 1, Infinity),
      entriesOf(1, acknowledged, 2000),
    );
    await reopened?.append({ entries: entriesOf(acknowledged + 1, acknowledged + 50, 2000) });
    await storage.close();
  }));

test("every write that waits for the failed transaction, or after it, rejects with its error", () =>
  withDirectory(async (directory) => {
    const options = { directory, identity, databaseBytesMax: 40 * 4096, transactionBytesMax: 1 };
    const storage = await SqliteNodeStorage.open(options);
    const region = await storage.createRegion({ regionId: 1, peerId: 1 });
    const writes = [
      region.append({ entries: entriesOf(1, 1, 100) }),
      region.append({ entries: entriesOf(2, 2, 1_000_000) }),
      region.append({ entries: entriesOf(3, 3, 100) }),
      region.saveConfState({ ...region.initialState().confState, voters: [1] }, 1),
    ];
    const results = await Promise.allSettled(writes);
    assert.deepEqual(results.map((result) => result.status), [
      "fulfilled",
      "rejected",
      "rejected",
      "rejected",
    ]);
    const reasons = results.slice(1).map((result) => (result as PromiseRejectedResult).reason);
    assert.ok(reasons.every((reason) => reason === reasons[0] && reason.code === "STORAGE_FULL"));
    await storage.close();
    const reopened = await SqliteNodeStorage.open({ directory, identity });
    assert.equal(reopened.region(1)?.lastIndex(), 1);
    await reopened.close();
  }));

test("damage that is met while reading is a typed error, and final for its region", () =>
  withDirectory(async (directory) => {
    const storage = await SqliteNodeStorage.open({ directory, identity, cacheBytesMax: 0 });
    const region = await storage.createRegion({ regionId: 1, peerId: 1 });
    const other = await storage.createRegion({ regionId: 2, peerId: 1 });
    await region.append({ entries: entriesOf(1, 9, 100) });
    const intruder = new DatabaseSync(join(directory, "raft.db"));
    intruder.prepare("UPDATE raft_log SET command = zeroblob(100) WHERE key & 255 = 4").run();
    intruder.close();
    assert.equal(region.term(3), 1);
    const expected = { code: "STORAGE_CORRUPT", message: /region 1, index 4 in raft_log/ };
    assert.throws(() => region.term(4), expected);
    assert.throws(() => region.entries(1, 10, Infinity), expected);
    await assert.rejects(region.append({ entries: entriesOf(10, 10, 1) }), expected);
    await other.append({ entries: entriesOf(1, 1, 1) });
    await storage.close();
  }));

test("the tail of the log is read without the disk, and what lies before it from the disk", () =>
  withDirectory(async (directory) => {
    const options = { directory, identity, cacheBytesMax: 10_000 };
    const entries = entriesOf(1, 100, 1000);
    const first = await SqliteNodeStorage.open(options);
    await (await first.createRegion({ regionId: 1, peerId: 1 })).append({ entries });
    const readTail = (region: RaftStorage): void => {
      assert.deepEqual(region.entries(95, 101, Infinity), entries.slice(94));
      for (let index = 95; index <= 100; index++) assert.equal(region.term(index), 1);
    };
    await first.close();
    // The cache is filled by what is appended as well as when the storage is opened.
    for (const opened of [true, false]) {
      const storage = await SqliteNodeStorage.open(options);
      const region = storage.region(1) as RaftStorage;
      if (!opened) {
        await region.append({ entries: entriesOf(101, 101, 10) });
      }
      const database = new DatabaseSync(join(directory, "raft.db"));
      database.exec("CREATE TABLE kept AS SELECT * FROM raft_log; DELETE FROM raft_log");
      readTail(region);
      assert.throws(() => region.entries(1, 101, Infinity), { code: "STORAGE_CORRUPT" });
      assert.throws(() => region.term(50), { code: "STORAGE_CORRUPT" });
      database.exec("INSERT INTO raft_log SELECT * FROM kept; DROP TABLE kept");
      database.close();
      await storage.close();
    }
  }));

test("an index beyond what a key can hold is refused", () =>
  withDirectory(async (directory) => {
    const storage = await SqliteNodeStorage.open({ directory, identity });
    const confState = { voters: [1], learners: [], votersOutgoing: [], learnersNext: [] };
    const initial = {
      index: INDEX_MAX - 1,
      term: 1,
      confState: { ...confState, autoLeave: false },
    };
    const region = await storage.createRegion({ regionId: 1, peerId: 1, initial });
    await region.append({ entries: entriesOf(INDEX_MAX, INDEX_MAX, 1) });
    assert.equal(region.entries(INDEX_MAX, INDEX_MAX + 1, Infinity).length, 1);
    await assert.rejects(region.append({ entries: entriesOf(INDEX_MAX + 1, INDEX_MAX + 1, 1) }), {
      code: "STORAGE_LIMIT",
      message: new RegExp(`largest index is ${INDEX_MAX}`),
    });
    const beyond = { regionId: 2, peerId: 1, initial: { ...initial, index: INDEX_MAX + 1 } };
    await assert.rejects(storage.createRegion(beyond), StorageError);
    assert.equal((await storage.createRegion({ regionId: 2, peerId: 1 })).lastIndex(), 0);
    await storage.close();
  }));

test("writes of one turn of the event loop, of all regions, share one transaction", () =>
  withDirectory(async (directory) => {
    const storage = await SqliteNodeStorage.open({ directory, identity });
    const regions = await Promise.all(
      [1, 2, 3].map((regionId) => storage.createRegion({ regionId, peerId: 1 })),
    );
    const promises = regions.map((region) => region.append({ entries: entriesOf(1, 3, 10) }));
    promises.push(regions[0].append({ entries: entriesOf(4, 5, 10) }));
    // They share the promise of their transaction.
    assert.equal(new Set(promises).size, 1);
    await promises[0];
    assert.notEqual(regions[0].append({}), promises[0]);
    await storage.close();
    assert.deepEqual(readdirSync(directory).sort(), ["lock.db", "raft.db"]);
  }));
