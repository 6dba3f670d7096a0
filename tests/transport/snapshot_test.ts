/** Snapshots that are streamed from node to node, in memory and over gRPC. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import type { Message } from "../../src/raft/mod.ts";
import { GrpcTransport, type GrpcTransportOptions } from "../../src/transport/grpc/mod.ts";
import {
  type IncomingSnapshot,
  MemoryNetwork,
  type SnapshotSink,
  type Transport,
} from "../../src/transport/mod.ts";
import { LoopbackProxy } from "./loopback_proxy.ts";
import { Recorder, snapshot, until } from "./support.ts";

const KIB = 1024;

/** Keeps the digest of what it takes. */
class RecordingSink implements SnapshotSink {
  bytes = 0;
  ended: "finished" | string | undefined;
  digest = "";
  /** What `write` waits for. */
  gate: Promise<void> = Promise.resolve();
  failure: Error | undefined;
  readonly #hash = createHash("sha256");
  #writing = false;

  async write(bytes: Uint8Array): Promise<void> {
    assert.ok(!this.#writing && this.ended === undefined, "calls of a sink do not overlap");
    this.#writing = true;
    await this.gate;
    this.#writing = false;
    if (this.failure !== undefined) throw this.failure;
    this.#hash.update(bytes);
    this.bytes += bytes.length;
  }

  finish(): Promise<void> {
    assert.equal(this.ended, undefined);
    this.ended = "finished";
    this.digest = this.#hash.digest("hex");
    return Promise.resolve();
  }

  abort(reason: string): void {
    assert.equal(this.ended, undefined);
    this.ended = reason;
  }
}

/** A handler that takes snapshots. */
class SinkRecorder extends Recorder {
  readonly offers: { from: number; regionId: number; message: Message; sink: RecordingSink }[] = [];
  refusal: string | undefined;
  sink: () => RecordingSink = () => new RecordingSink();

  receiveSnapshot(from: number, { regionId, message }: IncomingSnapshot): SnapshotSink | string {
    if (this.refusal !== undefined) return this.refusal;
    const sink = this.sink();
    this.offers.push({ from, regionId, message, sink });
    return sink;
  }
}

/** A source of `count` chunks of `chunkBytes`, whose content differs everywhere. */
class Source implements AsyncIterable<Uint8Array> {
  closed = false;
  read = 0;
  readonly hash = createHash("sha256");
  readonly #count: number;
  readonly #chunkBytes: number;

