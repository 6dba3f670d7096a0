import assert from "node:assert/strict";
import { createServer } from "node:net";
import { test } from "node:test";
import { EtcdClient, type EtcdError } from "../../src/etcd/mod.ts";
import {
  CompareResult,
  CompareTarget,
  NO_BYTES,
  putRequest,
  rangeRequest,
} from "../../src/kv/mod.ts";
import { DroppedError, TimedOutError } from "../../src/node/errors.ts";
import { withServer } from "./support.ts";

/** An address on which nobody listens. */
async function deadAddress(): Promise<string> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return `127.0.0.1:${port}`;
}

async function withClient<T>(
  endpoints: string[],
  action: (client: EtcdClient) => Promise<T>,
): Promise<T> {
  const client = new EtcdClient({ endpoints, deadlineMs: 10_000 });
  try {
    return await action(client);
  } finally {
    client.close();
  }
}

test("reads and writes move on from an endpoint where nobody listens", () =>
  withServer(async ({ address }) =>
    withClient([await deadAddress(), address], async (client) => {
      await client.put("a", "1");
      const { kvs } = await client.get("a");
      assert.equal(new TextDecoder().decode(kvs[0]!.value), "1");
      assert.equal((await client.delete("", { prefix: true })).deleted, 1);
      assert.equal((await client.memberList()).members.length, 2);
    })
  ));

test("a transaction does what its comparison decides, and answers what it saw", () =>
  withServer(async ({ client }) => {
    const key = new TextEncoder().encode("a");
    const takeOver = {
      compare: [{
        result: CompareResult.equal,
        target: CompareTarget.create,
        key,
        rangeEnd: NO_BYTES,
        operand: 0,
      }],
      success: [{ kind: "put" as const, request: putRequest({ key, value: key }) }],
      failure: [{ kind: "range" as const, request: rangeRequest({ key }) }],
    };
    const [first, second] = [await client.txn(takeOver), await client.txn(takeOver)];
    assert.deepEqual([first.succeeded, second.succeeded], [true, false]);
    const [found] = second.responses;
    assert.ok(found?.kind === "range");
    assert.equal(found.response.kvs[0]?.modRevision, first.header.revision);
  }));

test("a write that was certainly not taken is tried elsewhere", () =>
  withServer((first) =>
    withServer((second) =>
      withClient([first.address, second.address], async (client) => {
        first.node.failure = new DroppedError(1, 2);
        await client.put("a", "1");
        assert.equal(first.store.revision, 1);
        assert.equal(second.store.revision, 2);
      })
    )
  ));

test("a write whose outcome is unknown is not repeated, and the error says so", () =>
  withServer((first) =>
    withServer((second) =>
      withClient([first.address, second.address], async (client) => {
        first.node.failure = new TimedOutError("proposal", true);
        await assert.rejects(client.put("a", "1"), (error: EtcdError) => {
          assert.equal(error.code, "UNAVAILABLE");
          assert.equal(error.reason, "etcdserver: request timed out");
          assert.equal(error.endpoint, first.address);
          assert.equal(error.mayHaveTakenEffect, true);
          assert.match(error.message, /may have taken effect/);
          return true;
        });
        assert.equal(second.store.revision, 1);
      })
    )
  ));

test("a read is tried elsewhere whatever made its endpoint unavailable", () =>
  withServer((first) =>
    withServer((second) =>
      withClient([first.address, second.address], async (client) => {
        await second.client.put("a", "1");
        first.node.failure = new TimedOutError("read", false);
        assert.equal((await client.get("a")).count, 1);
      })
    )
  ));

test("a call to one endpoint stays there", () =>
  withServer(async ({ address }) => {
    const dead = await deadAddress();
    await withClient([dead, address], async (client) => {
      assert.equal((await client.status({ endpoint: address })).leader, 2n);
      await assert.rejects(client.status({ endpoint: dead, deadlineMs: 300 }), {
        code: "UNAVAILABLE",
        mayHaveTakenEffect: false,
      });
      await assert.rejects(client.status({ endpoint: "10.0.0.1:1" }), { code: "INVALID_CONFIG" });
    });
  }));

test("a write that nobody could take fails within its deadline, certainly without effect", async () => {
  await withClient([await deadAddress()], async (client) => {
    await assert.rejects(client.put("a", "1", { deadlineMs: 300 }), (error: EtcdError) => {
      assert.equal(error.mayHaveTakenEffect, false);
      return true;
    });
  });
});

test("endpoints that make no sense are refused", () => {
  for (const endpoints of [[], ["localhost"], ["ftp://a:1"], ["http://a"], [""]]) {
    assert.throws(() => new EtcdClient({ endpoints }), { code: "INVALID_CONFIG" });
  }
  assert.throws(() => new EtcdClient({ endpoints: ["a:1"], deadlineMs: 0 }), {
    code: "INVALID_CONFIG",
  });
});

test("a closed client rejects calls as cancelled, also those that were to be tried again", async () => {
  const client = new EtcdClient({ endpoints: [await deadAddress()] });
  const trying = client.put("a", "1", { deadlineMs: 60_000 });
  const retried = assert.rejects(trying, { name: "EtcdError" });
  await new Promise((resolve) => setImmediate(resolve));
  client.close();
  await retried;
  await assert.rejects(client.get("a"), { code: "CANCELLED", mayHaveTakenEffect: false });
});
