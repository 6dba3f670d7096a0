/** Calls of gRPC, made by another implementation: statuses, streams, deadlines, compression, limits. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import process from "node:process";
import { test } from "node:test";
import { setImmediate } from "node:timers";
import { gzipSync } from "node:zlib";
import * as grpc from "@grpc/grpc-js";
import { FrameFlag, FrameType } from "../../src/grpc/frames.ts";
import { type GrpcServerOptions, GrpcStatus, type OpenCall } from "../../src/grpc/mod.ts";
import { until } from "../process/support.ts";
import { messageOf, RawClient, type Seen, withGrpcServer } from "./support.ts";

const pass = (bytes: Buffer): Buffer => bytes;

function withClient(
  action: (client: grpc.Client, seen: Seen) => Promise<void>,
  options: Partial<GrpcServerOptions> = {},
  channel: grpc.ClientOptions = {},
): Promise<void> {
  return withGrpcServer(async (endpoint, seen) => {
    const client = new grpc.Client(endpoint, grpc.credentials.createInsecure(), {
      "grpc.use_local_subchannel_pool": 1,
      "grpc.max_receive_message_length": -1,
      ...channel,
    });
    try {
      await action(client, seen);
    } finally {
      client.close();
    }
  }, options);
}

/** Makes a unary call: what it answers, or the status it fails with. */
function call(
  client: grpc.Client,
  path: string,
  request: Uint8Array,
  options: grpc.CallOptions = {},
): Promise<Buffer | grpc.ServiceError> {
  return new Promise((resolve) => {
    client.makeUnaryRequest(path, pass, pass, Buffer.from(request), options, (error, response) => {
      resolve(error ?? response!);
    });
  });
}

async function statusOf(
  client: grpc.Client,
  path: string,
  request: Uint8Array,
  options: grpc.CallOptions = {},
): Promise<[number, string]> {
  const outcome = await call(client, path, request, options);
  assert.ok(outcome instanceof Error, "the call must fail");
  return [outcome.code, outcome.details];
}

test("messages of every size come back as they were, many at a time", () =>
  withClient(async (client) => {
    const sizes = [0, 1, 4, 5, 100, 16_379, 16_380, 16_384, 65_535, 65_536, 300_000, 1024 * 1024];
    await Promise.all(sizes.map(async (size, at) => {
      const request = Buffer.alloc(size, at + 1);
      const response = await call(client, "/t/Echo", request);
      assert.ok(response instanceof Buffer && response.equals(request), `${size}`);
    }));
  }));

test("a message longer than the limit is refused, by itself", () =>
  withClient(async (client) => {
    assert.ok(await call(client, "/t/Echo", Buffer.alloc(1000)) instanceof Buffer);
    const [code, details] = await statusOf(client, "/t/Echo", Buffer.alloc(1001));
    assert.equal(code, grpc.status.RESOURCE_EXHAUSTED);
    assert.equal(details, "a message must have at most 1000 bytes: it has 1001");
    assert.ok(await call(client, "/t/Echo", Buffer.alloc(1000)) instanceof Buffer);
  }, { messageBytesMax: 1000 }));

test("a method that throws fails its call with the reason, whatever letters it has", () =>
  withClient(async (client) => {
    assert.deepEqual(await statusOf(client, "/t/Throw", Buffer.alloc(1)), [
      grpc.status.INTERNAL,
      "on purpose: 100 % ü",
    ]);
  }));

test("a method that does not exist is unimplemented", () =>
  withClient(async (client) => {
    assert.deepEqual(await statusOf(client, "/t/Nowhere", Buffer.alloc(1)), [
      grpc.status.UNIMPLEMENTED,
      "there is no method /t/Nowhere",
    ]);
  }));

test("a long reason is cut, not the connection", () => {
  const methods = new Map<string, OpenCall>([["/t/Fail", (one) => {
    one.end(GrpcStatus.ABORTED, "é".repeat(100_000));
    return { message: () => {}, end: () => {} };
  }]]);
  return withClient(async (client) => {
    const [code, details] = await statusOf(client, "/t/Fail", Buffer.alloc(1));
    assert.equal(code, grpc.status.ABORTED);
    assert.match(details, /^é{1500}$/);
  }, { methods });
});

test("the deadline of a client reaches the method", () => {
  let left = 0;
  const methods = new Map<string, OpenCall>([["/t/Time", (one) => {
    left = one.deadline - Date.now();
    return { message: () => {}, end: () => one.end() };
  }]]);
  return withClient(async (client) => {
    await call(client, "/t/Time", Buffer.alloc(1), { deadline: Date.now() + 30_000 });
    assert.ok(left > 0 && left <= 30_000, `${left}`);
    await call(client, "/t/Time", Buffer.alloc(1), { deadline: Infinity });
    assert.equal(left, Infinity);
  }, { methods });
});

test("a client that gives up does not disturb others", () =>
  withClient(async (client, seen) => {
    const late = statusOf(client, "/t/Hold", Buffer.alloc(1), { deadline: Date.now() + 50 });
    assert.equal((await late)[0], grpc.status.DEADLINE_EXCEEDED);
    await until("the call", () => seen.held.length === 1);
    seen.held[0]();
    assert.ok(await call(client, "/t/Echo", Buffer.alloc(1)) instanceof Buffer);
  }));

