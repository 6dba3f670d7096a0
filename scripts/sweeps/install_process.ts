/**
 * A follower on the real parts that is killed while it installs a snapshot:
 * `install_process.ts <directory> <leader's address> <own address>`. It prints `arriving` when a
 * snapshot begins to arrive, `restoring` when its store begins to install it, and `applied <index>` as
 * that goes on.
 *
 * @module
 */

import { writeSync } from "node:fs";
import process from "node:process";
import { setInterval } from "node:timers";
import { KvStore } from "../../src/kv/mod.ts";
import { Node } from "../../src/node/mod.ts";
import { SqliteNodeStorage } from "../../src/storage/sqlite/mod.ts";
import { GrpcTransport } from "../../src/transport/grpc/mod.ts";

const [directory, leader, listen] = process.argv.slice(2);
const identity = { clusterId: "sweep", nodeId: 2 };

const storage = await SqliteNodeStorage.open({ directory, identity, writer: "direct" });
const store = KvStore.open({ directory });
const restore = store.restore.bind(store);
store.restore = (chunks, lastApplied) => {
  writeSync(1, "restoring\n");
  return restore(chunks, lastApplied);
};
const note = (text: string): void => {
  if (text.includes("begins to arrive")) writeSync(1, "arriving\n");
};
let last = -1;
setInterval(() => {
  const applied = store.lastApplied();
  if (applied !== last) writeSync(1, `applied ${applied}\n`);
  last = applied;
}, 5);
await Node.open({
  nodeId: 2,
  storage,
  directory,
  transport: new GrpcTransport({ ...identity, listen, insecure: true }),
  regions: [{
    stateMachine: store,
    members: [{ peerId: 1, address: leader }],
    peerId: 2,
    join: true,
  }],
  tickMs: 20,
  logger: { debug() {}, info: note, warn() {}, error() {} },
});
