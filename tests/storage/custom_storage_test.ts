import assert from "node:assert/strict";
import { appendFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { JournalStorage } from "../../examples/custom_storage/journal_storage.ts";
import { createEntry } from "../../src/raft/mod.ts";
import {
  ConformanceError,
  MemoryNodeStorage,
  storageConformance,
  type StorageUnderTest,
} from "../../src/storage/mod.ts";
import { temporaryDirectory, withDirectory } from "./temporary_directory.ts";

const identity = { clusterId: "tests", nodeId: 1 };

function makeStorage(): StorageUnderTest {
  const directory = temporaryDirectory();
  let broken = false;
  const sync = (): void => {
    if (!broken) return;
    broken = false;
    throw new Error("the disk is broken");
  };
  return {
    // deno-lint-ignore require-await -- a refusal must reject, not throw.
    open: async (identity) => new JournalStorage(join(directory.path, "journal"), identity, sync),
    breakDisk: () => broken = true,
    dispose: () => {
      directory.remove();
      return Promise.resolve();
    },
  };
}

for (const { name, skip, run } of storageConformance(makeStorage)) {
  test(`the journal of the examples: ${name}`, { skip }, run);
}

test("the journal of the examples drops a torn last line, and refuses a damaged one", () =>
  withDirectory(async (directory) => {
    const path = join(directory, "journal");
    let storage = new JournalStorage(path, identity);
    const region = await storage.createRegion({ regionId: 1, peerId: 1 });
    await region.append({ entries: [createEntry({ index: 1, term: 1 })] });
    await storage.close();
    appendFileSync(path, '123 [1,"append",{"ent');
    storage = new JournalStorage(path, identity);
    assert.equal(storage.region(1)?.lastIndex(), 1);
    await storage.close();
    writeFileSync(path, readFileSync(path, "utf8").replace('"index":1', '"index":2'));
    assert.throws(() => new JournalStorage(path, identity), { code: "STORAGE_CORRUPT" });
  }));

test("a conformance case that a storage cannot run is skipped, and never passes", async () => {
  const make = (): StorageUnderTest => ({
    open: (identity) => Promise.resolve(new MemoryNodeStorage(identity)),
    dispose: () => Promise.resolve(),
  });
  const cases = storageConformance(make, { canBreakDisk: false });
  const skipped = cases.filter(({ skip }) => skip !== false);
  assert.ok(skipped.length > 0 && skipped.length < cases.length);
  assert.match(String(skipped[0].skip), /cannot be made to fail/);
  for (const { run } of skipped) await assert.rejects(run(), ConformanceError);
  assert.ok(storageConformance(make).every(({ skip }) => skip === false));
});
