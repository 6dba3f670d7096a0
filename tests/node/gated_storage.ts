/**
 * A storage whose writes can be held back, as a disk that hangs would, or made to fail.
 *
 * @module
 */

import type { LogWrite, NodeStorage, RaftStorage } from "../../src/storage/contract.ts";

/** Holds writes back while closed; they take effect in order when it opens. */
export class Gate {
  #open = true;
  #waiting: (() => void)[] = [];
  /** When set, every further write fails with it. */
  failure: Error | undefined = undefined;

  hang(): void {
    this.#open = false;
  }

  release(): void {
    this.#open = true;
    for (const proceed of this.#waiting.splice(0)) proceed();
  }

  async pass(): Promise<void> {
    if (!this.#open) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    if (this.failure !== undefined) throw this.failure;
  }
}

/** `inner`, with its writes through `gate`; `writes` sees each one as it is handed over. */
export function gated(
  inner: NodeStorage,
  gate: Gate,
  writes: (regionId: number, write: LogWrite) => void = () => {},
): NodeStorage {
  const regions = new Map<number, RaftStorage>();
  const wrap = (region: RaftStorage): RaftStorage => {
    const known = regions.get(region.regionId);
    if (known !== undefined) return known;
    const wrapped: RaftStorage = {
      regionId: region.regionId,
      peerId: region.peerId,
      initialState: () => region.initialState(),
      confStateIndex: () => region.confStateIndex(),
      entries: (low, high, sizeMax) => region.entries(low, high, sizeMax),
      term: (index) => region.term(index),
      firstIndex: () => region.firstIndex(),
      lastIndex: () => region.lastIndex(),
      snapshot: () => region.snapshot(),
      append: async (write) => {
        writes(region.regionId, write);
        await gate.pass();
        await region.append(write);
      },
      saveConfState: async (confState, index) => {
        await gate.pass();
        await region.saveConfState(confState, index);
      },
      compact: (index, snapshot) => region.compact(index, snapshot),
    };
    regions.set(region.regionId, wrapped);
    return wrapped;
  };
  return {
    identity: inner.identity,
    regionIds: () => inner.regionIds(),
    region: (regionId) => {
      const region = inner.region(regionId);
      return region && wrap(region);
    },
    createRegion: async (bootstrap) => wrap(await inner.createRegion(bootstrap)),
    close: () => {
      gate.release();
      return inner.close();
    },
  };
}
