/**
 * What became of requests to change the members, told by the log: each carries its number in the
 * record of a member, by which the entry is known that it was made of.
 *
 * @module
 */

import type { RaftLogEntry } from "../raft/mod.ts";
import { violated } from "./errors.ts";

const decoder = new TextDecoder();

/** All requests of a region. */
export class RequestTruth {
  /** Where each took effect, by number; 0 while it did not. */
  readonly #indexes: number[] = [];
  readonly #withoutEffect = new Set<number>();

  /** Numbers a request. */
  add(): number {
    return this.#indexes.push(0) - 1;
  }

  /** The address that is recorded with a request. */
  static addressOf(request: number): string {
    return `request-${request}:1`;
  }

  /** A configuration was made by this entry. */
  configured(entry: RaftLogEntry): void {
    const match = /request-(\d+):/.exec(decoder.decode(entry.command));
    if (match === null) return;
    const request = Number(match[1]);
    if (this.#indexes[request] > 0 || this.#withoutEffect.has(request)) {
      violated(
        "exactly-once",
        `request ${request} to change members takes effect at index ${entry.index}, and ` +
          (this.#indexes[request] > 0 ? "did before" : "was reported without effect"),
      );
    }
    this.#indexes[request] = entry.index;
  }

  /** A request was answered: it took effect at `index`, or certainly never will (0). */
  answered(request: number, index: number): void {
    const found = this.#indexes[request];
    if (index === 0) this.#withoutEffect.add(request);
    if (found === index) return;
    violated(
      "exactly-once",
      `request ${request} to change members is answered with index ${index}, and took effect at ` +
        `${found}`,
    );
  }
}
