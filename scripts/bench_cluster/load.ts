/**
 * The load: every client has one call under way, and makes the next when it is answered. The clients
 * share a few connections, as they would in one process that uses the cluster.
 *
 * @module
 */

import type { Http2Connection } from "./http2_connection.ts";
import type { ClientWork } from "./workload.ts";

/** What the clients do. */
export type Operation = "put" | "get";

const PATHS: Readonly<Record<Operation, string>> = {
  put: "/etcdserverpb.KV/Put",
  get: "/etcdserverpb.KV/Range",
};

/** Clients at work until they are told to stop. */
export class Load {
  /** Calls answered since the load began. */
  answered = 0;
  /** Calls that failed. */
  failed = 0;
  /** What the first of them said. */
  firstFailure = "";
  readonly #operation: Operation;
  #latencies: number[] | undefined;
  #stopping = false;
  #running = 0;
  #wrong: Error | undefined;
  #finished: () => void = () => {};

  /** Starts one call a client; client `i` uses connection `i` modulo their number. */
  constructor(
    operation: Operation,
    works: readonly ClientWork[],
    connections: readonly Http2Connection[],
  ) {
    this.#operation = operation;
    this.#running = works.length;
    works.forEach((work, at) => this.#next(work, connections[at % connections.length]));
    for (const connection of connections) connection.flush();
  }

  /** Begins to note how long calls take. */
  measure(): void {
    this.#latencies = [];
  }

  /** Ends that; the milliseconds that calls took, ascending. */
  measured(): Float64Array {
    const latencies = Float64Array.from(this.#latencies ?? []);
    this.#latencies = undefined;
    return latencies.sort();
  }

  /** Waits for what is under way. @throws Error by rejection when an answer was wrong. */
  async stop(): Promise<void> {
    this.#stopping = true;
    if (this.#running > 0) await new Promise<void>((resolve) => this.#finished = resolve);
    if (this.#wrong !== undefined) throw this.#wrong;
  }

  #next(work: ClientWork, connection: Http2Connection): void {
    if (this.#stopping || this.#wrong !== undefined) return this.#end();
    const put = this.#operation === "put";
    const key = put ? work.keyToWrite() : work.keyToRead();
    if (key < 0) return this.#end();
    const request = put ? work.putRequest(key) : work.rangeRequest(key);
    const start = performance.now();
    connection.call(PATHS[this.#operation], request, (response, failure) => {
      if (response === undefined) return this.#failed(work, connection, key, failure);
      this.#latencies?.push(performance.now() - start);
      this.answered++;
      this.#check(work, connection, key, response);
    });
  }

  #check(work: ClientWork, connection: Http2Connection, key: number, response: Uint8Array): void {
    try {
      if (this.#operation === "put") work.acknowledge(key, response);
      else work.check(key, response);
    } catch (error) {
      this.#wrong ??= error as Error;
    }
    this.#next(work, connection);
  }

  /** Goes on a little later: where nothing works, a failure comes at once. */
  #failed(work: ClientWork, connection: Http2Connection, key: number, failure: string): void {
    this.failed++;
    if (this.firstFailure === "") this.firstFailure = failure;
    try {
      if (this.#operation === "put") work.forget(key);
    } catch (error) {
      this.#wrong ??= error as Error;
    }
    setTimeout(() => {
      this.#next(work, connection);
      connection.flush();
    }, 20);
  }

  #end(): void {
    if (--this.#running === 0) this.#finished();
  }
}
