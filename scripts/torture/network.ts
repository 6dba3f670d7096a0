/**
 * The network between the processes: a loopback proxy for every ordered pair of nodes. Node A sends to
 * B on the connections it opens to B, and answers B on those that B opened; both are the path from A
 * to B, which is delayed and held back as one.
 *
 * @module
 */

import { LoopbackProxy } from "../../tests/transport/loopback_proxy.ts";

/** What is done to one path, for as long as it is in force. */
export interface PathFault {
  readonly from: number;
  readonly to: number;
  /** Nothing passes. */
  readonly held: boolean;
  readonly delayMs: number;
  readonly jitterMs: number;
}

/** The paths between nodes 1 to n. */
export class TortureNetwork {
  readonly #proxies = new Map<string, LoopbackProxy>();
  readonly #faults = new Set<PathFault>();
  readonly #count: number;

  private constructor(count: number) {
    this.#count = count;
  }

  /** Starts the proxies. @param targets where the nodes listen for each other, by id from 1 on. */
  static async start(targets: readonly string[]): Promise<TortureNetwork> {
    const network = new TortureNetwork(targets.length);
    for (const [from, to] of network.paths()) {
      network.#proxies.set(`${from}-${to}`, await LoopbackProxy.start(targets[to - 1]));
    }
    return network;
  }

  /** All ordered pairs of nodes. */
  paths(): [from: number, to: number][] {
    const ids = Array.from({ length: this.#count }, (_, index) => index + 1);
    return ids.flatMap((from) =>
      ids.filter((to) => to !== from).map((to): [number, number] => [from, to])
    );
  }

  /** Where `from` has to connect to reach `to`. */
  address(from: number, to: number): string {
    return this.#proxy(from, to).address;
  }

  /** Puts faults in force, beside those that are. Returns what ends them. */
  apply(faults: readonly PathFault[]): () => void {
    for (const fault of faults) this.#faults.add(fault);
    this.#update();
    return () => {
      for (const fault of faults) this.#faults.delete(fault);
      this.#update();
    };
  }

  /** Resets the connections between two nodes. */
  cut(one: number, other: number): void {
    this.#proxy(one, other).cut();
    this.#proxy(other, one).cut();
  }

  async close(): Promise<void> {
    await Promise.all([...this.#proxies.values()].map((proxy) => proxy.close()));
  }

  #proxy(from: number, to: number): LoopbackProxy {
    return this.#proxies.get(`${from}-${to}`)!;
  }

  #update(): void {
    for (const [from, to] of this.paths()) {
      const faults = [...this.#faults].filter((fault) => fault.from === from && fault.to === to);
      const delayMs = Math.max(0, ...faults.map((fault) => fault.delayMs));
      const jitterMs = Math.max(0, ...faults.map((fault) => fault.jitterMs));
      const held = faults.some((fault) => fault.held);
      for (const direction of [this.#proxy(from, to).forward, this.#proxy(to, from).backward]) {
        Object.assign(direction, { delayMs, jitterMs });
        if (held) direction.hold();
        else if (direction.isHeld) direction.release();
      }
    }
  }
}
