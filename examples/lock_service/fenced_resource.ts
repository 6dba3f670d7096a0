/**
 * What a lock protects: it remembers the highest token it has seen and refuses lower ones.
 *
 * @module
 */

/** A value that only the newest holder of a lock may write. */
export class FencedResource<Value> {
  value: Value | undefined;
  #highestToken = 0;

  /** Writes, unless a later holder has written already. Returns whether it did. */
  write(token: number, value: Value): boolean {
    if (token < this.#highestToken) return false;
    this.#highestToken = token;
    this.value = value;
    return true;
  }
}
