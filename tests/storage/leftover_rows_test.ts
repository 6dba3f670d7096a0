import assert from "node:assert/strict";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { setImmediate } from "node:timers";
import fc from "fast-check";
import {
  createConfState,
  createEntry,
  type RaftLogEntry,
  type Snapshot,
} from "../../src/raft/mod.ts";
import type { RaftStorage } from "../../src/storage/mod.ts";
import { SqliteNodeStorage } from "../../src/storage/sqlite/mod.ts";
import { addRow, LeftoverRows, type RowRange } from "../../src/storage/sqlite/leftover_rows.ts";
import { withDirectory } from "./temporary_directory.ts";

/** Thousands of rows: generous where the machine is busy. */
const SLOW = { timeout: 60_000 };

/** Turns of the event loop without a transaction, after which none will follow. */
const IDLE_TURNS = 20;

const identity = { clusterId: "tests", nodeId: 1 };

function entriesOf(low: number, high: number): RaftLogEntry[] {
  const command = new Uint8Array(10);
  const entries: RaftLogEntry[] = [];
  for (let index = low; index <= high; index++) {
    entries.push(createEntry({ index, term: 1, command }));
  }
  return entries;
}

function snapshotAt(index: number): Snapshot {
  const confState = createConfState({ voters: [1] });
  return { metadata: { index, term: 1, confState }, data: new Uint8Array(100) };
}

function open(directory: string): Promise<SqliteNodeStorage> {
  return SqliteNodeStorage.open({ directory, identity, writer: "direct" });
}

/** Waits until the storage writes nothing more by itself; returns the transactions it has made. */
async function transactionsOf(storage: SqliteNodeStorage): Promise<number> {
  let transactions: number;
  do {
    transactions = storage.counters().transactions;
    for (let turn = 0; turn < IDLE_TURNS; turn++) {
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
  } while (storage.counters().transactions > transactions);
  return transactions;
}

/** How many rows raft_log has, of a storage that is closed. */
function rowsIn(directory: string): number {
  const database = new DatabaseSync(join(directory, "raft.db"));
  try {
    return database.prepare("SELECT count(*) AS rows FROM raft_log").get()?.rows as number;
  } finally {
    database.close();
  }
}

test("a snapshot far beyond an empty log is installed in a few transactions", () =>
  withDirectory(async (directory) => {
    const storage = await open(directory);
    const region = await storage.createRegion({ regionId: 1, peerId: 1 });
    await region.append({ snapshot: snapshotAt(1_000_000) });
    await region.append({ entries: entriesOf(1_000_001, 1_000_010) });
    await region.compact(1_000_008);
    const transactions = await transactionsOf(storage);
    // The region, the snapshot, the entries, the compaction, and the rows it left.
    assert.equal(transactions, 5);
    await storage.close();
    assert.equal(rowsIn(directory), 2);
  }));

test(
  "what a snapshot leaves of the log is deleted, and no more is looked for",
  SLOW,
  () =>
    withDirectory(async (directory) => {
      const storage = await open(directory);
      const region = await storage.createRegion({ regionId: 1, peerId: 1 });
      await region.append({ entries: entriesOf(1, 5000) });
      const before = storage.counters().transactions;
      await region.append({ snapshot: snapshotAt(1_000_000) });
      const added = await transactionsOf(storage) - before;
      // The snapshot, and 1024 rows at a time.
      assert.equal(added, 1 + 5);
      await storage.close();
      assert.equal(rowsIn(directory), 0);
    }),
);

test(
  "what two snapshots left of two logs is deleted after a restart",
  SLOW,
  () =>
    withDirectory(async (directory) => {
      let storage = await open(directory);
      let region = await storage.createRegion({ regionId: 1, peerId: 1 });
      await region.append({ entries: entriesOf(1, 5000) });
      await region.append({ snapshot: snapshotAt(1_000_000) });
      await region.append({ entries: entriesOf(1_000_001, 1_003_000) });
      await region.append({
        snapshot: snapshotAt(2_000_000),
        entries: entriesOf(2_000_001, 2_000_007),
      });
      await storage.close();
      assert.ok(rowsIn(directory) > 3000, "the storage was closed before it had deleted all");
      storage = await open(directory);
      const transactions = await transactionsOf(storage);
      assert.ok(transactions > 2 && transactions < 10, `${transactions} transactions`);
      region = storage.region(1) as RaftStorage;
      assert.deepEqual(
        region.entries(2_000_001, 2_000_008, Infinity),
        entriesOf(2_000_001, 2_000_007),
      );
      await storage.close();
      assert.equal(rowsIn(directory), 7);
    }),
);

/** A log as the set of its rows, and how each kind of write changes it. */
class LogModel {
  readonly rows = new Set<number>();
  lastIndex = 0;
  truncatedIndex = 0;

  append(count: number): void {
    for (let i = 0; i < count; i++) this.rows.add(++this.lastIndex);
  }

  install(index: number): void {
    for (let row = index + 1; row <= this.lastIndex; row++) this.rows.delete(row);
    this.truncatedIndex = this.lastIndex = index;
  }

  /** Checks that all these rows are there, and below the log; then they are gone. */
  take({ low, high }: RowRange): void {
    assert.ok(low <= high && high <= this.truncatedIndex, `${low} to ${high} lies below the log`);
    for (let row = low; row <= high; row++) {
      assert.ok(this.rows.delete(row), `row ${row} was there`);
    }
  }

  restarted(): LeftoverRows {
    const found: RowRange[] = [];
    for (const row of [...this.rows].sort((a, b) => a - b)) {
      if (row <= this.truncatedIndex) addRow(found, row);
    }
    return new LeftoverRows(found, this.truncatedIndex + 1);
  }
}

const STEP = fc.record({
  kind: fc.constantFrom("append", "compact", "install", "install beyond", "take", "restart"),
  amount: fc.integer({ min: 0, max: 30 }),
});

test("rows that are left are found once each, and none where there are none", () =>
  fc.assert(fc.property(fc.array(STEP, { maxLength: 60 }), (steps) => {
    const model = new LogModel();
    let leftover = model.restarted();
    for (const { kind, amount } of steps) {
      const within = Math.min(model.lastIndex, model.truncatedIndex + amount);
      if (kind === "append") model.append(amount);
      else if (kind === "compact") model.truncatedIndex = within;
      else if (kind === "restart") leftover = model.restarted();
      else if (kind === "take") {
        const range = leftover.take(model.truncatedIndex, amount + 1);
        if (range !== undefined) model.take(range);
      } else {
        const index = kind === "install" ? within : model.lastIndex + amount;
        leftover.replaceLog(index, Math.min(index, model.lastIndex));
        model.install(index);
      }
    }
    for (;;) {
      const range = leftover.take(model.truncatedIndex, 7);
      if (range === undefined) break;
      model.take(range);
    }
    assert.equal([...model.rows].filter((row) => row <= model.truncatedIndex).length, 0);
  })));
