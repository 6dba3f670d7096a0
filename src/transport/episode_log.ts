/**
 * A log of troubles that repeat: each is written once when it begins, not at every occurrence, and
 * again only when it comes back after it had healed or been quiet.
 *
 * @module
 */

import type { Logger } from "../raft/mod.ts";

/** A trouble that did not occur for this long, one minute, is written again when it does. */
export const EPISODE_QUIET_MS = 60_000;

/** Most troubles remembered, 1,024; beyond it the oldest is forgotten. */
export const EPISODES_MAX = 1024;

interface Episode {
  lastMs: number;
  suppressed: number;
}

/** Writes each trouble, named by a key, once an episode. */
export class EpisodeLog {
  private readonly logger: Logger;
  private readonly nowMs: () => number;
  private readonly episodes = new Map<string, Episode>();

  /** @param nowMs a clock that never goes back. */
  constructor(logger: Logger, nowMs: () => number) {
    this.logger = logger;
    this.nowMs = nowMs;
  }

  /** Notes that the trouble `key` occurred; writes `text` when it just began. */
  warn(key: string, text: string): void {
    const now = this.nowMs();
    const episode = this.episodes.get(key);
    if (episode !== undefined && now - episode.lastMs < EPISODE_QUIET_MS) {
      episode.lastMs = now;
      episode.suppressed++;
      return;
    }
    const again = episode === undefined || episode.suppressed === 0
      ? ""
      : ` (${episode.suppressed} more before without a log line)`;
    this.episodes.delete(key);
    if (this.episodes.size >= EPISODES_MAX) {
      this.episodes.delete(this.episodes.keys().next().value!);
    }
    this.episodes.set(key, { lastMs: now, suppressed: 0 });
    this.logger.warn(text + again);
  }

  /** Notes that the trouble `key` is over; writes `text` when there was one. */
  healed(key: string, text: string): void {
    if (this.episodes.delete(key)) this.logger.info(text);
  }
}
