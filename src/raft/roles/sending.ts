/**
 * What a leader sends: appends, snapshots in their place, heartbeats (Raft §5.2, §5.3, §7). Each
 * peer's replication state decides whether and what.
 *
 * @module
 */

import {
  CompactedError,
  RaftInvariantError,
  SnapshotTemporarilyUnavailableError,
} from "../errors.ts";
import type { Raft } from "../raft.ts";
import type { ReplicationState } from "../replication/mod.ts";
import { commandsSize } from "../size.ts";
import type { RaftLogEntry, Snapshot } from "../types.ts";

const NONE: readonly RaftLogEntry[] = Object.freeze([]);

/**
 * Sends `peer` the next entries, or the commit index alone, or a snapshot when the entries are gone.
 * False when nothing was sent: the peer is paused, or there is nothing to say.
 *
 * @param evenIfEmpty whether an append without entries is worth sending (it carries the commit index).
 */
export function sendAppend(raft: Raft, peer: ReplicationState, evenIfEmpty: boolean): boolean {
  if (peer.isPaused()) return false;
  if (peer.pendingRequestSnapshot !== 0) return sendSnapshot(raft, peer);
  const previousIndex = peer.nextIndex - 1;
  const previousTerm = raft.log.term(previousIndex);
  if (previousTerm === undefined) return sendSnapshot(raft, peer);
  const entries = entriesFor(raft, peer);
  if (entries === undefined) return evenIfEmpty && sendSnapshot(raft, peer);
  if (entries.length === 0 && !evenIfEmpty) return false;
  const { committed } = raft.log;
  raft.send({
    type: "append",
    to: peer.id,
    index: previousIndex,
    logTerm: previousTerm,
    entries,
    commit: committed,
  });
  peer.sentEntries(entries.length, commandsSize(entries));
  peer.sentCommit(committed);
  return true;
}

/** Sends every other peer an append, even an empty one. */
export function broadcastAppend(raft: Raft): void {
  for (const peer of raft.tracker.peers) {
    if (peer.id !== raft.id) sendAppend(raft, peer, true);
  }
}

/**
 * Sends every other peer a heartbeat. Its commit index never exceeds what the peer is known to have:
 * the entries beyond may differ there.
 */
export function broadcastHeartbeat(raft: Raft): void {
  const context = raft.readOnly.heartbeatContext();
  for (const peer of raft.tracker.peers) {
    if (peer.id === raft.id) continue;
    const commit = Math.min(peer.matchIndex, raft.log.committed);
    raft.send({ type: "heartbeat", to: peer.id, commit, context });
    peer.sentCommit(commit);
  }
}

/**
 * The next entries for a peer; undefined when they were compacted. With a full window an append stays
 * empty: should all that filled the window be lost, its answer reveals it.
 */
function entriesFor(raft: Raft, peer: ReplicationState): readonly RaftLogEntry[] | undefined {
  if (peer.state === "replicate" && peer.inflights.isFull()) return NONE;
  try {
    return raft.log.entries(peer.nextIndex, raft.config.maxSizePerMessage);
  } catch (error) {
    if (error instanceof CompactedError) return undefined;
    throw error;
  }
}

/**
 * Sends the newest snapshot to a peer that was heard from lately; false when none is at hand that is
 * new enough: as new as the peer asked for, and never older than what it has acknowledged.
 */
function sendSnapshot(raft: Raft, peer: ReplicationState): boolean {
  if (!peer.recentActive) return false;
  const snapshot = availableSnapshot(raft);
  if (snapshot === undefined) return false;
  const { index } = snapshot.metadata;
  if (index < Math.max(peer.pendingRequestSnapshot, peer.matchIndex)) return false;
  if (index === 0) throw new RaftInvariantError("storage returned an empty snapshot");
  raft.config.logger.debug(`${raft.id} sends snapshot ${index} to ${peer.id}`);
  peer.becomeSnapshot(index);
  raft.send({ type: "snapshot", to: peer.id, snapshot });
  return true;
}

function availableSnapshot(raft: Raft): Snapshot | undefined {
  try {
    return raft.log.snapshot();
  } catch (error) {
    if (error instanceof SnapshotTemporarilyUnavailableError) return undefined;
    throw error;
  }
}
