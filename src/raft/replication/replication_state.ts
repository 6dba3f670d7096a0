/**
 * What a leader knows about one peer's log, and how it sends to it: a small state machine (probe,
 * replicate, snapshot) that decides what is sent next and when to pause.
 *
 * @module
 */

import { RaftInvariantError } from "../errors.ts";
import type { PeerId } from "../types.ts";
import { Inflights } from "./inflights.ts";

/**
 * How a leader sends to a peer. `probe`: one append per heartbeat interval, to find where the logs
 * match. `replicate`: ahead of acknowledgements, within the window. `snapshot`: a snapshot is on its
 * way and nothing else is sent.
 */
export type ReplicationMode = "probe" | "replicate" | "snapshot";

/** The limits of a peer's in-flight window. */
export interface WindowLimits {
  /** Most messages under way. */
  readonly countMax: number;
  /** Most bytes of commands under way. */
  readonly bytesMax: number;
}

/** The leader's view of one peer, itself included. Kept in memory only. */
export class ReplicationState {
  /** The peer. */
  readonly id: PeerId;
  /** The highest index known to be stored, and to match, on the peer (Raft figure 2). */
  matchIndex = 0;
  /**
   * The next index to send; what lies between match and next is under way. Always above
   * `matchIndex`. In snapshot mode `pendingSnapshot + 1`.
   */
  nextIndex: number;
  /** How entries are sent to it. */
  state: ReplicationMode = "probe";
  /** In snapshot mode: the index of the snapshot on its way; else 0. */
  pendingSnapshot = 0;
  /** Heard from since the last check of the quorum; always true for the leader itself. */
  recentActive = false;
  /**
   * Appends are held back until the peer answers: a probe is out, or the window is full. A heartbeat
   * response releases it, so that progress goes on although every message may have been lost.
   */
  appendPaused = false;
  /** The peer receives the log without a vote. */
  isLearner: boolean;
  /** Its commit group (opt-in, group commit); 0 when none is assigned. */
  commitGroup = 0;
  /** The index from which the peer asked for a snapshot (opt-in); 0 when it did not. */
  pendingRequestSnapshot = 0;
  /** The appends under way in replicate mode. */
  inflights: Inflights;
  /** The highest commit index under way to the peer. */
  #sentCommit = 0;

  /** A peer of which nothing is known yet. */
  constructor(id: PeerId, nextIndex: number, isLearner: boolean, limits: WindowLimits) {
    this.id = id;
    this.nextIndex = nextIndex;
    this.isLearner = isLearner;
    this.inflights = new Inflights(limits.countMax, limits.bytesMax);
  }

  /** A copy that may be changed in what a configuration decides (learner or not); shares the window. */
  copy(): ReplicationState {
    const copy = new ReplicationState(this.id, this.nextIndex, this.isLearner, {
      countMax: this.inflights.countMax,
      bytesMax: this.inflights.bytesMax,
    });
    copy.matchIndex = this.matchIndex;
    copy.state = this.state;
    copy.pendingSnapshot = this.pendingSnapshot;
    copy.recentActive = this.recentActive;
    copy.appendPaused = this.appendPaused;
    copy.commitGroup = this.commitGroup;
    copy.pendingRequestSnapshot = this.pendingRequestSnapshot;
    copy.inflights = this.inflights;
    copy.#sentCommit = this.#sentCommit;
    return copy;
  }

  /** Starts over at a change of term, knowing nothing but the end of the leader's own log. */
  reset(lastIndex: number): void {
    this.#enter("probe");
    this.matchIndex = 0;
    this.nextIndex = lastIndex + 1;
    this.recentActive = false;
    this.pendingRequestSnapshot = 0;
    this.#sentCommit = 0;
  }

  /** Whether nothing may be sent now. */
  isPaused(): boolean {
    return this.state === "snapshot" || this.appendPaused;
  }

  /** Looks for the match anew, from what is known to match or from the snapshot that arrived. */
  becomeProbe(): void {
    const snapshot = this.state === "snapshot" ? this.pendingSnapshot : 0;
    this.#enter("probe");
    this.nextIndex = Math.max(this.matchIndex, snapshot) + 1;
    this.#sentCommit = Math.min(this.#sentCommit, this.nextIndex - 1);
  }

  /** Sends ahead of acknowledgements from now on. */
  becomeReplicate(): void {
    this.#enter("replicate");
    this.nextIndex = this.matchIndex + 1;
  }

  /** Waits for a snapshot of `index` to arrive. */
  becomeSnapshot(index: number): void {
    this.#enter("snapshot");
    this.pendingSnapshot = index;
    this.nextIndex = index + 1;
    this.#sentCommit = index;
  }

  /**
   * Notes that an append with `count` entries of `bytes` bytes of commands was sent from `nextIndex`.
   *
   * @throws RaftInvariantError in snapshot mode, in which nothing is sent.
   */
  sentEntries(count: number, bytes: number): void {
    if (this.state === "replicate") {
      if (count > 0) {
        this.nextIndex += count;
        this.inflights.add(this.nextIndex - 1, bytes);
      }
      // The message that fills the window, or any sent while it is full, is a probe.
      this.appendPaused = this.inflights.isFull();
    } else if (this.state === "probe") {
      if (count > 0) this.appendPaused = true;
    } else {
      throw new RaftInvariantError(`sent an append to peer ${this.id} while it awaits a snapshot`);
    }
  }

  /** Notes that `commit` was sent. */
  sentCommit(commit: number): void {
    this.#sentCommit = commit;
  }

  /** Whether sending `commit` now could raise the peer's commit index: it reaches to `nextIndex - 1` at most. */
  canRaiseCommit(commit: number): boolean {
    return commit > this.#sentCommit && this.#sentCommit < this.nextIndex - 1;
  }

  /** Takes an acknowledgement up to `index`; false when it is old news. */
  maybeUpdate(index: number): boolean {
    if (index <= this.matchIndex) return false;
    this.matchIndex = index;
    this.nextIndex = Math.max(this.nextIndex, index + 1);
    this.appendPaused = false;
    return true;
  }

  /**
   * Takes the rejection of an append that followed `rejected`, with the peer's hint at where the
   * logs may match, and steps back; false when the rejection is stale (messages may arrive late,
   * twice or out of order).
   */
  maybeDecreaseTo(rejected: number, matchHint: number): boolean {
    if (this.state === "replicate") {
      if (rejected <= this.matchIndex) return false;
      this.nextIndex = this.matchIndex + 1;
    } else {
      // A peer that is probed has one append out, so a rejection of any other is stale.
      if (this.nextIndex - 1 !== rejected) return false;
      this.nextIndex = Math.max(Math.min(rejected, matchHint + 1), this.matchIndex + 1);
      this.appendPaused = false;
    }
    this.#sentCommit = Math.min(this.#sentCommit, this.nextIndex - 1);
    return true;
  }

  /**
   * Takes a peer's request for a snapshot of at least `index` (opt-in, as in tikv/raft-rs); false
   * when it is stale.
   */
  maybeRequestSnapshot(rejected: number, index: number): boolean {
    if (this.state === "replicate" && rejected < this.matchIndex) return false;
    if (this.pendingRequestSnapshot === 0 || this.state === "replicate") {
      this.pendingRequestSnapshot = index;
    }
    this.appendPaused = false;
    return true;
  }

  #enter(state: ReplicationMode): void {
    this.state = state;
    this.appendPaused = false;
    this.pendingSnapshot = 0;
    this.inflights.reset();
  }
}
