import assert from "node:assert/strict";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { createConfState, createEntry } from "../../src/raft/mod.ts";
import { StorageError } from "../../src/storage/mod.ts";
import type { RegionState } from "../../src/storage/region_state.ts";
import type { SqlValue } from "../../src/storage/sqlite/database.ts";
import { SqliteNodeStorage } from "../../src/storage/sqlite/mod.ts";
import {
  decodeRegion,
  encodeRegion,
  entryChecksum,
  REGION_COLUMNS,
} from "../../src/storage/sqlite/rows.ts";
import { withDirectory } from "./temporary_directory.ts";

const identity = { clusterId: "tests", nodeId: 1 };
const ENTRIES = 200;

/** Creates a storage of two regions, with a snapshot each, and closes it. */
async function populate(directory: string): Promise<void> {
  const storage = await SqliteNodeStorage.open({ directory, identity });
  for (const regionId of [1, 2]) {
    const region = await storage.createRegion({ regionId, peerId: regionId * 10 });
    const confState = createConfState({ voters: [10, 20] });
    const snapshot = { metadata: { index: 5, term: 1, confState }, data: new Uint8Array(50) };
    const entries = Array.from({ length: ENTRIES }, (_, i) => {
      const command = new TextEncoder().encode(`command ${regionId}.${i + 6}.`.repeat(4));
      return createEntry({ index: i + 6, term: 2, command });
    });
    const hardState = { currentTerm: 2, votedFor: 10, commitIndex: 100 };
    await region.append({ snapshot, entries, hardState });
  }
  await storage.close();
}

function execute(directory: string, ...statements: string[]): void {
  const database = new DatabaseSync(join(directory, "raft.db"));
  for (const sql of statements) database.prepare(sql).all();
  database.close();
}

/** Opens the storage, which must be refused; returns the error. Nothing is altered or left locked. */
async function refusal(
  directory: string,
  options: { identity?: typeof identity } = {},
): Promise<StorageError> {
  const path = join(directory, "raft.db");
  const before = readFileSync(path);
  const error = await SqliteNodeStorage.open({ directory, identity, ...options }).then(
    async (storage) => {
      await storage.close();
      throw new Error("the storage opened");
    },
    (error) => error,
  );
  assert.ok(error instanceof StorageError, String(error));
  assert.ok(readFileSync(path).equals(before), "raft.db is not altered");
  return error;
}

test("a byte flipped in a row of raft_log is found when opening, and the row is named", () =>
  withDirectory(async (directory) => {
    await populate(directory);
    const path = join(directory, "raft.db");
    const file = readFileSync(path);
    const offset = file.indexOf("command 2.77.");
    assert.ok(offset > 0);
    file[offset + 20] ^= 0x04;
    writeFileSync(path, file);
    const error = await refusal(directory);
    assert.equal(error.code, "STORAGE_CORRUPT");
    assert.match(
      error.message,
      /raft\.db.*row of region 2, index 77 in raft_log.*checksum.*backup/,
    );
  }));

const KEY_2 = "(2 << 46)";
const DAMAGES: [what: string, sql: string, message: RegExp][] = [
  [
    "a missing row",
    `DELETE FROM raft_log WHERE key = ${KEY_2} + 50`,
    /region 2 has a gap.*51 .*49/,
  ],
  ["a missing first row", `DELETE FROM raft_log WHERE key = ${KEY_2} + 6`, /region 2 has a gap/],
  [
    "missing rows at the end",
    `DELETE FROM raft_log WHERE key > ${KEY_2} + 150`,
    /region 2 ends at index 150 of term 2 .* up to index 205/,
  ],
  ["an empty log", "DELETE FROM raft_log", /region 1 ends at index 5 /],
  [
    "a row more at the end",
    `INSERT INTO raft_log SELECT key + 1, term, type, command, context, checksum FROM raft_log ` +
    `WHERE key = ${KEY_2} + 205`,
    /region 2, index 206 .*checksum/,
  ],
  ["a changed term", `UPDATE raft_log SET term = 3 WHERE key = ${KEY_2} + 9`, /region 2, index 9 /],
  ["a changed type", `UPDATE raft_log SET type = 1 WHERE key = ${KEY_2} + 9`, /region 2, index 9 /],
  [
    "a context out of nowhere",
    `UPDATE raft_log SET context = x'' WHERE key = ${KEY_2} + 9`,
    /region 2, index 9 .*checksum/,
  ],
  [
    "rows that changed places",
    `UPDATE raft_log SET command = (SELECT command FROM raft_log WHERE key = ${KEY_2} + 10), ` +
    `checksum = (SELECT checksum FROM raft_log WHERE key = ${KEY_2} + 10) WHERE key = ${KEY_2} + 9`,
    /region 2, index 9 .*checksum/,
  ],
  [
    "a row of no region",
    `UPDATE raft_log SET key = (9 << 46) + 1 WHERE key = ${KEY_2} + 205`,
    /slot 9/,
  ],
  [
    "a term beyond 2^53",
    `UPDATE raft_log SET term = 1 << 60 WHERE key = ${KEY_2} + 9`,
    /too large/,
  ],
  [
    "a changed vote",
    "UPDATE raft_state SET voted_for = 20 WHERE region_id = 1",
    /row of region 1 .*raft_state fails its checksum/,
  ],
  [
    "a changed configuration",
    `UPDATE raft_state SET conf_state = '{"voters":[10]}' WHERE region_id = 1`,
    /row of region 1 .*checksum/,
  ],
  ["a lost region", "DELETE FROM raft_state WHERE region_id = 2", /index 6 for the unknown slot 2/],
  ["a lost snapshot", "DELETE FROM raft_snapshot WHERE slot = 2", /snapshot of region 2.* missing/],
  [
    "a changed snapshot",
    "UPDATE raft_snapshot SET data = zeroblob(49) WHERE slot = 2",
    /snapshot of region 2.* checksum/,
  ],
  ["a changed identity", "UPDATE node_identity SET node_id = 2", /node_identity .*checksum/],
];

