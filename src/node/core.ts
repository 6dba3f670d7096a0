/**
 * The consensus core of a peer, as its options ask for it.
 *
 * @module
 */

import { type LogStorage, RawNode } from "../raft/mod.ts";
import type { CheckedLimits } from "./limits.ts";
import type { PeerOptions } from "./peer_options.ts";

/** Ticks without a word from the leader after which a follower campaigns. */
export const ELECTION_TICK_DEFAULT = 10;

/**
 * Makes the core of a peer, which writes asynchronously.
 *
 * @param storage the storage of the options, as the core shall see it.
 * @throws ConfigError when an option is invalid, RaftInvariantError when the storage is.
 */
export function createCore(
  options: PeerOptions,
  storage: LogStorage,
  limits: CheckedLimits,
): RawNode {
  return new RawNode({
    id: options.id,
    storage,
    random: options.random,
    electionTick: options.electionTick ?? ELECTION_TICK_DEFAULT,
    heartbeatTick: options.heartbeatTick ?? 1,
    applied: options.lastApplied,
    asyncStorageWrites: true,
    maxSizePerMessage: limits.appendBytesMax,
    maxCommittedSizePerReady: limits.applyBytesMax,
    maxUncommittedSize: limits.uncommittedBytesMax,
    maxInflightMessages: limits.inflightMessagesMax,
    maxInflightBytes: Math.max(limits.inflightBytesMax, limits.appendBytesMax),
    preVote: options.preVote ?? true,
    checkQuorum: options.checkQuorum ?? true,
    readOnly: options.readOnly ?? "safe",
    disableProposalForwarding: !(options.forwardProposals ?? true),
    stepDownOnRemoval: options.stepDownOnRemoval ?? false,
    // A leader that is removed may be the only one that knows it: others may need its vote, which it
    // refuses where their logs are shorter, and it never campaigns itself.
    commitByVote: true,
    logger: options.logger,
  });
}