  constructor(count: number, chunkBytes: number) {
    this.#count = count;
    this.#chunkBytes = chunkBytes;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    try {
      for (let at = 0; at < this.#count; at++) {
        const chunk = new Uint8Array(this.#chunkBytes).fill(at + 1);
        new DataView(chunk.buffer).setUint32(0, at);
        this.hash.update(chunk);
        this.read += chunk.length;
        yield await Promise.resolve(chunk);
      }
    } finally {
      this.closed = true;
    }
  }
}

const OFFER = snapshot(0);

interface Pair {
  readonly sender: Transport;
  readonly receiver: Transport;
  readonly recorder: SinkRecorder;
  readonly proxy: LoopbackProxy | undefined;
}

async function withGrpc(
  options: Partial<GrpcTransportOptions>,
  run: (pair: Pair & { readonly proxy: LoopbackProxy }) => Promise<void>,
): Promise<void> {
  const make = (nodeId: number) =>
    new GrpcTransport({
      clusterId: "test",
      nodeId,
      listen: "127.0.0.1:0",
      insecure: true,
      backoffMs: 5,
      backoffMsMax: 50,
      ...options,
    });
  const [sender, receiver] = [make(1), make(2)];
  const recorder = new SinkRecorder();
  let proxy: LoopbackProxy | undefined;
  try {
    await sender.start(new Recorder());
    await receiver.start(recorder);
    proxy = await LoopbackProxy.start(receiver.address());
    sender.addNode(2, proxy.address);
    await run({ sender, receiver, recorder, proxy });
  } finally {
    await sender.close();
    await receiver.close();
    await proxy?.close();
  }
}

async function withMemory(run: (pair: Pair) => Promise<void>): Promise<void> {
  const network = new MemoryNetwork();
  const [sender, receiver] = [network.transport(1), network.transport(2)];
  const recorder = new SinkRecorder();
  try {
    await sender.start(new Recorder());
    await receiver.start(recorder);
    sender.addNode(2, "memory");
    await run({ sender, receiver, recorder, proxy: undefined });
  } finally {
    await sender.close();
    await receiver.close();
  }
}

const BOTH = [
  ["memory", (run: (pair: Pair) => Promise<void>) => withMemory(run)],
  ["gRPC", (run: (pair: Pair) => Promise<void>) => withGrpc({}, run)],
] as const;

for (const [name, within] of BOTH) {
  test(`a streamed snapshot arrives whole over ${name}`, async () => {
    await within(async ({ sender, receiver, recorder }) => {
      const source = new Source(20, 100 * KIB + 7);
      const transfer = sender.sendSnapshot(2, { ...OFFER, chunks: source });
      const bytes = 20 * (100 * KIB + 7);
      assert.deepEqual(await transfer.done, { ok: true, bytes });
      const [{ from, regionId, message, sink }] = recorder.offers;
      assert.deepEqual({ from, regionId, message }, { from: 1, ...OFFER });
      assert.equal(sink.ended, "finished");
      assert.equal(sink.digest, source.hash.digest("hex"));
      assert.deepEqual(transfer.progress(), {
        readBytes: bytes,
        storedBytes: bytes,
        resumptions: 0,
      });
      assert.equal(sender.counters().snapshotsSent, 1);
      assert.equal(receiver.counters().snapshotsReceived, 1);
      assert.equal(receiver.counters().snapshotBytesReceived, bytes);
    });
  });

  test(`an empty streamed snapshot arrives over ${name}`, async () => {
    await within(async ({ sender, recorder }) => {
      const outcome = await sender.sendSnapshot(2, { ...OFFER, chunks: new Source(0, 1) }).done;
      assert.deepEqual(outcome, { ok: true, bytes: 0 });
      assert.equal(recorder.offers[0].sink.ended, "finished");
    });
  });

  test(`a refused snapshot says why over ${name}, and its source is closed`, async () => {
    await within(async ({ sender, receiver, recorder }) => {
      recorder.refusal = "one is being installed";
      const source = new Source(1000, KIB);
      const outcome = await sender.sendSnapshot(2, { ...OFFER, chunks: source }).done;
      assert.deepEqual(outcome, { ok: false, reason: "one is being installed" });
      assert.equal(receiver.counters().snapshotsRefused, 1);
      assert.equal(source.read, 0);
    });
  });

  test(`a snapshot whose sink fails is given up over ${name}`, async () => {
    await within(async ({ sender, recorder }) => {
      recorder.sink = () => {
        const sink = new RecordingSink();
        sink.failure = new Error("the disk is full");
        return sink;
      };
      const outcome = await sender.sendSnapshot(2, { ...OFFER, chunks: new Source(50, KIB) }).done;
      assert.deepEqual(outcome, { ok: false, reason: "the disk is full" });
      await until("the abort", () => recorder.offers[0].sink.ended !== undefined);
      assert.notEqual(recorder.offers[0].sink.ended, "finished");
    });
  });

  test(`a snapshot whose source fails is given up on both sides over ${name}`, async () => {
    await within(async ({ sender, recorder }) => {
      async function* chunks(): AsyncGenerator<Uint8Array> {
        yield new Uint8Array(10);
        await until("the first chunk", () => recorder.offers[0]?.sink.bytes === 10);
        throw new Error("the page is damaged");
      }
      const outcome = await sender.sendSnapshot(2, { ...OFFER, chunks: chunks() }).done;
      assert.ok(!outcome.ok && outcome.reason.includes("the page is damaged"));
      await until("the abort", () => recorder.offers[0].sink.ended !== undefined);
      assert.notEqual(recorder.offers[0].sink.ended, "finished");
    });
  });

  test(`an aborted snapshot ends on both sides over ${name}`, async () => {
    await within(async ({ sender, recorder }) => {
      const source = new Source(100_000, KIB);
      const transfer = sender.sendSnapshot(2, { ...OFFER, chunks: source });
      await until("some of it", () => (recorder.offers[0]?.sink.bytes ?? 0) > 0);
      transfer.abort("leadership was lost");
      assert.deepEqual(await transfer.done, { ok: false, reason: "leadership was lost" });
      transfer.abort("again");
      await until("the abort", () => recorder.offers[0].sink.ended !== undefined);
      assert.match(recorder.offers[0].sink.ended!, /leadership was lost/);
      await until("the source's end", () => source.closed);
    });
  });

  test(`a snapshot for an unknown node fails over ${name}`, async () => {
    await within(async ({ sender }) => {
      const outcome = await sender.sendSnapshot(9, { ...OFFER, chunks: new Source(1, KIB) }).done;
      assert.ok(!outcome.ok && outcome.reason.includes("not known"));
    });
  });
}

test("a cut path in memory fails a snapshot", async () => {
  const network = new MemoryNetwork();
  const [sender, receiver] = [network.transport(1), network.transport(2)];
  const recorder = new SinkRecorder();
  await sender.start(new Recorder());
  await receiver.start(recorder);
  sender.addNode(2, "memory");
  const source = new Source(100_000, KIB);
  const transfer = sender.sendSnapshot(2, { ...OFFER, chunks: source });
  await until("some of it", () => (recorder.offers[0]?.sink.bytes ?? 0) > 0);
  network.cut(1, 2);
  assert.deepEqual(await transfer.done, { ok: false, reason: "the path to node 2 is cut" });
  assert.equal(recorder.offers[0].sink.ended, "the path to node 2 is cut");
  await sender.close();
  await receiver.close();
});

test("a snapshot goes on where it was when its connection is cut, three times", async () => {
  await withGrpc({ windowBytes: 256 * KIB, snapshotChunkBytes: 16 * KIB }, async (pair) => {
    const { sender, receiver, recorder, proxy } = pair;
    const [count, chunkBytes] = [256, 32 * KIB];
    const source = new Source(count, chunkBytes);
    const cuts = [1, 2, 3].map((quarter) => quarter * count * chunkBytes / 4);
    proxy.forward.onBytes = () => {
      if (proxy.forward.bytes < (cuts[0] ?? Infinity)) return;
      cuts.shift();
      proxy.cut();
    };
    const transfer = sender.sendSnapshot(2, { ...OFFER, chunks: source });
    assert.deepEqual(await transfer.done, { ok: true, bytes: count * chunkBytes });
    assert.equal(recorder.offers.length, 1, "one transfer over all connections");
    assert.equal(recorder.offers[0].sink.digest, source.hash.digest("hex"));
    assert.equal(transfer.progress().resumptions, 3);
    assert.equal(receiver.counters().snapshotsResumed, 3);
    const resent = sender.counters().snapshotBytesSent - count * chunkBytes;
    assert.ok(resent <= 3 * (256 + 32) * KIB, `at most a window is sent again: ${resent}`);
  });
});

test("no more of a snapshot is read than the window while the receiver is slow", async () => {
  await withGrpc({ windowBytes: 64 * KIB, snapshotChunkBytes: 8 * KIB }, async (pair) => {
    const { sender, recorder } = pair;
    let open = (): void => {};
    recorder.sink = () => {
      const sink = new RecordingSink();
      sink.gate = new Promise((resolve) => open = resolve);
      return sink;
    };
    const source = new Source(100, 8 * KIB);
    const transfer = sender.sendSnapshot(2, { ...OFFER, chunks: source });
    await until("a full window", () => source.read >= 64 * KIB && recorder.offers.length === 1);
    for (let turn = 0; turn < 50; turn++) await until("a turn", () => true);
    assert.equal(source.read, 64 * KIB);
    open();
    assert.equal((await transfer.done).ok, true);
  });
});

test("a transfer that gets no further is given up on both sides", async () => {
  await withGrpc({ snapshotStallMs: 200, windowBytes: 16 * KIB }, async (pair) => {
    const { sender, recorder, proxy } = pair;
    const transfer = sender.sendSnapshot(2, { ...OFFER, chunks: new Source(100_000, KIB) });
    await until("some of it", () => (recorder.offers[0]?.sink.bytes ?? 0) > 0);
    await proxy.close();
    assert.deepEqual(await transfer.done, {
      ok: false,
      reason: "nothing of it could be stored for 200 ms",
    });
    await until("the abort", () => recorder.offers[0].sink.ended !== undefined);
    assert.match(recorder.offers[0].sink.ended!, /not heard from/);
  });
});

test("a snapshot from another cluster is refused and counted", async () => {
  await withGrpc({}, async ({ receiver, proxy }) => {
    const stranger = new GrpcTransport({
      clusterId: "other",
      nodeId: 3,
      listen: "127.0.0.1:0",
      insecure: true,
    });
    await stranger.start(new Recorder());
    stranger.addNode(2, proxy.address);
    const outcome = await stranger.sendSnapshot(2, { ...OFFER, chunks: new Source(1, KIB) }).done;
    await stranger.close();
    assert.ok(!outcome.ok);
    assert.match(outcome.reason, /cluster must be "test"/);
    assert.equal(receiver.counters().refusedCluster, 1);
  });
});

test("a whole window is under way without a word from the receiver", async () => {
  await withGrpc({ windowBytes: 1024 * KIB }, async ({ sender, recorder, proxy }) => {
    const transfer = sender.sendSnapshot(2, { ...OFFER, chunks: new Source(64, 64 * KIB) });
    proxy.forward.onBytes = () => {
      if ((recorder.offers[0]?.sink.bytes ?? 0) > 0) proxy.backward.hold();
    };
    await until("the silence", () => proxy.backward.isHeld);
    // HTTP/2 alone would stop at 64 KiB.
    const underWay = (): number => proxy.forward.bytes - transfer.progress().storedBytes;
    await until("most of a window", () => underWay() > 512 * KIB);
    proxy.backward.release();
    proxy.forward.onBytes = () => {};
    assert.equal((await transfer.done).ok, true);
  });
});
