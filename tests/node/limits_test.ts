import assert from "node:assert/strict";
import { test } from "node:test";
import { checkLimits, Node, type PeerLimits } from "../../src/node/mod.ts";
import { INBOX_MESSAGES_MAX } from "../../src/node/region.ts";
import { MEMORY_SPOOL_BYTES_MAX, MemorySpool } from "../../src/node/snapshots/memory_spool.ts";
import { createMessage } from "../../src/raft/mod.ts";
import { MemoryNodeStorage } from "../../src/storage/mod.ts";
import type { TransportHandler } from "../../src/transport/contract.ts";
import { MemoryNetwork } from "../../src/transport/mod.ts";
import { ListMachine } from "./machines.ts";

test("limits of a replica are integers from 1, and have defaults", () => {
  const defaults = checkLimits();
  for (const name of Object.keys(defaults) as (keyof PeerLimits)[]) {
    assert.ok(defaults[name] >= 1, name);
    assert.equal(checkLimits({ [name]: 1 })[name], 1);
    for (const value of [0, -1, 1.5, Number.NaN, Infinity, 2 ** 53]) {
      assert.throws(() => checkLimits({ [name]: value }), { code: "INVALID_CONFIG" }, name);
    }
  }
  assert.equal(checkLimits({ pendingProposalsMax: 32_768 }).pendingProposalsMax, 32_768);
  const beyond = { pendingProposalsMax: 32_769 };
  assert.throws(() => checkLimits(beyond), { code: "INVALID_CONFIG" });
});

test("a region lets 16,384 messages wait for its turn, and drops and counts what is beyond", async () => {
  const transport = new MemoryNetwork().transport(1);
  let handler: TransportHandler | undefined;
  const start = transport.start.bind(transport);
  transport.start = (given) => start(handler = given);
  const node = await Node.open({
    nodeId: 1,
    storage: new MemoryNodeStorage({ clusterId: "limits", nodeId: 1 }),
    transport,
    regions: [{
      stateMachine: new ListMachine(),
      members: [{ peerId: 1 }, { peerId: 2, address: "memory" }],
    }],
    tickMs: 60_000,
  });
  try {
    const message = createMessage({ type: "heartbeat-response", to: 1, from: 2, term: 1 });
    const batch = (count: number) => Array(count).fill({ regionId: 1, message });
    assert.equal(INBOX_MESSAGES_MAX, 16_384);
    handler!.receive(2, batch(16_384));
    assert.equal(node.status().nodeCounters.messagesOverflowed, 0);
    handler!.receive(2, batch(1));
    assert.equal(node.status().nodeCounters.messagesOverflowed, 1);
  } finally {
    await node.stop();
  }
});

test("a snapshot kept in memory may have 64 MiB, and no more", async () => {
  const metadata = { index: 2, term: 1 } as Parameters<MemorySpool["create"]>[1];
  const spool = await new MemorySpool().create(1, metadata);
  const part = new Uint8Array(1 << 20);
  assert.equal(MEMORY_SPOOL_BYTES_MAX, 64 << 20);
  for (let bytes = 0; bytes < MEMORY_SPOOL_BYTES_MAX; bytes += part.length) await spool.write(part);
  await assert.rejects(spool.write(Uint8Array.of(1)), { name: "SnapshotSpoolError" });
  await spool.discard();
});
