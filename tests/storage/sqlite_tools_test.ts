import assert from "node:assert/strict";
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync } from "node:fs";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { createConfState, createEntry, type RaftLogEntry } from "../../src/raft/mod.ts";
import {
  type DumpOptions,
  type DumpRecord,
  dumpStorage,
  SqliteNodeStorage,
  verifyStorage,
} from "../../src/storage/sqlite/mod.ts";
import { StorageChild } from "./child.ts";
import { withDirectory } from "./temporary_directory.ts";

/** Starts a process: generous where the machine is busy. */
const SLOW = { timeout: 60_000 };

const identity = { clusterId: "tests", nodeId: 7 };
const confState = createConfState({ voters: [1, 2] });

function entriesOf(low: number, high: number): RaftLogEntry[] {
  const entries: RaftLogEntry[] = [];
  for (let index = low; index <= high; index++) {
    entries.push(createEntry({ index, term: 2, command: new TextEncoder().encode(`c${index}`) }));
  }
  return entries;
}

/** Two regions, the second one with a snapshot; `keepOpen` runs while the storage is open. */
async function makeStorage(
  directory: string,
  keepOpen: () => void | Promise<void> = () => {},
): Promise<void> {
  const storage = await SqliteNodeStorage.open({ directory, identity, writer: "direct" });
  const one = await storage.createRegion({ regionId: 1, peerId: 1 });
  const two = await storage.createRegion({ regionId: 2, peerId: 3 });
  const hardState = { currentTerm: 3, votedFor: 2, commitIndex: 8 };
  await one.append({ entries: entriesOf(1, 10), hardState });
  await two.append({
    snapshot: { metadata: { index: 20, term: 2, confState }, data: new Uint8Array([1, 2, 3]) },
    entries: entriesOf(21, 23),
  });
  await keepOpen();
  await storage.close();
}

/** Names, sizes, times and contents of all files. */
function stateOf(directory: string): unknown {
  return readdirSync(directory).sort().map((name) => {
    const path = join(directory, name);
    const { size, mtimeMs, ctimeMs } = statSync(path);
    return [name, size, mtimeMs, ctimeMs, readFileSync(path).toString("base64")];
  });
}

function change(directory: string, sql: string): void {
  const database = new DatabaseSync(join(directory, "raft.db"));
  database.prepare(sql).run();
  database.close();
}

function dump(options: DumpOptions): DumpRecord[] {
  const records: DumpRecord[] = [];
  dumpStorage(options, (record) => void records.push(record));
  return records;
}

test("verify reports sound data and alters nothing", () =>
  withDirectory(async (directory) => {
    await makeStorage(directory);
    const before = stateOf(directory);
    const parent = statSync(directory).mtimeMs;
    const report = verifyStorage({ directory, appliedIndex: (id) => id === 1 ? 8 : undefined });
    assert.deepEqual(report.problems, []);
    assert.ok(report.sound && !report.locked);
    assert.deepEqual(report.identity, identity);
    assert.deepEqual(
      report.regions.map((
        { regionId, firstIndex, lastIndex, snapshotIndex },
      ) => [regionId, firstIndex, lastIndex, snapshotIndex]),
      [[1, 1, 10, undefined], [2, 21, 23, 20]],
    );
    assert.equal(report.regions[0].appliedIndex, 8);
    assert.deepEqual(report.regions[0].hardState, { currentTerm: 3, votedFor: 2, commitIndex: 8 });
    assert.deepEqual(stateOf(directory), before);
    assert.equal(statSync(directory).mtimeMs, parent);
  }));

test("verify and dump read what is in the write-ahead log after a crash, and leave it there", () =>
  withDirectory(async (directory) => {
    const crashed = join(directory, "crashed");
    await makeStorage(join(directory, "live"), () => {
      mkdirSync(crashed);
      for (const name of ["raft.db", "raft.db-wal"]) {
        copyFileSync(join(directory, "live", name), join(crashed, name));
      }
    });
    const before = stateOf(crashed);
    const report = verifyStorage({ directory: crashed });
    assert.deepEqual(report.problems, []);
    assert.ok((report.wal?.transactions ?? 0) > 3);
    assert.equal(report.regions[1].lastIndex, 23);
    assert.equal(dump({ directory: crashed }).length, 1 + 1 + 10 + 1 + 3);
    assert.deepEqual(stateOf(crashed), before);
    // A byte in the middle of it.
    const wal = readFileSync(join(crashed, "raft.db-wal"));
    wal[32 + 24 + 500] ^= 4;
    writeFileSync(join(crashed, "raft.db-wal"), wal);
    const damaged = verifyStorage({ directory: crashed });
    assert.ok(!damaged.sound);
    assert.match(damaged.problems.join(), /Frame 1 of the write-ahead log/);
    const [first] = dump({ directory: crashed });
    assert.deepEqual(first, { kind: "problem", problem: damaged.problems[0], omitted: 0 });
  }));

