/** The limits of the database at their edges: how many regions it holds, and how large a value. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { createConfState, createEntry } from "../../src/raft/mod.ts";
import { SLOT_MAX, SqliteNodeStorage, VALUE_BYTES_MAX } from "../../src/storage/sqlite/mod.ts";
import { createRegionState } from "../../src/storage/region_state.ts";
import { openDatabase } from "../../src/storage/sqlite/database.ts";
import { checkLimits } from "../../src/storage/sqlite/region_storage.ts";
import { encodeRegion, REGION_COLUMNS } from "../../src/storage/sqlite/rows.ts";
import { withDirectory } from "./temporary_directory.ts";

const identity = { clusterId: "tests", nodeId: 1 };
const state = createRegionState(undefined);

/** Writes the rows of regions 1 to `count`, as if each had been created. */
function createRegions(directory: string, count: number): void {
  const database = openDatabase(join(directory, "raft.db"));
  const parameters = REGION_COLUMNS.map(() => "?").join(", ");
  const insert = database.prepare(
    `INSERT INTO raft_state (${REGION_COLUMNS.join(", ")}) VALUES (${parameters})`,
  );
  database.run("BEGIN");
  for (let slot = 1; slot <= count; slot++) insert.run(...encodeRegion(slot, slot, 1, state));
  database.run("COMMIT");
  database.close();
}

test(
  "a database holds 131,071 regions and refuses one more",
  { timeout: 120_000 },
  () =>
    withDirectory(async (directory) => {
      assert.equal(SLOT_MAX, 131_071);
      await (await SqliteNodeStorage.open({ directory, identity })).close();
      createRegions(directory, SLOT_MAX - 1);
      const storage = await SqliteNodeStorage.open({ directory, identity });
      try {
        const last = await storage.createRegion({ regionId: SLOT_MAX, peerId: 1 });
        await last.append({ entries: [createEntry({ index: 1, term: 1 })] });
        await assert.rejects(storage.createRegion({ regionId: SLOT_MAX + 1, peerId: 1 }), {
          code: "STORAGE_LIMIT",
          message: /Cannot create another region in .*: at most 131071 fit/,
        });
        await last.append({ entries: [createEntry({ index: 2, term: 1 })] });
      } finally {
        await storage.close();
      }
      const again = await SqliteNodeStorage.open({ directory, identity });
      assert.equal(again.region(SLOT_MAX)?.lastIndex(), 2);
      await again.close();
    }),
);

// The bytes are never looked at, so that they take no memory.
test("an entry and a snapshot may have 512 MiB, command and context together, and not a byte more", () => {
  const bytes = (length: number) => new Uint8Array(length);
  const entry = (command: Uint8Array, context?: Uint8Array) => ({
    entries: [createEntry({ index: 1, term: 1, command, context })],
  });
  const metadata = { index: 1, term: 1, confState: createConfState({ voters: [1] }) };
  const limit = VALUE_BYTES_MAX;
  assert.equal(checkLimits(state, entry(bytes(limit))), limit);
  assert.equal(checkLimits(state, entry(bytes(limit - 1), bytes(1))), limit);
  assert.equal(checkLimits(state, { snapshot: { metadata, data: bytes(limit) } }), 0);
  const refused = (name: string) => ({
    code: "STORAGE_LIMIT",
    message: `Cannot store ${name} of 536870913 bytes: at most 536870912 fit`,
  });
  assert.throws(() => checkLimits(state, entry(bytes(limit + 1))), refused("an entry"));
  assert.throws(() => checkLimits(state, entry(bytes(limit), bytes(1))), refused("an entry"));
  assert.throws(
    () => checkLimits(state, { snapshot: { metadata, data: bytes(limit + 1) } }),
    refused("a snapshot"),
  );
});

test("an entry beyond the limit is refused before the disk is touched", () =>
  withDirectory(async (directory) => {
    const storage = await SqliteNodeStorage.open({ directory, identity });
    const region = await storage.createRegion({ regionId: 1, peerId: 1 });
    const command = new Uint8Array(VALUE_BYTES_MAX + 1);
    await assert.rejects(
      region.append({ entries: [createEntry({ index: 1, term: 1, command })] }),
      {
        code: "STORAGE_LIMIT",
      },
    );
    await storage.close();
    const again = await SqliteNodeStorage.open({ directory, identity });
    assert.equal(again.region(1)?.lastIndex(), 0);
    await again.close();
  }));
