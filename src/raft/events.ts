/**
 * The event sink: a replica reports each step of the protocol as it happens. The names and fields
 * are those that validation of traces against the TLA+ specification of Raft needs (as in
 * etcd-io/raft's state trace). Off by default; when off nothing is built.
 *
 * @module
 */

import type { ConfChangeSingle, Message, PeerId, Role } from "./types.ts";

/** What happened. */
export type EventName =
  | "InitState"
  | "BecomeFollower"
  | "BecomePreCandidate"
  | "BecomeCandidate"
  | "BecomeLeader"
  | "Commit"
  | "Replicate"
  | "ChangeConf"
  | "ApplyConfChange"
  | "Ready"
  | "Send"
  | "Receive";

/** One step of one replica, with its state right after the step. */
export interface RaftEvent {
  readonly name: EventName;
  /** The replica that reports. */
  readonly id: PeerId;
  readonly role: Role;
  readonly term: number;
  readonly vote: PeerId;
  readonly commit: number;
  /** The last index of its log, unstable entries included. */
  readonly logLength: number;
  /** The voters of the incoming and of the outgoing configuration, ascending. */
  readonly configuration: readonly [incoming: readonly PeerId[], outgoing: readonly PeerId[]];
  /** Of `Send` and `Receive`: the message. */
  readonly message: Message | undefined;
  /** Of `ChangeConf`: the proposed steps; of `Replicate`: absent. */
  readonly changes: readonly ConfChangeSingle[] | undefined;
}

/** Told of each event, synchronously; it must not call the replica. */
export type EventSink = (event: RaftEvent) => void;
