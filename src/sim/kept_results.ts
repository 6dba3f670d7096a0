/**
 * Which results client sessions keep, told apart from the node's own account: each that fits, at its
 * place in the log, into what its session and all sessions may keep. What the log does to sessions is
 * known when it is committed, and the size of a result when its command is applied; so what happened
 * waits here, in the order of the log, for the results.
 *
 * @module
 */

import type { SessionLimits } from "../node/mod.ts";
import { JSON_RESULTS } from "./json_results.ts";

/** What an entry does to the results of a session. */
interface Change {
  /** The index that opened the session. */
  readonly session: number;
  /** Where the commands were applied whose results are released. */
  readonly released: readonly number[];
  /** Where a command is applied whose result is to be kept; 0: none. */
  readonly added: number;
}

/** The results that the sessions of a region keep. */
export class KeptResults {
  readonly #limits: Omit<SessionLimits, "sessionsMax">;
  readonly #waiting: Change[] = [];
  /** Bytes of every result that was kept, by the index of its command; released ones stay listed. */
  readonly #kept = new Map<number, number>();
  /** Bytes that are kept for each session. */
  readonly #bytes = new Map<number, number>();
  #bytesOfAll = 0;

  /** @param limits how many bytes are kept at most. */
  constructor(limits: Omit<SessionLimits, "sessionsMax">) {
    this.#limits = limits;
  }

  /** An entry releases results of a session: they are acknowledged, or the session ends. */
  release(session: number, released: readonly number[]): void {
    if (released.length > 0) this.#waiting.push({ session, released, added: 0 });
  }

  /** The command at `index` is applied, and its result is to be kept. */
  add(session: number, index: number): void {
    this.#waiting.push({ session, released: [], added: index });
  }

  /** The result of the command at `index` is known: told once for each, in the order of the log. */
  settle(index: number, result: unknown): void {
    const position = this.#waiting.findIndex(({ added }) => added > 0);
    if (this.#waiting[position]?.added !== index) return;
    const bytes = JSON_RESULTS.encode(result).length;
    for (const change of this.#waiting.splice(0, position + 1)) this.#carryOut(change, bytes);
  }

  /** Whether the result of the command at `index`, which is known, was kept until it was released. */
  has(index: number): boolean {
    return this.#kept.has(index);
  }

  #carryOut({ session, released, added }: Change, bytes: number): void {
    for (const index of released) this.#count(session, -(this.#kept.get(index) ?? 0));
    if (added === 0) return;
    const { sessionResultBytesMax, resultBytesMax } = this.#limits;
    const ofSession = (this.#bytes.get(session) ?? 0) + bytes;
    if (ofSession > sessionResultBytesMax || this.#bytesOfAll + bytes > resultBytesMax) return;
    this.#kept.set(added, bytes);
    this.#count(session, bytes);
  }

  #count(session: number, bytes: number): void {
    this.#bytes.set(session, (this.#bytes.get(session) ?? 0) + bytes);
    this.#bytesOfAll += bytes;
  }
}
