/**
 * The event sink: a replica reports each step of the protocol as it happens. The names and fields
 * are those that validation of traces against the TLA+ specification of Raft needs (the state trace
 * of etcd-io/raft). Off by default; when off nothing is built.
 *
 * @module
 */

import type { ConfChangeSingle, Message, MessageType, PeerId, Role } from "./types.ts";

/**
 * What happened. Messages of kinds that the specification does not know are reported as
 * `SendMessage` and `ReceiveMessage`.
 */
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
  | "SendAppendEntriesRequest"
  | "ReceiveAppendEntriesRequest"
  | "SendAppendEntriesResponse"
  | "ReceiveAppendEntriesResponse"
  | "SendRequestVoteRequest"
  | "ReceiveRequestVoteRequest"
  | "SendRequestVoteResponse"
  | "ReceiveRequestVoteResponse"
  | "SendMessage"
  | "ReceiveMessage";

/** One step of one replica, with its state right after the step (for `Receive…`: right before). */
export interface RaftEvent {
  /** What happened. */
  readonly name: EventName;
  /** The replica that reports. */
  readonly id: PeerId;
  /** The role then. */
  readonly role: Role;
  /** The term then. */
  readonly term: number;
  /** The vote cast in it; 0 when none was. */
  readonly vote: PeerId;
  /** The highest index known to be committed then. */
  readonly commit: number;
  /** The last index of its log, unstable entries included. */
  readonly logLength: number;
  /** The voters of the incoming and of the outgoing configuration, ascending. */
  readonly configuration: readonly [incoming: readonly PeerId[], outgoing: readonly PeerId[]];
  /** Of `Send…` and `Receive…`: the message. */
  readonly message: Message | undefined;
  /** Of `ChangeConf`: the proposed steps. */
  readonly changes: readonly ConfChangeSingle[] | undefined;
}

/** Told of each event, synchronously; it must not call the replica. */
export type EventSink = (event: RaftEvent) => void;

/** The name under which sending or receiving a message of this kind is reported. */
export function messageEventName(verb: "Send" | "Receive", type: MessageType): EventName {
  switch (type) {
    case "append":
    case "heartbeat":
    case "snapshot":
      return `${verb}AppendEntriesRequest`;
    case "append-response":
    case "heartbeat-response":
      return `${verb}AppendEntriesResponse`;
    case "vote":
      return `${verb}RequestVoteRequest`;
    case "vote-response":
      return `${verb}RequestVoteResponse`;
    default:
      return `${verb}Message`;
  }
}
