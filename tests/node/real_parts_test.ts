/** Three nodes on the real parts in one process: SQLite files, gRPC streams, the machine's clock. */

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { Node } from "../../src/node/mod.ts";
import { SqliteNodeStorage } from "../../src/storage/sqlite/mod.ts";
import { GrpcTransport } from "../../src/transport/grpc/mod.ts";
import { RecordingLogger, withResource } from "./cluster.ts";
import { command, emptyState, ListMachine, type ListState } from "./machines.ts";

const DEADLINE_MS = 15_000;
/** On a busy machine; usually two seconds. */
const LONG = { timeout: 60_000 };
const REGIONS = [1, 2];
const MEMBERS = [1, 2, 3].map((peerId) => ({ peerId }));

async function until(what: string, condition: () => boolean): Promise<void> {
  const end = performance.now() + DEADLINE_MS;
  while (!condition()) {
    if (performance.now() > end) throw new Error(`after ${DEADLINE_MS} ms still not: ${what}`);
    await new Promise((done) => setTimeout(done, 5));
  }
}

class RealCluster implements AsyncDisposable {
  readonly nodes = new Map<number, Node>();
  readonly machines = new Map<string, ListMachine>();
  readonly logger = new RecordingLogger();
  readonly #states = new Map<string, ListState>();
  readonly #addresses = new Map<number, string>();
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  async start(nodeId: number): Promise<void> {
    const transport = new GrpcTransport({
      clusterId: "real",
      nodeId,
      listen: this.#addresses.get(nodeId) ?? "127.0.0.1:0",
      insecure: true,
    });
    const node = await Node.open({
      nodeId,
      storage: await SqliteNodeStorage.open({
        directory: join(this.#directory, `${nodeId}`),
        identity: { clusterId: "real", nodeId },
      }),
      transport,
      regions: REGIONS.map((regionId) => ({
        regionId,
        members: MEMBERS,
        stateMachine: this.#machine(nodeId, regionId),
      })),
      tickMs: 30,
      requestTimeoutMs: DEADLINE_MS,
      logger: this.logger,
    });
    this.nodes.set(nodeId, node);
    this.#addresses.set(nodeId, transport.address());
    for (const [id, address] of this.#addresses) {
      node.addNode(id, address);
      this.nodes.get(id)?.addNode(nodeId, transport.address());
    }
  }

  #machine(nodeId: number, regionId: number): ListMachine {
    const key = `${nodeId}/${regionId}`;
    const state = this.#states.get(key) ?? emptyState();
    this.#states.set(key, state);
    const machine = new ListMachine(state);
    this.machines.set(key, machine);
    return machine;
  }

  async stop(nodeId: number): Promise<void> {
    await this.nodes.get(nodeId)!.stop();
    this.nodes.delete(nodeId);
  }

  async leader(regionId: number): Promise<number> {
    let leader = 0;
    await until(`a leader of region ${regionId}`, () => {
      const seen = [...this.nodes.values()].map((node) => node.status(regionId).leaderNodeId);
      leader = seen[0];
      return this.nodes.has(leader) && seen.every((id) => id === leader);
    });
    return leader;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const nodeId of [...this.nodes.keys()]) await this.stop(nodeId);
    await rm(this.#directory, { recursive: true });
  }
}

test(
  "three nodes with two regions serve over gRPC and SQLite and survive restarts",
  LONG,
  async () => {
    await withResource(
      new RealCluster(await mkdtemp(join(tmpdir(), "flaredb-node-"))),
      async (cluster) => {
        for (const { peerId } of MEMBERS) await cluster.start(peerId);
        const written: string[] = [];
        const write = async (count: number): Promise<void> => {
          const proposals: Promise<unknown>[] = [];
          for (let at = 0; at < count; at++) {
            const text = `${written.length}`;
            written.push(text);
            for (const regionId of REGIONS) {
              const nodes = [...cluster.nodes.values()];
              proposals.push(nodes[at % nodes.length].propose(command(text), { regionId }));
            }
          }
          await Promise.all(proposals);
        };

        for (const regionId of REGIONS) await cluster.leader(regionId);
        await write(300);
        const stopped = await cluster.leader(1);
        await cluster.stop(stopped);
        for (const regionId of REGIONS) await cluster.leader(regionId);
        await write(300);
        await cluster.start(stopped);
        await write(300);
        for (const { peerId } of MEMBERS) await cluster.stop(peerId);
        for (const { peerId } of MEMBERS) await cluster.start(peerId);
        await write(30);

        for (const { peerId } of MEMBERS) {
          for (const regionId of REGIONS) {
            await cluster.nodes.get(peerId)!.read({ regionId });
            const { texts } = cluster.machines.get(`${peerId}/${regionId}`)!;
            assert.equal(texts.length, written.length);
            assert.deepEqual([...texts].sort(), [...written].sort());
          }
        }
        const { counters } = cluster.nodes.get(await cluster.leader(1))!.status(1);
        assert.ok(counters.appendEntries > counters.appends, "writes are batched");
      },
    );
  },
);
