/**
 * What the tests of the etcd API share: a node that is a whole cluster by itself, and a server over
 * it and a real store.
 */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  EtcdClient,
  EtcdServer,
  type EtcdServerOptions,
  type ReplicatedNode,
  type ReplicatedNodeCall,
  type ReplicatedNodeStatus,
} from "../../src/etcd/mod.ts";
import { type KvResult, KvStore } from "../../src/kv/mod.ts";

/** Applies what is proposed at once, in the order of the calls, as a cluster of one would. */
export class SingleNode implements ReplicatedNode {
  /** When set, proposals and reads reject with it. */
  failure: Error | undefined;
  /** How often `read()` was called. */
  reads = 0;
  /** The options of the last call. */
  lastCall: ReplicatedNodeCall | undefined;
  leaderNodeId = 2;
  readonly #store: KvStore;

  constructor(store: KvStore) {
    this.#store = store;
  }

  propose(
    command: Uint8Array,
    options?: ReplicatedNodeCall,
  ): Promise<{ term: number; result: KvResult }> {
    this.lastCall = options;
    if (this.failure !== undefined) return Promise.reject(this.failure);
    const index = this.#store.lastApplied() + 1;
    const commands = [{ index, term: 3, bytes: command }];
    const [result] = this.#store.apply({ commands, lastApplied: index, nodeState: [] });
    return Promise.resolve({ term: 3, result: result! });
  }

  read(options?: ReplicatedNodeCall): Promise<void> {
    this.reads++;
    this.lastCall = options;
    return this.failure === undefined ? Promise.resolve() : Promise.reject(this.failure);
  }

  status(): ReplicatedNodeStatus {
    return {
      nodeId: 2,
      peerId: 2,
      leaderNodeId: this.leaderNodeId,
      term: 3,
      commitIndex: this.#store.lastApplied() + 1,
      lastApplied: this.#store.lastApplied(),
      learners: [],
    };
  }
}

/** What a test of the server works with. */
export interface Served {
  readonly client: EtcdClient;
  readonly node: SingleNode;
  readonly store: KvStore;
  readonly server: EtcdServer;
  readonly address: string;
}

/** Runs `action` with a server on loopback and a client of it; all is closed afterwards. */
export async function withServer<T>(
  action: (served: Served) => Promise<T>,
  options: Partial<EtcdServerOptions> = {},
): Promise<T> {
  const directory = mkdtempSync(join(tmpdir(), "flaredb-etcd-"));
  const store = KvStore.open({ directory });
  const node = new SingleNode(store);
  let address = "";
  const server = new EtcdServer({
    node,
    store,
    clusterId: "test",
    members: () => [
      member(2, [`http://${address}`]),
      member(1, ["http://127.0.0.1:1"]),
    ],
    listen: "127.0.0.1:0",
    tls: "insecure",
    ...options,
  });
  address = await server.start();
  const client = new EtcdClient({ endpoints: [address], deadlineMs: 10_000 });
  try {
    return await action({ client, node, store, server, address });
  } finally {
    client.close();
    await server.close();
    store.close();
    rmSync(directory, { recursive: true, force: true });
  }
}

function member(nodeId: number, clientUrls: string[]) {
  return { nodeId, name: `node-${nodeId}`, peerUrls: [`http://127.0.0.1:${nodeId}0`], clientUrls };
}
