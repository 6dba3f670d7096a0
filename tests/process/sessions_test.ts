/** Real processes serve client sessions: a write that comes twice takes effect once. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { EtcdClient, EtcdSession } from "../../src/etcd/mod.ts";
import { withSandbox } from "./support.ts";

test("a write of a session that comes to one member after another takes effect once", () =>
  withSandbox(async (sandbox) => {
    const { nodes } = await sandbox.dev();
    const endpoints = nodes.map(({ client }) => client);
    const session = new EtcdSession();
    const client = new EtcdClient({ endpoints, session, deadlineMs: 30_000 });
    const write = await session.begin();
    try {
      const revisions = new Set<number>();
      for (const endpoint of endpoints) {
        const { header } = await client.put("key", "value", { endpoint, write });
        revisions.add(header.revision);
      }
      assert.equal(revisions.size, 1, `revisions ${[...revisions]}`);
      const { kvs } = await client.get("key");
      assert.equal(kvs[0].version, 1);
      const counters = await client.counters();
      assert.equal(counters["peer.sessionsOpened"], 1);
    } finally {
      write.end();
      client.close();
    }
  }));
