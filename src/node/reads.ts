/**
 * The linearizable reads of a replica's callers (thesis §6.4). Reads that wait together share one
 * ReadIndex round; while a round is under way, new reads wait for the next, so that under load there
 * is one round a round trip however many read. A confirmed read is answered once the local state
 * machine has applied its index.
 *
 * The core drops a round silently when no leader is known or its messages are lost. A round without
 * an answer is therefore begun again, together with whatever waits by then: after
 * `ROUND_TICKS` ticks, or at once when the leader or the term changed. A late answer to
 * the abandoned round is ignored.
 *
 * @module
 */

import type { PeerId, ReadState } from "../raft/mod.ts";
import { decodeReadRound, encodeReadRound } from "./envelope.ts";
import { CancelledError, OverloadedError, StoppedError, TimedOutError } from "./errors.ts";
import type { PeerEffects, ReadRequest } from "./events.ts";
import type { CheckedLimits } from "./limits.ts";
import type { PeerCounters } from "./status.ts";

/** Ticks without an answer after which a round is begun again. */
export const ROUND_TICKS = 3;

/** A ReadIndex round under way. */
interface Round {
  readonly number: number;
  readonly reads: ReadRequest[];
  readonly leader: PeerId;
  readonly term: number;
  ticks: number;
}

/** A round that was confirmed and waits for the state machine. */
interface ConfirmedRound {
  readonly index: number;
  readonly reads: ReadRequest[];
}

/** The reads that are not settled. */
export class ReadQueue {
  readonly #epoch: number;
  readonly #limits: CheckedLimits;
  readonly #counters: PeerCounters;
  #waiting: ReadRequest[] = [];
  #round: Round | undefined;
  #confirmed: ConfirmedRound[] = [];
  #roundNumber = 0;
  #count = 0;
  #earliestDeadline = Infinity;

  constructor(epoch: number, limits: CheckedLimits, counters: PeerCounters) {
    this.#epoch = epoch;
    this.#limits = limits;
    this.#counters = counters;
  }

  /** How many are not settled. */
  get count(): number {
    return this.#count;
  }

  /** Takes a read, or rejects it when the limit is reached. */
  add(read: ReadRequest, effects: PeerEffects): void {
    if (this.#count >= this.#limits.pendingReadsMax) {
      const error = new OverloadedError("reads", this.#limits.pendingReadsMax, this.#count);
      read.settled = true;
      effects.rejected.push({ request: read, error });
      return;
    }
    this.#counters.reads++;
    this.#count++;
    this.#earliestDeadline = Math.min(this.#earliestDeadline, read.deadline);
    this.#waiting.push(read);
  }

  /** Counts a tick of the round under way. */
  tick(): void {
    if (this.#round !== undefined) this.#round.ticks++;
  }

  /** Begins a round for what waits when none is under way, or the one under way seems lost. */
  beginRound(leader: PeerId, term: number, readIndex: (context: Uint8Array) => void): void {
    this.#abandonLostRound(leader, term);
    if (this.#round !== undefined || this.#waiting.length === 0) return;
    this.#counters.readRounds++;
    this.#roundNumber++;
    this.#round = { number: this.#roundNumber, reads: this.#waiting, leader, term, ticks: 0 };
    this.#waiting = [];
    readIndex(encodeReadRound(this.#epoch, this.#roundNumber));
  }

  #abandonLostRound(leader: PeerId, term: number): void {
    const round = this.#round;
    if (round === undefined) return;
    if (round.leader === leader && round.term === term && round.ticks < ROUND_TICKS) return;
    const open = round.reads.filter((read) => !read.settled);
    this.#waiting = open.concat(this.#waiting);
    this.#round = undefined;
    this.#counters.readRoundsRepeated++;
  }

  /** Takes the core's answer to a round. */
  confirm(state: ReadState): void {
    const round = this.#round;
    if (round === undefined || decodeReadRound(state.context, this.#epoch) !== round.number) return;
    this.#round = undefined;
    this.#confirmed.push({ index: state.index, reads: round.reads });
  }

  /** Answers the confirmed reads that the state machine has caught up with. */
  settleApplied(lastApplied: number, effects: PeerEffects): void {
    if (this.#confirmed.length === 0) return;
    const ahead = this.#confirmed.filter((round) => round.index > lastApplied);
    for (const { index, reads } of this.#confirmed) {
      if (index > lastApplied) continue;
      for (const read of reads) {
        if (this.#settle(read)) effects.readable.push({ read, index });
      }
    }
    this.#confirmed = ahead;
  }

  /** Rejects what has reached its deadline. */
  expire(now: number, effects: PeerEffects): void {
    if (now < this.#earliestDeadline) return;
    this.#earliestDeadline = Infinity;
    for (const read of this.#open()) {
      if (read.deadline > now) {
        this.#earliestDeadline = Math.min(this.#earliestDeadline, read.deadline);
      } else if (this.#settle(read)) {
        effects.rejected.push({ request: read, error: new TimedOutError("read", false) });
      }
    }
    this.#removeSettled();
  }

  /** Rejects one whose caller no longer waits. Nothing happens when it is settled. */
  cancel(read: ReadRequest, reason: unknown, effects: PeerEffects): void {
    if (!this.#settle(read)) return;
    const error = new CancelledError("read", false, { cause: reason });
    effects.rejected.push({ request: read, error });
    this.#removeSettled();
  }

  /** Rejects everything. */
  stop(cause: unknown, effects: PeerEffects): void {
    for (const read of this.#open()) {
      if (!this.#settle(read)) continue;
      effects.rejected.push({ request: read, error: new StoppedError(false, { cause }) });
    }
    this.#removeSettled();
  }

  #settle(read: ReadRequest): boolean {
    if (read.settled) return false;
    read.settled = true;
    this.#count--;
    return true;
  }

  #open(): ReadRequest[] {
    const confirmed = this.#confirmed.flatMap((round) => round.reads);
    return [...this.#waiting, ...(this.#round?.reads ?? []), ...confirmed]
      .filter((read) => !read.settled);
  }

  /** Settled reads in a round under way stay there, and leave with it. */
  #removeSettled(): void {
    this.#waiting = this.#waiting.filter((read) => !read.settled);
    this.#confirmed = this.#confirmed.filter((round) => round.reads.some((read) => !read.settled));
  }
}
