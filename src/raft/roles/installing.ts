/**
 * Installing a snapshot on a follower (Raft §7): it replaces the log and the configuration, unless
 * the log has all of it already.
 *
 * @module
 */

import { restoreMembership } from "../membership/mod.ts";
import type { Raft } from "../raft.ts";
import type { ConfState, Message, PeerId, Snapshot } from "../types.ts";

/** Installs the snapshot, or says up to where the log is committed without it. */
export function handleSnapshot(raft: Raft, message: Message): void {
  const { snapshot, from: to } = message;
  const installed = snapshot !== undefined && install(raft, snapshot);
  const index = installed ? raft.log.lastIndex() : raft.log.committed;
  raft.send({ type: "append-response", to, index });
}

/** False when the snapshot is old, matches the log already, or leaves this replica out. */
function install(raft: Raft, snapshot: Snapshot): boolean {
  const { log } = raft;
  const { index, term, confState } = snapshot.metadata;
  // One that was asked for may repeat what is committed: the state behind it is what is wanted. An
  // older one would throw away entries that were acknowledged before the request.
  const requested = raft.pendingRequestSnapshot !== 0 && index >= raft.pendingRequestSnapshot;
  if (index < log.committed || (index === log.committed && !requested)) return false;
  if (!includes(confState, raft.id)) {
    raft.config.logger.warn(`${raft.id} refuses a snapshot that leaves it out`);
    return false;
  }
  if (!requested && log.matchesTerm(index, term)) {
    // The log has it all: only the commit index is news.
    log.commitTo(index);
    return false;
  }
  log.restore(snapshot);
  raft.pendingRequestSnapshot = 0;
  const { confState: restored, progress } = restoreMembership(confState, raft.newPeers());
  raft.tracker.use(restored, progress);
  raft.emit("ApplyConfChange");
  raft.config.logger.info(`${raft.id} restored snapshot ${term}/${index}`);
  return true;
}

/** Whether a configuration has this peer; `learnersNext` are outgoing voters as well. */
function includes(confState: ConfState, id: PeerId): boolean {
  return confState.voters.includes(id) || confState.learners.includes(id) ||
    confState.votersOutgoing.includes(id);
}
