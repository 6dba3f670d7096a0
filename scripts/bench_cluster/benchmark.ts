/**
 * One system measured: for each number of clients first puts, then linearizable gets of what was
 * put; at the end every key is read from every member and compared with what its client wrote.
 *
 * @module
 */

import process from "node:process";
import { type Counters, COUNTERS_PATH, EtcdClient, readCounters } from "../../src/etcd/mod.ts";
import { ProtoReader } from "../../src/kv/mod.ts";
import { Cluster, type System } from "./cluster.ts";
import { Http2Connection } from "./http2_connection.ts";
import { Load, type Operation } from "./load.ts";
import {
  type Batching,
  batching,
  difference,
  percentile,
  processorSeconds,
  sum,
} from "./measures.ts";
import { ClientWork } from "./workload.ts";

/** How a system is measured. */
export interface BenchmarkOptions {
  /** Numbers of clients, each measured by itself. */
  readonly clients: readonly number[];
  /** How long each load is measured, in seconds. */
  readonly seconds: number;
  /** How long it runs before that, in seconds. */
  readonly warmupSeconds: number;
  /** Bytes of a value. */
  readonly valueBytes: number;
  /** Whom the clients talk to: the connections are spread over all members, or go to the leader. */
  readonly target: "all" | "leader";
  /** Connections to each member, at most one a client. */
  readonly connectionsPerMember: number;
  /** Where the members keep their data, on the disk that is measured. */
  readonly directory: string;
}

/** One load measured. */
export interface Measurement {
  readonly operation: Operation;
  readonly clients: number;
  /** Calls answered while it was measured. */
  readonly calls: number;
  readonly callsPerSecond: number;
  readonly medianMs: number;
  readonly percentile99Ms: number;
  /** Seconds of processor time of the three members for 1,000 calls. */
  readonly serverSecondsPer1000: number;
  /** Cores the three members kept busy. */
  readonly serverCores: number;
  /** Cores the load generator kept busy. */
  readonly loadCores: number;
  /** Undefined for a system that does not tell. */
  readonly batching: Batching | undefined;
  /** What all members together counted meanwhile, by name; empty for a system that does not tell. */
  readonly counted: Counters;
  /** Calls that failed, over the whole load. */
  readonly failed: number;
  readonly firstFailure: string;
}

/** What came of one system. */
export interface SystemResult {
  readonly system: string;
  readonly measurements: readonly Measurement[];
  /** Pairs read from members in the end and found right, over all members. */
  readonly pairsVerified: number;
}

const PAGE_KEYS = 500;
/** How many clients load a cluster before the first measurement. */
const WARMUP_CLIENTS = 64;

/** Measures one system. @throws Error by rejection when an answer was wrong or a member ended. */
export async function benchmark(
  system: System,
  options: BenchmarkOptions,
  report: (measurement: Measurement) => void,
): Promise<SystemResult> {
  const cluster = await Cluster.start(system, options.directory);
  const control: Http2Connection[] = [];
  try {
    for (const endpoint of cluster.endpoints) control.push(await Http2Connection.connect(endpoint));
    const measurements: Measurement[] = [];
    const run = new Run(system, cluster, control, options);
    const everything = worksOf("bench/warm", WARMUP_CLIENTS, options);
    for (const operation of ["put", "get"] as const) await run.warmUp(operation, everything);
    for (const clients of options.clients) {
      const works = worksOf(`bench/${clients}`, clients, options);
      everything.push(...works);
      for (const operation of ["put", "get"] as const) {
        measurements.push(await run.measure(operation, works));
        report(measurements[measurements.length - 1]);
      }
    }
    cluster.checkRunning();
    const pairsVerified = await verify(cluster.endpoints, everything);
    return { system: system.name, measurements, pairsVerified };
  } catch (error) {
    cluster.checkRunning();
    throw error;
  } finally {
    for (const connection of control) connection.close();
    await cluster.stop();
  }
}

function worksOf(prefix: string, clients: number, { valueBytes }: BenchmarkOptions): ClientWork[] {
  return Array.from(
    { length: clients },
    (_, client) => new ClientWork(prefix, client, clients, valueBytes),
  );
}

/** What is read at one moment of a load. */
interface Moment {
  readonly atMs: number;
  readonly answered: number;
  readonly serverSeconds: number;
  readonly loadSeconds: number;
}

class Run {
  readonly #system: System;
  readonly #cluster: Cluster;
  readonly #control: readonly Http2Connection[];
  readonly #options: BenchmarkOptions;

