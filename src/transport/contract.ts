/**
 * The transport contract: how nodes exchange the messages of their regions. A transport never
 * blocks the core: it may lose, delay, repeat or reorder messages, and says when it knows that a
 * node cannot be reached.
 *
 * @module
 */

import type { Message, PeerId } from "../raft/mod.ts";
import type { RegionMessage } from "../wire/mod.ts";
import type { TransportCounters } from "./counters.ts";

export type { RegionMessage } from "../wire/mod.ts";
export { AskError } from "./errors.ts";

/**
 * What a node does with what arrives. Calls are synchronous and must not throw; one that does is
 * logged and counted. They never happen inside a call of the transport's own methods.
 */
export interface TransportHandler {
  /** Messages that arrived together from one node, in the order in which it sent them. */
  receive(fromNodeId: number, batch: readonly RegionMessage[]): void;
  /** Messages for `nodeId` were dropped, or its connection broke. At most one call a break or a full queue. */
  unreachable(nodeId: number): void;
  /**
   * How the transfer of a snapshot ended, as far as the sender can tell: `ok` says that it reached
   * the other node, not that it was installed. Called once for each `snapshot` message that was
   * sent, unless the transport is closed before.
   */
  snapshotSent(nodeId: number, regionId: number, peerId: PeerId, ok: boolean): void;
  /**
   * Another node wants to stream a snapshot (see `Transport.sendSnapshot`): where its state goes, or,
   * as text, why it is refused. A handler without this method refuses all.
   */
  receiveSnapshot?(fromNodeId: number, snapshot: IncomingSnapshot): SnapshotSink | string;
  /**
   * Another node asks something (see `Transport.ask`). A rejection is told to it as text. A handler
   * without this method answers nothing.
   */
  answer?(fromNodeId: number, question: Uint8Array): Promise<Uint8Array>;
}

/**
 * A state as a stream of chunks of any size. A chunk belongs to whoever has asked for it, until it
 * gives it back.
 */
export interface SnapshotChunks extends AsyncIterable<Uint8Array> {
  /**
   * Gives a chunk back: nobody looks at it any more, so its memory may serve for another one. Chunks
   * that are never given back are left to the garbage collector, which is in no hurry: a stream of
   * gigabytes may then hold a hundred MiB of them.
   */
  recycle?(chunk: Uint8Array): void;
}

/** A snapshot that is streamed to another node. */
export interface OutgoingSnapshot {
  /** The region: an integer from 1. */
  readonly regionId: number;
  /** The `snapshot` message that the receiver handles once the state has arrived; without data. */
  readonly message: Message;
  /**
   * The state. It is read as fast as the receiver stores it, with other work of the event loop between,
   * and closed (`return`) when the transfer ends before it does.
   */
  readonly chunks: SnapshotChunks;
}

/** A snapshot that another node streams to this one. */
export interface IncomingSnapshot {
  /** The region it belongs to. */
  readonly regionId: number;
  /** What the snapshot stands for; without data. */
  readonly message: Message;
}

/** Takes the state of one snapshot. Calls do not overlap, and none follows `finish` or `abort`. */
export interface SnapshotSink {
  /**
   * Takes the next piece, which must be kept before this resolves: no more is asked for until then.
   * Its memory is used for something else afterwards. It may be a view of a larger buffer. A rejection
   * ends the transfer.
   */
  write(bytes: Uint8Array): Promise<void>;
  /**
   * All has arrived, and its checksum holds. Resolves once the snapshot has been handed on; a
   * rejection fails the transfer.
   */
  finish(): Promise<void>;
  /** The transfer was given up: nothing of it counts. */
  abort(reason: string): void;
}

/** How the transfer of a snapshot ended. */
export type SnapshotOutcome =
  /** The receiver has all of it and has handed it on; it may still be installing it. */
  | { readonly ok: true; readonly bytes: number }
  /** It was refused, given up, or could not be carried on. */
  | { readonly ok: false; readonly reason: string };

/** How far the transfer of a snapshot is. */
export interface SnapshotProgress {
  /** Bytes read from `chunks`. */
  readonly readBytes: number;
  /** Bytes the receiver is known to have stored. */
  readonly storedBytes: number;
  /** How often a connection broke and the transfer went on over another. */
  readonly resumptions: number;
}

/** A transfer under way. */
export interface SnapshotTransfer {
  /** How it ended. Never rejects. */
  readonly done: Promise<SnapshotOutcome>;
  /** How far it is. */
  progress(): SnapshotProgress;
  /** Gives it up, here and at the receiver; `done` says `reason`. Nothing happens once it has ended. */
  abort(reason: string): void;
}

/** How messages leave a node. */
export interface Transport {
  /** Starts listening and delivering to `handler`. Called once, before any other method. */
  start(handler: TransportHandler): Promise<void>;
  /** Makes a node known, or changes its address (`host:port`). Connects when there is something to send. */
  addNode(nodeId: number, address: string): void;
  /** Forgets a node: closes its connection and drops what waits for it. */
  removeNode(nodeId: number): void;
  /**
   * Queues messages for a node and returns at once; never throws because of what it is given.
   * Beyond the queue's limit the newest are dropped and the node is reported unreachable (for a
   * snapshot also its failure). Messages for an unknown node, of a local kind or beyond the size
   * limit are dropped and counted.
   */
  send(nodeId: number, batch: readonly RegionMessage[]): void;
  /**
   * Streams a snapshot of any size to a node, apart from its messages, with bounded memory. Where
   * connections can break the transfer goes on over another one. Never throws because of what it is
   * given; a transfer to an unknown node fails.
   */
  sendSnapshot(nodeId: number, snapshot: OutgoingSnapshot): SnapshotTransfer;
  /**
   * Asks a node something, apart from its messages: for what is rare and small, at most 64 KiB each
   * way. Its handler's `answer` is called at most once.
   *
   * @param deadlineMs how long the answer may take, in milliseconds.
   * @throws AskError by rejection, when there is no answer; it says whether the question may have
   *   arrived.
   */
  ask(nodeId: number, question: Uint8Array, deadlineMs: number): Promise<Uint8Array>;
  /** What it has done so far: a copy, for metrics and tests. */
  counters(): TransportCounters;
  /** Stops listening, closes every connection. Idempotent. What is sent afterwards is dropped. */
  close(): Promise<void>;
}
