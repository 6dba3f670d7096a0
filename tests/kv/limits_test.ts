/**
 * Limits of the store: on a record of a snapshot, at its edge, told by the record's length before its
 * bytes; and on its file.
 */
import assert from "node:assert/strict";
import { statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { encodePutCommand, KvStorageError, KvStore, putRequest } from "../../src/kv/mod.ts";
import { databaseError } from "../../src/kv/database.ts";
import { SNAPSHOT_RECORD_BYTES_MAX } from "../../src/kv/snapshot_codec.ts";
import { bytes, collect, streamOf, withDirectory, withStore } from "./support.ts";

/** The magic word of a snapshot, which the length of the first record follows. */
const MAGIC_BYTES = 8;

test("a record of a snapshot may say that it has 512 MiB, and not that it has a byte more", () =>
  withStore(async (store) => {
    const [start] = await collect(store.snapshot());
    /** Restores a snapshot that ends within its first record, of which it has a part. */
    const restore = (length: number): Promise<void> => {
      const cut = start!.slice(0, MAGIC_BYTES + 4 + 1);
      new DataView(cut.buffer).setUint32(MAGIC_BYTES, length);
      return store.restore(streamOf([cut]), 1);
    };
    await assert.rejects(restore(SNAPSHOT_RECORD_BYTES_MAX), /the snapshot is cut short/);
    await assert.rejects(
      restore(SNAPSHOT_RECORD_BYTES_MAX + 1),
      /a record must have at most 536870912 bytes, found 536870913/,
    );
  }));

test("a file that is full fails the store for good, and what was committed opens with more space", () =>
  withDirectory((directory) => {
    const databaseBytesMax = 32 * 4096;
    const limits = { directory, commitRows: 1, databaseBytesMax };
    const store = KvStore.open(limits);
    let applied = 0;
    const put = (): void => {
      const key = bytes(`key-${applied}`);
      const command = encodePutCommand(putRequest({ key, value: new Uint8Array(2000) }));
      const index = applied + 1;
      store.apply({
        commands: [{ index, term: 1, bytes: command }],
        lastApplied: index,
        nodeState: [],
      });
      applied = index;
    };
    assert.throws(() => {
      for (let i = 0; i < 100; i++) put();
    }, { code: "KV_STORAGE", message: /full; check the disk, and how much of it is free$/ });
    assert.throws(put, { code: "KV_USAGE" });
    const log = join(directory, "kv.db-wal");
    const left = statSync(log).size;
    store.close();
    // A store that failed is not checkpointed any more.
    assert.equal(statSync(log).size, left);
    assert.ok(applied > 10);
    const again = KvStore.open({ directory });
    assert.equal(again.lastApplied(), applied);
    assert.equal(again.revision, applied + 1);
    again.close();
  }));

test("a folder that cannot be made refuses the store with an error of ours", () =>
  withDirectory((directory) => {
    const file = join(directory, "file");
    writeFileSync(file, "");
    const open = (): KvStore => KvStore.open({ directory: join(file, "store") });
    assert.throws(open, (error) => error instanceof KvStorageError && error.code === "KV_STORAGE");
  }));

test("an I/O error of the database, which a full disk can be when it opens, says so", () => {
  const error = databaseError("open it", "/data/kv.db", new Error("disk I/O error"));
  assert.ok(error instanceof KvStorageError);
  assert.match(error.message, /^Cannot open it in .*disk I\/O error; check the disk, and how much/);
});
