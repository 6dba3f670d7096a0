/**
 * What follows when something is committed or applied on a leader: releasing reads, telling the
 * peers, leaving a joint configuration.
 *
 * @module
 */

import type { Raft } from "../raft.ts";
import { createEntry, NO_PEER, type Snapshot } from "../types.ts";
import { releasePostponedReads } from "./reading.ts";
import { broadcastAppend } from "./sending.ts";

/**
 * Commits what a quorum has stored by now, if its last entry is of this term: older terms are
 * committed along with it, never by counting (Raft §5.4.2, figure 8). Tells everybody if anything
 * was; whether it was.
 */
export function advanceCommit(raft: Raft): boolean {
  const index = raft.tracker.committedIndex();
  if (!raft.log.maybeCommit(index, raft.term)) return false;
  raft.emit("Commit");
  releasePostponedReads(raft);
  broadcastAppend(raft);
  return true;
}

/** Notes that entries up to `index`, of `size` bytes, were applied. */
export function noteApplied(raft: Raft, index: number, size: number): void {
  const applied = Math.max(index, raft.log.applied);
  raft.log.appliedTo(applied, size);
  leaveJointAutomatically(raft);
}

/** Notes that a received snapshot is durable and applied. */
export function noteSnapshotApplied(raft: Raft, snapshot: Snapshot): void {
  const { index } = snapshot.metadata;
  raft.log.unstable.stableSnapshotTo(index);
  noteApplied(raft, index, 0);
}

/**
 * Proposes the empty change that leaves a joint configuration (thesis §4.3), on a leader that has
 * applied the change which entered it. While leadership is being transferred it waits for the end of
 * the transfer, or for the next leader.
 */
export function leaveJointAutomatically(raft: Raft): void {
  if (raft.role !== "leader" || !raft.tracker.confState.autoLeave) return;
  if (raft.log.applied < raft.pendingConfIndex) return;
  if (raft.self() === undefined || raft.leadTransferee !== NO_PEER) return;
  const index = raft.log.lastIndex() + 1;
  if (!raft.appendEntries([createEntry({ type: "conf-change-v2" })])) return;
  raft.pendingConfIndex = index;
  raft.config.logger.info(`${raft.id} leaves the joint configuration`);
  broadcastAppend(raft);
}
