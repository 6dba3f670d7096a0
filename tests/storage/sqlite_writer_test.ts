import assert from "node:assert/strict";
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { createEntry, type Logger, type RaftLogEntry, SILENT_LOGGER } from "../../src/raft/mod.ts";
import { StorageError } from "../../src/storage/mod.ts";
import { SLOW_SYNC_MS, SqliteNodeStorage, STALLED_SYNC_MS } from "../../src/storage/sqlite/mod.ts";
import { decodeBatch, encodeBatch } from "../../src/storage/sqlite/batch_codec.ts";
import type { WriteOperation } from "../../src/storage/sqlite/writer.ts";
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

test("a batch crosses to the thread that writes as it is, in a buffer that is used again", () => {
  const confState = {
    voters: [1, 2],
    learners: [],
    votersOutgoing: [],
    learnersNext: [3],
    autoLeave: true,
  };
  const state = {
    hardState: { currentTerm: Number.MAX_SAFE_INTEGER, votedFor: 2, commitIndex: 7 },
    confState,
    confStateIndex: 3,
    truncatedIndex: 2,
    truncatedTerm: 1,
    lastIndex: 9,
    lastTerm: 4,
    snapshot: { index: 2, term: 1, confState },
  };
  const [slot, regionId, peerId] = [1, Number.MAX_SAFE_INTEGER, 5];
  const entries = [
    createEntry({ index: 2 ** 45, term: 1, command: new Uint8Array([1, 2, 3]) }),
    createEntry({ index: 2 ** 45 + 1, term: 2, type: "conf-change" }),
    createEntry({ index: 2 ** 45 + 2, term: 2, type: "conf-change-v2", context: new Uint8Array() }),
  ];
  const operations: WriteOperation[] = [
    { kind: "create-region", slot, regionId, peerId, state: { ...state, snapshot: undefined } },
    { kind: "append", slot, regionId, entries },
    { kind: "delete", slot, low: 4, high: 8 },
    { kind: "save-snapshot", slot, regionId, index: 2, data: new Uint8Array([9]) },
    { kind: "save-snapshot", slot, regionId, index: 0, data: undefined },
    { kind: "vacuum", pagesMax: 32 },
    { kind: "save-region", slot, regionId, peerId, state },
  ];
  const buffer = encodeBatch(operations, undefined);
  assert.deepEqual(plain(decodeBatch(buffer)), plain(operations));
  assert.equal(encodeBatch(operations.slice(1), buffer), buffer);
  assert.deepEqual(plain(decodeBatch(buffer)), plain(operations.slice(1)));
  const large: WriteOperation = {
    kind: "append",
    slot,
    regionId,
    entries: entriesOf(1, 2, buffer.byteLength),
  };
  assert.deepEqual(plain(decodeBatch(encodeBatch([large], buffer))), plain([large]));
});

/** Without the difference between absent and undefined, and between views and copies. */
function plain(operations: readonly WriteOperation[]): unknown {
  return JSON.parse(JSON.stringify(operations));
}

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
