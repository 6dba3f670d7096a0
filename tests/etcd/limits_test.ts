import assert from "node:assert/strict";
import { test } from "node:test";
import * as grpc from "@grpc/grpc-js";
import { Buffer } from "node:buffer";
import {
  checkServerOptions,
  EtcdClient,
  type EtcdError,
  type EtcdServerOptions,
} from "../../src/etcd/mod.ts";
import { encodePutCommand, putRequest } from "../../src/kv/mod.ts";
import { until } from "../process/support.ts";
import { withServer } from "./support.ts";

/** Reads with a client; `"OK"`, or the code of the error. */
async function read(client: EtcdClient, deadlineMs = 20_000): Promise<string> {
  try {
    await client.get("a", { serializable: true, deadlineMs });
    return "OK";
  } catch (error) {
    return (error as EtcdError).code;
  }
}

test("a server takes as many connections as it is told, and again when one has ended", () =>
  withServer(async ({ address }) => {
    const clients = [1, 2, 3].map(() => new EtcdClient({ endpoints: [address] }));
    try {
      assert.equal(await read(clients[0]!), "OK");
      assert.equal(await read(clients[1]!), "OK");
      assert.equal(await read(clients[2]!, 1_000), "UNAVAILABLE");
      assert.equal(await read(clients[0]!), "OK");
      assert.equal(await read(clients[1]!), "OK");
      clients[0]!.close();
      await until("room for the third", async () => await read(clients[2]!, 1_000) === "OK");
    } finally {
      for (const client of clients) client.close();
    }
  }, { connectionsMax: 2 }));

test("a connection carries as many calls at a time as the server announces; others wait", () =>
  withServer(async ({ address, node }) => {
    const waiting: (() => void)[] = [];
    node.read = () => new Promise((resolve) => waiting.push(() => resolve()));
    const client = new EtcdClient({ endpoints: [address], deadlineMs: 20_000 });
    try {
      // The first call makes the connection, on which the server announces its limit.
      const first = client.get("a");
      await until("the first call", () => waiting.length === 1);
      const others = ["b", "c"].map((key) => client.get(key));
      await until("the second call", () => waiting.length === 2);
      waiting.shift()!();
      await first;
      await until("the third call", () => waiting.length === 2);
      for (const answer of waiting) answer();
      await Promise.all(others);
    } finally {
      client.close();
    }
  }, { streamsPerConnectionMax: 2 }));

/** Sends raw bytes as a put; resolves with the status of the answer. */
function putRaw(address: string, bytes: Buffer): Promise<grpc.status> {
  const client = new grpc.Client(address, grpc.credentials.createInsecure(), {
    "grpc.use_local_subchannel_pool": 1,
  });
  const pass = (value: Buffer): Buffer => value;
  return new Promise((resolve) => {
    client.makeUnaryRequest("/etcdserverpb.KV/Put", pass, pass, bytes, (error) => {
      client.close();
      resolve(error === null ? grpc.status.OK : error.code);
    });
  });
}

test("a frame of a client may be half a mebibyte longer than the longest request, and no more", () =>
  withServer(async ({ address }) => {
    const frameBytesMax = 1000 + 512 * 1024;
    // Neither is a request; the shorter one gets as far as being read.
    assert.equal(await putRaw(address, Buffer.alloc(frameBytesMax, 0xff)), grpc.status.INTERNAL);
    const longer = await putRaw(address, Buffer.alloc(frameBytesMax + 1, 0xff));
    assert.equal(longer, grpc.status.RESOURCE_EXHAUSTED);
  }, { requestBytesMax: 1000 }));

test("a request may be as long as the limit, and no longer", () => {
  const put = putRequest({ key: new TextEncoder().encode("a"), value: new Uint8Array(1000) });
  const requestBytesMax = encodePutCommand(put).length;
  return withServer(async ({ client }) => {
    await client.put("a", new Uint8Array(1000));
    await assert.rejects(client.put("a", new Uint8Array(1001)), {
      code: "INVALID_ARGUMENT",
      reason: "etcdserver: request is too large",
    });
  }, { requestBytesMax });
});

test("limits of a server must be positive integers", () => {
  for (const value of [0, -1, 1.5, Number.NaN, 2 ** 53]) {
    for (const name of ["requestBytesMax", "connectionsMax", "streamsPerConnectionMax"]) {
      const options = { listen: "127.0.0.1:0", [name]: value } as unknown as EtcdServerOptions;
      assert.throws(() => checkServerOptions(options), { code: "INVALID_CONFIG" }, name);
    }
  }
});

test("a request without a deadline, or a later one, takes no longer than the limit", () =>
  withServer(async ({ client, node }) => {
    for (const deadlineMs of [600_000, 60_000]) {
      await client.get("a", { deadlineMs });
      const given = node.lastCall?.deadlineMs ?? Infinity;
      assert.ok(given > 0 && given <= 1234, `${given}`);
    }
  }, { requestTimeoutMs: 1234 }));
