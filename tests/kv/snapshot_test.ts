import assert from "node:assert/strict";
import { statSync } from "node:fs";
import { test } from "node:test";
import { KvStore, rangeRequest } from "../../src/kv/mod.ts";
import type { SnapshotChunks } from "../../src/node/mod.ts";
import {
  applyAll,
  bytes,
  collect,
  put,
  remove,
  streamOf,
  text,
  withDirectory,
  withStore,
} from "./support.ts";

const everything = rangeRequest({ key: bytes("\0"), rangeEnd: bytes("\0") });

function fill(store: KvStore, count: number): void {
  for (let i = 0; i < count; i++) put(store, `key${i % 50}`, `value ${i}`.repeat(20));
  remove(store, "key7");
  store.apply({
    commands: [],
    lastApplied: store.lastApplied() + 1,
    nodeState: [["member", bytes("one")], ["empty", bytes("")]],
  });
}

/** The chunks cut and joined anew, so that no record ends where a chunk does. */
function recut(chunks: Uint8Array[], size: number): Uint8Array[] {
  const whole = Buffer.concat(chunks);
  const pieces: Uint8Array[] = [];
  for (let i = 0; i < whole.length; i += size) pieces.push(whole.subarray(i, i + size));
  return pieces;
}

function expectSame(a: KvStore, b: KvStore): void {
  assert.equal(a.lastApplied(), b.lastApplied());
  assert.equal(a.revision, b.revision);
  assert.deepEqual([...a.nodeState()].sort(), [...b.nodeState()].sort());
  for (let revision = 1; revision <= a.revision; revision += 13) {
    assert.deepEqual(a.range({ ...everything, revision }), b.range({ ...everything, revision }));
  }
  assert.deepEqual(a.range(everything), b.range(everything));
}

test("a restored snapshot holds every revision, the node's state and lastApplied, durably", () =>
  withStore((source) =>
    withDirectory(async (directory) => {
      fill(source, 500);
      const target = KvStore.open({ directory });
      put(target, "stale", "gone after the restore");
      const chunks = await collect(source.snapshot());
      assert.ok(chunks.length > 1);
      await target.restore(streamOf(recut(chunks, 1000)), source.lastApplied());
      expectSame(target, source);
      assert.equal(target.durableIndex(), source.lastApplied());
      put(target, "key7", "back");
      put(source, "key7", "back");
      target.close();
      const again = KvStore.open({ directory });
      expectSame(again, source);
      again.close();
    })
  ));

test("equal states make equal snapshots, byte by byte", () =>
  withStore((source) =>
    withStore(async (target) => {
      fill(source, 100);
      const chunks = await collect(source.snapshot());
      await target.restore(streamOf(chunks), source.lastApplied());
      assert.ok(Buffer.concat(await collect(target.snapshot())).equals(Buffer.concat(chunks)));
    })
  ));

test("an empty store has a snapshot too", () =>
  withStore((source) =>
    withStore(async (target) => {
      await target.restore(streamOf(await collect(source.snapshot())), 0);
      expectSame(target, source);
    })
  ));

test("a snapshot shows the state as it was when it was asked for", () =>
  withStore((source) =>
    withStore(async (target) => {
      put(source, "a", "before");
      const index = source.lastApplied();
      const snapshot = source.snapshot();
      put(source, "a", "after");
      source.flush();
      await target.restore(snapshot, index);
      assert.equal(text(target.range(everything).pairs[0]!.value), "before");
    })
  ));

test("reads during a restore see the old state", () =>
  withStore((source) =>
    withStore(async (target) => {
      fill(source, 50);
      put(target, "old", "1");
      const chunks = recut(await collect(source.snapshot()), 64);
      let seen = 0;
      async function* watched() {
        for (const chunk of chunks) {
          const { pairs } = target.range(everything);
          assert.deepEqual(pairs.map((pair) => text(pair.key)), ["old"]);
          seen++;
          yield await Promise.resolve(chunk);
        }
      }
      await target.restore(watched(), source.lastApplied());
      assert.equal(seen, chunks.length);
      expectSame(target, source);
    })
  ));

test("a damaged or cut snapshot is refused wherever the damage is, and the old state remains", () =>
  withStore((source) =>
    withStore(async (target) => {
      for (let i = 0; i < 5; i++) put(source, `key${i}`, "value");
      put(target, "old", "1");
      const whole = Buffer.concat(await collect(source.snapshot()));
      const index = source.lastApplied();
      for (let i = 0; i < whole.length; i++) {
        const damaged = Buffer.from(whole);
        damaged[i] = damaged[i]! ^ 0x41;
        await assert.rejects(
          target.restore(streamOf([damaged]), index),
          { code: "KV_SNAPSHOT" },
          `byte ${i}`,
        );
      }
      for (let length = 0; length < whole.length; length += 3) {
        const cut = streamOf([whole.subarray(0, length)]);
        await assert.rejects(target.restore(cut, index), { code: "KV_SNAPSHOT" });
      }
      const longer = streamOf([whole, Uint8Array.of(0)]);
      await assert.rejects(target.restore(longer, index), { code: "KV_SNAPSHOT" });
      assert.deepEqual(target.range(everything).pairs.map((pair) => text(pair.key)), ["old"]);
      put(target, "still", "writable");
    })
  ));

