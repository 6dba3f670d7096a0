/**
 * Linearizable reads on the leader (thesis §6.4, ReadIndex): a read may be served at the commit index
 * of its arrival, once it is sure that no other leader existed by then.
 *
 * @module
 */

import type { Raft } from "../raft.ts";
import type { PendingRead } from "../read_only.ts";
import { type Message, NO_PEER } from "../types.ts";
import { broadcastHeartbeat } from "./sending.ts";

/**
 * Takes a read request, from this peer's host or forwarded by a follower. Before the first commit of
 * its term a leader does not know what is committed, so the request waits (Raft §8). That holds for
 * the only voter as well: it may have lost its last commit index in a crash.
 */
export function handleReadRequest(raft: Raft, message: Message): void {
  if (raft.hasCommittedInTerm()) confirmRead(raft, message);
  else raft.postponedReads.push(message);
}

/** Starts on the reads that waited for the term's first commit. */
export function releasePostponedReads(raft: Raft): void {
  if (raft.postponedReads.length === 0 || !raft.hasCommittedInTerm()) return;
  const reads = raft.postponedReads;
  raft.postponedReads = [];
  for (const message of reads) confirmRead(raft, message);
}

/** Takes the echo of a heartbeat's read position, and answers what a quorum has confirmed. */
export function handleReadAck(raft: Raft, message: Message): void {
  if (raft.config.readOnly !== "safe") return;
  if (message.context === undefined || message.context.length === 0) return;
  raft.readOnly.receiveAck(message.from, message.context);
  for (const read of raft.readOnly.takeConfirmed(raft.tracker.voters)) answerRead(raft, read);
}

function confirmRead(raft: Raft, request: Message): void {
  const index = raft.log.committed;
  // The only voter needs nobody's confirmation. A leader that was removed is not it.
  const decidesAlone = raft.tracker.isSingleton() && raft.tracker.voters.has(raft.id);
  if (decidesAlone || raft.config.readOnly === "lease-based") {
    answerRead(raft, { request, index });
    return;
  }
  raft.readOnly.add(index, request, raft.id);
  broadcastHeartbeat(raft);
}

function answerRead(raft: Raft, { request, index }: PendingRead): void {
  if (request.from === NO_PEER || request.from === raft.id) {
    raft.readStates.push({ index, context: request.entries[0].command });
  } else {
    raft.send({ type: "read-index-response", to: request.from, index, entries: request.entries });
  }
}