test("a stream of responses arrives whole and in order, however slowly it is read", () =>
  withClient(async (client) => {
    const request = Buffer.from("[40, 100000]");
    const stream = client.makeServerStreamRequest("/t/Stream", pass, pass, request);
    let at = 0;
    for await (const message of stream as AsyncIterable<Buffer>) {
      assert.equal(message.length, 100_000);
      assert.ok(message.every((byte) => byte === at));
      if (at % 10 === 0) await new Promise((resolve) => setImmediate(resolve));
      at++;
    }
    assert.equal(at, 40);
  }));

test("a stream that its client gives up is cancelled", () =>
  withClient(async (client, seen) => {
    const request = Buffer.from("[1000000, 10000]");
    const stream = client.makeServerStreamRequest("/t/Stream", pass, pass, request);
    stream.on("error", () => {});
    await new Promise((resolve) => stream.once("data", resolve));
    stream.cancel();
    await until("the cancellation", () => seen.cancelled === 1);
    assert.ok(await call(client, "/t/Echo", Buffer.alloc(1)) instanceof Buffer);
  }));

test("messages go both ways on one call until the client has ended", () =>
  withClient(async (client) => {
    const stream = client.makeBidiStreamRequest("/t/Bidi", pass, pass);
    const received: string[] = [];
    stream.on("data", (message: Buffer) => received.push(message.toString()));
    const ended = new Promise<grpc.StatusObject>((resolve) => stream.on("status", resolve));
    stream.write(Buffer.from("one"));
    await until("the first answer", () => received.length === 1);
    stream.write(Buffer.from("two"));
    stream.write(Buffer.from("three"));
    stream.end();
    assert.equal((await ended).code, grpc.status.OK);
    assert.deepEqual(received, ["one", "two", "three"]);
  }));

for (const [name, algorithm] of [["gzip", 2], ["deflate", 1]] as const) {
  test(`requests may be compressed with ${name}`, () =>
    withClient(
      async (client) => {
        const request = Buffer.alloc(50_000, "abc");
        const response = await call(client, "/t/Echo", request);
        assert.ok(response instanceof Buffer && response.equals(request));
      },
      {},
      { "grpc.default_compression_algorithm": algorithm },
    ));
}

/** Sends one request by hand and returns its status and message, as the server wrote them. */
async function rawStatus(
  headers: Record<string, string>,
  body: Uint8Array,
  options: Partial<GrpcServerOptions> = {},
): Promise<string> {
  let text = "";
  await withGrpcServer(async (endpoint) => {
    const client = new RawClient(endpoint);
    client.headers(1, "/t/Echo", headers);
    client.frame(FrameType.data, FrameFlag.endStream, 1, body);
    const answer = await client.frameOf(FrameType.headers, 1);
    assert.notEqual(answer.flags & FrameFlag.endStream, 0);
    // Lengths and places between the texts are no letters.
    text = answer.payload.toString("latin1").replaceAll(/[^!-~]+/g, " ");
    client.close();
  }, options);
  return text;
}

test("a compressed message that unpacks to more than the limit is refused", async () => {
  const bomb = messageOf(gzipSync(Buffer.alloc(1_000_000)), 1);
  const text = await rawStatus({ "grpc-encoding": "gzip" }, bomb, { messageBytesMax: 10_000 });
  assert.match(text, /grpc-status 8.*cannot be unpacked/s);
});

test("what cannot be unpacked, or says not how, is refused", async () => {
  const noise = messageOf(Buffer.from("noise"), 1);
  assert.match(await rawStatus({ "grpc-encoding": "gzip" }, noise), /grpc-status 13/);
  assert.match(await rawStatus({}, noise), /grpc-status 13.*but not said how/s);
  const unknown = await rawStatus({ "grpc-encoding": "snappy" }, noise);
  assert.match(unknown, /grpc-accept-encoding.identity,gzip,deflate.*grpc-status 12/s);
});

test("a request without a message, with two, or with half of one is refused", async () => {
  const one = messageOf(Buffer.from("one"));
  assert.match(await rawStatus({}, new Uint8Array()), /found none/);
  assert.match(await rawStatus({}, Buffer.concat([one, one])), /found more/);
  assert.match(await rawStatus({}, one.subarray(0, 6)), /the request is cut short/);
  assert.match(await rawStatus({}, one.subarray(0, 3)), /the request is cut short/);
});

test("a request that is none of gRPC gets a status of HTTP", async () => {
  assert.match(await rawStatus({ "content-type": "text/html" }, new Uint8Array()), /415/);
  assert.match(await rawStatus({ ":method": "GET" }, new Uint8Array()), /405/);
});

test("a length in a prefix takes no memory before its bytes have come", () =>
  withGrpcServer(async (endpoint) => {
    const client = new RawClient(endpoint);
    const before = process.memoryUsage().arrayBuffers + process.memoryUsage().rss;
    const prefix = Buffer.from([0, 0, 0x10, 0, 0]);
    for (let at = 0; at < 500; at++) {
      client.headers(2 * at + 1, "/t/Echo");
      client.frame(FrameType.data, 0, 2 * at + 1, prefix);
    }
    client.frame(FrameType.ping, 0, 0, Buffer.alloc(8));
    await client.frameOf(FrameType.ping);
    const grown = process.memoryUsage().arrayBuffers + process.memoryUsage().rss - before;
    assert.ok(grown < 250 * 1024 * 1024, `${grown}`);
    client.close();
  }, { streamsMax: 1000 }));
