/**
 * The tracker: the active configuration together with what is known about each peer in it, and the
 * questions that need both: what is committed, who has won, is the quorum alive.
 *
 * @module
 */

import { JointQuorum, MajorityQuorum, type VoteResult } from "../quorum/mod.ts";
import { type ConfState, createConfState, type PeerId } from "../types.ts";
import type { ReplicationState, WindowLimits } from "./replication_state.ts";

/** The replication states of the peers of a configuration, by id. */
export type Progress = ReadonlyMap<PeerId, ReplicationState>;

/** The configuration and the peers in it. */
export class Tracker {
  /** The limits that new peers' windows get. */
  readonly limits: WindowLimits;
  /** Whether commits need two commit groups (opt-in). */
  readonly groupCommit: boolean;
  #confState: ConfState = createConfState();
  #voters = new JointQuorum(new MajorityQuorum());
  #progress: Progress = new Map();
  #peers: readonly ReplicationState[] = [];
  readonly #votes = new Map<PeerId, boolean>();
  // One closure each for the life of the tracker: commit is computed at every acknowledgement.
  readonly #matchIndex = (id: PeerId) => this.#progress.get(id)?.matchIndex;
  readonly #commitGroup = (id: PeerId) => this.#progress.get(id)?.commitGroup ?? 0;

  constructor(limits: WindowLimits, groupCommit: boolean) {
    this.limits = limits;
    this.groupCommit = groupCommit;
  }

  /** The active configuration. */
  get confState(): ConfState {
    return this.#confState;
  }

  /** Its voters. */
  get voters(): JointQuorum {
    return this.#voters;
  }

  /** All tracked peers, learners included, in ascending order of id. */
  get peers(): readonly ReplicationState[] {
    return this.#peers;
  }

  /** All tracked peers by id. */
  get progress(): Progress {
    return this.#progress;
  }

  /** The state of a peer; undefined when it is not part of the configuration. */
  get(id: PeerId): ReplicationState | undefined {
    return this.#progress.get(id);
  }

  /** Makes another configuration the active one. */
  use(confState: ConfState, progress: Progress): void {
    this.#confState = confState;
    this.#voters = new JointQuorum(
      new MajorityQuorum(confState.voters),
      new MajorityQuorum(confState.votersOutgoing),
    );
    this.#peers = [...progress.values()].sort((a, b) => a.id - b.id);
    this.#progress = new Map(this.#peers.map((peer) => [peer.id, peer]));
  }

  /** Whether the group consists of one voter alone. */
  isSingleton(): boolean {
    return this.#confState.voters.length === 1 && this.#confState.votersOutgoing.length === 0;
  }

  /** Whether the configuration is joint. */
  isJoint(): boolean {
    return this.#confState.votersOutgoing.length > 0;
  }

  /** The highest index that a quorum has stored (and two commit groups, if so configured). */
  committedIndex(): number {
    return this.groupCommit
      ? this.#voters.groupCommittedIndex(this.#matchIndex, this.#commitGroup).index
      : this.#voters.committedIndex(this.#matchIndex);
  }

  /** Whether a quorum was heard from lately (thesis §6.2). */
  isQuorumActive(): boolean {
    const active = new Map<PeerId, boolean>();
    for (const peer of this.#peers) {
      if (!peer.isLearner) active.set(peer.id, peer.recentActive);
    }
    return this.#voters.voteResult(active) === "won";
  }

  /** Forgets all votes, for a new campaign. */
  resetVotes(): void {
    this.#votes.clear();
  }

  /** Counts a vote; a voter's first answer stands. Returns what the votes amount to. */
  recordVote(id: PeerId, granted: boolean): VoteResult {
    if (!this.#votes.has(id)) this.#votes.set(id, granted);
    return this.#voters.voteResult(this.#votes);
  }
}
