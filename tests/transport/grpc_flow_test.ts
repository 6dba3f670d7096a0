import { test } from "node:test";
import assert from "node:assert/strict";
import { setImmediate } from "node:timers/promises";
import { createMessage } from "../../src/raft/mod.ts";
import { decodeFrame, messageWireSize } from "../../src/wire/mod.ts";
import { GrpcTransport } from "../../src/transport/grpc/mod.ts";
import { RawServer, welcome, withTransports } from "./grpc_support.ts";
import { heartbeat, heartbeats, Lines, snapshot, until } from "./support.ts";

test("messages of one turn and of the next leave as one frame, however many calls sent them", () =>
  withTransports(async (start) => {
    const [a, b] = [await start(1), await start(2)];
    a.transport.addNode(2, b.transport.address());
    a.transport.send(2, [heartbeat(0)]);
    await until("the connection", () => b.recorder.items.length === 1);
    for (let i = 1; i <= 60; i++) a.transport.send(2, [heartbeat(i)]);
    await setImmediate();
    for (let i = 61; i <= 100; i++) a.transport.send(2, [heartbeat(i)]);
    await until("all messages", () => b.recorder.items.length === 101);
    assert.equal(a.transport.counters().framesSent, 2);
    assert.equal(b.transport.counters().framesReceived, 2);
    assert.equal(b.recorder.batches[1]!.batch.length, 100);
  }));

test("what waits while a node is being connected to leaves as one frame", () =>
  withTransports(async (start) => {
    const [a, b] = [await start(1), await start(2)];
    a.transport.addNode(2, b.transport.address());
    for (let i = 1; i <= 20; i++) {
      a.transport.send(2, [heartbeat(i)]);
      if (a.transport.counters().connectionsOpened === 0) await setImmediate();
    }
    await until("all messages", () => b.recorder.items.length === 20);
    assert.deepEqual(b.recorder.commits, heartbeats(20).map(({ message }) => message.commit));
    assert.ok(a.transport.counters().framesSent < 20);
  }));

test("a frame holds no more than its limit, unless one message is larger", () =>
  withTransports(async (start) => {
    const server = new RawServer();
    try {
      const { transport } = await start(1, { frameBytesMax: 4096 });
      transport.addNode(2, await server.start());
      transport.send(2, [...heartbeats(1000), snapshot(10_000), ...heartbeats(10)]);
      await until("all messages", () => transport.counters().messagesSent === 1011);
      await until("all frames", () => server.frames.length === transport.counters().framesSent);
      const frames = server.frames.map((frame) => decodeFrame(frame).messages);
      assert.equal(frames.flat().length, 1011);
      for (const [i, messages] of frames.entries()) {
        assert.ok(server.frames[i]!.length <= 4096 || messages.length === 1);
      }
      assert.ok(frames.length > 4 && frames.length < 20, `${frames.length} frames`);
    } finally {
      server.close();
    }
  }));

test("while the receiver does not read, messages collect up to the limit, then are dropped", () =>
  withTransports(async (start) => {
    const server = new RawServer();
    try {
      const { transport, recorder } = await start(1, {
        queueBytesMax: 1_000_000,
        frameBytesMax: 200_000,
      });
      transport.addNode(2, await server.start());
      transport.send(2, [heartbeat(1)]);
      await until("the connection", () => server.frames.length === 1);
      server.pause();
      let sent = 1;
      await until("the full queue", () => {
        for (let i = 0; i < 20; i++) transport.send(2, [snapshot(1000)]);
        sent += 20;
        return transport.counters().droppedQueueFull > 0;
      });
      await until("the report", () => recorder.unreachableNodes.length > 0);
      assert.ok(transport.counters().bytesSent < 400_000, "no more than the window and a frame");
      for (let i = 0; i < 100; i++) transport.send(2, [heartbeat(i)]);
      sent += 100;
      assert.deepEqual(recorder.unreachableNodes, [2], "once for the whole episode");
      const framesWhilePaused = transport.counters().framesSent;
      server.resume();
      const arrived = () => server.frames.flatMap((frame) => decodeFrame(frame).messages).length;
      const kept = sent - transport.counters().droppedQueueFull;
      await until("what was not dropped", () => transport.counters().messagesSent === kept);
      await until("its arrival", () => arrived() === kept);
      const frames = transport.counters().framesSent - framesWhilePaused;
      assert.ok(frames < 20, `1 MB that had collected left in ${frames} frames`);
      const ok = (value: boolean) => recorder.snapshots.filter((report) => report.ok === value);
      await until("every snapshot's outcome", () => recorder.snapshots.length === sent - 101);
      const heartbeatsDropped = 100 - (arrived() - ok(true).length - 1);
      assert.equal(
        ok(false).length + heartbeatsDropped,
        transport.counters().droppedQueueFull,
      );
    } finally {
      server.close();
    }
  }));

