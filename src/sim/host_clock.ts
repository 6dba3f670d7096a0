/**
 * The monotonic clock of a node, which may run at another speed than the world's and jump forward.
 *
 * @module
 */

import type { World } from "./world.ts";

/** A clock that never goes back. */
export class HostClock {
  readonly #world: World;
  #rate = 1;
  #baseUs = 0;
  #baseMs: number;

  /** @param startMs what it shows at first, in milliseconds. */
  constructor(world: World, startMs: number) {
    this.#world = world;
    this.#baseMs = startMs;
  }

  /** What it shows, in milliseconds. */
  get nowMs(): number {
    return this.#baseMs + (this.#world.now - this.#baseUs) * this.#rate / 1000;
  }

  /** How much faster than the world's it runs. */
  get rate(): number {
    return this.#rate;
  }

  /** Lets it run at another speed. */
  set rate(rate: number) {
    this.#baseMs = this.nowMs;
    this.#baseUs = this.#world.now;
    this.#rate = rate;
  }

  /** Lets it jump forward. */
  jump(ms: number): void {
    this.#baseMs += ms;
  }
}
