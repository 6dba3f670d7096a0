/**
 * Majority quorums: which index is committed, and which election is won, by more than half of a set
 * of voters (Raft §5.2, §5.4).
 *
 * @module
 */

import type { PeerId } from "../types.ts";

/** What the votes known so far amount to. */
export type VoteResult = "pending" | "lost" | "won";

/** What a voter has acknowledged. */
export type AckedIndex = (id: PeerId) => number | undefined;

/** The commit group (a zone, for one) of a voter; 0 when it was not assigned one. */
export type CommitGroup = (id: PeerId) => number;

/** The outcome of a commit by groups. */
export interface GroupCommit {
  /** The index that is committed. */
  readonly index: number;
  /** Whether two groups hold it, as group commit wants. */
  readonly byGroups: boolean;
}

/** A set of voters that decides by majority. The empty set agrees to everything. */
export class MajorityQuorum {
  /** The voters, ascending, without duplicates. */
  readonly ids: readonly PeerId[];

  /** Of these voters, in any order. */
  constructor(ids: Iterable<PeerId> = []) {
    this.ids = [...new Set(ids)].sort((a, b) => a - b);
  }

  /** How many voters make a majority. */
  get size(): number {
    return (this.ids.length >> 1) + 1;
  }

  /** Whether `id` is a voter. */
  has(id: PeerId): boolean {
    return this.ids.includes(id);
  }

  /**
   * The largest index that a majority has acknowledged; `Infinity` for the empty set, so that in a
   * joint quorum the other half decides. Voters not heard from count as 0.
   */
  committedIndex(acked: AckedIndex): number {
    const count = this.ids.length;
    if (count === 0) return Infinity;
    if (count === 1) return acked(this.ids[0]) ?? 0;
    const sorted: number[] = [];
    for (let i = 0; i < count; i++) insertDescending(sorted, acked(this.ids[i]) ?? 0);
    return sorted[this.size - 1];
  }

  /**
   * As {@linkcode committedIndex}, but the index must be held by two commit groups as well (as in
   * tikv/raft-rs). Voters without a group hold it back to what all have acknowledged; when all
   * belong to one group, the majority alone decides.
   */
  groupCommittedIndex(acked: AckedIndex, group: CommitGroup): GroupCommit {
    if (this.ids.length === 0) return { index: Infinity, byGroups: true };
    const voters = this.ids.map((id) => ({ index: acked(id) ?? 0, group: group(id) }));
    voters.sort((a, b) => b.index - a.index);
    const { index: quorumIndex, group: quorumGroup } = voters[this.size - 1];
    const first = quorumGroup !== 0 ? quorumGroup : voters.find((v) => v.group !== 0)?.group ?? 0;
    for (const voter of voters) {
      if (voter.group !== 0 && voter.group !== first) {
        return { index: Math.min(voter.index, quorumIndex), byGroups: true };
      }
    }
    const ungrouped = voters.some((voter) => voter.group === 0);
    return { index: ungrouped ? voters[voters.length - 1].index : quorumIndex, byGroups: false };
  }

  /** What the votes amount to. Votes of others are ignored. The empty set has won. */
  voteResult(votes: ReadonlyMap<PeerId, boolean>): VoteResult {
    if (this.ids.length === 0) return "won";
    let granted = 0;
    let missing = 0;
    for (const id of this.ids) {
      const vote = votes.get(id);
      if (vote === undefined) missing++;
      else if (vote) granted++;
    }
    if (granted >= this.size) return "won";
    return granted + missing >= this.size ? "pending" : "lost";
  }
}

/** Quorums are small: inserting beats a general sort and its comparator. */
function insertDescending(sorted: number[], value: number): void {
  let i = sorted.length;
  sorted.push(value);
  while (i > 0 && sorted[i - 1] < value) {
    sorted[i] = sorted[i - 1];
    i--;
  }
  sorted[i] = value;
}
