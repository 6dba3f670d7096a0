/** The limit on a record of a snapshot, at its edge: told by the record's length, before its bytes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { SNAPSHOT_RECORD_BYTES_MAX } from "../../src/kv/snapshot_codec.ts";
import { collect, streamOf, withStore } from "./support.ts";

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