test("a connection that breaks fails the snapshots on it and is reported once", () =>
  withTransports(async (start) => {
    const logger = new Lines();
    const server = new RawServer();
    const { transport, recorder } = await start(1, { logger });
    try {
      transport.addNode(2, await server.start());
      transport.send(2, [heartbeat(1)]);
      await until("the connection", () => server.frames.length === 1);
      server.pause();
      transport.send(2, [snapshot(10_000_000), snapshot(1000)]);
      await until("a frame on its way", () => transport.counters().framesSent === 2);
    } finally {
      server.close();
    }
    await until("both failures", () => recorder.snapshots.length === 2);
    assert.deepEqual(recorder.snapshots.map(({ ok }) => ok), [false, false]);
    await until("further attempts", () => transport.counters().connectionsFailed >= 2);
    assert.deepEqual(recorder.unreachableNodes, [2]);
    assert.equal(transport.counters().connectionsLost, 1);
    assert.equal(logger.warnings.length, 1);
    assert.match(logger.warnings[0]!, /Node 2 .* is no longer reachable/);
  }));

test("a window far smaller than what is sent delays it, and loses nothing", () =>
  withTransports(async (start) => {
    const [a, b] = [await start(1), await start(2, { windowBytes: 1024 })];
    a.transport.addNode(2, b.transport.address());
    a.transport.send(2, heartbeats(1));
    await until("the connection", () => b.recorder.items.length === 1);
    for (let round = 0; round < 50; round++) {
      a.transport.send(2, heartbeats(100));
      await setImmediate();
    }
    await until("all messages", () => b.recorder.items.length === 5001);
    assert.equal(a.transport.counters().droppedQueueFull, 0);
  }));

test("a receiver that asks for no window is sent to without one", () =>
  withTransports(async (start) => {
    const server = new RawServer(welcome({ windowBytes: 0 }));
    try {
      const { transport, recorder } = await start(1);
      transport.addNode(2, await server.start());
      server.pause();
      for (let i = 0; i < 10; i++) transport.send(2, [snapshot(100_000)]);
      await until("all outcomes", () => recorder.snapshots.length === 10);
      assert.ok(recorder.snapshots.every(({ ok }) => ok));
      assert.equal(transport.counters().messagesSent, 10);
    } finally {
      server.close();
    }
  }));

test("a message at the limit arrives, a larger one is dropped, whole and counted", () =>
  withTransports(async (start) => {
    const messageBytesMax = 3_000_000;
    const [a, b] = [await start(1, { messageBytesMax }), await start(2, { messageBytesMax })];
    a.transport.addNode(2, b.transport.address());
    const overhead = messageWireSize(snapshot(messageBytesMax - 100).message) -
      (messageBytesMax - 100);
    const largest = snapshot(messageBytesMax - overhead);
    assert.equal(messageWireSize(largest.message), messageBytesMax);
    a.transport.send(2, [heartbeat(1), largest, snapshot(messageBytesMax - overhead + 1)]);
    await until("the messages", () => b.recorder.items.length === 2);
    assert.deepEqual(b.recorder.items[1], largest);
    assert.equal(a.transport.counters().droppedOversized, 1);
    await until("both outcomes", () => a.recorder.snapshots.length === 2);
    assert.deepEqual(a.recorder.snapshots.map(({ ok }) => ok).sort(), [false, true]);
    assert.deepEqual(a.recorder.unreachableNodes, []);
  }));

test("a message beyond what the receiver announced is not sent to it", () =>
  withTransports(async (start) => {
    const [a, b] = [await start(1), await start(2, { messageBytesMax: 2000 })];
    a.transport.addNode(2, b.transport.address());
    a.transport.send(2, [heartbeat(1)]);
    await until("the connection", () => b.recorder.items.length === 1);
    a.transport.send(2, [snapshot(3000), ...heartbeats(500)]);
    await until("the others", () => b.recorder.items.length === 501);
    assert.equal(a.transport.counters().droppedOversized, 1);
    assert.equal(a.transport.counters().connectionsLost, 0, "frames stay below its limit too");
    assert.equal(b.transport.counters().refusedOversized, 0);
  }));

test("a message that waited while the receiver's limit was unknown does not break the stream", () =>
  withTransports(async (start) => {
    const [a, b] = [await start(1), await start(2, { messageBytesMax: 2000 })];
    a.transport.addNode(2, b.transport.address());
    a.transport.send(2, [snapshot(30_000), heartbeat(1)]);
    await until("the other one", () => b.recorder.items.length === 1);
    await until("its failure", () => a.recorder.snapshots.length === 1);
    assert.equal(a.recorder.snapshots[0]!.ok, false);
    assert.equal(a.transport.counters().droppedOversized, 1);
    assert.equal(a.transport.counters().connectionsLost, 0);
  }));

