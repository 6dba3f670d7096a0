/**
 * What every part of a simulated world shares: virtual time, the future, the trace, the counts.
 *
 * @module
 */

import { Coverage } from "./coverage.ts";
import type { Environment } from "./environment.ts";
import { type Action, EventQueue } from "./event_queue.ts";
import { Trace, type TraceSink } from "./trace.ts";

/** Somebody who waits for a moment. */
interface Watch {
  readonly holds: () => boolean;
  readonly end: number;
  readonly then: (held: boolean) => void;
}

/** Time, future, trace and counts of one run. */
export class World {
  readonly environment: Environment;
  readonly coverage: Coverage = new Coverage();
  readonly trace: Trace;
  readonly #queue: EventQueue = new EventQueue();
  #watches: Watch[] = [];
  #now = 0;
  #steps = 0;

  constructor(environment: Environment, sink?: TraceSink) {
    this.environment = environment;
    this.trace = new Trace(sink);
  }

  /** Microseconds of virtual time since the start. */
  get now(): number {
    return this.#now;
  }

  /** How much has happened. */
  get steps(): number {
    return this.#steps;
  }

  /** Lets something happen later. */
  schedule(delayUs: number, action: Action): void {
    this.#queue.push(this.#now + delayUs, action);
  }

  /**
   * Waits for a moment: asks after each step whether `holds`, for `patienceUs` at most, and says so
   * once. What waits costs nothing while nobody does, and is no event of its own.
   */
  watch(holds: () => boolean, patienceUs: number, then: (held: boolean) => void): void {
    this.#watches.push({ holds, end: this.#now + patienceUs, then });
  }

  /** Lets the next thing happen. False when there is nothing left. */
  step(): boolean {
    const time = this.#queue.nextTime;
    const action = this.#queue.pop();
    if (action === undefined) return false;
    this.#now = time;
    this.#steps++;
    this.trace.add(time);
    action();
    if (this.#watches.length > 0) this.#tellWatches();
    return true;
  }

  /** Writes a line of the readable trace; build it only when `trace.verbose`. */
  line(text: string): void {
    this.trace.line(this.#now, text);
  }

  #tellWatches(): void {
    const watches = this.#watches;
    this.#watches = [];
    for (const watch of watches) {
      const held = watch.holds();
      if (held || this.#now >= watch.end) watch.then(held);
      else this.#watches.push(watch);
    }
  }
}
