/**
 * The consensus core: Raft as a pure state machine, without I/O, clock or randomness of its own. The
 * same inputs give the same outputs, always. It runs wherever ECMAScript does.
 *
 * A host creates a `RawNode` from a `Config` and a `LogStorage`, and then
 *
 * - calls `tick` at a fixed interval,
 * - hands every message that arrives from a peer to `step`,
 * - calls `propose`, `proposeConfChange`, `readIndex` as its users ask for it,
 * - and after each of these, while `hasReady()`, takes a `ready()` and carries it out.
 *
 * **With synchronous storage writes** (the default), carrying out a `Ready` means, in this order:
 *
 * 1. Send `messages`, but keep those of type `vote` back until the next step is done. The others need
 *    not wait for the disk, and a leader's appends travel while it writes.
 * 2. Write `snapshot`, `entries` and `hardState` to stable storage in one atomic transaction. An entry
 *    whose index exists already replaces it and everything after. If `mustSync`, sync before going on.
 * 3. Send `messagesAfterAppend`.
 * 4. If there is a `snapshot`, restore the state machine from it.
 * 5. Apply `committedEntries` in order. For each configuration change call `applyConfChange`, and save
 *    the configuration it returns with the index of the entry. Answer the `readStates` whose index is
 *    applied.
 * 6. Call `advance()`.
 *
 * **With asynchronous storage writes** there is no `advance`. Messages to `APPEND_THREAD` (type
 * `storage-append`) say what to write: `entries`, `snapshot`, and the hard state as `term`, `vote` and
 * `commit` unless all three are 0. Messages to `APPLY_THREAD` (type `storage-apply`) say what to apply.
 * Each queue is worked off strictly in order. Once a message's work is done (for appends: durable), its
 * `responses` are delivered: those to this replica by `step`, the others over the network. Messages of
 * type `vote` wait for the `storage-append` of the same Ready; all others are sent at once.
 *
 * Why requests for a vote wait: a candidate that forgot its term and its own vote in a crash could be
 * elected again in that term, by the votes of others, and write other entries at the same positions.
 *
 * Entries, messages and byte arrays are shared, never copied: nobody may change them.
 *
 * A `RaftInvariantError` means a bug here, or a storage that lost what it had promised to keep. The
 * replica must be stopped; the log and the message of the error say what did not hold.
 *
 * @example
 * ```ts
 * import { createConfState, RawNode } from "@flaredb/raft/raft";
 * import { MemoryStorage } from "@flaredb/raft/storage";
 *
 * const storage = new MemoryStorage({
 *   regionId: 1,
 *   peerId: 1,
 *   initial: { index: 1, term: 1, confState: createConfState({ voters: [1] }) },
 * });
 * const node = new RawNode({ id: 1, storage, random: (bound) => bound - 1 });
 * node.campaign();
 * while (node.hasReady()) {
 *   const ready = node.ready();
 *   await storage.append(ready);
 *   node.advance();
 * }
 * console.assert(node.basicStatus().softState.role === "leader");
 * ```
 *
 * @module
 */

export * from "./types.ts";
export * from "./errors.ts";
export * from "./storage.ts";
export * from "./config.ts";
export * from "./events.ts";
export * from "./ready.ts";
export type { BasicStatus, ReplicationStatus, Status } from "./status.ts";
export { entriesSize, entrySize } from "./size.ts";
export { type Proposal, RawNode } from "./raw_node.ts";
export {
  applyChange,
  applySimple,
  checkConfState,
  decodeConfChange,
  encodeConfChange,
  encodeConfChangeV2,
  enterJoint,
  isConfChangeV2,
  leaveJoint,
  type Membership,
  type NewPeers,
  restoreMembership,
  toConfChangeV2,
} from "./membership/mod.ts";
export {
  type AckedIndex,
  type CommitGroup,
  type GroupCommit,
  JointQuorum,
  MajorityQuorum,
  type VoteResult,
} from "./quorum/mod.ts";
export {
  Inflights,
  type Progress,
  type ReplicationMode,
  ReplicationState,
  type WindowLimits,
} from "./replication/mod.ts";
