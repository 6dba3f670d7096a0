import assert from "node:assert/strict";
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { SqliteNodeStorage } from "../../src/storage/sqlite/mod.ts";
import { StorageChild } from "./child.ts";
import { withDirectory } from "./temporary_directory.ts";

/** Starts processes: generous where the machine is busy. */
const SLOW = { timeout: 60_000 };

const identity = { clusterId: "tests", nodeId: 1 };

test(
  "a second process cannot open the data, and can once the first was killed",
  SLOW,
  () =>
    withDirectory(async (directory) => {
      const first = new StorageChild("hold", directory);
      try {
        await first.waitForLines(1);
        assert.equal(first.lines[0], "open");
        const second = new StorageChild("hold", directory);
        try {
          await second.waitForLines(1);
        } finally {
          await second.kill();
        }
        assert.match(second.lines[0], /^refused STORAGE_LOCKED .*open already/);
        assert.ok(second.lines[0].includes(directory), "the message names the directory");
        await assert.rejects(SqliteNodeStorage.open({ directory, identity }), {
          code: "STORAGE_LOCKED",
        });
      } finally {
        await first.kill();
      }
      const storage = await SqliteNodeStorage.open({ directory, identity });
      await storage.close();
    }),
);

test(
  "a process cannot open data that this process has open",
  SLOW,
  () =>
    withDirectory(async (directory) => {
      const storage = await SqliteNodeStorage.open({ directory, identity });
      try {
        const child = new StorageChild("hold", directory);
        await child.exit();
        assert.match(child.lines[0], /^refused STORAGE_LOCKED/);
      } finally {
        await storage.close();
      }
    }),
);

for (const writer of ["direct", "worker"] as const) {
  test(
    `whatever was acknowledged before SIGKILL is there afterwards, writer ${writer}`,
    SLOW,
    () =>
      withDirectory(async (directory) => {
        let acknowledged = 0;
        for (const lines of [2, 150, 300]) {
          const child = new StorageChild("write", directory, writer);
          try {
            await child.waitForLines(1 + lines);
          } finally {
            await child.kill();
          }
          const [index, term] = child.lines[child.lines.length - 1].split(" ").map(Number);
          assert.ok(term > acknowledged, "the writer went on where it was killed");
          acknowledged = term;
          const storage = await SqliteNodeStorage.open({ directory, identity });
          try {
            const region = storage.region(1);
            assert.ok(region !== undefined);
            // At most one more write had been under way.
            const { hardState } = region.initialState();
            assert.ok(hardState.currentTerm === term || hardState.currentTerm === term + 1);
            assert.equal(hardState.votedFor, 1);
            assert.ok(hardState.commitIndex >= index - 2);
            assert.ok(region.lastIndex() >= index - 2);
            if (hardState.currentTerm === term) assert.equal(region.lastIndex(), index);
            for (
              const entry of region.entries(region.firstIndex(), region.lastIndex() + 1, Infinity)
            ) {
              const text = new TextDecoder().decode(entry.command);
              assert.ok(text.startsWith(`entry ${entry.index} of term ${entry.term} `));
            }
          } finally {
            await storage.close();
          }
        }
      }),
  );
}

test(
  "a byte flipped in the middle of the WAL of a killed process is found and named",
  SLOW,
  () =>
    withDirectory(async (directory) => {
      const child = new StorageChild("write", directory);
      try {
        await child.waitForLines(60);
      } finally {
        await child.kill();
      }
      const path = join(directory, "raft.db-wal");
      assert.ok(existsSync(path) && statSync(path).size > 32, "the write-ahead log remains");
      const frameBytes = 24 + 4096;
      const wal = readFileSync(path);
      const salts = wal.subarray(16, 24);
      const frames = Math.floor((wal.length - 32) / frameBytes);
      const current = Array.from({ length: frames }, (_, i) => 32 + i * frameBytes)
        .filter((offset) => wal.subarray(offset + 8, offset + 16).equals(salts));
      const commits = current.filter((offset) => wal.readUInt32BE(offset + 4) > 0);
      assert.ok(commits.length > 2, "it holds several transactions");
      const offset = commits[0];
      const number = (offset - 32) / frameBytes + 1;
      wal[offset + 24 + 1000] ^= 0x10;
      writeFileSync(path, wal);
      await assert.rejects(SqliteNodeStorage.open({ directory, identity }), {
        code: "STORAGE_CORRUPT",
        message: new RegExp(`^Frame ${number} of the write-ahead log .*raft.db-wal is damaged`),
      });
      assert.deepEqual(readFileSync(path), wal, "nothing was altered");
      wal[offset + 24 + 1000] ^= 0x10;
      writeFileSync(path, wal);
      const storage = await SqliteNodeStorage.open({ directory, identity });
      assert.ok((storage.region(1)?.lastIndex() ?? 0) > 0);
      await storage.close();
    }),
);
