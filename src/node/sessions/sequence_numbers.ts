/**
 * The sequence numbers of a session, on the side of its client: which are in use, and up to which the
 * client waits for nothing any more.
 *
 * @module
 */

import { SESSION_WINDOW } from "./limits.ts";

/** Hands out the sequence numbers of one session. */
export class SequenceNumbers {
  #next = 1;
  #acknowledged = 0;
  /** Those above `acknowledged` that are not in use any more. */
  readonly #ended = new Set<number>();

  /** Up to here no number is in use: what to tell with each command. */
  get acknowledged(): number {
    return this.#acknowledged;
  }

  /** How many are in use. */
  get inUse(): number {
    return this.#next - 1 - this.#acknowledged - this.#ended.size;
  }

  /** Whether the next number may be used; otherwise one in use must end before. */
  get hasNext(): boolean {
    return this.#next <= this.#acknowledged + SESSION_WINDOW;
  }

  /** The next number, which is in use until `end` is called. */
  begin(): number {
    return this.#next++;
  }

  /** The command of a number was answered, or given up: it is not tried again. */
  end(sequence: number): void {
    this.#ended.add(sequence);
    while (this.#ended.delete(this.#acknowledged + 1)) this.#acknowledged++;
  }
}
