/**
 * The transport contract: how nodes exchange the messages of their regions. A transport never
 * blocks the core: it may lose, delay, repeat or reorder messages, and says when it knows that a
 * node cannot be reached.
 *
 * @module
 */

import type { Message, PeerId } from "../raft/mod.ts";

/** A message and the region it belongs to. */
export interface RegionMessage {
  /** The region: an integer from 1. */
  readonly regionId: number;
  /** A message between peers; never of a local or storage kind. */
  readonly message: Message;
}

/** What a node does with what arrives. Calls are synchronous and must not throw. */
export interface TransportHandler {
  /** Messages that arrived together from one node, in the order in which it sent them. */
  receive(fromNodeId: number, batch: readonly RegionMessage[]): void;
  /** Messages of these kinds for `nodeId` were dropped, or its connection broke. At most one call a break or a full queue. */
  unreachable(nodeId: number): void;
  /** How the transfer of a snapshot ended, as far as the sender can tell. */
  snapshotSent(nodeId: number, regionId: number, peerId: PeerId, ok: boolean): void;
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
   * Queues messages for a node and returns at once. Beyond the queue's limit the newest are dropped
   * and the node is reported unreachable (for a snapshot also its failure).
   */
  send(nodeId: number, batch: readonly RegionMessage[]): void;
  /** Stops listening, closes every connection. Idempotent. */
  close(): Promise<void>;
}
