/**
 * How many bytes of results the sessions of a region keep. Whether a result is kept depends on what is
 * kept at its place in the log, whatever batches the log was applied in: so what a batch did is gone
 * through once more, in order, when its results are known.
 *
 * @module
 */

import type { SessionLimits } from "./limits.ts";
import type { KeptResult, Session } from "./session.ts";

/** What an entry did to the results of a session. */
export interface SessionChange {
  readonly session: Session;
  /** Results that are no longer kept. */
  readonly released: readonly KeptResult[];
  /** The result of the entry's command, which is to be kept. */
  readonly added: KeptResult | undefined;
}

/** The bytes of results that are kept. */
export class ResultAccount {
  /** Of all sessions. */
  bytes = 0;
  readonly #limits: SessionLimits;

  constructor(limits: SessionLimits) {
    this.#limits = limits;
  }

  /**
   * Takes what a batch did, in the order of the log, with the results of its commands.
   *
   * @returns how many results were too large to be kept.
   */
  settle(changes: readonly SessionChange[], results: readonly Uint8Array[]): number {
    let next = 0;
    let forgotten = 0;
    for (const { session, released, added } of changes) {
      for (const { bytes } of released) this.#add(session, -(bytes?.length ?? 0));
      if (added === undefined) continue;
      const bytes = results[next++];
      if (this.#fits(session, bytes.length)) {
        added.bytes = bytes;
        this.#add(session, bytes.length);
      } else {
        forgotten++;
      }
    }
    return forgotten;
  }

  #fits(session: Session, bytes: number): boolean {
    return session.bytes + bytes <= this.#limits.sessionResultBytesMax &&
      this.bytes + bytes <= this.#limits.resultBytesMax;
  }

  #add(session: Session, bytes: number): void {
    session.bytes += bytes;
    this.bytes += bytes;
  }
}
