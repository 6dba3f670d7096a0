/** Writes through client sessions over gRPC: once each, whatever becomes of the answers. */

import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { mkdtempSync, rmSync } from "node:fs";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import {
  EtcdClient,
  type EtcdError,
  EtcdServer,
  EtcdSession,
  type SessionWrite,
} from "../../src/etcd/mod.ts";
import { encodePutCommand, KvStore, putRequest, rangeRequest } from "../../src/kv/mod.ts";
import { Node, SESSION_WINDOW } from "../../src/node/mod.ts";
import { MemoryNodeStorage } from "../../src/storage/memory.ts";
import { SqliteNodeStorage } from "../../src/storage/sqlite/mod.ts";
import { MemoryNetwork } from "../../src/transport/mod.ts";
import { withServer } from "./support.ts";

/** A member in memory, but for its store, that is a cluster by itself, with a server. */
interface Member {
  readonly node: Node;
  readonly store: KvStore;
  readonly server: EtcdServer;
  readonly address: string;
}

async function withMember(body: (member: Member) => Promise<void>): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), "flaredb-sessions-"));
  const store = KvStore.open({ directory });
  const node = await Node.open({
    nodeId: 1,
    storage: new MemoryNodeStorage({ clusterId: "sessions", nodeId: 1 }),
    transport: new MemoryNetwork().transport(1),
    regions: [{ stateMachine: store, members: [{ peerId: 1 }] }],
    tickMs: 10,
  });
  const server = new EtcdServer({
    node,
    store,
    clusterId: "sessions",
    members: () => [],
    listen: "127.0.0.1:0",
    tls: "insecure",
  });
  try {
    const address = await server.start();
    await body({ node, store, server, address });
  } finally {
    await server.close();
    await node.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Stands before a server, and swallows what it answers when it is told to. */
class Proxy {
  address = "";
  swallows = false;
  readonly #sockets = new Set<Socket>();
  readonly #server: Server;

  constructor(target: string) {
    const port = Number(target.split(":")[1]);
    this.#server = createServer((client) => {
      const upstream = connect(port, "127.0.0.1");
      for (const socket of [client, upstream]) {
        this.#sockets.add(socket);
        socket.on("error", () => {});
        socket.on("close", () => this.#sockets.delete(socket));
      }
      client.on("data", (bytes) => upstream.write(bytes));
      client.on("close", () => upstream.destroy());
      upstream.on("data", (bytes) => this.swallows || client.write(bytes));
      upstream.on("close", () => client.destroy());
    });
  }

  async open(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    this.address = `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async close(): Promise<void> {
    this.cut();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

async function until(what: string, condition: () => boolean): Promise<void> {
  for (const end = Date.now() + 20_000; !condition();) {
    if (Date.now() > end) throw new Error(`still not: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

function only(store: KvStore) {
  const all = Uint8Array.of(0);
  const { pairs } = store.range(rangeRequest({ key: all, rangeEnd: all }));
  assert.equal(pairs.length, 1);
  return pairs[0];
}

test("a write whose answer was lost is repeated, takes effect once, and is answered as it was", () =>
  withMember(async ({ store, address, node }) => {
    const proxy = new Proxy(address);
    await proxy.open();
    const session = new EtcdSession();
    const client = new EtcdClient({ endpoints: [proxy.address, address], session });
    try {
      await client.put("key", "before");
      proxy.swallows = true;
      const put = client.put("key", "after", { prevKv: true });
      await until("it has taken effect", () => store.revision === 3);
      proxy.cut();
      const answer = await put;
      assert.equal(answer.header.revision, 3);
      assert.equal(Buffer.from(answer.prevKv!.value).toString(), "before");
      assert.equal(only(store).version, 2);
      assert.equal(node.status().counters.sessionDuplicates, 1);
    } finally {
      client.close();
      await proxy.close();
    }
  }));

test("without a session such a write fails, and says that it is in doubt", () =>
  withMember(async ({ store, address }) => {
    const proxy = new Proxy(address);
    await proxy.open();
    const client = new EtcdClient({ endpoints: [proxy.address, address] });
    try {
      await client.status();
      proxy.swallows = true;
      const put = client.put("key", "value");
      await until("it has taken effect", () => store.revision === 2);
      proxy.cut();
      await assert.rejects(put, (error: EtcdError) => error.mayHaveTakenEffect);
    } finally {
      client.close();
      await proxy.close();
    }
  }));

test("deletions and transactions go through the session too, and it ends with its client", () =>
  withMember(async ({ node, store, address }) => {
    const client = new EtcdClient({ endpoints: [address], session: new EtcdSession() });
    try {
      await client.put("a", "1");
      const { deleted } = await client.delete("a");
      assert.equal(deleted, 1);
      const { succeeded } = await client.txn({ compare: [], success: [], failure: [] });
      assert.equal(succeeded, true);
      assert.equal(node.status().sessions, 1);
      assert.equal(node.status().counters.sessionsOpened, 1);
      await client.endSession();
      assert.equal(node.status().sessions, 0);
      assert.equal(store.revision, 3);
    } finally {
      client.close();
    }
  }));

test("clients share a session, and one goes on with a write that another has attempted", () =>
  withMember(async ({ node, store, address }) => {
    const session = new EtcdSession();
    const clients = [1, 2].map(() => new EtcdClient({ endpoints: [address], session }));
    try {
      const write = await session.begin();
      const first = await clients[0].put("key", "value", { write });
      const second = await clients[1].put("key", "value", { write });
      write.end();
      assert.equal(second.header.revision, first.header.revision);
      assert.equal(only(store).version, 1);
      assert.equal(node.status().sessions, 1);
      await clients[0].put("key", "value");
      assert.equal(only(store).version, 2);
    } finally {
      for (const client of clients) client.close();
    }
  }));

test("a client whose session has expired opens another for its next write", () =>
  withMember(async ({ node, store, address }) => {
    const session = new EtcdSession();
    const client = new EtcdClient({ endpoints: [address], session });
    try {
      await client.put("key", "1");
      const write = await session.begin();
      const position = await write.position(() => Promise.reject(new Error("it is open")));
      write.end();
      // Behind the client's back: to it, the same as expired.
      await node.closeSessionId(position!.id);
      assert.equal(node.status().sessions, 0);
      await client.put("key", "2");
      assert.equal(only(store).version, 2);
      assert.equal(node.status().counters.sessionsOpened, 2);
    } finally {
      client.close();
    }
  }));

test("a server without sessions, as one of etcd, is written to as ever", () =>
  withServer(async ({ address, store, node }) => {
    const client = new EtcdClient({ endpoints: [address], session: new EtcdSession() });
    try {
      await client.put("key", "value");
      assert.equal(only(store).version, 1);
      node.failure = new Error("broken");
      await assert.rejects(client.put("key", "value"), { code: "UNKNOWN" });
      await client.endSession();
    } finally {
      client.close();
    }
  }));

test("a write begins when its number is within the window, and not before", async () => {
  const session = new EtcdSession();
  const begun: SessionWrite[] = [];
  for (let count = 0; count < SESSION_WINDOW; count++) begun.push(await session.begin());
  let later = 0;
  for (let count = 0; count < 3; count++) void session.begin().then(() => later++);
  await new Promise((resolve) => setTimeout(resolve));
  assert.equal(later, 0);
  // The numbers are acknowledged in order: to end the second frees no place before the first ends.
  begun[1].end();
  await new Promise((resolve) => setTimeout(resolve));
  assert.equal(later, 0);
  begun[0].end();
  await until("two more have begun", () => later === 2);
  await new Promise((resolve) => setTimeout(resolve));
  assert.equal(later, 2);
});

test("a place in a session that makes no sense is refused", () =>
  withMember(async ({ address }) => {
    const session = new EtcdSession();
    const client = new EtcdClient({ endpoints: [address], session });
    try {
      const write = await session.begin();
      await write.position(() => Promise.resolve("no session"));
      await assert.rejects(client.put("key", "value", { write }), { code: "INVALID_ARGUMENT" });
    } finally {
      client.close();
    }
  }));

test("results, sessions and data of the store outlive a restart together", async () => {
  const directory = mkdtempSync(join(tmpdir(), "flaredb-sessions-"));
  try {
    const command = encodePutCommand(putRequest({ key: Uint8Array.of(1), prevKv: true }));
    let id = "";
    let first: unknown;
    for (let start = 0; start < 3; start++) {
      const store = KvStore.open({ directory });
      const node = await Node.open({
        nodeId: 1,
        storage: await SqliteNodeStorage.open({
          directory,
          identity: { clusterId: "sessions", nodeId: 1 },
        }),
        transport: new MemoryNetwork().transport(1),
        regions: [{ stateMachine: store, members: [{ peerId: 1 }] }],
        tickMs: 10,
      });
      try {
        if (start === 0) id = await node.openSessionId();
        const session = { id, sequence: 1, acknowledged: 0 };
        const answer = await node.propose(command, { session });
        first ??= answer;
        assert.deepEqual(answer, first);
        assert.equal(only(store).version, 1);
      } finally {
        await node.stop();
      }
    }
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});
