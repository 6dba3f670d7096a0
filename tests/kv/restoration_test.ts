/** A restoration that is interrupted: by a crash, by the end of the store, or by others. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { setTimeout } from "node:timers/promises";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { KvStore, rangeRequest } from "../../src/kv/mod.ts";
import { bytes, collect, put, streamOf, text, withDirectory, withStore } from "./support.ts";

const everything = rangeRequest({ key: bytes("\0"), rangeEnd: bytes("\0") });
const PROGRAM = fileURLToPath(new URL("./restoring_process.ts", import.meta.url));

function fill(store: KvStore, value: string): void {
  for (let i = 0; i < 400; i++) put(store, `key${i}`, value.repeat(1000));
}

/** All that a store holds, as text. */
function contentOf(store: KvStore): string {
  const pairs = store.range(everything).pairs.map(({ key, value }) => [text(key), text(value)]);
  return JSON.stringify([store.lastApplied(), store.revision, pairs]);
}

async function snapshotOf(store: KvStore): Promise<Uint8Array> {
  return Buffer.concat(await collect(store.snapshot()));
}

test("a process that is killed while it restores leaves one state or the other, whole", () =>
  withDirectory((directory) =>
    withStore((a) =>
      withStore(async (b) => {
        fill(a, "a");
        fill(b, "b");
        put(b, "more", "b");
        const named: string[] = [];
        for (const [name, store] of [["a", a], ["b", b]] as const) {
          const file = join(directory, `${name}.snapshot`);
          writeFileSync(file, await snapshotOf(store));
          named.push(`${file}@${store.lastApplied()}`);
        }
        const whole = [contentOf(a), contentOf(b)];
        const runs = process.versions.deno === undefined ? [] : ["run", "-A", "--no-check"];
        for (let round = 0; round < 4; round++) {
          const child = spawn(process.execPath, [...runs, PROGRAM, directory, ...named], {
            stdio: ["ignore", "pipe", "inherit"],
          });
          const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
          for (let restored = 0; restored < 2; restored++) {
            assert.notEqual((await lines.next()).done, true, "it restores");
          }
          await setTimeout(Math.random() * 40);
          const exited = once(child, "exit");
          child.kill("SIGKILL");
          await exited;
          const store = KvStore.open({ directory });
          assert.ok(whole.includes(contentOf(store)), `round ${round}`);
          put(store, "still", "writable");
          store.close();
          assert.deepEqual(readdirSync(directory).sort(), ["a.snapshot", "b.snapshot", "kv.db"]);
        }
      })
    )
  ));

test("what an interrupted restoration has left is removed at the next start", () =>
  withDirectory((directory) => {
    const store = KvStore.open({ directory });
    put(store, "a", "1");
    store.close();
    for (const suffix of ["-restoring", "-restoring-wal"]) {
      writeFileSync(join(directory, `kv.db${suffix}`), "half of it");
    }
    const again = KvStore.open({ directory });
    assert.equal(text(again.range(everything).pairs[0].value), "1");
    again.close();
    assert.deepEqual(readdirSync(directory), ["kv.db"]);
    return Promise.resolve();
  }));

test("a store that is closed while it is restored keeps the old state", () =>
  withDirectory((directory) =>
    withStore(async (source) => {
      fill(source, "new");
      const snapshot = await snapshotOf(source);
      const store = KvStore.open({ directory });
      put(store, "old", "1");
      async function* closing(): AsyncGenerator<Uint8Array> {
        yield await Promise.resolve(snapshot.subarray(0, 1000));
        store.close();
        yield snapshot.subarray(1000);
      }
      await assert.rejects(store.restore(closing(), source.lastApplied()), { code: "KV_USAGE" });
      assert.deepEqual(readdirSync(directory), ["kv.db"]);
      const again = KvStore.open({ directory });
      assert.equal(text(again.range(everything).pairs[0].value), "1");
      again.close();
    })
  ));

test("a snapshot that is still being read when its store is restored ends with an error", () =>
  withStore((source) =>
    withStore(async (target) => {
      fill(source, "new");
      fill(target, "old");
      const reading = target.snapshot()[Symbol.asyncIterator]();
      await reading.next();
      await target.restore(streamOf([await snapshotOf(source)]), source.lastApplied());
      await assert.rejects(async () => {
        for (let i = 0; i < 100; i++) await reading.next();
      }, { code: "KV_SNAPSHOT" });
      assert.equal(contentOf(target), contentOf(source));
      assert.ok(!existsSync(`${target.path}-restoring`));
    })
  ));
