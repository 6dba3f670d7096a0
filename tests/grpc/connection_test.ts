/** What a connection does with frames: windows, limits, resets, farewells, and clients that break rules. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { test } from "node:test";
import fc from "fast-check";
import { FrameFlag, FrameType, Http2Code } from "../../src/grpc/frames.ts";
import { HEADER_BYTES_MAX, STREAM_WINDOW_BYTES } from "../../src/grpc/mod.ts";
import { until } from "../process/support.ts";
import { frameOf, headerBlock, messageOf, RawClient, withGrpcServer } from "./support.ts";

const { data, headers, settings, ping, windowUpdate, resetStream, continuation } = FrameType;

/** Runs `action` with a server and a connection to it. */
function withClient(
  action: (client: RawClient, endpoint: string) => Promise<void>,
  streamsMax = 100,
): Promise<void> {
  return withGrpcServer(async (endpoint) => {
    const client = new RawClient(endpoint);
    try {
      await action(client, endpoint);
    } finally {
      client.close();
    }
  }, { streamsMax });
}

/** A call answers on this connection, so it is still in order. */
async function assertServes(client: RawClient, streamId: number): Promise<void> {
  client.headers(streamId, "/t/Echo");
  client.message(streamId, Buffer.from("hello"));
  assert.deepEqual(
    (await client.frameOf(data, streamId)).payload.subarray(5),
    Buffer.from("hello"),
  );
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function setting(id: number, value: number): Buffer {
  const bytes = Buffer.alloc(6);
  bytes.writeUInt16BE(id);
  bytes.writeUInt32BE(value, 2);
  return bytes;
}

test("a connection announces its limits, acknowledges settings and answers pings", () =>
  withClient(async (client) => {
    const announced = (await client.frameOf(settings)).payload;
    assert.deepEqual([announced.readUInt16BE(0), announced.readUInt32BE(2)], [3, 100]);
    await until(
      "the acknowledgement",
      () => client.frames.some(({ type, flags }) => type === settings && flags === 1),
    );
    client.frame(ping, 0, 0, Buffer.from("12345678"));
    const pong = await client.frameOf(ping);
    assert.equal(pong.flags, FrameFlag.acknowledge);
    assert.deepEqual(pong.payload, Buffer.from("12345678"));
    await assertServes(client, 1);
  }));

test("a request may be cut anywhere, padded, and have its headers in many frames", () =>
  withClient(async (client) => {
    const block = headerBlock({
      ":method": "POST",
      ":path": "/t/Echo",
      "content-type": "application/grpc+proto",
    });
    const message = messageOf(Buffer.from("hello"));
    const bytes = Buffer.concat([
      frameOf(
        headers,
        FrameFlag.padded | FrameFlag.priority,
        1,
        Buffer.concat([
          Buffer.from([2, 0, 0, 0, 0, 16]),
          block.subarray(0, 3),
          Buffer.alloc(2),
        ]),
      ),
      frameOf(continuation, 0, 1, block.subarray(3, 20)),
      frameOf(continuation, FrameFlag.endHeaders, 1, block.subarray(20)),
      frameOf(
        data,
        FrameFlag.padded,
        1,
        Buffer.concat([
          Buffer.from([4]),
          message.subarray(0, 3),
          Buffer.alloc(4),
        ]),
      ),
      frameOf(data, 0, 1, message.subarray(3, 6)),
      frameOf(FrameType.priority, 0, 1, Buffer.alloc(5)),
      frameOf(0x42, 0, 1, Buffer.from("of no known type")),
      frameOf(data, 0, 1, message.subarray(6)),
      frameOf(data, FrameFlag.endStream, 1, Buffer.alloc(0)),
    ]);
    // Byte by byte, so that every frame is cut at every place.
    for (const byte of bytes) client.write(Buffer.from([byte]));
    const answer = await client.frameOf(data, 1);
    assert.deepEqual(answer.payload, message);
  }));

test("a response waits for the window of its stream and of the connection, and then goes on", () =>
  withClient(async (client) => {
    client.frame(settings, 0, 0, setting(4, 10));
    client.headers(1, "/t/Stream");
    client.message(1, Buffer.from("[2, 100000]"));
    const received = () =>
      client.frames.filter(({ type, streamId }) => type === data && streamId === 1)
        .reduce((bytes, { payload }) => bytes + payload.length, 0);
    await until("what the first window takes", () => received() === 10);
    client.frame(windowUpdate, 0, 1, uint32(5));
    await until("five more", () => received() === 15);
    // The window of new settings holds for streams that are open as well.
    client.frame(settings, 0, 0, setting(4, 1_000_000));
    await until("what the connection takes", () => received() === 65_535);
    client.frame(windowUpdate, 0, 0, uint32(1_000_000));
    await until("all", () => received() === 200_010);
    await until(
      "the end",
      () => client.frames.some(({ type, flags }) => type === headers && (flags & 1) !== 0),
    );
  }));

test("a window that becomes smaller than what was sent makes the server wait", () =>
  withClient(async (client) => {
    client.headers(1, "/t/Bidi");
    client.message(1, new Uint8Array(95), false);
    await client.frameOf(data, 1);
    client.frame(settings, 0, 0, setting(4, 50));
    client.message(1, new Uint8Array(5), false);
    client.frame(ping, 0, 0, Buffer.alloc(8));
    await client.frameOf(ping);
    const frames = () => client.frames.filter(({ type }) => type === data).length;
    assert.equal(frames(), 1);
    client.frame(windowUpdate, 0, 1, uint32(60));
    await until("the second message", () => frames() >= 2);
  }));

test("what a client sends within its windows is taken, and the windows are renewed", () =>
  withClient(async (client) => {
    client.headers(1, "/t/Bidi");
    const bytes = STREAM_WINDOW_BYTES / 2;
    client.frame(settings, 0, 0, setting(4, 0x7fff_ffff));
    client.frame(windowUpdate, 0, 0, uint32(0x7000_0000));
    const message = messageOf(new Uint8Array(bytes));
    for (let at = 0; at < message.length; at += 16_384) {
      client.frame(data, 0, 1, message.subarray(at, at + 16_384));
    }
    const renewed = await client.frameOf(windowUpdate, 1);
    assert.ok(renewed.payload.readUInt32BE(0) >= bytes);
    await client.frameOf(data, 1);
  }));

test("calls beyond the limit are refused, also when those before were reset but are worked on", () =>
  withGrpcServer(async (endpoint, seen) => {
    const client = new RawClient(endpoint);
    try {
      for (const id of [1, 3]) {
        client.headers(id, "/t/Hold");
        client.message(id, Buffer.from("x"));
      }
      await until("both calls", () => seen.held.length === 2);
      client.frame(resetStream, 0, 1, uint32(Http2Code.cancel));
      client.headers(5, "/t/Hold");
      const refusal = await client.frameOf(resetStream, 5);
      assert.equal(refusal.payload.readUInt32BE(0), Http2Code.refusedStream);
      seen.held[0]();
      await assertServes(client, 7);
      seen.held[1]();
      await client.frameOf(data, 3);
      // What was reset is not answered.
      assert.equal(client.find(headers, 1), undefined);
    } finally {
      client.close();
    }
  }, { streamsMax: 2 }));

test("a connection on which a stream is open forgets it when the client leaves", () =>
  withGrpcServer(async (endpoint, seen) => {
    const client = new RawClient(endpoint);
    client.headers(1, "/t/Bidi");
    client.message(1, Buffer.from("x"), false);
    await client.frameOf(data, 1);
    client.close();
    await until("the cancellation", () => seen.cancelled === 1);
  }));

test("a client that does not read is not read from, and all of it arrives later", () =>
  withClient(async (client, endpoint) => {
    client.frame(settings, 0, 0, setting(4, 0x7fff_ffff));
    client.frame(windowUpdate, 0, 0, uint32(0x7000_0000));
    client.pause();
    const ids = Array.from({ length: 60 }, (_, at) => 2 * at + 1);
    for (const id of ids) {
      client.headers(id, "/t/Stream");
      client.message(id, Buffer.from("[1, 400000]"));
    }
    // By then the server has met what came before.
    const other = new RawClient(endpoint);
    await assertServes(other, 1);
    other.close();
    client.resume();
    const ended = () =>
      client.frames.filter(({ type, flags }) => type === headers && (flags & 1) !== 0).length;
    await until("every answer", () => ended() === ids.length);
    const bytes = client.frames.filter(({ type }) => type === data)
      .reduce((sum, { payload }) => sum + payload.length, 0);
    assert.equal(bytes, ids.length * 400_005);
  }));

test("closing lets calls under way end, refuses new ones, and cuts what takes too long", () =>
  withGrpcServer(async (endpoint, seen, server) => {
    const client = new RawClient(endpoint);
    const idle = new RawClient(endpoint);
    await idle.frameOf(settings);
    client.headers(1, "/t/Hold");
    client.message(1, Buffer.from("x"));
    await until("the call", () => seen.held.length === 1);
    const closed = server.close(60_000);
    await until("the end of the idle one", () => idle.closed);
    await client.frameOf(FrameType.goAway);
    client.headers(3, "/t/Echo");
    const refusal = await client.frameOf(resetStream, 3);
    assert.equal(refusal.payload.readUInt32BE(0), Http2Code.refusedStream);
    seen.held[0]();
    await client.frameOf(data, 1);
    await closed;
    assert.deepEqual(await client.farewell(), [Http2Code.none, ""]);
  }));

test("a server with a call that never ends closes when its time is over", () =>
  withGrpcServer(async (endpoint, seen, server) => {
    const client = new RawClient(endpoint);
    client.headers(1, "/t/Hold");
    client.message(1, Buffer.from("x"));
    await until("the call", () => seen.held.length === 1);
    await server.close(10);
    await until("the end of the connection", () => client.closed);
  }));

/** What a client may not do, and the code that it is told. */
const OFFENCES: readonly [string, number, (client: RawClient) => void][] = [
  ["a frame longer than was agreed", 6, (client) => client.frame(data, 0, 1, Buffer.alloc(16_385))],
  ["data on a stream that was never opened", 1, (client) => client.message(1, Buffer.alloc(1))],
  ["data for the connection", 1, (client) => client.frame(data, 0, 0, Buffer.alloc(1))],
  ["a stream with an even number", 1, (client) => client.headers(2, "/t/Echo")],
  ["a reset of a stream that was never opened", 1, (client) => {
    client.frame(resetStream, 0, 1, uint32(8));
  }],
  ["a ping of the wrong length", 6, (client) => client.frame(ping, 0, 0, Buffer.alloc(7))],
  ["settings of the wrong length", 6, (client) => client.frame(settings, 0, 0, Buffer.alloc(5))],
  ["settings for a stream", 1, (client) => client.frame(settings, 0, 1)],
  ["a window that grows by nothing", 1, (client) => client.frame(windowUpdate, 0, 0, uint32(0))],
  ["a window beyond 2^31-1", 3, (client) => {
    client.frame(windowUpdate, 0, 0, uint32(0x7fff_ffff));
  }],
  ["an initial window beyond 2^31-1", 3, (client) => {
    client.frame(settings, 0, 0, setting(4, 0x8000_0000));
  }],
  ["a push", 1, (client) => client.frame(FrameType.pushPromise, 4, 1, Buffer.alloc(4))],
  ["headers that are interrupted", 1, (client) => {
    client.frame(headers, 0, 1, Buffer.from([0x82]));
    client.frame(ping, 0, 0, Buffer.alloc(8));
  }],
  ["headers that go on without having begun", 1, (client) => {
    client.frame(continuation, FrameFlag.endHeaders, 1, Buffer.from([0x82]));
  }],
  ["headers in an endless row of empty frames", 11, (client) => {
    client.frame(headers, 0, 1, Buffer.from([0x82]));
    client.frame(continuation, 0, 1);
  }],
  ["headers beyond their limit in several frames", 11, (client) => {
    client.frame(headers, 0, 1, Buffer.alloc(HEADER_BYTES_MAX));
    client.frame(continuation, 0, 1, Buffer.alloc(1));
  }],
  ["headers that say more than they take", 11, (client) => {
    const big = Buffer.concat([Buffer.from([0x40, 1, 0x61, 0x7f, 0xf1, 0x1d]), Buffer.alloc(3952)]);
    const copies = Buffer.alloc(5, 0x80 | 62);
    client.frame(headers, FrameFlag.endHeaders, 1, Buffer.concat([big, copies]));
  }],
  ["headers that are no HPACK", 9, (client) => {
    client.frame(headers, FrameFlag.endHeaders, 1, Buffer.from([0x80]));
  }],
  ["more padding than frame", 1, (client) => {
    client.headers(1, "/t/Echo");
    client.frame(data, FrameFlag.padded, 1, Buffer.from([1]));
  }],
  ["trailers that do not end the request", 1, (client) => {
    client.headers(1, "/t/Bidi");
    client.headers(1, "/t/Bidi");
  }],
];

for (const [offence, code, commit] of OFFENCES) {
  test(`a connection ends, with its reason, for ${offence}`, () =>
    withClient(async (client, endpoint) => {
      commit(client);
      assert.equal((await client.farewell())[0], code);
      const other = new RawClient(endpoint);
      await assertServes(other, 1);
      other.close();
    }));
}

test("a connection that does not speak HTTP/2 is ended", () =>
  withGrpcServer(async (endpoint) => {
    const client = new RawClient(endpoint, false);
    client.write(Buffer.from("GET / HTTP/1.1\r\nhost: a\r\n\r\n"));
    assert.deepEqual(await client.farewell(), [Http2Code.protocol, "this is not HTTP/2"]);
  }));

test("whatever bytes a client sends, the server goes on for others", () =>
  withGrpcServer(async (endpoint) => {
    const frame = fc.record({
      type: fc.integer({ min: 0, max: 10 }),
      flags: fc.constantFrom(0, 1, 4, 5, 8, 12, 37, 255),
      streamId: fc.constantFrom(0, 1, 3, 5, 2 ** 31 - 1),
      payload: fc.uint8Array({ maxLength: 60 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(frame, { minLength: 1, maxLength: 20 }), async (frames) => {
        const client = new RawClient(endpoint);
        client.headers(1, "/t/Bidi");
        for (const { type, flags, streamId, payload } of frames) {
          client.frame(type, flags, streamId, payload);
        }
        client.frame(ping, 0, 0, Buffer.from("at last!"));
        await until("an answer or the end", () =>
          client.closed ||
          client.frames.some(({ type, payload }) => type === ping && payload.equals(LAST)));
        client.close();
      }),
      { numRuns: 150 },
    );
    const client = new RawClient(endpoint);
    await assertServes(client, 1);
    client.close();
  }));

const LAST = Buffer.from("at last!");
