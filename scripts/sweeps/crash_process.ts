/**
 * A node of its own with a key-value store, as a process that is killed:
 * `crash_process.ts <directory> <direct | worker> <run>`. Once it leads it prints `state` and, as JSON,
 * all keys, the store's revision and the highest version of a key; then it puts keys
 * `<run>-<number>`, each once, and prints `ack <key>` for each, on and on. With the run `check` it
 * ends after the state instead.
 *
 * @module
 */

import { writeSync } from "node:fs";
import process from "node:process";
import { encodePutCommand, KvStore, putRequest, rangeRequest } from "../../src/kv/mod.ts";
import { Node } from "../../src/node/mod.ts";
import { SqliteNodeStorage } from "../../src/storage/sqlite/mod.ts";
import { MemoryNetwork } from "../../src/transport/mod.ts";

const [directory, writer, run] = process.argv.slice(2);

/** Proposals under way at a time. */
const CONCURRENCY = 8;

const utf8 = new TextEncoder();
const text = new TextDecoder();

const storage = await SqliteNodeStorage.open({
  directory,
  identity: { clusterId: "sweep", nodeId: 1 },
  writer: writer as "direct" | "worker",
  checkpointBytes: 64 * 1024,
});
const store = KvStore.open({ directory });
const node = await Node.open({
  nodeId: 1,
  storage,
  transport: new MemoryNetwork().transport(1),
  regions: [{ stateMachine: store, members: [{ peerId: 1 }] }],
  tickMs: 5,
});

await node.read({ deadlineMs: 20_000 });
const everything = new Uint8Array([0]);
const { pairs } = store.range(rangeRequest({ key: everything, rangeEnd: everything }));
const keys = pairs.map(({ key }) => text.decode(key));
const version = Math.max(0, ...pairs.map(({ version }) => version));
writeSync(1, `state ${JSON.stringify({ keys, revision: store.revision, version })}\n`);

if (run === "check") {
  await node.stop();
  process.exit(0);
}

let number = 0;
async function put(): Promise<void> {
  for (;;) {
    const key = `${run}-${number++}`;
    const value = utf8.encode(key.repeat(1 + number % 50));
    await node.propose(encodePutCommand(putRequest({ key: utf8.encode(key), value })));
    writeSync(1, `ack ${key}\n`);
  }
}
await Promise.all(Array.from({ length: CONCURRENCY }, put));
