/**
 * The window of append messages under way to one follower: bounds how much is sent ahead of
 * acknowledgements (thesis §10.2.1, pipelining).
 *
 * @module
 */

import { RaftInvariantError } from "../errors.ts";

/**
 * A queue of the last index and the bytes of each message under way, oldest first, limited by count
 * and by bytes. The byte limit is soft: the message that crosses it still fits.
 */
export class Inflights {
  /** Most messages under way. */
  readonly countMax: number;
  /** Bytes from which on the window is full. */
  readonly bytesMax: number;
  // Two parallel queues with a common head: no object a message, no shifting on every release.
  #indices: number[] = [];
  #sizes: number[] = [];
  #head = 0;
  #bytes = 0;

  /** An empty window; 0 bytes means no limit on them. */
  constructor(countMax: number, bytesMax: number) {
    this.countMax = countMax;
    this.bytesMax = bytesMax;
  }

  /** How many messages are under way. */
  get count(): number {
    return this.#indices.length - this.#head;
  }

  /** The bytes under way. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Whether nothing more may be sent. */
  isFull(): boolean {
    return this.count >= this.countMax || this.#bytes >= this.bytesMax;
  }

  /**
   * Adds a message whose last entry is `index`. Indices never decrease.
   *
   * @throws RaftInvariantError when the window is full.
   */
  add(index: number, bytes: number): void {
    if (this.isFull()) throw new RaftInvariantError("cannot add to a full in-flight window");
    this.#indices.push(index);
    this.#sizes.push(bytes);
    this.#bytes += bytes;
  }

  /** Releases every message up to and including `index`: an acknowledgement covers all before it. */
  freeUpTo(index: number): void {
    while (this.#head < this.#indices.length && this.#indices[this.#head] <= index) {
      this.#bytes -= this.#sizes[this.#head];
      this.#head++;
    }
    if (this.#head === this.#indices.length) this.reset();
    else if (this.#head >= 64 && this.#head * 2 >= this.#indices.length) this.#trim();
  }

  /** Forgets everything under way. */
  reset(): void {
    this.#indices.length = 0;
    this.#sizes.length = 0;
    this.#head = 0;
    this.#bytes = 0;
  }

  #trim(): void {
    this.#indices.splice(0, this.#head);
    this.#sizes.splice(0, this.#head);
    this.#head = 0;
  }
}