for (const [what, sql, message] of DAMAGES) {
  test(`${what} is found when opening`, () =>
    withDirectory(async (directory) => {
      await populate(directory);
      execute(directory, sql);
      const error = await refusal(directory);
      assert.equal(error.code, "STORAGE_CORRUPT");
      assert.match(error.message, message);
    }));
}

/** What the state of region 1 must not be, even where its checksum holds. */
const STATES: [what: string, change: (state: RegionState) => Partial<RegionState>, RegExp][] = [
  [
    "a commit index beyond the log",
    ({ hardState }) => ({ hardState: { ...hardState, commitIndex: 206 } }),
    /region 1 has a commit index of 206.* from 5 to its last index 205/,
  ],
  [
    "a commit index before the truncated index",
    ({ hardState }) => ({ hardState: { ...hardState, commitIndex: 4 } }),
    /region 1 has a commit index of 4/,
  ],
  ["a configuration beyond the log", () => ({ confStateIndex: 999 }), /configuration index of 999/],
  ["a truncated index beyond the log", () => ({ truncatedIndex: 999 }), /truncated index of 999/],
  [
    "a last term that the log does not have",
    () => ({ lastTerm: 3 }),
    /ends at index 205 of term 2/,
  ],
];

for (const [what, change, message] of STATES) {
  test(`${what} is found when opening`, () =>
    withDirectory(async (directory) => {
      await populate(directory);
      const database = new DatabaseSync(join(directory, "raft.db"));
      const select = database.prepare(`SELECT ${REGION_COLUMNS} FROM raft_state WHERE slot = 1`);
      const row = decodeRegion(Object.values(select.get() ?? {}) as SqlValue[]);
      assert.ok(row !== undefined);
      const state = { ...row.state, ...change(row.state) };
      database
        .prepare(`REPLACE INTO raft_state VALUES (${REGION_COLUMNS.map(() => "?")})`)
        .run(...encodeRegion(row.slot, row.regionId, row.peerId, state));
      database.close();
      const error = await refusal(directory);
      assert.equal(error.code, "STORAGE_CORRUPT");
      assert.match(error.message, message);
    }));
}

test("a term that decreases along the log is found when opening", () =>
  withDirectory(async (directory) => {
    await populate(directory);
    const command = new Uint8Array(3);
    const database = new DatabaseSync(join(directory, "raft.db"));
    database
      .prepare(`UPDATE raft_log SET term = 1, command = ?, checksum = ? WHERE key = ${KEY_2} + 9`)
      .run(command, entryChecksum(2, 9, 1, 0, command, undefined));
    database.close();
    assert.match((await refusal(directory)).message, /region 2 has term 1 at index 9 after term 2/);
  }));

test("rows that a compaction had no time to delete are no damage, and are deleted", () =>
  withDirectory(async (directory) => {
    await populate(directory);
    let storage = await SqliteNodeStorage.open({ directory, identity });
    await storage.region(2)?.compact(150);
    // Rows are deleted by later transactions, and closing does not wait for them.
    await storage.close();
    storage = await SqliteNodeStorage.open({ directory, identity });
    assert.equal(storage.region(2)?.firstIndex(), 151);
    await storage.region(2)?.append({});
    await storage.close();
    const database = new DatabaseSync(join(directory, "raft.db"), { readOnly: true });
    const left = database.prepare(
      `SELECT count(*) AS n FROM raft_log_by_region WHERE region_id = 2`,
    );
    assert.equal(left.get()?.n, 55);
    database.close();
  }));

test("the data of another node or cluster is refused and not altered", () =>
  withDirectory(async (directory) => {
    await populate(directory);
    const node = await refusal(directory, { identity: { clusterId: "tests", nodeId: 2 } });
    assert.equal(node.code, "STORAGE_IDENTITY");
    assert.match(node.message, /belongs to node 1 of cluster "tests", not to node 2/);
    const cluster = await refusal(directory, { identity: { clusterId: "other", nodeId: 1 } });
    assert.equal(cluster.code, "STORAGE_IDENTITY");
  }));

