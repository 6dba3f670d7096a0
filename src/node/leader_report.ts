/**
 * What a peer says of its leader, role and term: at first, and whenever one of them has changed.
 *
 * @module
 */

import type { BasicStatus } from "../raft/mod.ts";
import type { LeaderState } from "./events.ts";

/** Says what is new. */
export class LeaderReport {
  #reported: LeaderState | undefined;

  /** What has changed since the last call; undefined when nothing has. */
  next({ softState, hardState }: BasicStatus): LeaderState | undefined {
    const { leader, role } = softState;
    const { currentTerm } = hardState;
    const before = this.#reported;
    if (
      leader === before?.leaderPeerId && role === before.role && currentTerm === before.term
    ) return undefined;
    return this.#reported = { leaderPeerId: leader, role, term: currentTerm };
  }
}
