/**
 * Joint quorums: decisions need a majority of the incoming and of the outgoing voters, so that no
 * two configurations ever decide apart (Raft §6, thesis §4.3).
 *
 * @module
 */

import type { PeerId } from "../types.ts";
import {
  type AckedIndex,
  type CommitGroup,
  type GroupCommit,
  MajorityQuorum,
  type VoteResult,
} from "./majority.ts";

/** Two majorities that must agree. With an empty outgoing half it is the plain incoming majority. */
export class JointQuorum {
  /** The half that stays. */
  readonly incoming: MajorityQuorum;
  /** The half that goes; empty unless the configuration is joint. */
  readonly outgoing: MajorityQuorum;

  /** Without an outgoing half, a simple majority. */
  constructor(incoming: MajorityQuorum, outgoing: MajorityQuorum = new MajorityQuorum()) {
    this.incoming = incoming;
    this.outgoing = outgoing;
  }

  /** The voters of both halves, ascending, without duplicates. */
  ids(): readonly PeerId[] {
    if (this.outgoing.ids.length === 0) return this.incoming.ids;
    return new MajorityQuorum([...this.incoming.ids, ...this.outgoing.ids]).ids;
  }

  /** Whether `id` votes in either half. */
  has(id: PeerId): boolean {
    return this.incoming.has(id) || this.outgoing.has(id);
  }

  /** The largest index that both halves have committed; `Infinity` when both are empty. */
  committedIndex(acked: AckedIndex): number {
    const incoming = this.incoming.committedIndex(acked);
    if (this.outgoing.ids.length === 0) return incoming;
    return Math.min(incoming, this.outgoing.committedIndex(acked));
  }

  /** The same with commit groups; see {@linkcode MajorityQuorum.groupCommittedIndex}. */
  groupCommittedIndex(acked: AckedIndex, group: CommitGroup): GroupCommit {
    const incoming = this.incoming.groupCommittedIndex(acked, group);
    const outgoing = this.outgoing.groupCommittedIndex(acked, group);
    return {
      index: Math.min(incoming.index, outgoing.index),
      byGroups: incoming.byGroups && outgoing.byGroups,
    };
  }

  /** Won when both halves have won, lost as soon as one has lost. */
  voteResult(votes: ReadonlyMap<PeerId, boolean>): VoteResult {
    const incoming = this.incoming.voteResult(votes);
    const outgoing = this.outgoing.voteResult(votes);
    if (incoming === outgoing) return incoming;
    return incoming === "lost" || outgoing === "lost" ? "lost" : "pending";
  }
}
