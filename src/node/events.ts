/**
 * What goes into a `Peer` and what comes out of it. Both are plain data: whoever drives the peer
 * (a `Node`, or a simulator) brings the events in and carries the effects out.
 *
 * @module
 */

import type {
  ConfChange,
  ConfChangeV2,
  ConfState,
  Message,
  PeerId,
  RaftError,
  Role,
} from "../raft/mod.ts";
import type { LogWrite } from "../storage/contract.ts";
import { type RequestError, StoppedError } from "./errors.ts";
import type { MemberChangeRequest } from "./member_changes.ts";
import { checkSessionOperation, type SessionOperation } from "./sessions/operation.ts";
import type { ApplyBatch } from "./state_machine.ts";

/** A command that a caller wants replicated. Drivers extend it with what they need to answer. */
export class ProposalRequest {
  /** The bytes for the state machine. Must not change any more. */
  readonly command: Uint8Array;
  /** When to give up, on the monotonic clock, in milliseconds. */
  readonly deadline: number;
  /** What it does to client sessions, if anything; with `PeerOptions.sessions`. */
  readonly session: SessionOperation | undefined;
  /** Its number in the peer's incarnation; set by the peer, 0 until it has taken it. */
  sequence = 0;
  /** The term of the leader it was last handed to; set by the peer, 0 while it waits for one. */
  term = 0;

  /**
   * A command, to be given up at `deadline`. Operations on sessions other than `command` have no bytes.
   *
   * @throws ConfigError when a number of `session` is out of bounds.
   */
  constructor(command: Uint8Array, deadline: number, session?: SessionOperation) {
    if (session !== undefined) checkSessionOperation(session);
    this.command = command;
    this.deadline = deadline;
    this.session = session;
  }
}

/** A caller that wants to read linearizably. Drivers extend it with what they need to answer. */
export class ReadRequest {
  /** When to give up, on the monotonic clock, in milliseconds. */
  readonly deadline: number;
  /** Whether it has been answered or given up; set by the peer. */
  settled = false;

  /** The deadline is a tick. */
  constructor(deadline: number) {
    this.deadline = deadline;
  }
}

/** Something that happened around a peer. */
export type PeerEvent =
  /** Time went on by one tick. */
  | { readonly type: "tick" }
  /** Messages of other peers arrived. */
  | { readonly type: "messages"; readonly messages: readonly Message[] }
  /** Callers want commands replicated. */
  | { readonly type: "proposals"; readonly proposals: readonly ProposalRequest[] }
  /** Callers want to read. */
  | { readonly type: "reads"; readonly reads: readonly ReadRequest[] }
  /** A caller no longer waits. */
  | {
    readonly type: "cancel";
    readonly request: ProposalRequest | ReadRequest;
    readonly reason?: unknown;
  }
  /** A write is durable. Writes complete in the order in which they were handed out. */
  | {
    readonly type: "appended";
    readonly id: number;
    /** After a snapshot was installed: the node's own part of the state. */
    readonly nodeState?: ReadonlyMap<string, Uint8Array>;
  }
  /** The state of a snapshot has arrived whole: its message is handled like any other from now on. */
  | { readonly type: "snapshot-received"; readonly message: Message }
  /** The state machine applied the batch that was handed out. */
  | { readonly type: "applied"; readonly results: readonly unknown[] }
  /** The configuration that was handed out is durable. */
  | { readonly type: "configuration-saved" }
  /** Messages to a peer were lost, or its node cannot be reached. */
  | { readonly type: "unreachable"; readonly peerId: PeerId }
  /** The transfer of a snapshot to a peer ended. */
  | { readonly type: "snapshot-sent"; readonly peerId: PeerId; readonly ok: boolean }
  /** Leadership shall pass to a peer. */
  | { readonly type: "transfer-leader"; readonly to: PeerId }
  /** The configuration shall change. What is not taken is reported as refused. */
  | { readonly type: "change-configuration"; readonly change: ConfChange | ConfChangeV2 }
  /** A caller wants the members changed; with `PeerOptions.nodeState`. */
  | { readonly type: "change-members"; readonly request: MemberChangeRequest }
  /** An election shall start now. */
  | { readonly type: "campaign" }
  /** The peer shall end: every request is rejected, later events do nothing. */
  | { readonly type: "stop"; readonly cause?: RaftError };

/** A write for the storage; answered by an `appended` event with its id once it is durable. */
export interface AppendWork {
  /** Names the write until it is done. */
  readonly id: number;
  /** What to write, in one transaction. */
  readonly write: LogWrite;
}

/**
 * Work for the state machine, one piece at a time. A batch is answered by `applied`; a configuration
 * is stored with `saveConfState` and then answered by `configuration-saved`.
 */