test("the data of a newer format is refused and not altered", () =>
  withDirectory(async (directory) => {
    await populate(directory);
    execute(directory, "PRAGMA user_version = 99");
    const error = await refusal(directory);
    assert.equal(error.code, "STORAGE_FORMAT");
    assert.match(error.message, /format version 99.*versions up to 1.*newer program/);
  }));

test("the database of another application is refused and not altered", () =>
  withDirectory(async (directory) => {
    execute(directory, "CREATE TABLE theirs (id INTEGER PRIMARY KEY)");
    const error = await refusal(directory);
    assert.equal(error.code, "STORAGE_FORMAT");
    assert.match(error.message, /another application/);
  }));

test("a file that is no database is refused and not altered", () =>
  withDirectory(async (directory) => {
    writeFileSync(join(directory, "raft.db"), "this is not a database ".repeat(500));
    const error = await refusal(directory);
    assert.equal(error.code, "STORAGE_CORRUPT");
    assert.match(error.message, /not a database/);
  }));

test("a damaged lock file is named, with what to do, as it holds no data", () =>
  withDirectory(async (directory) => {
    await (await SqliteNodeStorage.open({ directory, identity })).close();
    const lock = join(directory, "lock.db");
    writeFileSync(lock, "x".repeat(5_000));
    await assert.rejects(SqliteNodeStorage.open({ directory, identity }), {
      code: "STORAGE_CORRUPT",
      message: /lock\.db as it is damaged: it holds no data; remove it/,
    });
    rmSync(lock);
    await (await SqliteNodeStorage.open({ directory, identity })).close();
  }));

test("a file in the place of the directory is refused", () =>
  withDirectory(async (directory) => {
    const path = join(directory, "file");
    writeFileSync(path, "");
    await assert.rejects(SqliteNodeStorage.open({ directory: path, identity }), {
      code: "STORAGE_IO",
      message: /not a directory/,
    });
  }));

test("a missing directory is created, with its parents", () =>
  withDirectory(async (parent) => {
    const directory = join(parent, "a", "b");
    const storage = await SqliteNodeStorage.open({ directory, identity });
    assert.deepEqual(storage.regionIds(), []);
    await storage.close();
    assert.ok(existsSync(join(directory, "raft.db")));
    assert.deepEqual(readdirSync(directory).sort(), ["lock.db", "raft.db"]);
  }));

const root = process.getuid?.() === 0;
test("a read-only directory is refused", {
  skip: root ? "root may write everywhere" : process.platform === "win32",
}, () =>
  withDirectory(async (parent) => {
    const directory = join(parent, "data");
    mkdirSync(directory);
    await populate(directory);
    chmodSync(directory, 0o500);
    try {
      assert.equal((await refusal(directory)).code, "STORAGE_READ_ONLY");
    } finally {
      chmodSync(directory, 0o700);
    }
  }));

test("a database that a crash left while it was being created opens", () =>
  withDirectory(async (directory) => {
    const [made, left] = [join(directory, "made.db"), join(directory, "left")];
    const database = new DatabaseSync(made);
    for (const sql of ["PRAGMA cache_size = 5", "CREATE TABLE t (x)", "DROP TABLE t", "BEGIN"]) {
      database.exec(sql);
    }
    // More than the cache holds: a part is in the file already, and the journal can undo it.
    database.exec("CREATE TABLE t (x)");
    for (let i = 0; i < 100; i++) database.exec("INSERT INTO t VALUES (zeroblob(3000))");
    mkdirSync(left);
    copyFileSync(made, join(left, "raft.db"));
    copyFileSync(`${made}-journal`, join(left, "raft.db-journal"));
    database.close();
    const storage = await SqliteNodeStorage.open({ directory: left, identity });
    assert.deepEqual(storage.regionIds(), []);
    await storage.createRegion({ regionId: 1, peerId: 1 });
    await storage.close();
    assert.deepEqual(readdirSync(left).sort(), ["lock.db", "raft.db"]);
  }));

test("invalid options are refused before anything is created", () =>
  withDirectory(async (parent) => {
    const directory = join(parent, "data");
    const wrong = [
      { directory: "" },
      { identity: { clusterId: "", nodeId: 1 } },
      { identity: { clusterId: "x".repeat(129), nodeId: 1 } },
      { identity: { clusterId: "tests", nodeId: 0 } },
      { identity: { clusterId: "tests", nodeId: 1.5 } },
      { cacheBytesMax: -1 },
      { transactionBytesMax: 0 },
      { checkpointBytes: Number.NaN },
      { databaseBytesMax: 100 },
    ];
    for (const option of wrong) {
      await assert.rejects(
        SqliteNodeStorage.open({ directory, identity, ...option }),
        { code: "STORAGE_OPTION" },
        JSON.stringify(option),
      );
    }
    assert.equal(existsSync(directory), false);
  }));
