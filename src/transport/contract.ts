/**
 * The transport contract: how nodes exchange the messages of their regions. A transport never
 * blocks the core: it may lose, delay, repeat or reorder messages, and says when it knows that a
 * node cannot be reached.
 *
 * @module
 */

import type { PeerId } from "../raft/mod.ts";
import type { RegionMessage } from "../wire/mod.ts";
import type { TransportCounters } from "./counters.ts";

export type { RegionMessage } from "../wire/mod.ts";

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
  /** What it has done so far: a copy, for metrics and tests. */
  counters(): TransportCounters;
  /** Stops listening, closes every connection. Idempotent. What is sent afterwards is dropped. */
  close(): Promise<void>;
}