test("a node that calls is called back at once, without waiting for the delay", () =>
  withTransports(async (start) => {
    const slow = { backoffMs: 1_000_000, backoffMsMax: 1_000_000 };
    const a = await start(1, slow);
    const gone = await start(2);
    const address = gone.transport.address();
    await gone.transport.close();
    a.transport.addNode(2, address);
    a.transport.send(2, [heartbeat(1)]);
    await until("the failure", () => a.recorder.unreachableNodes.length === 1);
    const b = await start(2, { listen: address });
    b.transport.addNode(1, a.transport.address());
    b.transport.send(1, [heartbeat(5)]);
    await until("the call back", () => a.transport.counters().connectionsOpened === 1);
    a.transport.send(2, [heartbeat(2)]);
    await until("the message", () => b.recorder.items.length === 1);
  }));

test("a node that is reachable again is logged", () =>
  withTransports(async (start) => {
    const logger = new Lines();
    const a = await start(1, { logger });
    const gone = await start(2);
    const address = gone.transport.address();
    await gone.transport.close();
    a.transport.addNode(2, address);
    a.transport.send(2, [heartbeat(1)]);
    await until("the failure", () => logger.warnings.length === 1);
    await start(2, { listen: address });
    await until("the log line", () => logger.infos.length === 1);
    assert.match(logger.infos[0]!, /Node 2 .* is reachable again/);
    assert.equal(logger.warnings.length, 1);
  }));

test("a node that moves is sent to at its new address", () =>
  withTransports(async (start) => {
    const a = await start(1);
    const first = await start(2);
    a.transport.addNode(2, first.transport.address());
    a.transport.send(2, [heartbeat(1)]);
    await until("the first message", () => first.recorder.items.length === 1);
    const second = await start(2);
    a.transport.addNode(2, second.transport.address());
    a.transport.send(2, [heartbeat(2)]);
    await until("the second message", () => second.recorder.items.length === 1);
    assert.deepEqual([first.recorder.commits, second.recorder.commits], [[1], [2]]);
    assert.deepEqual(a.recorder.unreachableNodes, []);
  }));

test("what was sent before close() arrives", () =>
  withTransports(async (start) => {
    const [a, b] = [await start(1, { drainMs: 5000 }), await start(2)];
    a.transport.addNode(2, b.transport.address());
    a.transport.send(2, [heartbeat(0)]);
    await until("the connection", () => b.recorder.items.length === 1);
    a.transport.send(2, [...heartbeats(100), snapshot(500_000)]);
    await a.transport.close();
    await until("everything", () => b.recorder.items.length === 102);
  }));

test("close() does not wait for a receiver that does not read", () =>
  withTransports(async (start) => {
    const server = new RawServer(welcome());
    try {
      const { transport } = await start(1, { drainMs: 20 });
      transport.addNode(2, await server.start());
      transport.send(2, [heartbeat(1)]);
      await until("the connection", () => server.frames.length === 1);
      server.pause();
      transport.send(2, [snapshot(20_000_000), ...heartbeats(5)]);
      await transport.close();
    } finally {
      server.close();
    }
  }));

test("an address in use is a typed error, and the transport can still be closed", () =>
  withTransports(async (start) => {
    const a = await start(1);
    const other = new GrpcTransport({
      clusterId: "test",
      nodeId: 2,
      listen: a.transport.address(),
      insecure: true,
    });
    const handler = { receive() {}, unreachable() {}, snapshotSent() {} };
    await assert.rejects(other.start(handler), { code: "LISTEN_FAILED" });
    assert.throws(() => other.address(), { code: "TRANSPORT_STATE" });
    await other.close();
  }));

test("a transport that is closed while it starts listens no more", () =>
  withTransports(async (start) => {
    const first = await start(1);
    const listen = first.transport.address();
    await first.transport.close();
    const transport = new GrpcTransport({ clusterId: "test", nodeId: 1, listen, insecure: true });
    const handler = { receive() {}, unreachable() {}, snapshotSent() {} };
    const starting = transport.start(handler).catch((error) => error);
    await transport.close();
    await starting;
    await start(1, { listen });
  }));

test("two regions share one stream", () =>
  withTransports(async (start) => {
    const [a, b] = [await start(1), await start(2)];
    a.transport.addNode(2, b.transport.address());
    const propose = createMessage({ type: "timeout-now", to: 4, from: 3, term: 2 });
    a.transport.send(2, [heartbeat(1, 1), { regionId: 2, message: propose }]);
    await until("both", () => b.recorder.items.length === 2);
    assert.deepEqual(b.recorder.items.map(({ regionId }) => regionId), [1, 2]);
    assert.equal(b.transport.counters().connectionsAccepted, 1);
  }));
