import assert from "node:assert/strict";
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { createEntry, type Logger, type RaftLogEntry, SILENT_LOGGER } from "../../src/raft/mod.ts";
import { StorageError } from "../../src/storage/mod.ts";
import { SLOW_SYNC_MS, SqliteNodeStorage, STALLED_SYNC_MS } from "../../src/storage/sqlite/mod.ts";
import { openDatabase, type SqlValue } from "../../src/storage/sqlite/database.ts";
import { StatementBatch } from "../../src/storage/sqlite/statement_batch.ts";
import { BatchReader, RUN } from "../../src/storage/sqlite/worker.ts";
import { excessPages, VacuumPlan } from "../../src/storage/sqlite/vacuum.ts";
import { withDirectory } from "./temporary_directory.ts";

/** Starts threads: generous where the machine is busy. */
const SLOW = { timeout: 60_000 };

const identity = { clusterId: "tests", nodeId: 1 };

function entriesOf(low: number, high: number, bytes: number): RaftLogEntry[] {
  const entries: RaftLogEntry[] = [];
  for (let index = low; index <= high; index++) {
    entries.push(createEntry({ index, term: 1, command: new Uint8Array(bytes).fill(index) }));
  }
  return entries;
}

/** A run of a statement, as the thread reads it; its SQL comes with the first one. */
type Run = readonly [statement: number | string, how: number, values: SqlValue[]];

function runsOf(buffer: ArrayBuffer, known: string[]): Run[] {
  const reader = new BatchReader(buffer);
  return Array.from({ length: reader.word() }, () => {
    const number = reader.word();
    if (number === known.length) known.push(reader.text());
    return [known[number], reader.word(), reader.values()] as const;
  });
}

test("a batch crosses to the thread that writes as it is, in a buffer that is used again", () => {
  const known: string[] = [];
  const batch = new StatementBatch();
  const [insert, update] = ["INSERT …", "UPDATE …"].map((sql) => batch.prepare(sql));
  const bytes = new Uint8Array([0, 1, 2, 3]).subarray(1);
  const values = [0, -1.5, Number.MAX_SAFE_INTEGER, "", "Zürich", null, new Uint8Array(), bytes];
  insert.run(...values);
  update.runOne("row", 1);
  insert.run();
  batch.prepare("PRAGMA …").all(2);
  const first = batch.take();
  assert.deepEqual(runsOf(first, known), [
    ["INSERT …", RUN.once, values],
    ["UPDATE …", RUN.changingOneRow, [1]],
    ["INSERT …", RUN.once, []],
    ["PRAGMA …", RUN.toTheEnd, [2]],
  ]);
  batch.reuse(first);
  assert.equal(batch.prepare("UPDATE …"), update);
  update.run(3);
  const second = batch.take();
  assert.equal(second, first);
  assert.deepEqual(runsOf(second, known), [["UPDATE …", RUN.once, [3]]]);
  assert.deepEqual(known, ["INSERT …", "UPDATE …", "PRAGMA …"]);
  batch.reuse(second);
  const large = new Uint8Array(3 * second.byteLength).fill(7);
  insert.run(1, large, large, 2);
  assert.deepEqual(runsOf(batch.take(), known), [["INSERT …", RUN.once, [1, large, large, 2]]]);
  assert.deepEqual(runsOf(batch.take(), known), []);
});

test("the log says which writer was chosen and why, by the time a sync takes", () =>
  withDirectory(async (directory) => {
    const lines: string[] = [];
    const logger: Logger = { ...SILENT_LOGGER, info: (line) => void lines.push(line) };
    const storage = await SqliteNodeStorage.open({ directory, identity, logger });
    const { mode, reason, sync } = storage.writer;
    assert.ok(sync !== undefined && sync.medianMs > 0);
    const fast = sync.medianMs < SLOW_SYNC_MS && sync.longestMs < STALLED_SYNC_MS;
    assert.equal(mode, fast ? "direct" : "worker");
    assert.equal(lines.length, 1);
    assert.ok(lines[0].endsWith(reason));
    assert.match(lines[0], mode === "direct" ? /in the event loop/ : /in a thread of its own/);
    await storage.close();
    assert.deepEqual(readdirSync(directory).sort(), ["lock.db", "raft.db"]);
    await assert.rejects(
      SqliteNodeStorage.open({ directory, identity, writer: "thread" as "worker" }),
      { code: "STORAGE_OPTION", message: /"thread"/ },
    );
  }));