  constructor(
    system: System,
    cluster: Cluster,
    control: readonly Http2Connection[],
    options: BenchmarkOptions,
  ) {
    this.#system = system;
    this.#cluster = cluster;
    this.#control = control;
    this.#options = options;
  }

  /** Loads the cluster without measuring: runtimes compile what has run often enough. */
  async warmUp(operation: Operation, works: readonly ClientWork[]): Promise<void> {
    const connections = await this.#connect(works.length);
    try {
      const load = new Load(operation, works, connections);
      await seconds(this.#options.warmupSeconds);
      await load.stop();
    } finally {
      for (const connection of connections) connection.close();
    }
  }

  async measure(operation: Operation, works: readonly ClientWork[]): Promise<Measurement> {
    const connections = await this.#connect(works.length);
    try {
      const load = new Load(operation, works, connections);
      await seconds(this.#options.warmupSeconds);
      const countersBefore = await this.#counters();
      const before = this.#moment(load);
      load.measure();
      await seconds(this.#options.seconds);
      const latencies = load.measured();
      const after = this.#moment(load);
      const countersAfter = await this.#counters();
      const counted = difference(countersBefore, countersAfter);
      await load.stop();
      return {
        operation,
        clients: works.length,
        ...compare(before, after),
        medianMs: percentile(latencies, 0.5),
        percentile99Ms: percentile(latencies, 0.99),
        batching: this.#system.counts ? batching(counted) : undefined,
        counted,
        failed: load.failed,
        firstFailure: load.firstFailure,
      };
    } finally {
      for (const connection of connections) connection.close();
    }
  }

  /** Round the members, the leader first, so that few clients use few connections. */
  async #connect(clients: number): Promise<Http2Connection[]> {
    const { target, connectionsPerMember } = this.#options;
    const endpoints = target === "leader"
      ? this.#cluster.endpoints.slice(0, 1)
      : this.#cluster.endpoints;
    const count = Math.min(clients, endpoints.length * connectionsPerMember);
    const connections: Http2Connection[] = [];
    for (let at = 0; at < count; at++) {
      connections.push(await Http2Connection.connect(endpoints[at % endpoints.length]));
    }
    return connections;
  }

  async #counters(): Promise<Counters> {
    if (!this.#system.counts) return {};
    const answers = await Promise.all(
      this.#control.map((connection) => connection.ask(COUNTERS_PATH, new Uint8Array())),
    );
    return sum(answers.map((answer) => readCounters(new ProtoReader(answer))));
  }

  #moment(load: Load): Moment {
    const { user, system } = process.cpuUsage();
    return {
      atMs: performance.now(),
      answered: load.answered,
      serverSeconds: processorSeconds(this.#cluster.pids),
      loadSeconds: (user + system) / 1e6,
    };
  }
}

function compare(before: Moment, after: Moment) {
  const elapsedSeconds = (after.atMs - before.atMs) / 1000;
  const calls = after.answered - before.answered;
  const serverSeconds = after.serverSeconds - before.serverSeconds;
  return {
    calls,
    callsPerSecond: calls / elapsedSeconds,
    serverSecondsPer1000: calls > 0 ? serverSeconds / calls * 1000 : NaN,
    serverCores: serverSeconds / elapsedSeconds,
    loadCores: (after.loadSeconds - before.loadSeconds) / elapsedSeconds,
  };
}

/**
 * Reads every key from every member, linearizably, and compares. Returns how many pairs were right.
 *
 * @throws Error by rejection when one is missing or wrong.
 */
async function verify(
  endpoints: readonly string[],
  works: readonly ClientWork[],
): Promise<number> {
  let verified = 0;
  for (const endpoint of endpoints) {
    const client = new EtcdClient({ endpoints: [endpoint], deadlineMs: 30_000 });
    try {
      const found = await readAll(client);
      for (const work of works) {
        for (const key of work.written) {
          const name = work.nameOf(key).toString("latin1");
          const value = found.get(name);
          if (value === undefined) throw new Error(`${name} is missing at ${endpoint}`);
          work.checkValue(key, value);
          verified++;
        }
      }
    } finally {
      client.close();
    }
  }
  return verified;
}

async function readAll(client: EtcdClient): Promise<Map<string, Uint8Array>> {
  const found = new Map<string, Uint8Array>();
  const decoder = new TextDecoder("latin1");
  for (let from = "bench/";;) {
    const { kvs, more } = await client.get(from, { rangeEnd: "bench0", limit: PAGE_KEYS });
    for (const { key, value } of kvs) found.set(decoder.decode(key), value);
    if (!more) return found;
    from = `${decoder.decode(kvs[kvs.length - 1].key)}\0`;
  }
}

function seconds(count: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, count * 1000));
}
