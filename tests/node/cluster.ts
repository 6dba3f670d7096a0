/**
 * A cluster of real `Node`s in one process, over storage and network in memory and a clock that the
 * test moves: a tick passes only when the test says so.
 *
 * @module
 */

import { setImmediate } from "node:timers";
import {
  type Clock,
  type Member,
  Node,
  type NodeOptions,
  type Observer,
} from "../../src/node/mod.ts";
import type { Logger } from "../../src/raft/mod.ts";
import { MemoryDisk, MemoryNodeStorage } from "../../src/storage/memory.ts";
import type { NodeStorage } from "../../src/storage/contract.ts";
import { MemoryNetwork, type RegionMessage, type Transport } from "../../src/transport/mod.ts";
import { emptyState, ListMachine, type ListState } from "./machines.ts";

/** A clock that stands still until it is advanced. */
export class ManualClock implements Clock {
  #now = 1_000;
  readonly #runs = new Set<{ intervalMs: number; next: number; run: () => void }>();

  now(): number {
    return this.#now;
  }

  every(intervalMs: number, run: () => void): () => void {
    const timer = { intervalMs, next: this.#now + intervalMs, run };
    this.#runs.add(timer);
    return () => this.#runs.delete(timer);
  }

  advance(ms: number): void {
    this.#now += ms;
    for (const timer of [...this.#runs]) {
      if (this.#now < timer.next) continue;
      timer.next = this.#now + timer.intervalMs;
      timer.run();
    }
  }
}

/** Keeps what was logged. */
export class RecordingLogger implements Logger {
  readonly lines: string[] = [];
  debug(): void {}
  info(text: string): void {
    this.lines.push(`info ${text}`);
  }
  warn(text: string): void {
    this.lines.push(`warn ${text}`);
  }
  error(text: string): void {
    this.lines.push(`error ${text}`);
  }
}

/** What a test may change about a cluster. */
export interface ClusterOptions {
  /** Number of nodes, with ids from 1; peer ids are the same. Default 3. */
  readonly nodes?: number;
  /** The regions each node hosts. Default: region 1 only. */
  readonly regionIds?: readonly number[];
  /** Options of every node. */
  readonly node?: Partial<NodeOptions>;
  /** Wraps the storage of a node. */
  readonly storage?: (storage: NodeStorage, nodeId: number) => NodeStorage;
  /** Makes the state machine of a region on a node from what it kept. */
  readonly machine?: (state: ListState, nodeId: number, regionId: number) => ListMachine;
  /** Whether state machines lose everything in a crash. Default false. */
  readonly volatile?: boolean;
  /** Observes every node. */
  readonly observer?: Observer;
}

/** Turns of the event loop in which everything under way comes to rest. */
const SETTLE_TURNS = 40;
const TICKS_MAX = 600;

/** Lets everything under way come to rest, without any time passing. */
export async function settle(turns: number = SETTLE_TURNS): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await new Promise<void>((done) => setImmediate(done));
}

/** A cluster of a test. Close it at the end. */
export class TestCluster implements AsyncDisposable {
  readonly clock = new ManualClock();
  readonly network = new MemoryNetwork();
  /** Batches that nodes handed to their transports. */
  batches: { from: number; to: number; batch: readonly RegionMessage[] }[] = [];
  readonly logger = new RecordingLogger();
  /** The nodes that run. */
  readonly nodes = new Map<number, Node>();
  readonly #options: ClusterOptions;
  readonly #disks = new Map<number, MemoryDisk>();
  readonly #states = new Map<string, ListState>();
  readonly #machines = new Map<string, ListMachine>();

  private constructor(options: ClusterOptions) {
    this.#options = options;
  }

  /** Opens all nodes; no tick has passed. */
  static async open(options: ClusterOptions = {}): Promise<TestCluster> {
    const cluster = new TestCluster(options);
    for (const { peerId } of cluster.members) await cluster.start(peerId);
    return cluster;
  }

  /** The members of every region. */
  get members(): Member[] {
    return Array.from({ length: this.#options.nodes ?? 3 }, (_, at) => ({
      peerId: at + 1,
      address: "memory",
    }));
  }

  /** Starts a node that does not run, on its old disk. */
  async start(nodeId: number, more: Partial<NodeOptions> = {}): Promise<Node> {
    const { regionIds = [1], storage = (same: NodeStorage) => same } = this.#options;
    const disk = this.#disks.get(nodeId) ?? new MemoryDisk();
    this.#disks.set(nodeId, disk);
    const node = await Node.open({
      nodeId,
      storage: storage(new MemoryNodeStorage({ clusterId: "test", nodeId }, disk), nodeId),
      transport: this.#transport(nodeId),
      regions: regionIds.map((regionId) => ({
        regionId,
        members: this.members,
        stateMachine: this.#createMachine(nodeId, regionId),
      })),
      seed: nodeId,
      clock: this.clock,
      logger: this.logger,
      observer: this.#options.observer,
      ...this.#options.node,
      ...more,
    });
    this.nodes.set(nodeId, node);
    return node;
  }

  /** Ends a node: nothing it has not written survives. */
  async crash(nodeId: number): Promise<void> {
    await this.node(nodeId).stop();
    this.nodes.delete(nodeId);
  }

  /** Loses all messages from and to a node until `network.heal()`. */
  isolate(nodeId: number): void {
    this.network.partition(
      [nodeId],
      this.members.map(({ peerId }) => peerId).filter((id) => id !== nodeId),
    );
  }

  /** A node that runs. */
  node(nodeId: number): Node {
    const node = this.nodes.get(nodeId);
    if (node === undefined) throw new Error(`node ${nodeId} does not run`);
    return node;
  }

  /** The newest state machine of a region on a node. */
  machine(nodeId: number, regionId = 1): ListMachine {
    return this.#machines.get(`${nodeId}/${regionId}`)!;
  }

  /** The disk of a node. */
  disk(nodeId: number): MemoryDisk {
    return this.#disks.get(nodeId)!;
  }

  /** Lets ticks pass, everything coming to rest after each. */
  async ticks(count: number): Promise<void> {
    for (let tick = 0; tick < count; tick++) {
      this.clock.advance(100);
      await settle();
    }
  }

  /** Lets ticks pass until `condition` holds. */
  async until(what: string, condition: () => boolean): Promise<void> {
    for (let tick = 0; tick < TICKS_MAX; tick++) {
      if (condition()) return;
      await this.ticks(1);
    }
    throw new Error(`after ${TICKS_MAX} ticks still not: ${what}`);
  }

  /** Lets ticks pass until `promise` is settled. */
  async complete<Value>(promise: Promise<Value>): Promise<Value> {
    let settled = false;
    promise.then(() => settled = true, () => settled = true);
    await this.until("the promise is settled", () => settled);
    return await promise;
  }

  /** Lets ticks pass until the nodes named (all that run by default) agree on a leader among them. */
  async leader(among: readonly number[] = [...this.nodes.keys()], regionId = 1): Promise<number> {
    let leader = 0;
    await this.until("the nodes agree on a leader", () => {
      const seen = among.map((nodeId) => this.node(nodeId).status(regionId).leaderNodeId);
      leader = seen[0];
      return among.includes(leader) && seen.every((nodeId) => nodeId === leader) &&
        this.node(leader).status(regionId).role === "leader";
    });
    return leader;
  }

  /** The nodes that run and are not `nodeId`. */
  others(nodeId: number): number[] {
    return [...this.nodes.keys()].filter((id) => id !== nodeId);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const node of this.nodes.values()) await node.stop();
    this.nodes.clear();
  }

  #transport(nodeId: number): Transport {
    const transport = this.network.transport(nodeId);
    const send = transport.send.bind(transport);
    transport.send = (to, batch) => {
      this.batches.push({ from: nodeId, to, batch });
      send(to, batch);
    };
    return transport;
  }

  #createMachine(nodeId: number, regionId: number): ListMachine {
    const key = `${nodeId}/${regionId}`;
    const kept = this.#options.volatile ? undefined : this.#states.get(key);
    const state = kept ?? emptyState();
    this.#states.set(key, state);
    const create = this.#options.machine ?? ((state: ListState) => new ListMachine(state));
    const machine = create(state, nodeId, regionId);
    this.#machines.set(key, machine);
    return machine;
  }
}

/** Runs the body and disposes of the resource however it ends: Node 22 does not know `await using`. */
export async function withResource<T extends AsyncDisposable>(
  resource: T,
  body: (resource: T) => void | Promise<void>,
): Promise<void> {
  try {
    await body(resource);
  } finally {
    await resource[Symbol.asyncDispose]();
  }
}
