/**
 * Restores a store from one snapshot and then the other, again and again, until it is killed.
 * Arguments: the store's directory, and the files of the two snapshots, each with its index.
 */

import { readFileSync } from "node:fs";
import process from "node:process";
import { KvStore } from "../../src/kv/mod.ts";
import { streamOf } from "./support.ts";

const [directory, ...named] = process.argv.slice(2);
const snapshots = named.map((name) => {
  const [file, index] = name.split("@");
  return { bytes: new Uint8Array(readFileSync(file)), index: Number(index) };
});
const store = KvStore.open({ directory });
for (let turn = 0;; turn++) {
  const { bytes, index } = snapshots[turn % snapshots.length];
  await store.restore(streamOf([bytes]), index);
  process.stdout.write(`${index}\n`);
}