test(
  "verify and dump say that a running node must be stopped",
  SLOW,
  () =>
    withDirectory(async (directory) => {
      const child = new StorageChild("hold", directory);
      try {
        await child.waitForLines(1);
        const report = verifyStorage({ directory });
        assert.ok(report.locked && !report.sound);
        assert.match(report.problems.join(), /has the storage in .* open: stop it first/);
        assert.throws(() => dump({ directory }), { code: "STORAGE_LOCKED" });
      } finally {
        await child.kill();
      }
      assert.ok(verifyStorage({ directory }).sound);
    }),
);

test("verify lists every problem, not only the first", () =>
  withDirectory(async (directory) => {
    await makeStorage(directory);
    change(directory, "DELETE FROM raft_log WHERE key & 255 = 4");
    change(directory, "UPDATE raft_log SET command = x'00' WHERE key & 255 = 6");
    change(directory, "UPDATE raft_log SET term = 9 WHERE key & 255 = 22");
    change(directory, "UPDATE raft_snapshot SET data = x'00'");
    const { problems, sound } = verifyStorage({ directory, appliedIndex: () => 30 });
    assert.ok(!sound);
    const expected = [
      /region 1 has a gap: index 5 follows 3/,
      /region 1, index 6 in raft_log fails its checksum/,
      /region 2, index 22 in raft_log fails its checksum/,
      /snapshot of region 2, index 20, fails its checksum/,
      /region 1 has applied index 30, but its log ends at 10/,
      /region 2 has applied index 30, but its log ends at 23/,
    ];
    for (const [i, pattern] of expected.entries()) assert.match(problems[i], pattern);
    assert.equal(problems.length, expected.length);
    const records = dump({ directory, regionId: 1 });
    assert.equal(records.filter((record) => record.kind === "damaged").length, 1);
  }));

test("verify finds a changed table, state, index and lost entries below what was applied", () =>
  withDirectory(async (directory) => {
    const cases: [sql: string, problem: RegExp][] = [
      ["DROP VIEW raft_log_by_region", /definition of raft_log_by_region/],
      ["UPDATE raft_state SET voted_for = 9 WHERE region_id = 1", /region 1 .*fails its checksum/],
      ["UPDATE node_identity SET node_id = 9", /node_identity is missing or fails its checksum/],
      ["UPDATE raft_log SET key = key + (9 << 46) WHERE key & 255 = 10", /unknown slot 10/],
    ];
    for (const [number, [sql, problem]] of cases.entries()) {
      const copy = join(directory, String(number));
      await makeStorage(copy);
      change(copy, sql);
      const { sound, problems } = verifyStorage({ directory: copy });
      assert.ok(!sound);
      assert.match(problems.join("\n"), problem);
    }
    const copy = join(directory, "applied");
    await makeStorage(copy);
    const report = verifyStorage({ directory: copy, appliedIndex: (id) => id === 2 ? 5 : 10 });
    assert.match(report.problems.join(), /region 2 has applied index 5, but its log begins at 21/);
  }));

test("verify and dump refuse a directory without a storage, and create nothing there", () =>
  withDirectory((directory) => {
    const missing = join(directory, "missing");
    for (const wrong of [directory, missing]) {
      const expected = { code: "STORAGE_FORMAT", message: /no storage in / };
      assert.throws(() => verifyStorage({ directory: wrong }), expected);
      assert.throws(() => dump({ directory: wrong }), expected);
    }
    assert.deepEqual(readdirSync(directory), []);
    assert.ok(!existsSync(missing));
  }));

test("dump hands out the node, the regions, and the entries within its limits", () =>
  withDirectory(async (directory) => {
    await makeStorage(directory);
    const all = dump({ directory });
    assert.deepEqual(all[0], { kind: "node", formatVersion: 1, ...identity });
    const entriesIn = (records: DumpRecord[], id: number) =>
      records.flatMap((record) => {
        if (record.kind !== "entry" || record.regionId !== id) return [];
        const { kind: _, regionId: __, ...entry } = record;
        return [entry];
      });
    assert.deepEqual(entriesIn(all, 1), entriesOf(1, 10));
    assert.deepEqual(entriesIn(all, 2), entriesOf(21, 23));
    const some = dump({ directory, regionId: 1, from: 3, to: 9, limit: 4 });
    assert.deepEqual(some.map(({ kind }) => kind), ["node", "region", ...Array(4).fill("entry")]);
    assert.deepEqual(entriesIn(some, 1), entriesOf(3, 6));
    assert.equal(dump({ directory, limit: 0 }).length, 3);
    assert.equal(dump({ directory, regionId: 99 }).length, 1);
  }));
