/**
 * What every part of a simulated world shares: virtual time, the future, the trace, the counts.
 *
 * @module
 */

import { Coverage } from "./coverage.ts";
import type { Environment } from "./environment.ts";
import { type Action, EventQueue } from "./event_queue.ts";
import { Trace, type TraceSink } from "./trace.ts";

/** Time, future, trace and counts of one run. */
export class World {
  readonly environment: Environment;
  readonly coverage: Coverage = new Coverage();
  readonly trace: Trace;
  readonly #queue: EventQueue = new EventQueue();
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

  /** Lets the next thing happen. False when there is nothing left. */
  step(): boolean {
    const time = this.#queue.nextTime;
    const action = this.#queue.pop();
    if (action === undefined) return false;
    this.#now = time;
    this.#steps++;
    action();
    return true;
  }

  /** Writes a line of the readable trace; build it only when `trace.verbose`. */
  line(text: string): void {
    this.trace.line(this.#now, text);
  }
}