test(
  "an error of the thread that writes arrives typed, with its cause, and is final",
  SLOW,
  () =>
    withDirectory(async (directory) => {
      const options = {
        directory,
        identity,
        databaseBytesMax: 40 * 4096,
        writer: "worker",
      } as const;
      const storage = await SqliteNodeStorage.open(options);
      const region = await storage.createRegion({ regionId: 1, peerId: 1 });
      await region.append({ entries: entriesOf(1, 1, 100) });
      const failed = region.append({ entries: entriesOf(2, 2, 1_000_000) });
      const later = region.append({ entries: entriesOf(3, 3, 100) });
      const failure = await failed.then(() => undefined, (error) => error);
      assert.ok(failure instanceof StorageError);
      assert.equal(failure.code, "STORAGE_FULL");
      assert.match(failure.message, /write to .*raft\.db.*full.*result code 13.*free some space/);
      assert.ok(failure.cause instanceof Error);
      await assert.rejects(later, (error) => error === failure);
      await assert.rejects(
        storage.createRegion({ regionId: 2, peerId: 1 }),
        (error) => error === failure,
      );
      await storage.close();
      const reopened = await SqliteNodeStorage.open({ directory, identity, writer: "worker" });
      assert.equal(reopened.region(1)?.lastIndex(), 1);
      await reopened.close();
    }),
);

test(
  "the event loop goes on while the thread writes, and close waits for all of it",
  SLOW,
  () =>
    withDirectory(async (directory) => {
      const storage = await SqliteNodeStorage.open({ directory, identity, writer: "worker" });
      const region = await storage.createRegion({ regionId: 1, peerId: 1 });
      let turns = 0;
      let done = false;
      const write = region.append({ entries: entriesOf(1, 50_000, 200) }).then(() => done = true);
      while (!done) {
        await new Promise((resolve) => setImmediate(resolve));
        turns++;
      }
      await write;
      assert.ok(turns > 10, `${turns} turns while 50,000 rows were written`);
      const last = region.append({ entries: entriesOf(50_001, 50_010, 200) });
      await storage.close();
      await last;
      assert.deepEqual(readdirSync(directory).sort(), ["lock.db", "raft.db"]);
      const reopened = await SqliteNodeStorage.open({ directory, identity, writer: "worker" });
      assert.equal(reopened.region(1)?.lastIndex(), 50_010);
      await reopened.close();
    }),
);

for (const writer of ["direct", "worker"] as const) {
  test(
    `a write to a region whose row is gone changes nothing and says so, writer ${writer}`,
    SLOW,
    () =>
      withDirectory(async (directory) => {
        const storage = await SqliteNodeStorage.open({ directory, identity, writer });
        const regions = [await storage.createRegion({ regionId: 7, peerId: 1 })];
        regions.push(await storage.createRegion({ regionId: 8, peerId: 1 }));
        const other = openDatabase(join(directory, "raft.db"));
        try {
          other.run("DELETE FROM raft_state WHERE region_id = 8");
          const writes = regions.map((region) => region.append({ entries: entriesOf(1, 3, 10) }));
          for (const write of writes) {
            await assert.rejects(write, {
              code: "STORAGE_CORRUPT",
              message: /^The row of region 8 in raft_state is gone; restore/,
            });
          }
          assert.deepEqual(other.prepare("SELECT count(*) FROM raft_log").first(), [0]);
        } finally {
          other.close();
          await storage.close();
        }
      }),
  );

  test(
    `compaction gives space back to the file system, writer ${writer}`,
    SLOW,
    () =>
      withDirectory(async (directory) => {
        const path = join(directory, "raft.db");
        const options = { directory, identity, writer, checkpointBytes: 1024 * 1024 } as const;
        const storage = await SqliteNodeStorage.open(options);
        const region = await storage.createRegion({ regionId: 1, peerId: 1 });
        for (let low = 1; low < 500; low += 50) {
          await region.append({ entries: entriesOf(low, low + 49, 32_000) });
        }
        const before = statSync(path).size;
        assert.ok(before > 12_000_000, `${before} bytes before`);
        await region.compact(495);
        const deadline = Date.now() + 50_000;
        // What is kept: 4 MiB of free pages.
        while (statSync(path).size > 5_000_000 && Date.now() < deadline) {
          await new Promise((resolve) => setTimeout(resolve, 5));
        }
        assert.ok(statSync(path).size < 5_000_000, `${statSync(path).size} bytes after`);
        assert.deepEqual(region.entries(496, 501, Infinity), entriesOf(496, 500, 32_000));
        await storage.close();
        const reopened = await SqliteNodeStorage.open({ directory, identity, writer });
        assert.equal(reopened.region(1)?.lastIndex(), 500);
        await reopened.close();
      }),
  );
}

test("space is given back until a quarter of what is in use, or 4 MiB, is left free", () => {
  assert.equal(excessPages({ pages: 2000, freePages: 1024 }), 0);
  assert.equal(excessPages({ pages: 2000, freePages: 1034 }), 10);
  assert.equal(excessPages({ pages: 100_000, freePages: 20_000 }), 0);
  assert.equal(excessPages({ pages: 100_000, freePages: 60_000 }), 50_000);
  const plan = new VacuumPlan();
  plan.update({ pages: 3000, freePages: 1100 });
  assert.deepEqual([plan.next(), plan.next(), plan.next()], [false, false, true]);
  assert.equal(plan.pending, false);
  // A plan that changed nothing is not repeated.
  plan.update({ pages: 3000, freePages: 1100 });
  assert.equal(plan.pending, false);
});
