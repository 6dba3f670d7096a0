/**
 * Chance in a simulation: independent streams of a seed, so that what one part of the world draws
 * does not shift what another one draws.
 *
 * @module
 */

import { EPOCH_BOUND, Random } from "../node/mod.ts";

const SEED_BOUND = 2 ** 53;
const GOLDEN_RATIO = 0x9e37_79b9;

/** A stream of chance. */
export class Chance {
  readonly #random: Random;

  /**
   * @param seed an integer from 0 to 2^53-1.
   * @param stream which of its streams: an integer.
   */
  /** Streams of one seed do not depend on each other. */
  constructor(seed: number, stream: number) {
    const shift = Math.imul(stream + 1, GOLDEN_RATIO) >>> 0;
    this.#random = new Random((seed + shift * 65_537) % SEED_BOUND);
  }

  /** An integer from 0 to `bound - 1`. */
  below(bound: number): number {
    return this.#random.below(bound);
  }

  /** An integer from `low` to `high`, both included. */
  between(low: number, high: number): number {
    return low >= high ? low : low + this.#random.below(high - low + 1);
  }

  /** True in `perMille` of a thousand cases. Draws nothing when that is 0. */
  hits(perMille: number): boolean {
    return perMille > 0 && this.#random.below(1000) < perMille;
  }

  /** One of `items`, which are not empty. */
  pick<Item>(items: readonly Item[]): Item {
    return items[this.#random.below(items.length)];
  }

  /** The position of one of `weights`, in proportion to them; -1 when all are 0. */
  weighted(weights: readonly number[]): number {
    let total = 0;
    for (const weight of weights) total += weight;
    if (total === 0) return -1;
    let drawn = this.#random.below(total);
    for (let position = 0; position < weights.length; position++) {
      drawn -= weights[position];
      if (drawn < 0) return position;
    }
    return -1;
  }

  /** An integer whose logarithm is spread evenly from `low` to `high`: mostly small, now and then large. */
  skewed(low: number, high: number): number {
    let top = low;
    while (top < high && this.#random.below(2) === 0) top = Math.min(high, top * 2 + 1);
    return this.between(low, top);
  }

  /** A number for an incarnation of a peer: 48 bits. */
  epoch(): number {
    return (this.#random.next() * 65_536 + this.#random.below(65_536)) % EPOCH_BOUND;
  }
}