export type ApplyWork =
  | { readonly type: "batch"; readonly batch: ApplyBatch }
  | { readonly type: "configuration"; readonly confState: ConfState; readonly index: number };

/** A proposal that took effect. */
export interface AppliedProposal {
  /** What was proposed. */
  readonly proposal: ProposalRequest;
  /** Where in the log it is. */
  readonly index: number;
  /** The term concerned. */
  readonly term: number;
  /** What the state machine returned; the `SessionKey` when a session was opened. */
  readonly result: unknown;
  /**
   * Whether it is a command of a session that had been applied before: index, term and result are those
   * of that time.
   */
  readonly isDuplicate: boolean;
}

/** A read that may be answered from the local state machine. */
export interface ConfirmedRead {
  /** What was asked for. */
  readonly read: ReadRequest;
  /** The read index: all that was committed when the read was asked for is at or below it. */
  readonly index: number;
}

/** A proposal or a read that ended without success. */
export interface RejectedRequest {
  /** What has failed. */
  readonly request: ProposalRequest | ReadRequest;
  /** Why, and whether it may still take effect. */
  readonly error: RequestError;
}

/** A change of the members that took effect. */
export interface AppliedMemberChange {
  /** The change that was asked for. */
  readonly request: MemberChangeRequest;
  /** Where in the log it is. */
  readonly index: number;
  /** The configuration it made; a later one when a snapshot brought that to the peer before. */
  readonly confState: ConfState;
}

/** A change of the members that ended without success. */
export interface RejectedMemberChange {
  /** The change that was asked for. */
  readonly request: MemberChangeRequest;
  /** Why, and whether it may still take effect. */
  readonly error: RequestError;
}

/** Who leads and what this peer is. */
export interface LeaderState {
  /** Who leads, as far as it is known; 0 when it is not. */
  readonly leaderPeerId: PeerId;
  /** This replica's role. */
  readonly role: Role;
  /** The term concerned. */
  readonly term: number;
}

/** What a peer wants done, in this order: send, append, apply, answer. */
export interface PeerEffects {
  /** Messages to other peers, in order. They may leave at once. */
  readonly messages: Message[];
  /** Snapshots to stream to other peers, with `streamsSnapshots`; each is answered by `snapshot-sent`. */
  readonly snapshots: Message[];
  /** Writes, in order. */
  readonly appends: AppendWork[];
  /** The next work for the state machine. */
  apply: ApplyWork | undefined;
  /** The batch that the state machine has just applied. */
  appliedBatch: ApplyBatch | undefined;
  /** Proposals that took effect. */
  readonly applied: AppliedProposal[];
  /** Reads that may be answered. */
  readonly readable: ConfirmedRead[];
  /** Proposals and reads that ended. */
  readonly rejected: RejectedRequest[];
  /** Changes of the members that took effect. */
  readonly changed: AppliedMemberChange[];
  /** Changes of the members that ended. */
  readonly changesRejected: RejectedMemberChange[];
  /** Leader, role or term, when one of them changed. */
  leaderState: LeaderState | undefined;
  /**
   * Why the peer has ended by itself: RaftInvariantError (a bug), StateMachineError (a result is
   * missing), EnvelopeError, StorageError (a read failed). It then does nothing any more.
   */
  failure: RaftError | undefined;
  /** Messages and changes of the configuration that were refused. */
  readonly refused: RaftError[];
}

/** Effects with nothing to do. */
export function createPeerEffects(): PeerEffects {
  return {
    messages: [],
    snapshots: [],
    appends: [],
    apply: undefined,
    appliedBatch: undefined,
    applied: [],
    readable: [],
    rejected: [],
    changed: [],
    changesRejected: [],
    leaderState: undefined,
    failure: undefined,
    refused: [],
  };
}

/** Takes everything back but rejections: nothing leaves a failed peer, and successes become doubts. */
export function turnIntoFailure(effects: PeerEffects, failure: RaftError): void {
  effects.failure = failure;
  effects.messages.length = 0;
  effects.snapshots.length = 0;
  effects.appends.length = 0;
  effects.apply = undefined;
  for (const { proposal } of effects.applied.splice(0)) {
    const error = new StoppedError(true, { cause: failure });
    effects.rejected.push({ request: proposal, error });
  }
  for (const { request } of effects.changed.splice(0)) {
    const error = new StoppedError(true, { cause: failure });
    effects.changesRejected.push({ request, error });
  }
  for (const { read } of effects.readable.splice(0)) {
    const error = new StoppedError(false, { cause: failure });
    effects.rejected.push({ request: read, error });
  }
}
