import { test } from "node:test";
import assert from "node:assert/strict";
import * as grpc from "@grpc/grpc-js";
import protobuf from "protobufjs/minimal.js";
import { createMessage } from "../../src/raft/mod.ts";
import { encodeFrame, encodeHello, encodeMessage, type Hello } from "../../src/wire/mod.ts";
import { HELLO, RawClient, RawServer, refusals, welcome, withTransports } from "./grpc_support.ts";
import { heartbeat, Lines, snapshot, until } from "./support.ts";

const { Writer } = protobuf;

/** A frame of one message of region 1 in raw bytes. */
function rawMessage(message: Uint8Array): Uint8Array {
  const item = Writer.create().uint32(0x08).uint32(1).uint32(0x12).bytes(message).finish();
  return Writer.create().uint32(0x12).bytes(item).finish();
}

function join(...parts: Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

const UNKNOWN_TYPE = Uint8Array.of(0x08, 99);
const BEYOND = Writer.create().uint32(0x08).uint32(8).uint32(0x20).uint64(
  "9007199254740992" as never,
)
  .finish();

function refusesOpening(
  title: string,
  changes: Partial<Hello>,
  counter: string,
  reason: RegExp,
): void {
  test(`a stream is refused that ${title}`, () =>
    withTransports(async (start) => {
      const logger = new Lines();
      const { transport, recorder } = await start(1, { logger });
      for (let attempt = 1; attempt <= 3; attempt++) {
        const client = new RawClient(transport.address());
        client.send(encodeHello({ ...HELLO, ...changes }));
        const { code, details } = await client.ended();
        assert.equal(code, grpc.status.FAILED_PRECONDITION);
        assert.match(details, reason);
        assert.deepEqual(client.replies, []);
        assert.deepEqual(refusals(transport), { [counter]: attempt });
        client.close();
      }
      assert.equal(logger.warnings.length, 1, "logged once, not at every attempt");
      assert.match(logger.warnings[0]!, reason);
      const good = new RawClient(transport.address());
      await good.open();
      good.send(encodeFrame([heartbeat(1)]));
      await until("the message", () => recorder.items.length === 1);
      good.close();
    }));
}

refusesOpening(
  "comes from another cluster",
  { clusterId: "other" },
  "refusedCluster",
  /cluster must be "test": found "other"/,
);
refusesOpening("means another node", { toNode: 3 }, "refusedTarget", /this is node 1: node 3 was/);
refusesOpening(
  "speaks another version",
  { protocolVersion: 2 },
  "refusedHandshake",
  /version must be 1: found 2/,
);
refusesOpening("comes from nowhere", { fromNode: 0 }, "refusedHandshake", /from node 0/);
refusesOpening("comes from this very node", { fromNode: 1 }, "refusedHandshake", /from node 1/);

test("a stream that begins with messages, or with nothing readable, is refused", () =>
  withTransports(async (start) => {
    const { transport, recorder } = await start(1);
    const openings = [encodeFrame([heartbeat(1)]), new Uint8Array(0), Uint8Array.of(0x0a, 9, 1)];
    for (const [i, opening] of openings.entries()) {
      const client = new RawClient(transport.address());
      client.send(opening);
      assert.equal((await client.ended()).code, grpc.status.FAILED_PRECONDITION);
      assert.deepEqual(refusals(transport), { refusedHandshake: i + 1 });
      client.close();
    }
    assert.deepEqual(recorder.items, []);
  }));

test("a stream that stays silent is refused after the time a connection may take", () =>
  withTransports(async (start) => {
    const { transport } = await start(1, { connectTimeoutMs: 20 });
    const client = new RawClient(transport.address());
    const { code, details } = await client.ended();
    assert.equal(code, grpc.status.FAILED_PRECONDITION);
    assert.match(details, /no hello within 20 ms/);
    client.close();
  }));

test("a message of unknown type or with an integer beyond 2^53-1 is refused alone, logged once", () =>
  withTransports(async (start) => {
    const logger = new Lines();
    const { transport, recorder } = await start(1, { logger });
    const client = new RawClient(transport.address());
    await client.open();
    for (let i = 1; i <= 5; i++) {
      const good = encodeFrame([heartbeat(i)]);
      client.send(join(rawMessage(UNKNOWN_TYPE), good, rawMessage(BEYOND), rawMessage(BEYOND)));
    }
    await until("the good messages", () => recorder.items.length === 5);
    assert.deepEqual(recorder.commits, [1, 2, 3, 4, 5]);
    assert.deepEqual(refusals(transport), { refusedUnknownType: 5, refusedIntegerRange: 10 });
    assert.equal(logger.warnings.length, 2);
    assert.match(logger.warnings[0]!, /node 9 .* Message\.msg_type .* found 99/);
    assert.match(logger.warnings[1]!, /node 9 .* Message\.term .* found 9007199254740992/);
    assert.equal(client.status, undefined, "the stream goes on");
    client.close();
  }));

test("a message of a local kind is refused", () =>
  withTransports(async (start) => {
    const { transport, recorder } = await start(1);
    const client = new RawClient(transport.address());
    await client.open();
    client.send(join(rawMessage(Uint8Array.of(0x08, 10)), encodeFrame([heartbeat(1)])));
    await until("the good message", () => recorder.items.length === 1);
    assert.deepEqual(refusals(transport), { refusedUnknownType: 1 });
    client.close();
  }));

test("a frame that cannot be read ends its stream, and the node goes on", () =>
  withTransports(async (start) => {
    const logger = new Lines();
    const { transport, recorder } = await start(1, { logger });
    for (let attempt = 1; attempt <= 3; attempt++) {
      const client = new RawClient(transport.address());
      await client.open();
      client.send(join(encodeFrame([heartbeat(1)]), Uint8Array.of(0x12, 200, 1, 0)));
      const { code, details } = await client.ended();
      assert.equal(code, grpc.status.INVALID_ARGUMENT);
      assert.match(details, /Frame\.messages/);
      client.close();
    }
    assert.deepEqual(refusals(transport), { refusedMalformed: 3 });
    assert.equal(logger.warnings.length, 1);
    const client = new RawClient(transport.address());
    await client.open();
    client.send(encodeFrame([heartbeat(7)]));
    await until("the good message", () => recorder.commits.includes(7));
    assert.deepEqual(recorder.commits, [7], "nothing of a frame that was refused is delivered");
    client.close();
  }));

test("a message above the receiver's limit is refused, one at the limit is taken", () =>
  withTransports(async (start) => {
    const messageBytesMax = 2000;
    const logger = new Lines();
    const { transport, recorder } = await start(1, { messageBytesMax, logger });
    const client = new RawClient(transport.address());
    await client.open();
    const context = (length: number) =>
      createMessage({ type: "propose", context: new Uint8Array(length) });
    const overhead = encodeMessage(context(1900)).length - 1900;
    const send = (length: number) =>
      client.send(encodeFrame([{ regionId: 1, message: context(length - overhead) }]));
    send(messageBytesMax);
    send(messageBytesMax + 1);
    send(messageBytesMax + 1);
    send(1500);
    await until("two messages", () => recorder.items.length === 2);
    assert.deepEqual(refusals(transport), { refusedOversized: 2 });
    assert.equal(logger.warnings.length, 1, "logged once");
    assert.match(logger.warnings[0]!, /node 9 .*2001/);
    assert.equal(client.status, undefined, "the stream goes on");
    client.close();
  }));

test("a frame far above the limit ends its stream before it is read, and is counted and logged once", () =>
  withTransports(async (start) => {
    const logger = new Lines();
    const { transport, recorder } = await start(1, { messageBytesMax: 2000, logger });
    for (let attempt = 1; attempt <= 3; attempt++) {
      const client = new RawClient(transport.address());
      await client.open();
      client.send(new Uint8Array(100_000));
      assert.equal((await client.ended()).code, grpc.status.RESOURCE_EXHAUSTED);
      assert.deepEqual(refusals(transport), { refusedOversized: attempt });
      client.close();
    }
    assert.equal(logger.warnings.length, 1);
    assert.match(logger.warnings[0]!, /node 9.*larger than max/);
    const client = new RawClient(transport.address());
    await client.open();
    client.send(encodeFrame([heartbeat(7)]));
    await until("the good message", () => recorder.items.length === 1);
    client.close();
  }));

test("a newer stream of a node takes the place of the older one", () =>
  withTransports(async (start) => {
    const { transport, recorder } = await start(1);
    const older = new RawClient(transport.address());
    await older.open();
    const newer = new RawClient(transport.address());
    await newer.open();
    assert.equal((await older.ended()).code, grpc.status.ABORTED);
    newer.send(encodeFrame([heartbeat(1)]));
    await until("the message", () => recorder.items.length === 1);
    assert.equal(transport.counters().connectionsAccepted, 2);
    older.close();
    newer.close();
  }));

test("a dialer that is refused reports the node once, logs once and tries again", () =>
  withTransports(async (start) => {
    const logger = new Lines();
    const a = await start(1, { logger });
    const b = await start(2, { clusterId: "other" });
    a.transport.addNode(2, b.transport.address());
    a.transport.send(2, [heartbeat(1), snapshot(1)]);
    await until("several attempts", () => a.transport.counters().connectionsFailed >= 3);
    assert.deepEqual(a.recorder.unreachableNodes, [2]);
    assert.equal(a.recorder.snapshots.length, 1);
    assert.equal(logger.warnings.length, 1);
    assert.match(logger.warnings[0]!, /Node 2 .* FAILED_PRECONDITION: cluster must be "other"/);
    assert.ok(b.transport.counters().refusedCluster >= 3);
    assert.deepEqual(b.recorder.items, []);
  }));

for (
  const [title, reply, reason] of [
    ["another node answers", welcome({ node: 3 }), /answered as version 1 of node 3/],
    ["another version answers", welcome({ protocolVersion: 9 }), /answered as version 9/],
    ["nonsense answers", Uint8Array.of(1, 2, 3), /answer cannot be read/],
    ["nobody answers", null, /no answer within 200 ms/],
  ] as const
) {
  test(`a dialer does not send to a place where ${title}`, () =>
    withTransports(async (start) => {
      const server = new RawServer(reply);
      try {
        const logger = new Lines();
        const { transport, recorder } = await start(1, { logger, connectTimeoutMs: 200 });
        transport.addNode(2, await server.start());
        transport.send(2, [heartbeat(1)]);
        await until("two attempts", () => transport.counters().connectionsFailed >= 2);
        assert.deepEqual(recorder.unreachableNodes, [2]);
        assert.equal(logger.warnings.length, 1);
        assert.match(logger.warnings[0]!, reason);
        assert.deepEqual(server.frames, []);
      } finally {
        server.close();
      }
    }));
}
