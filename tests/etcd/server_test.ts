import assert from "node:assert/strict";
import { connect } from "node:http2";
import { test } from "node:test";
import * as grpc from "@grpc/grpc-js";
import {
  ETCD_SERVICES,
  EtcdClient,
  type EtcdError,
  methodPath,
  readTxnResponse,
  type TxnResponse,
} from "../../src/etcd/mod.ts";
import {
  ProtoReader,
  ProtoWriter,
  putRequest,
  rangeRequest,
  type TxnRequest,
  writeTxnRequest,
} from "../../src/kv/mod.ts";
import {
  DroppedError,
  OverloadedError,
  StoppedError,
  TimedOutError,
} from "../../src/node/errors.ts";
import { type Served, withServer } from "./support.ts";

function key(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function putOf(name: string, value: string) {
  return putRequest({ key: key(name), value: key(value) });
}

function txnClient(address: string) {
  const client = new grpc.Client(address, grpc.credentials.createInsecure());
  const serialize = (request: TxnRequest) => {
    const writer = new ProtoWriter();
    writeTxnRequest(writer, request);
    return Buffer.from(writer.finish());
  };
  const deserialize = (bytes: Buffer) => readTxnResponse(new ProtoReader(bytes));
  const txn = (request: TxnRequest) =>
    new Promise<TxnResponse>((resolve, reject) => {
      const done = (error: grpc.ServiceError | null, response?: TxnResponse) => {
        if (error === null) resolve(response!);
        else reject(error);
      };
      client.makeUnaryRequest("/etcdserverpb.KV/Txn", serialize, deserialize, request, done);
    });
  return { txn, close: () => client.close() };
}

async function statusOf(call: Promise<unknown>): Promise<[string, string, boolean]> {
  const error = await call.then(
    () => assert.fail("the call succeeded"),
    (error: EtcdError) => error,
  );
  return [error.code, error.reason, error.mayHaveTakenEffect];
}

test("a put is read back by a linearizable get, with the header of who answered", () =>
  withServer(async ({ client, node }) => {
    const { header } = await client.put("a", "1");
    const read = await client.get("a");
    assert.deepEqual(read.header, header);
    assert.deepEqual([header.memberId, header.revision, header.raftTerm], [2n, 2, 3]);
    assert.ok(header.clusterId > 0n);
    assert.equal(new TextDecoder().decode(read.kvs[0]!.value), "1");
    assert.equal(node.reads, 1);
  }));

test("a serializable get waits for no barrier", () =>
  withServer(async ({ client, node }) => {
    node.failure = new TimedOutError("read", false);
    assert.equal((await client.get("a", { serializable: true })).count, 0);
    assert.equal(node.reads, 0);
  }));

test("requests that make no sense are refused with etcd's texts", () =>
  withServer(async ({ client, store }) => {
    const refused: [() => Promise<unknown>, string, string][] = [
      [() => client.put("", "1"), "INVALID_ARGUMENT", "etcdserver: key is not provided"],
      [() => client.get(""), "INVALID_ARGUMENT", "etcdserver: key is not provided"],
      [() => client.delete(""), "INVALID_ARGUMENT", "etcdserver: key is not provided"],
      [
        () => client.put("a", "1", { ignoreValue: true }),
        "INVALID_ARGUMENT",
        "etcdserver: value is provided",
      ],
      [
        () => client.put("a", "", { ignoreLease: true, lease: 5n }),
        "INVALID_ARGUMENT",
        "etcdserver: lease is provided",
      ],
      [
        () => client.put("a", "", { ignoreValue: true }),
        "INVALID_ARGUMENT",
        "etcdserver: key not found",
      ],
      [
        () => client.put("a", "1", { lease: 0x7000_0000_0000_0001n }),
        "NOT_FOUND",
        "etcdserver: requested lease not found",
      ],
      [
        () => client.range({ ...rangeRequest({ key: key("a") }), sortOrder: 3 }),
        "INVALID_ARGUMENT",
        "etcdserver: invalid sort option",
      ],
      [
        () => client.range({ ...rangeRequest({ key: key("a") }), sortTarget: 5 }),
        "INVALID_ARGUMENT",
        "etcdserver: invalid sort option",
      ],
      [
        () => client.get("a", { revision: 100 }),
        "OUT_OF_RANGE",
        "etcdserver: mvcc: required revision is a future revision",
      ],
    ];
    for (const [call, code, reason] of refused) {
      assert.deepEqual(await statusOf(call()), [code, reason, false]);
    }
    assert.equal(store.revision, 1);
  }));

test("a request beyond the limit is refused as too large, whether it fits a frame or not", () =>
  withServer(async ({ client }) => {
    const within = new Uint8Array(1000);
    await client.put("a", within);
    assert.deepEqual(await statusOf(client.put("a", new Uint8Array(1200))), [
      "INVALID_ARGUMENT",
      "etcdserver: request is too large",
      false,
    ]);
    const [code] = await statusOf(client.put("a", new Uint8Array(600 * 1024)));
    assert.equal(code, "RESOURCE_EXHAUSTED");
  }, { requestBytesMax: 1100 }));

test("a value of a million bytes comes back whole", () =>
  withServer(async ({ client }) => {
    const value = Uint8Array.from({ length: 1_000_000 }, (_, i) => i % 251);
    await client.put("big", value);
    assert.deepEqual((await client.get("big")).kvs[0]!.value, value);
  }));

test("errors of the node become etcd's, and say whether a write may have happened", () =>
  withServer(async ({ client, node }) => {
    const outcomes: [Error, string, string, boolean][] = [
      [new OverloadedError("proposals", 1, 1), "RESOURCE_EXHAUSTED", "too many requests", false],
      [new TimedOutError("proposal", true), "UNAVAILABLE", "request timed out", true],
      [new StoppedError(true), "UNAVAILABLE", "server stopped", true],
      [new DroppedError(1, 2), "UNAVAILABLE", "leader changed", false],
      [new TimedOutError("proposal", false), "UNAVAILABLE", "no leader", false],
    ];
    for (const [failure, code, reason, mayHaveTakenEffect] of outcomes) {
      node.failure = failure;
      node.leaderNodeId = reason === "no leader" ? 0 : 2;
      assert.deepEqual(await statusOf(client.put("a", "1", { deadlineMs: 400 })), [
        code,
        `etcdserver: ${reason}`,
        mayHaveTakenEffect,
      ]);
    }
  }));

test("the client's deadline reaches the node", () =>
  withServer(async ({ client, node }) => {
    await client.get("a", { deadlineMs: 2_000 });
    const deadlineMs = node.lastCall!.deadlineMs!;
    assert.ok(deadlineMs > 0 && deadlineMs <= 2_000, `found ${deadlineMs}`);
    await client.get("a", { deadlineMs: 60_000 });
    assert.equal(node.lastCall!.deadlineMs, 7_000);
  }));

test("a store that fails is an answer, not the end of the server", () =>
  withServer(async ({ client, store }) => {
    store.close();
    assert.equal((await statusOf(client.get("a")))[0], "UNKNOWN");
    assert.equal((await statusOf(client.status()))[0], "UNKNOWN");
  }));

test("every method that is not served answers UNIMPLEMENTED with its name", () =>
  withServer(async ({ address }) => {
    const served = [
      "Range",
      "Put",
      "DeleteRange",
      "Txn",
      "MemberList",
      "Status",
      "Snapshot",
      "MoveLeader",
    ];
    const client = new grpc.Client(address, grpc.credentials.createInsecure());
    for (const [service, methods] of Object.entries(ETCD_SERVICES)) {
      for (const name of Object.keys(methods).filter((name) => !served.includes(name))) {
        const path = methodPath(service, name);
        const status = await statusOfStream(client, path);
        assert.equal(status.code, grpc.status.UNIMPLEMENTED, path);
        assert.equal(status.details, `flaredb does not serve ${path} yet`);
      }
    }
    client.close();
  }));

function statusOfStream(client: grpc.Client, path: string): Promise<grpc.StatusObject> {
  const identity = (value: Buffer) => value;
  return new Promise((resolve) => {
    const call = client.makeBidiStreamRequest(path, identity, identity, {
      deadline: Date.now() + 10_000,
    });
    call.on("data", () => {});
    call.on("error", () => {});
    call.on("status", resolve);
    call.write(Buffer.alloc(0));
    call.end();
  });
}

test("bytes that are no message are an error of the call alone", () =>
  withServer(async ({ address, client }) => {
    const raw = new grpc.Client(address, grpc.credentials.createInsecure());
    const identity = (value: Buffer) => value;
    const code = await new Promise((resolve) => {
      const garbage = Buffer.from([0x0a, 0xff]);
      raw.makeUnaryRequest("/etcdserverpb.KV/Put", identity, identity, garbage, (error) => {
        resolve(error?.code);
      });
    });
    assert.equal(code, grpc.status.INTERNAL);
    raw.close();
    await client.put("a", "1");
  }));

test("a transaction compares, then puts, reads and deletes as one revision", () =>
  withServer(async ({ store, client, address }) => {
    await client.put("a", "1");
    const { txn, close } = txnClient(address);
    const response = await txn({
      compare: [{ result: 0, target: 2, key: key("a"), rangeEnd: key(""), operand: 2 }],
      success: [
        { kind: "put", request: putOf("b", "2") },
        { kind: "range", request: rangeRequest({ key: key("b") }) },
        { kind: "delete-range", request: { key: key("a"), rangeEnd: key(""), prevKv: true } },
      ],
      failure: [],
    });
    assert.equal(response.succeeded, true);
    assert.deepEqual(response.responses.map((operation) => operation.kind), [
      "put",
      "range",
      "delete-range",
    ]);
    assert.equal(response.header.revision, 3);
    assert.equal(store.revision, 3);
    close();
  }));

test("a transaction that writes a key twice is refused", () =>
  withServer(async ({ address }) => {
    const { txn, close } = txnClient(address);
    const request = {
      compare: [],
      success: [
        { kind: "put" as const, request: putOf("b", "1") },
        {
          kind: "delete-range" as const,
          request: { key: key("a"), rangeEnd: key("c"), prevKv: false },
        },
      ],
      failure: [],
    };
    await assert.rejects(txn(request), {
      details: "etcdserver: duplicate key given in txn request",
    });
    close();
  }));

test("closing does not wait for idle connections, and refuses new calls", () =>
  withServer(async ({ server, client, address }) => {
    await client.put("a", "1");
    const idle = connect(`http://${address}`);
    idle.on("error", () => {});
    await new Promise((resolve) => idle.once("connect", resolve));
    await server.close();
    await server.close();
    const closed = new EtcdClient({ endpoints: [address], deadlineMs: 300 });
    assert.equal((await statusOf(closed.get("a")))[0], "UNAVAILABLE");
    closed.close();
    idle.destroy();
  }, { closeGraceMs: 100 }));

test("an address in use is refused by name", () =>
  withServer(async (served: Served) => {
    await assert.rejects(
      withServer(() => Promise.resolve(), { listen: served.address }),
      { code: "LISTEN" },
    );
  }));
