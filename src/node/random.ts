/**
 * A small, fast, seedable generator of integers for everything in a node that must vary but not be
 * secret (election timeouts). The state is four 32-bit words, stepped as in Chris Doty-Humphrey's
 * sfc32; all arithmetic is on 32-bit integers, so every engine gives the same numbers.
 *
 * @module
 */

import { ConfigError } from "../raft/mod.ts";

const TWO_TO_32 = 0x1_0000_0000;
const WARM_UP_STEPS = 16;

/** A deterministic generator of integers. */
export class Random {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  /**
   * @param seed an integer from 0 to 2^53-1; equal seeds give equal sequences.
   * @throws ConfigError when it is not.
   */
  /** The same seed gives the same numbers. */
  constructor(seed: number) {
    if (!Number.isSafeInteger(seed) || seed < 0) {
      throw new ConfigError(`seed must be an integer >= 0: current value is ${String(seed)}`);
    }
    this.#a = seed | 0;
    this.#b = Math.floor(seed / TWO_TO_32) | 0;
    this.#c = 0x2545f491;
    for (let step = 0; step < WARM_UP_STEPS; step++) this.next();
  }

  /** The next 32 bits: an integer from 0 to 2^32-1. */
  next(): number {
    const sum = (((this.#a + this.#b) | 0) + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + sum | 0;
    return sum >>> 0;
  }

  /**
   * An integer from 0 to `bound - 1`, all equally likely.
   *
   * @param bound an integer from 1 to 2^32.
   * @throws ConfigError when it is not.
   */
  below(bound: number): number {
    if (!Number.isSafeInteger(bound) || bound < 1 || bound > TWO_TO_32) {
      throw new ConfigError(`bound must be an integer from 1 to 2^32: current value is ${bound}`);
    }
    const unbiasedEnd = TWO_TO_32 - (TWO_TO_32 % bound);
    let value = this.next();
    while (value >= unbiasedEnd) value = this.next();
    return value % bound;
  }
}

/** A seed nobody can foresee: an integer from 0 to 2^48-1, from the platform's secure source. */
export function unpredictableSeed(): number {
  const words = crypto.getRandomValues(new Uint32Array(2));
  return (words[1] & 0xffff) * TWO_TO_32 + words[0];
}
