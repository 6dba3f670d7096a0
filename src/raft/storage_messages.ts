/**
 * The messages between the core and its storage: what to write or apply, and the answers that tell
 * the core it is done. With synchronous writes the same answers are stepped by `advance`.
 *
 * @module
 */

import type { Raft } from "./raft.ts";
import {
  APPEND_THREAD,
  APPLY_THREAD,
  createMessage,
  type HardState,
  type Message,
  type RaftLogEntry,
  type Snapshot,
} from "./types.ts";

/** What of a Ready goes to stable storage. */
export interface StableWrite {
  readonly entries: readonly RaftLogEntry[];
  readonly hardState: HardState | undefined;
  readonly snapshot: Snapshot | undefined;
}

/** Whether there is anything to write, or any message that waits for what is being written. */
export function needsAppend(raft: Raft, write: StableWrite): boolean {
  return write.entries.length > 0 || write.hardState !== undefined ||
    write.snapshot !== undefined || raft.messagesAfterAppend.length > 0;
}

/**
 * Tells the append thread what to write, and carries what to deliver once that is durable. The
 * acknowledgement of stability comes last: the leader's own append response is handled while the
 * entries are still in memory.
 */
export function storageAppend(raft: Raft, write: StableWrite): Message {
  const acknowledgement = storageAppendResponse(raft, write);
  const responses = raft.messagesAfterAppend;
  return createMessage({
    type: "storage-append",
    to: APPEND_THREAD,
    from: raft.id,
    entries: write.entries,
    term: write.hardState?.currentTerm,
    vote: write.hardState?.votedFor,
    commit: write.hardState?.commitIndex,
    snapshot: write.snapshot,
    responses: acknowledgement === undefined ? responses : [...responses, acknowledgement],
  });
}

/**
 * The answer to a write: all that is unstable now is stable then, as long as the term stays the same.
 * In another term a later write under way may be replacing those entries (and, if the same ones come
 * back, nothing but the term would tell); the answer is then ignored. So that the tail is still let
 * go of in the end, each write with a new term acknowledges the whole tail, its own entries or not.
 */
export function storageAppendResponse(raft: Raft, write: StableWrite): Message | undefined {
  const hasTail = raft.log.unstable.length > 0;
  if (!hasTail && write.snapshot === undefined) return undefined;
  return createMessage({
    type: "storage-append-response",
    to: raft.id,
    from: APPEND_THREAD,
    term: raft.term,
    index: hasTail ? raft.log.lastIndex() : 0,
    logTerm: hasTail ? raft.log.lastTerm() : 0,
    snapshot: write.snapshot,
  });
}

/** Tells the apply thread what to apply. Committed entries belong to no term. */
export function storageApply(raft: Raft, entries: readonly RaftLogEntry[]): Message {
  return createMessage({
    type: "storage-apply",
    to: APPLY_THREAD,
    from: raft.id,
    entries,
    responses: [storageApplyResponse(raft, entries)],
  });
}

/** The answer once they are applied. */
export function storageApplyResponse(raft: Raft, entries: readonly RaftLogEntry[]): Message {
  return createMessage({
    type: "storage-apply-response",
    to: raft.id,
    from: APPLY_THREAD,
    entries,
  });
}
