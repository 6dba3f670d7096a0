import { test } from "node:test";
import {
  MemoryDisk,
  MemoryNodeStorage,
  storageConformance,
  StorageError,
  type StorageUnderTest,
} from "../../src/storage/mod.ts";

function makeStorage(): StorageUnderTest {
  const disk = new MemoryDisk();
  return {
    // deno-lint-ignore require-await -- a refusal must reject, not throw.
    open: async (identity) => new MemoryNodeStorage(identity, disk),
    breakDisk: () => disk.failNextWrite = new StorageError("STORAGE_IO", "the disk is broken"),
    dispose: () => Promise.resolve(),
  };
}

for (const { name, run } of storageConformance(makeStorage)) test(`memory storage: ${name}`, run);
