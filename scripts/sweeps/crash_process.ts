/**
 * A node of its own with a key-value store, as a process that is killed:
 * `crash_process.ts <directory> <direct | worker> <run>`. Once it leads it prints `state` and, as JSON,
 * what it found when it started, and all keys, the store's revision and the highest version of a key;
 * then it puts keys `<run>-<number>`, each once, and prints `ack <key>` for each, on and on. With the
 * run `check` it ends after the state instead.
 *
 * The store commits and syncs after a few puts, and the log is compacted soon, so that a kill finds
 * either at work, and a start finds a store that has applied a part of what the log holds. Some runs
 * begin with large commands that have no effect, whose space the log gives back later.
 *
 * @module
 */

import { writeSync } from "node:fs";
import process from "node:process";
import {
  CompareResult,
  CompareTarget,
  encodePutCommand,
  encodeTxnCommand,
  KvStore,
  putRequest,
  rangeRequest,
} from "../../src/kv/mod.ts";
import { Node } from "../../src/node/mod.ts";
import { SqliteNodeStorage } from "../../src/storage/sqlite/mod.ts";
import { MemoryNetwork } from "../../src/transport/mod.ts";

const [directory, writer, run] = process.argv.slice(2);

/** Proposals under way at a time. */
const CONCURRENCY = 8;

/** One run in so many begins with commands that are large and change nothing, before it prints its state. */
const LARGE_RUNS = 6;

/** How many follow each other, of each under way at a time, and their bytes: more than the log keeps free. */
const LARGE_COMMANDS = 5;
const LARGE_BYTES = 256 * 1024;

const utf8 = new TextEncoder();
const text = new TextDecoder();

const storage = await SqliteNodeStorage.open({
  directory,
  identity: { clusterId: "sweep", nodeId: 1 },
  writer: writer as "direct" | "worker",
  checkpointBytes: 64 * 1024,
});
const store = KvStore.open({ directory, commitRows: 12, checkpointRows: 36 });
const found = { revision: store.revision, firstIndex: storage.region(1)?.firstIndex() ?? 0 };
const node = await Node.open({
  nodeId: 1,
  storage,
  transport: new MemoryNetwork().transport(1),
  regions: [{ stateMachine: store, members: [{ peerId: 1 }] }],
  compaction: { entriesMax: 64 },
  tickMs: 5,
});

if (Number(run) % LARGE_RUNS === LARGE_RUNS - 1) {
  await inParallel(async () => {
    for (let i = 0; i < LARGE_COMMANDS; i++) await node.propose(largeCommand());
  });
}
await node.read({ deadlineMs: 20_000 });
const everything = new Uint8Array([0]);
const { pairs } = store.range(rangeRequest({ key: everything, rangeEnd: everything }));
const keys = pairs.map(({ key }) => text.decode(key));
const version = pairs.reduce((highest, pair) => Math.max(highest, pair.version), 0);
writeSync(1, `state ${JSON.stringify({ found, keys, revision: store.revision, version })}\n`);

if (run === "check") {
  await node.stop();
  process.exit(0);
}

/** A command that would put a large value if there were a key that never is. */
function largeCommand(): Uint8Array {
  const key = utf8.encode("absent");
  const [result, target] = [CompareResult.equal, CompareTarget.version];
  const compare = [{ result, target, key, rangeEnd: new Uint8Array(0), operand: 1 }];
  const request = putRequest({ key, value: new Uint8Array(LARGE_BYTES) });
  return encodeTxnCommand({ compare, success: [{ kind: "put", request }], failure: [] });
}

let number = 0;
await inParallel(async () => {
  for (;;) {
    const key = `${run}-${number++}`;
    const value = utf8.encode(key.repeat(1 + number % 50));
    await node.propose(encodePutCommand(putRequest({ key: utf8.encode(key), value })));
    writeSync(1, `ack ${key}\n`);
  }
});

async function inParallel(work: () => Promise<void>): Promise<void> {
  await Promise.all(Array.from({ length: CONCURRENCY }, work));
}
