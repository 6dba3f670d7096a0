/**
 * Logical time (Raft §5.2): the core has no clock; its host ticks it.
 *
 * @module
 */

import type { Raft } from "./raft.ts";
import { leaveJointAutomatically } from "./roles/committing.ts";
import { ordinaryCampaign, startCampaign } from "./roles/election.ts";
import { checkQuorum } from "./roles/leader.ts";
import { broadcastHeartbeat } from "./roles/sending.ts";
import { NO_PEER } from "./types.ts";

/** Lets one tick pass. */
export function tick(raft: Raft): void {
  raft.electionElapsed++;
  if (raft.role === "leader") tickLeader(raft);
  else if (raft.isPromotable() && raft.electionElapsed >= raft.randomizedElectionTimeout) {
    raft.electionElapsed = 0;
    startCampaign(raft, ordinaryCampaign(raft));
  }
}

function tickLeader(raft: Raft): void {
  raft.heartbeatElapsed++;
  if (raft.electionElapsed >= raft.config.electionTick) {
    raft.electionElapsed = 0;
    if (raft.config.checkQuorum) checkQuorum(raft);
    if (!isLeader(raft)) return;
    endTransfer(raft);
  }
  if (raft.heartbeatElapsed >= raft.config.heartbeatTick) {
    raft.heartbeatElapsed = 0;
    broadcastHeartbeat(raft);
  }
}

/** A transfer that took an election timeout failed: proposals are taken again (thesis §3.10). */
function endTransfer(raft: Raft): void {
  if (raft.leadTransferee === NO_PEER) return;
  raft.leadTransferee = NO_PEER;
  leaveJointAutomatically(raft);
}

function isLeader(raft: Raft): boolean {
  return raft.role === "leader";
}
