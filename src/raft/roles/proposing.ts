/**
 * Proposals on the leader (Raft §5.3): what is appended, what is refused, and the gate for
 * configuration changes: one at a time, and only such as fit (thesis §4.1, §4.3).
 *
 * @module
 */

import { ConfChangeError, ProposalDroppedError, type RaftError } from "../errors.ts";
import { applyChange, decodeConfChange, toConfChangeV2 } from "../membership/mod.ts";
import type { Raft } from "../raft.ts";
import { type ConfChangeV2, createEntry, type Message, type RaftLogEntry } from "../types.ts";
import { broadcastAppend } from "./sending.ts";

/**
 * Appends the proposed entries and replicates them. All of them or none: bytes that are no
 * configuration change refuse the whole message. A change that does not fit now is replaced by an
 * empty entry, so that the entries around it keep their places.
 */
export function handleProposal(raft: Raft, message: Message): RaftError | undefined {
  if (raft.self() === undefined) return new ProposalDroppedError("not a member any more");
  if (raft.leadTransferee !== 0) return new ProposalDroppedError("leadership is being transferred");
  let entries = message.entries;
  let pendingConfIndex = raft.pendingConfIndex;
  const accepted: ConfChangeV2[] = [];
  for (let i = 0; i < message.entries.length; i++) {
    if (message.entries[i].type === "normal") continue;
    const change = decodeChange(message.entries[i]);
    if (change instanceof ConfChangeError) return change;
    const refusal = raft.config.disableConfChangeValidation
      ? undefined
      : whyNot(raft, change, pendingConfIndex);
    if (refusal === undefined) {
      pendingConfIndex = raft.log.lastIndex() + 1 + i;
      accepted.push(change);
    } else {
      raft.config.logger.info(`${raft.id} ignores a configuration change: ${refusal}`);
      entries = entries.with(i, createEntry({}));
    }
  }
  if (!raft.appendEntries(entries)) return new ProposalDroppedError("the uncommitted log is full");
  raft.pendingConfIndex = pendingConfIndex;
  for (const { changes } of accepted) {
    if (changes.length > 0) raft.emit("ChangeConf", undefined, changes);
  }
  broadcastAppend(raft);
  return undefined;
}

function decodeChange(entry: RaftLogEntry): ConfChangeV2 | ConfChangeError {
  try {
    return toConfChangeV2(decodeConfChange(entry.type, entry.command));
  } catch (error) {
    if (error instanceof ConfChangeError) return error;
    throw error;
  }
}

/** Why a change must not be appended now; undefined when it may. */
function whyNot(raft: Raft, change: ConfChangeV2, pendingConfIndex: number): string | undefined {
  const { applied } = raft.log;
  if (pendingConfIndex > applied) {
    return `one at index ${pendingConfIndex} may not be applied yet (applied to ${applied})`;
  }
  const leaves = change.changes.length === 0;
  if (raft.tracker.isJoint() && !leaves) return "must leave the joint configuration first";
  if (!raft.tracker.isJoint() && leaves) return "not in a joint configuration";
  return misfit(raft, change);
}

/**
 * Tries the change out: nothing is pending, so the configuration is the one it will be applied to. A
 * misfit (no voter left, for one) would stop every replica when it is applied.
 */
function misfit(raft: Raft, change: ConfChangeV2): string | undefined {
  try {
    applyChange(raft.tracker, change, raft.newPeers());
    return undefined;
  } catch (error) {
    if (error instanceof ConfChangeError) return error.message;
    throw error;
  }
}
