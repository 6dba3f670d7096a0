/**
 * The one interface that logs, metrics and traces of a node are fed from.
 *
 * @module
 */

import type { PeerId, RaftError, Role } from "../raft/mod.ts";

/** Which replica an observation is about. */
export interface ObservedPeer {
  /** Its node. */
  readonly nodeId: number;
  /** Its region. */
  readonly regionId: number;
  /** The replica. */
  readonly peerId: PeerId;
}

/**
 * Told what happens in a node, synchronously and in order. All methods are optional; what they throw
 * is logged and otherwise ignored. They must return quickly.
 */
export interface Observer {
  /** Another leader is known, or none (0). */
  leaderChanged?(
    peer: ObservedPeer,
    leader: {
      readonly leaderPeerId: PeerId;
      readonly leaderNodeId: number;
      readonly term: number;
    },
  ): void;
  /** The replica's role changed. */
  roleChanged?(peer: ObservedPeer, role: Role, term: number): void;
  /** A batch has been applied to the state machine. */
  applied?(
    peer: ObservedPeer,
    batch: { readonly commands: number; readonly lastApplied: number },
  ): void;
  /** A message was refused, by the core or before it. Called for every one. */
  messageRefused?(peer: ObservedPeer, error: RaftError): void;
  /**
   * The replica was removed from its region: its log or the other members say so. It takes no part any
   * more, and its data is of no use. Told once.
   */
  removed?(peer: ObservedPeer): void;
  /** The node stopped: by `stop()` (undefined), or because of an error. */
  stopped?(nodeId: number, error: RaftError | undefined): void;
}
