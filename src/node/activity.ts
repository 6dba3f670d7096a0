/**
 * Which followers a leader has heard from lately. The core forgets that at every check of the quorum,
 * at the end of each election timeout, and learns it anew; this remembers over the gap.
 *
 * @module
 */

import type { PeerId, ReplicationStatus } from "../raft/mod.ts";

/** The followers of a leader. */
export class Activity {
  readonly #ticksMax: number;
  #ticks = 0;
  #heard = new Map<PeerId, number>();

  /** @param ticksMax after how many ticks of silence a follower is not alive: an election timeout. */
  constructor(ticksMax: number) {
    this.#ticksMax = ticksMax;
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

  /** Whether it was heard from within an election timeout. */
  isAlive(id: PeerId): boolean {
    const heard = this.#heard.get(id);
    return heard === undefined || this.#ticks - heard <= this.#ticksMax;
  }
}
