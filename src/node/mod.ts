/**
 * The node room: `Node` replicates an application's `StateMachine`; `Peer` is one replica of one
 * region, for those who drive it themselves.
 *
 * @example A counter on one node, in memory. Bring a file and a network to make it last and grow.
 * ```ts
 * import { Node, type StateMachine } from "@flaredb/raft/node";
 * import { MemoryNodeStorage } from "@flaredb/raft/storage";
 * import { MemoryNetwork } from "@flaredb/raft/transport";
 *
 * let value = 0, applied = 0;
 * const stateMachine: StateMachine<number> = {
 *   apply({ commands, lastApplied }) {
 *     applied = lastApplied;
 *     return commands.map(({ bytes }) => value += bytes[0]);
 *   },
 *   lastApplied: () => applied,
 *   durableIndex: () => 0,
 *   nodeState: () => new Map(),
 *   snapshot: () => ReadableStream.from([Uint8Array.of(value)]),
 *   restore: () => Promise.reject(new Error("left out")),
 * };
 * const node = await Node.open({
 *   nodeId: 1,
 *   storage: new MemoryNodeStorage({ clusterId: "example", nodeId: 1 }),
 *   transport: new MemoryNetwork().transport(1),
 *   regions: [{ stateMachine, members: [{ peerId: 1 }] }],
 *   tickMs: 10,
 * });
 * const { result } = await node.propose<number>(Uint8Array.of(5));
 * if (result !== 5) throw new Error(`found ${result}`);
 * await node.stop();
 * ```
 *
 * @module
 */

export * from "./clock.ts";
export type { CompactionOptions } from "./compaction.ts";
export * from "./errors.ts";
export * from "./events.ts";
export { EPOCH_BOUND } from "./envelope.ts";
export { type CheckedLimits, checkLimits, type PeerLimits } from "./limits.ts";
export type { MemberRecord } from "./member_book.ts";
export { type MemberChange, MemberChangeRequest, PROMOTION_LAG_MAX } from "./member_changes.ts";
export { askStanding, type Standing } from "./member_questions.ts";
export { Node } from "./node.ts";
export * from "./observer.ts";
export * from "./options.ts";
export { Peer } from "./peer.ts";
export type { PeerOptions, PeerSessionOptions, PeerStorage } from "./peer_options.ts";
export { Random, unpredictableSeed } from "./random.ts";
export {
  INITIAL_INDEX,
  INITIAL_TERM,
  openRegion,
  recoverLastApplied,
  type RegionRecovery,
} from "./recovery.ts";
export { ClientSession } from "./sessions/client_session.ts";
export {
  SESSION_CLOCK_MS_DEFAULT,
  SESSION_RESULT_BYTES_MAX,
  SESSION_TIMEOUT_MS_DEFAULT,
  SESSION_TIMEOUT_MS_MAX,
  SESSION_WINDOW,
  type SessionLimits,
  SESSIONS_MAX,
  SESSIONS_RESULT_BYTES_MAX,
} from "./sessions/limits.ts";
export {
  formatSessionId,
  parseSessionId,
  type SessionCommand,
  type SessionKey,
  type SessionOperation,
} from "./sessions/operation.ts";
export { SequenceNumbers } from "./sessions/sequence_numbers.ts";
export type { SessionCounters } from "./sessions/table.ts";
export { checkSpooledSnapshot } from "./snapshots/spool_check.ts";
export * from "./state_machine.ts";
export {
  type ArrivingSnapshotStatus,
  createPeerCounters,
  type DepartingSnapshotStatus,
  type NodeCounters,
  type NodeStatus,
  type PeerCounters,
  type PeerStatus,
} from "./status.ts";
