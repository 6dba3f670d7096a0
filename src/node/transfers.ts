/**
 * The callers of a node that wait for leadership to pass to a peer.
 *
 * @module
 */

import type { PeerId, RaftError } from "../raft/mod.ts";
import { StoppedError, TimedOutError } from "./errors.ts";

interface Waiter {
  readonly regionId: number;
  readonly to: PeerId;
  readonly deadline: number;
  readonly resolve: () => void;
  readonly reject: (error: RaftError) => void;
}

/** Callers that wait for leadership to pass. */
export class Transfers {
  #waiting: Waiter[] = [];

  /** Resolves once `to` leads the region; rejects at the deadline, on the monotonic clock. */
  wait(regionId: number, to: PeerId, deadline: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ regionId, to, deadline, resolve, reject });
    });
  }

  /** A leader of a region is known. */
  settle(regionId: number, leader: PeerId): void {
    if (this.#waiting.length === 0) return;
    this.#waiting = this.#waiting.filter((waiter) => {
      if (waiter.regionId !== regionId || waiter.to !== leader) return true;
      waiter.resolve();
      return false;
    });
  }

  /** Rejects those whose deadline has passed. */
  expire(now: number): void {
    if (this.#waiting.length === 0) return;
    this.#waiting = this.#waiting.filter((waiter) => {
      if (waiter.deadline > now) return true;
      waiter.reject(new TimedOutError("transfer of leadership", true));
      return false;
    });
  }

  /** Rejects all. */
  stop(cause: RaftError | undefined): void {
    for (const { reject } of this.#waiting) reject(new StoppedError(true, { cause }));
    this.#waiting = [];
  }
}
