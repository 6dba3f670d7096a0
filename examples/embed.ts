/**
 * Embeds it: a counter that three nodes keep in step. The application brings a state machine; `Node`
 * replicates it over gRPC and keeps its log in SQLite. Three nodes share this process only to keep the
 * example short: each would be a process of its own.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { type ApplyBatch, Node, type StateMachine } from "@flaredb/raft/node";
import { SqliteNodeStorage } from "@flaredb/raft/storage/sqlite";
import { GrpcTransport } from "@flaredb/raft/transport/grpc";

/**
 * A number in memory; after a restart the log brings it back. One whose members change would keep
 * `nodeState` of each batch too, give it back, and carry it in its snapshots.
 */
class Counter implements StateMachine<number> {
  value = 0;
  private applied = 0;

  /** Adds the first byte of each command; the result is the sum so far. */
  apply({ commands, lastApplied }: ApplyBatch): number[] {
    this.applied = lastApplied;
    return commands.map(({ bytes }) => this.value += bytes[0]);
  }

  lastApplied(): number {
    return this.applied;
  }

  /** Nothing survives a crash here, so the log must be kept. */
  durableIndex(): number {
    return 0;
  }

  nodeState(): ReadonlyMap<string, Uint8Array> {
    return new Map();
  }

  async *snapshot(): AsyncIterable<Uint8Array> {
    yield await Promise.resolve(new TextEncoder().encode(String(this.value)));
  }

  async restore(chunks: AsyncIterable<Uint8Array>, lastApplied: number): Promise<void> {
    let text = "";
    for await (const chunk of chunks) text += new TextDecoder().decode(chunk);
    this.value = Number(text);
    this.applied = lastApplied;
  }
}

const data = mkdtempSync(join(tmpdir(), "flaredb-embed-"));
const clusterId = "counter";
const given = process.argv.slice(2);
const addresses = given.length > 0 ? given : [17_381, 17_382, 17_383].map((p) => `127.0.0.1:${p}`);
const members = addresses.map((address, index) => ({ peerId: index + 1, address }));

const nodes = await Promise.all(members.map(async ({ peerId: nodeId, address }) => {
  const identity = { clusterId, nodeId };
  const directory = join(data, `node-${nodeId}`);
  const storage = await SqliteNodeStorage.open({ directory, identity });
  const transport = new GrpcTransport({ clusterId, nodeId, listen: address, insecure: true });
  const counter = new Counter();
  const regions = [{ stateMachine: counter, members }];
  const node = await Node.open({ nodeId, storage, transport, regions });
  return { nodeId, node, counter };
}));

for (const { nodeId, node } of nodes) {
  // On any member: a follower forwards to the leader. Resolves once it is applied here.
  const { index, result } = await node.propose<number>(Uint8Array.of(nodeId));
  console.log(`node ${nodeId} added ${nodeId} at index ${index}: the sum is ${result}`);
}
for (const { nodeId, node, counter } of nodes) {
  await node.read(); // from here on this member has all that was acknowledged before
  console.log(`node ${nodeId} has ${counter.value}`);
}

await Promise.all(nodes.map(({ node }) => node.stop()));
rmSync(data, { recursive: true });
