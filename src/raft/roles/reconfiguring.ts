/**
 * Applying configuration changes (thesis §4). A change takes effect on each replica when it is
 * applied there, not when it is appended.
 *
 * @module
 */

import { applyChange, type Membership } from "../membership/mod.ts";
import type { Raft } from "../raft.ts";
import { type ConfChangeV2, type ConfState, NO_PEER } from "../types.ts";
import { advanceCommit } from "./committing.ts";
import { becomeFollower } from "./roles.ts";
import { sendAppend } from "./sending.ts";

/**
 * Applies a committed change and returns the configuration it makes.
 *
 * @throws ConfChangeError when it does not fit; nothing changes then.
 */
export function applyConfChange(raft: Raft, change: ConfChangeV2): ConfState {
  switchTo(raft, applyChange(raft.tracker, change, raft.newPeers()));
  return raft.tracker.confState;
}

function switchTo(raft: Raft, { confState, progress }: Membership): void {
  raft.tracker.use(confState, progress);
  raft.emit("ApplyConfChange");
  raft.config.logger.info(
    `${raft.id} switched to voters ${confState.voters}` +
      (raft.tracker.isJoint() ? ` and ${confState.votersOutgoing}` : "") +
      `, learners ${confState.learners}`,
  );
  if (raft.role !== "leader") return;
  const self = raft.self();
  if (self === undefined || self.isLearner) {
    // A leader that is no voter goes on without counting itself, unless told to step down.
    if (raft.config.stepDownOnRemoval) becomeFollower(raft, raft.term, NO_PEER);
    return;
  }
  // A smaller quorum may commit more; else at least probe the new peers without waiting.
  if (!advanceCommit(raft)) {
    for (const peer of raft.tracker.peers) {
      if (peer.id !== raft.id) sendAppend(raft, peer, false);
    }
  }
  if (raft.leadTransferee !== NO_PEER && !raft.tracker.voters.has(raft.leadTransferee)) {
    raft.leadTransferee = NO_PEER;
  }
}
