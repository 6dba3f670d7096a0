/**
 * The clients of a run: each writes one pair of 256 bytes after the other, as fast as they are
 * acknowledged.
 *
 * @module
 */

import type { Node } from "../../src/node/mod.ts";
import { put } from "./member.ts";

/** Latencies of writes, in milliseconds. */
export interface Latencies {
  readonly count: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** Clients that write until they are told to stop. */
export class Writers {
  readonly #node: Node;
  readonly #all: Promise<unknown>;
  #latencies: number[] = [];
  #over = false;

  /** Starts `count` of them. */
  constructor(node: Node, count: number) {
    this.#node = node;
    this.#all = Promise.all(Array.from({ length: count }, (_, client) => this.#write(client)));
  }

  /** The latencies since the last call. */
  report(): Latencies {
    const sorted = Float64Array.from(this.#latencies).sort();
    this.#latencies = [];
    const at = (share: number): number =>
      Math.round((sorted[Math.floor(sorted.length * share)] ?? 0) * 100) / 100;
    return { count: sorted.length, p50Ms: at(0.5), p99Ms: at(0.99) };
  }

  /** Resolves when the last write is acknowledged. */
  async stop(): Promise<void> {
    this.#over = true;
    await this.#all;
  }

  async #write(client: number): Promise<void> {
    const value = new Uint8Array(256).fill(client);
    while (!this.#over) {
      const start = performance.now();
      await put(this.#node, `small/${client}`, value);
      this.#latencies.push(performance.now() - start);
    }
  }
}