test("a snapshot of another index than announced is refused", () =>
  withStore((source) =>
    withStore(async (target) => {
      put(source, "a", "1");
      const chunks = streamOf(await collect(source.snapshot()));
      await assert.rejects(target.restore(chunks, 2), {
        code: "KV_SNAPSHOT",
        message: "Cannot restore: expected a snapshot as of index 2, found 1",
      });
    })
  ));

test("a stream that fails leaves the old state, and says why", () =>
  withStore(async (target) => {
    put(target, "old", "1");
    // deno-lint-ignore require-yield
    async function* failing(): AsyncGenerator<Uint8Array> {
      await Promise.resolve();
      throw new Error("connection lost");
    }
    await assert.rejects(target.restore(failing(), 1), {
      code: "KV_SNAPSHOT",
      message: "Cannot restore: the stream failed: connection lost",
    });
    put(target, "still", "writable");
    assert.equal(target.range(everything).count, 2);
  }));

test("a snapshot given up frees the write-ahead log: checkpoints complete again", () =>
  withStore(async (store) => {
    fill(store, 300);
    for await (const _chunk of store.snapshot()) break;
    applyAll(store);
    store.flush();
    assert.equal(store.durableIndex(), store.lastApplied());
  }));

test("a snapshot being read holds the durable index back, as its checkpoint is incomplete", () =>
  withStore(async (store) => {
    fill(store, 300);
    store.flush();
    const durable = store.durableIndex();
    put(store, "first", "1");
    const snapshot = store.snapshot();
    put(store, "second", "2");
    store.flush();
    assert.equal(store.durableIndex(), durable);
    await collect(snapshot);
    store.flush();
    assert.equal(store.durableIndex(), store.lastApplied());
  }));

test("the write-ahead log that a long snapshot leaves shrinks to 64 MiB with the next writes", () =>
  withStore(async (store) => {
    const logBytes = (): number => statSync(`${store.path}-wal`).size;
    const kept = 64 * 1024 * 1024;
    const value = "v".repeat(1024 * 1024);
    put(store, "first", "1");
    const chunks = store.snapshot()[Symbol.asyncIterator]();
    await chunks.next();
    for (let at = 0; at < 70; at++) put(store, `key-${at}`, value);
    store.flush();
    assert.ok(logBytes() > kept, `${logBytes()}`);
    await chunks.return!();
    store.flush();
    assert.equal(store.durableIndex(), store.lastApplied());
    put(store, "next", "1");
    store.flush();
    assert.ok(logBytes() <= kept, `${logBytes()}`);
  }));

test("closing the store ends a snapshot with an error", () =>
  withDirectory(async (directory) => {
    const store = KvStore.open({ directory });
    fill(store, 3000);
    const chunks = store.snapshot()[Symbol.asyncIterator]();
    await chunks.next();
    store.close();
    await assert.rejects(async () => {
      for (let i = 0; i < 100; i++) await chunks.next();
    }, { code: "KV_SNAPSHOT" });
  }));

/** The same bytes in chunks of one memory each, overwritten as soon as it is given back. */
function reused(chunks: Uint8Array[]): SnapshotChunks & { recycled: number } {
  return {
    recycled: 0,
    async *[Symbol.asyncIterator]() {
      for (const chunk of chunks) yield await Promise.resolve(chunk);
    },
    recycle(chunk) {
      chunk.fill(0xff);
      this.recycled++;
    },
  };
}

test("a restore needs no chunk any more that it has given back, wherever records are cut", () =>
  withStore((source) =>
    withStore(async (target) => {
      fill(source, 40);
      const whole = await collect(source.snapshot());
      for (let size = 1; size < 40; size++) {
        const chunks = recut(whole, size).map((chunk) => new Uint8Array(chunk));
        const stream = reused(chunks);
        await target.restore(stream, source.lastApplied());
        assert.equal(stream.recycled, chunks.length);
        expectSame(target, source);
      }
    })
  ));

test("a snapshot whose chunks are given back is the same, and fills them again", () =>
  withStore(async (source) => {
    fill(source, 3000);
    const whole = Buffer.concat(await collect(source.snapshot()));
    const again = source.snapshot();
    const memories = new Set<ArrayBufferLike>();
    const parts: Uint8Array[] = [];
    for await (const chunk of again) {
      parts.push(new Uint8Array(chunk));
      memories.add(chunk.buffer);
      again.recycle!(chunk.fill(0xff));
    }
    assert.ok(Buffer.concat(parts).equals(whole));
    assert.ok(parts.length > 6 && memories.size < 4, `${memories.size} of ${parts.length}`);
  }));
