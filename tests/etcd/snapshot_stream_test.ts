/** `Maintenance.Snapshot` and clients that take it slowly, or not at all. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { setTimeout } from "node:timers/promises";
import * as grpc from "@grpc/grpc-js";
import { checkServerOptions, type EtcdClient, type EtcdServerOptions } from "../../src/etcd/mod.ts";
import { decodeSnapshotBlob } from "../../src/etcd/snapshot_stream.ts";
import { SILENT_LOGGER } from "../../src/raft/mod.ts";
import { until } from "../process/support.ts";
import { LoopbackProxy } from "../transport/loopback_proxy.ts";
import { withServer } from "./support.ts";

const VALUE_BYTES = 64 * 1024;

/** Puts more than a connection takes without its client: `count` values of 64 KiB. */
async function fill(client: EtcdClient, count: number): Promise<void> {
  for (let at = 0; at < count; at++) {
    await client.put(`key-${at}`, new Uint8Array(VALUE_BYTES).fill(at));
  }
}

/** Asks for a snapshot, and reads none of it yet. */
async function withCall<T>(
  address: string,
  action: (call: grpc.ClientReadableStream<Uint8Array>) => Promise<T>,
): Promise<T> {
  const client = new grpc.Client(address, grpc.credentials.createInsecure(), {
    "grpc.use_local_subchannel_pool": 1,
  });
  const path = "/etcdserverpb.Maintenance/Snapshot";
  try {
    const call = client.makeServerStreamRequest(
      path,
      () => Buffer.alloc(0),
      decodeSnapshotBlob,
      {},
    );
    return await action(call);
  } finally {
    client.close();
  }
}

/** Reads all of it. */
async function readAll(call: AsyncIterable<Uint8Array>, restMs?: number): Promise<Buffer> {
  const blobs: Uint8Array[] = [];
  for await (const blob of call) {
    blobs.push(blob);
    if (restMs !== undefined) await setTimeout(restMs);
  }
  return Buffer.concat(blobs);
}

test("a client that takes nothing of a snapshot any more is given up, and the store is free again", () => {
  const warnings: string[] = [];
  const logger = { ...SILENT_LOGGER, warn: (text: string) => void warnings.push(text) };
  return withServer(async ({ client, store, address }) => {
    await fill(client, 128);
    const proxy = await LoopbackProxy.start(address);
    try {
      await withCall(proxy.address, async (call) => {
        // As where the client was stopped: nothing reaches it any more, and it says nothing.
        proxy.backward.onBytes = () => {
          if (proxy.backward.bytes > VALUE_BYTES) proxy.backward.hold();
        };
        const read = readAll(call);
        await until("the client to be stopped", () => proxy.backward.isHeld);
        await client.put("meanwhile", "1");
        const warning = await until("a warning", () => warnings[0]);
        assert.match(
          warning,
          /^A snapshot for \S+ is given up at \d+ bytes: its client took nothing of it for 100 ms$/,
        );
        store.flush();
        assert.equal(store.durableIndex(), store.lastApplied(), "a checkpoint is complete");
        proxy.backward.onBytes = () => {};
        proxy.backward.release();
        await assert.rejects(read, {
          code: grpc.status.ABORTED,
          details: "the snapshot is given up: its client took nothing of it for 100 ms",
        });
        assert.equal(warnings.length, 1);
      });
    } finally {
      await proxy.close();
    }
  }, { snapshotStallMs: 100, logger });
});

test("a client that takes a snapshot slowly and steadily gets all of it", () =>
  withServer(async ({ client, address }) => {
    await fill(client, 128);
    await withCall(address, async (call) => {
      const startMs = performance.now();
      const backup = await readAll(call, 10);
      assert.ok(performance.now() - startMs > 2 * 400, "it took longer than a client may stall");
      assert.ok(backup.length > 128 * VALUE_BYTES);
      const sum = createHash("sha256").update(backup.subarray(0, -32)).digest();
      assert.deepEqual(backup.subarray(-32), sum);
    });
  }, { snapshotStallMs: 400 }));

test("how long a client may stall must be a positive integer that a timer can wait", () => {
  for (const snapshotStallMs of [0, -1, 1.5, Number.NaN, 2 ** 31]) {
    const options = { listen: "127.0.0.1:0", snapshotStallMs } as unknown as EtcdServerOptions;
    assert.throws(() => checkServerOptions(options), { code: "INVALID_CONFIG" });
  }
  const longest = { listen: "127.0.0.1:0", snapshotStallMs: 2 ** 31 - 1 };
  assert.equal(
    checkServerOptions(longest as unknown as EtcdServerOptions).snapshotStallMs,
    2 ** 31 - 1,
  );
});
