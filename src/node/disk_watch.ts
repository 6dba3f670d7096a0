/**
 * A leader whose disk hangs must not lead: nothing it appends itself becomes durable, and a write
 * that hangs may never return. When the oldest write has been under way for an election timeout, the
 * leader asks the most advanced voter to take over and falls silent: no heartbeats, no appends; the
 * others elect a leader within an election timeout. The core does not tick meanwhile, so that it does
 * not campaign either. When the write returns, the peer goes on as whatever it is by then.
 *
 * @module
 */

import { type Logger, NO_PEER, type PeerId, type ReplicationStatus } from "../raft/mod.ts";

/** Decides whether the disk hangs. */
export class DiskWatch {
  readonly #ticksMax: number;
  readonly #logger: Logger;
  readonly #name: string;
  #hangs = false;

  /**
   * @param ticksMax from how many ticks on a write hangs: an election timeout.
   * @param name what log lines begin with.
   */
  constructor(ticksMax: number, logger: Logger, name: string) {
    this.#ticksMax = ticksMax;
    this.#logger = logger;
    this.#name = name;
  }

  /** Whether the oldest write has been under way for too long. */
  get hangs(): boolean {
    return this.#hangs;
  }

  /** Takes the age of the oldest write; says what has changed. */
  observe(oldestTicks: number): "hangs" | "answers" | undefined {
    const hangs = oldestTicks >= this.#ticksMax;
    if (hangs === this.#hangs) return undefined;
    this.#hangs = hangs;
    if (hangs) {
      this.#logger.warn(
        `${this.#name} a write has been under way for ${oldestTicks} ticks: the disk hangs`,
      );
    } else {
      this.#logger.info(`${this.#name} the disk answers again`);
    }
    return hangs ? "hangs" : "answers";
  }
}

/** The voter, other than the leader itself, that is alive and has most of its log; or 0. */
export function mostAdvancedVoter(
  leader: PeerId,
  progress: ReadonlyMap<PeerId, ReplicationStatus> | undefined,
): PeerId {
  let best = NO_PEER;
  let bestIndex = -1;
  for (const [id, replica] of progress ?? []) {
    if (id === leader || replica.learner || !replica.recentActive) continue;
    if (replica.matchIndex <= bestIndex) continue;
    best = id;
    bestIndex = replica.matchIndex;
  }
  return best;
}
