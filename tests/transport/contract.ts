/** What every transport must do, as tests that run on each of them. */

import { test } from "node:test";
import assert from "node:assert/strict";
import { createMessage } from "../../src/raft/mod.ts";
import { AskError, type Transport } from "../../src/transport/mod.ts";
import { append, heartbeat, heartbeats, Recorder, snapshot, until } from "./support.ts";

/** Limits that a test asks for. */
export interface NodeLimits {
  /** Most messages that wait for one node. */
  readonly queueMessagesMax?: number;
}

/** A way to make transports that can reach each other. */
export interface TransportMaker {
  /** A transport that has not been started; at `address` when that is given. */
  make(nodeId: number, limits?: NodeLimits, address?: string): Transport;
  /** Where others find a started transport. */
  address(transport: Transport): string;
  /** An address where nobody listens. */
  readonly deadAddress: string;
}

interface Started {
  readonly transport: Transport;
  readonly recorder: Recorder;
}

/** Runs the contract of transports on those that `createMaker` makes; each test has a maker of its own. */
export function transportContract(
  name: string,
  createMaker: (limits: NodeLimits) => TransportMaker,
): void {
  contractTest(
    "messages arrive whole, in order, from the node that sent them",
    {},
    async (maker, start) => {
      const [a, b] = [await start(1), await start(2)];
      a.transport.addNode(2, maker.address(b.transport));
      const batch = [
        ...heartbeats(50),
        { regionId: 2 ** 53 - 1, message: append() },
        snapshot(100),
      ];
      a.transport.send(2, batch);
      await until("the batch", () => b.recorder.items.length >= batch.length);
      assert.deepEqual(b.recorder.items, batch);
      assert.ok(b.recorder.batches.every(({ from }) => from === 1));
      assert.deepEqual(a.recorder.items, []);
      assert.equal(a.transport.counters().messagesSent, batch.length);
      assert.equal(b.transport.counters().messagesReceived, batch.length);
      assert.equal(b.transport.counters().bytesReceived, a.transport.counters().bytesSent);
    },
  );

  contractTest("two nodes send to each other at the same time", {}, async (maker, start) => {
    const [a, b] = [await start(1), await start(2)];
    a.transport.addNode(2, maker.address(b.transport));
    b.transport.addNode(1, maker.address(a.transport));
    a.transport.send(2, heartbeats(10));
    b.transport.send(1, heartbeats(10));
    await until("both batches", () => a.recorder.items.length + b.recorder.items.length === 20);
    assert.deepEqual(a.recorder.commits, b.recorder.commits);
    assert.ok(a.recorder.batches.every(({ from }) => from === 2));
  });

  contractTest(
    "what an earlier call sent arrives before what a later one sent",
    {},
    async (maker, start) => {
      const [a, b] = [await start(1), await start(2)];
      a.transport.addNode(2, maker.address(b.transport));
      for (let i = 1; i <= 200; i++) {
        a.transport.send(2, [heartbeat(i)]);
        if (i % 7 === 0) await until("some progress", () => b.recorder.items.length > i - 20);
      }
      await until("all messages", () => b.recorder.items.length === 200);
      assert.deepEqual(b.recorder.commits, Array.from({ length: 200 }, (_, i) => i + 1));
    },
  );

  contractTest(
    "messages for an unknown node are dropped and counted",
    {},
    async (_maker, start) => {
      const a = await start(1);
      a.transport.send(9, [heartbeat(1), snapshot(1)]);
      assert.equal(a.transport.counters().droppedUnknownNode, 2);
      await until("the snapshot's failure", () => a.recorder.snapshots.length === 1);
      assert.deepEqual(a.recorder.snapshots, [{ nodeId: 9, regionId: 7, peerId: 2, ok: false }]);
    },
  );

  contractTest("a removed node is not sent to any more", {}, async (maker, start) => {
    const [a, b] = [await start(1), await start(2)];
    a.transport.addNode(2, maker.address(b.transport));
    a.transport.send(2, [heartbeat(1)]);
    await until("the first message", () => b.recorder.items.length === 1);
    a.transport.removeNode(2);
    a.transport.send(2, [heartbeat(2)]);
    assert.equal(a.transport.counters().droppedUnknownNode, 1);
    a.transport.addNode(2, maker.address(b.transport));
    a.transport.send(2, [heartbeat(3)]);
    await until("the third message", () => b.recorder.items.length === 2);
    assert.deepEqual(b.recorder.commits, [1, 3]);
  });

  contractTest("a message that cannot travel is dropped alone", {}, async (maker, start) => {
    const [a, b] = [await start(1), await start(2)];
    a.transport.addNode(2, maker.address(b.transport));
    const local = { regionId: 1, message: createMessage({ type: "storage-append", to: 2 }) };
    const broken = { regionId: 1, message: createMessage({ type: "append", term: NaN }) };
    const nowhere = { ...heartbeat(9), regionId: 0 };
    a.transport.send(2, [heartbeat(1), local, broken, nowhere, heartbeat(2)]);
    await until("the others", () => b.recorder.items.length === 2);
    assert.deepEqual(b.recorder.commits, [1, 2]);
    assert.equal(a.transport.counters().droppedUnencodable, 3);
  });

  contractTest(
    "a node that does not answer is reported once, with each lost snapshot",
    {},
    async (maker, start) => {
      const a = await start(1);
      a.transport.addNode(2, maker.deadAddress);
      a.transport.send(2, [heartbeat(1), snapshot(10)]);
      await until("the report", () => a.recorder.unreachableNodes.length > 0);
      await until("the snapshot's failure", () => a.recorder.snapshots.length > 0);
      a.transport.send(2, [heartbeat(2), snapshot(10)]);
      await until("the second failure", () => a.recorder.snapshots.length > 1);
      assert.deepEqual(a.recorder.unreachableNodes, [2]);
      const failure = { nodeId: 2, regionId: 7, peerId: 2, ok: false };
      assert.deepEqual(a.recorder.snapshots, [failure, failure]);
      assert.equal(a.transport.counters().droppedUnreachable, 4);
      assert.equal(a.transport.counters().unreachableReports, 1);
    },
  );

  contractTest("a snapshot that has left is reported as sent", {}, async (maker, start) => {
    const [a, b] = [await start(1), await start(2)];
    a.transport.addNode(2, maker.address(b.transport));
    a.transport.send(2, [snapshot(100_000)]);
    await until("the report", () => a.recorder.snapshots.length === 1);
    assert.deepEqual(a.recorder.snapshots, [{ nodeId: 2, regionId: 7, peerId: 2, ok: true }]);
    await until("the snapshot", () => b.recorder.items.length === 1);
    assert.deepEqual(b.recorder.items, [snapshot(100_000)]);
  });

  contractTest(
    "a full queue drops the newest and is reported once",
    { queueMessagesMax: 4 },
    async (maker, start) => {
      const [a, b] = [await start(1), await start(2)];
      a.transport.addNode(2, maker.address(b.transport));
      a.transport.send(2, [...heartbeats(10), snapshot(1)]);
      await until("what was not dropped", () => b.recorder.items.length === 4);
      await until("the snapshot's failure", () => a.recorder.snapshots.length === 1);
      assert.equal(a.recorder.snapshots[0]!.ok, false);
      assert.deepEqual(a.recorder.unreachableNodes, [2]);
      assert.deepEqual(b.recorder.commits, [1, 2, 3, 4]);
      assert.equal(a.transport.counters().droppedQueueFull, 7);
      a.transport.send(2, heartbeats(5));
      await until("the next four", () => b.recorder.items.length === 8);
      await until("the second report", () => a.recorder.unreachableNodes.length === 2);
    },
  );

  contractTest("a handler that throws is skipped and counted", {}, async (maker, start) => {
    const [a, b] = [await start(1), await start(2)];
    b.recorder.before = () => {
      throw new Error("a bug of the node");
    };
    a.transport.addNode(2, maker.address(b.transport));
    a.transport.send(2, [heartbeat(1)]);
    await until("the failure", () => b.transport.counters().handlerErrors === 1);
    b.recorder.before = () => {};
    a.transport.send(2, [heartbeat(2)]);
    await until("the second message", () => b.recorder.items.length === 1);
    assert.deepEqual(b.recorder.commits, [2]);
  });

  contractTest(
    "the handler is never called inside a call of the transport",
    {},
    async (maker, start) => {
      const [a, b] = [await start(1), await start(2)];
      let inside = false;
      const check = () => assert.equal(inside, false);
      a.recorder.before = check;
      b.recorder.before = check;
      const guarded = (call: () => void) => {
        inside = true;
        call();
        inside = false;
      };
      guarded(() => a.transport.addNode(2, maker.address(b.transport)));
      guarded(() => a.transport.addNode(3, maker.deadAddress));
      guarded(() => a.transport.send(2, heartbeats(3)));
      guarded(() => a.transport.send(3, [heartbeat(1), snapshot(1)]));
      guarded(() => a.transport.send(4, [snapshot(1)]));
      guarded(() => a.transport.removeNode(3));
      await until("the messages", () => b.recorder.items.length === 3);
      await until("the failures", () => a.recorder.snapshots.length === 2);
      assert.equal(a.transport.counters().handlerErrors, 0);
    },
  );

  contractTest(
    "close() is idempotent, and what is sent afterwards is dropped",
    {},
    async (maker, start) => {
      const [a, b] = [await start(1), await start(2)];
      a.transport.addNode(2, maker.address(b.transport));
      a.transport.send(2, [heartbeat(1)]);
      await until("the message", () => b.recorder.items.length === 1);
      await Promise.all([a.transport.close(), a.transport.close()]);
      await a.transport.close();
      a.transport.addNode(2, maker.address(b.transport));
      a.transport.send(2, [heartbeat(2), snapshot(1)]);
      a.transport.removeNode(2);
      assert.equal(a.transport.counters().messagesSent, 1);
      assert.equal(a.transport.counters().droppedUnknownNode, 2);
      assert.deepEqual(a.recorder.snapshots, []);
    },
  );

  contractTest("a transport starts once", {}, async (maker, start) => {
    const a = await start(1);
    await assert.rejects(a.transport.start(new Recorder()), { code: "TRANSPORT_STATE" });
    const b = maker.make(2);
    await b.close();
    await assert.rejects(b.start(new Recorder()), { code: "TRANSPORT_STATE" });
  });

  contractTest(
    "a node that comes back at its address is reached again",
    {},
    async (maker, start) => {
      const [a, b] = [await start(1), await start(2)];
      const address = maker.address(b.transport);
      a.transport.addNode(2, address);
      a.transport.send(2, [heartbeat(1)]);
      await until("the first message", () => b.recorder.items.length === 1);
      await b.transport.close();
      await until("the report", () => {
        if (a.recorder.unreachableNodes.length === 0) a.transport.send(2, [heartbeat(2)]);
        return a.recorder.unreachableNodes.length > 0;
      });
      const again = await start(2, address);
      await until("a message", () => {
        if (again.recorder.items.length === 0) a.transport.send(2, [heartbeat(3)]);
        return again.recorder.items.length > 0;
      });
      assert.deepEqual(a.recorder.unreachableNodes, [2]);
    },
  );

  contractTest(
    "a question is answered by the node it is for, which knows who asks",
    {},
    async (maker, start) => {
      const [a, b] = [await start(1), await start(2)];
      b.recorder.answer = (from, question) =>
        Promise.resolve(Uint8Array.of(from, ...question, 255));
      a.transport.addNode(2, maker.address(b.transport));
      const answer = await a.transport.ask(2, Uint8Array.of(7, 8), 10_000);
      assert.deepEqual([...answer], [1, 7, 8, 255]);
      const largest = new Uint8Array(64 * 1024).fill(3);
      b.recorder.answer = (_from, question) => Promise.resolve(question);
      assert.deepEqual(await a.transport.ask(2, largest, 10_000), largest);
      await assert.rejects(
        a.transport.ask(2, new Uint8Array(largest.length + 1), 10_000),
        AskError,
      );
    },
  );

  contractTest(
    "a question without an answer fails, and says whether it may have arrived",
    {},
    async (maker, start) => {
      const [a, b] = [await start(1), await start(2)];
      const ask = async (deadlineMs = 10_000): Promise<AskError> => {
        try {
          await a.transport.ask(2, Uint8Array.of(1), deadlineMs);
        } catch (error) {
          assert.ok(error instanceof AskError, String(error));
          assert.equal(error.code, "ASK_FAILED");
          return error;
        }
        throw new Error("it was answered");
      };
      assert.equal((await ask()).mayHaveArrived, false, "an unknown node");
      a.transport.addNode(2, maker.address(b.transport));
      assert.equal((await ask()).mayHaveArrived, false, "a node that answers nothing");
      b.recorder.answer = () => Promise.reject(new Error("not today"));
      const failed = await ask();
      assert.match(failed.message, /not today/);
      assert.equal(failed.mayHaveArrived, true);
      b.recorder.answer = () => new Promise(() => {});
      assert.equal((await ask(50)).mayHaveArrived, true, "a late answer");
      const asked = ask();
      await a.transport.close();
      await asked;
    },
  );

  function contractTest(
    title: string,
    limits: NodeLimits,
    run: (
      maker: TransportMaker,
      start: (nodeId: number, address?: string) => Promise<Started>,
    ) => Promise<void>,
  ): void {
    test(`${name}: ${title}`, async () => {
      const maker = createMaker(limits);
      const started: Transport[] = [];
      const start = async (nodeId: number, address?: string): Promise<Started> => {
        const transport = maker.make(nodeId, limits, address);
        const recorder = new Recorder();
        await transport.start(recorder);
        started.push(transport);
        return { transport, recorder };
      };
      try {
        await run(maker, start);
      } finally {
        await Promise.all(started.map((transport) => transport.close()));
      }
    });
  }
}
