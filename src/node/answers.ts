/**
 * What a turn has settled, told to those who wait for it: callers of the node, transfers of leadership,
 * streams of snapshots, the logger and the observer.
 *
 * @module
 */

import type { Directory } from "./directory.ts";
import type { PeerEffects } from "./events.ts";
import type { LocalMemberChange, NodeMembers } from "./node_members.ts";
import type { Notifier } from "./notifier.ts";
import type { Region } from "./region.ts";
import { type LocalProposal, type LocalRead, reject, resolve } from "./requests.ts";
import type { SnapshotDepartures } from "./snapshots/departures.ts";
import type { Transfers } from "./transfers.ts";

/** Who is told. */
export interface AnswersParts {
  readonly directory: Directory;
  readonly members: NodeMembers;
  readonly departures: SnapshotDepartures;
  readonly transfers: Transfers;
  readonly notifier: Notifier;
}

/** Tells what the effects of a region settle. */
export class Answers {
  readonly #parts: AnswersParts;

  constructor(parts: AnswersParts) {
    this.#parts = parts;
  }

  /** Answers callers and tells the observer. */
  answer(region: Region, effects: PeerEffects): void {
    const { departures, members, notifier } = this.#parts;
    for (const { proposal, index, term, result } of effects.applied) {
      resolve((proposal as LocalProposal).answer, { index, term, result });
    }
    for (const { read, index } of effects.readable) resolve((read as LocalRead).answer, { index });
    this.reject(effects);
    for (const message of effects.snapshots) departures.request(region, message);
    for (const { request, index, confState: { voters, learners } } of effects.changed) {
      (request as LocalMemberChange).resolve({ index, voters, learners });
    }
    if (region.membersRestored || (effects.appliedBatch?.nodeState.length ?? 0) > 0) {
      region.membersRestored = false;
      members.refresh(region);
    }
    for (const error of effects.refused) notifier.messageRefused(region.peer, error);
    if (effects.appliedBatch !== undefined) notifier.applied(region.peer, effects.appliedBatch);
    this.#tellLeader(region, effects);
  }

  /** Tells those whose requests ended without success. */
  reject({ rejected, changesRejected }: PeerEffects): void {
    for (const { request, error } of rejected) {
      reject((request as LocalProposal | LocalRead).answer, error);
    }
    for (const { request, error } of changesRejected) (request as LocalMemberChange).reject(error);
  }

  #tellLeader(region: Region, { leaderState }: PeerEffects): void {
    if (leaderState === undefined) return;
    const { directory, transfers, notifier } = this.#parts;
    const { leaderPeerId } = leaderState;
    const leaderNodeId = directory.nodeOf(region.regionId, leaderPeerId);
    notifier.leaderState(region.peer, leaderState, leaderNodeId);
    transfers.settle(region.regionId, leaderPeerId);
  }
}
