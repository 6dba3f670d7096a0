import { test } from "node:test";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { storageConformance, type StorageUnderTest } from "../../src/storage/mod.ts";
import { SqliteNodeStorage, type SqliteStorageOptions } from "../../src/storage/sqlite/mod.ts";
import { temporaryDirectory } from "./temporary_directory.ts";

type Limits = Omit<SqliteStorageOptions, "directory" | "identity">;

function makeStorage(limits: Limits): StorageUnderTest {
  const directory = temporaryDirectory();
  let intruder: DatabaseSync | undefined;
  return {
    open: (identity) => {
      intruder?.close();
      intruder = undefined;
      return SqliteNodeStorage.open({ directory: directory.path, identity, ...limits });
    },
    // Another connection that holds the write lock makes the next transaction fail.
    breakDisk: () => {
      intruder = new DatabaseSync(join(directory.path, "raft.db"));
      intruder.prepare("BEGIN IMMEDIATE").run();
    },
    dispose: () => {
      intruder?.close();
      directory.remove();
      return Promise.resolve();
    },
  };
}

for (const writer of ["direct", "worker"] as const) {
  for (const { name, run } of storageConformance(() => makeStorage({ writer }))) {
    test(`SQLite storage, writer ${writer}: ${name}`, run);
  }
}

// Nothing stays in memory, every write is a transaction of its own and every transaction is
// followed by a checkpoint: all reads come from rows.
const TIGHT: Limits = {
  writer: "direct",
  cacheBytesMax: 0,
  transactionBytesMax: 1,
  checkpointBytes: 4096,
};

for (const { name, run } of storageConformance(() => makeStorage(TIGHT))) {
  test(`SQLite storage with the smallest limits: ${name}`, run);
}
