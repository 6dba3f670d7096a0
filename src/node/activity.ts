/**
 * Which followers a leader has heard from lately. The core forgets that at every check of the quorum,
 * at the end of each election timeout, and learns it anew; this remembers over the gap.
 *
 * @module
 */

import type { PeerId, ReplicationStatus } from "../raft/mod.ts";

/** The followers of a leader. */
export class Activity {
  readonly #electionTick: number;
  #ticks = 0;
  #heard = new Map<PeerId, number>();

  /** @param electionTick an election timeout, in ticks. */
  constructor(electionTick: number) {
    this.#electionTick = electionTick;
  }

  /** A tick passes. @param progress the followers, undefined unless this replica leads. */
  tick(progress: ReadonlyMap<PeerId, ReplicationStatus> | undefined): void {
    this.#ticks++;
    const heard = new Map<PeerId, number>();
    for (const [id, { recentActive }] of progress ?? []) {
      // A new one has the benefit of the doubt.
      const before = this.#heard.get(id) ?? this.#ticks;
      heard.set(id, recentActive ? this.#ticks : before);
    }
    this.#heard = heard;
  }

  /** Whether it was heard from within so many election timeouts. */
  isAlive(id: PeerId, timeouts: number): boolean {
    const heard = this.#heard.get(id);
    return heard === undefined || this.#ticks - heard <= timeouts * this.#electionTick;
  }
}
