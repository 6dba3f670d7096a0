/**
 * Messages on their way into and out of a node. What arrives goes to the region and peer it names, or is
 * counted and logged when there is none here; what the regions send in one turn leaves as one batch a
 * node.
 *
 * @module
 */

import type { Message } from "../raft/mod.ts";
import type {
  IncomingSnapshot,
  RegionMessage,
  SnapshotSink,
  Transport,
  TransportHandler,
} from "../transport/contract.ts";
import type { Directory } from "./directory.ts";
import type { Notifier } from "./notifier.ts";
import type { Region } from "./region.ts";
import type { SnapshotArrivals } from "./snapshots/arrivals.ts";
import type { NodeCounters } from "./status.ts";

/** What a `Router` is made of. */
export interface RouterParts {
  readonly nodeId: number;
  readonly transport: Transport;
  readonly regions: ReadonlyMap<number, Region>;
  readonly directory: Directory;
  readonly arrivals: SnapshotArrivals;
  readonly notifier: Notifier;
  readonly counters: NodeCounters;
  /** Answers a question of another node. */
  readonly answer: (fromNodeId: number, question: Uint8Array) => Promise<Uint8Array>;
}

/** The messages of a node. */
export class Router implements TransportHandler {
  readonly #parts: RouterParts;
  #outbox = new Map<number, RegionMessage[]>();
  #stopped = false;

  constructor(parts: RouterParts) {
    this.#parts = parts;
  }

  /** Messages of another node arrived. */
  receive(fromNodeId: number, batch: readonly RegionMessage[]): void {
    if (this.#stopped) return;
    const { regions, directory, notifier, counters } = this.#parts;
    for (const { regionId, message } of batch) {
      const region = regions.get(regionId);
      if (region === undefined || region.peerId !== message.to) {
        counters.messagesMisrouted++;
        notifier.warnOnce(
          `misrouted ${regionId}/${message.to}`,
          `node ${fromNodeId} sent a ${message.type} for peer ${message.to} of region ${regionId}, ` +
            "which this node does not host",
        );
        continue;
      }
      directory.learn(regionId, message.from, fromNodeId);
      if (!region.receive(message)) {
        counters.messagesOverflowed++;
        notifier.warnOnce(
          `overflow ${regionId}`,
          `region ${regionId} has too many messages waiting: the newest are dropped`,
        );
      }
    }
  }

  /** A snapshot of another node begins to arrive; a text refuses it. */
  receiveSnapshot(fromNodeId: number, snapshot: IncomingSnapshot): SnapshotSink | string {
    const { nodeId, regions, directory, arrivals, notifier, counters } = this.#parts;
    const { regionId, message } = snapshot;
    if (this.#stopped) return "the node stops";
    const region = regions.get(regionId);
    const refusal = region?.peer.refusalOf(message);
    if (refusal !== undefined) {
      notifier.messageRefused(region!.peer, refusal);
      return refusal.message;
    }
    if (region?.peerId !== message.to) {
      counters.messagesMisrouted++;
      return `peer ${message.to} of region ${regionId} does not live on node ${nodeId}`;
    }
    directory.learn(regionId, message.from, fromNodeId);
    return arrivals.receive(region, fromNodeId, snapshot);
  }

  /** Another node asks something. */
  answer(fromNodeId: number, question: Uint8Array): Promise<Uint8Array> {
    return this.#parts.answer(fromNodeId, question);
  }

  /** A snapshot has reached another node, or has not. */
  snapshotSent(_nodeId: number, regionId: number, peerId: number, ok: boolean): void {
    this.#parts.regions.get(regionId)?.push({ type: "snapshot-sent", peerId, ok });
  }

  /** Messages to a node were lost. */
  unreachable(nodeId: number): void {
    const { regions, directory } = this.#parts;
    for (const region of regions.values()) {
      for (const peerId of directory.peersOn(region.regionId, nodeId)) {
        region.push({ type: "unreachable", peerId });
      }
    }
  }

  /** Takes a message that a region sends; it leaves with the next `flush`. */
  post(regionId: number, message: Message): void {
    const nodeId = this.#parts.directory.nodeOf(regionId, message.to);
    if (nodeId === 0 || nodeId === this.#parts.nodeId) {
      this.#parts.counters.messagesUndeliverable++;
      this.#parts.notifier.warnOnce(
        `undeliverable ${regionId}/${message.to}`,
        `the node of peer ${message.to} of region ${regionId} is not known: its messages are dropped`,
      );
      return;
    }
    const batch = this.#outbox.get(nodeId);
    if (batch === undefined) this.#outbox.set(nodeId, [{ regionId, message }]);
    else batch.push({ regionId, message });
  }

  /** Sends what was posted. */
  flush(): void {
    if (this.#outbox.size === 0) return;
    const { transport, counters } = this.#parts;
    const outbox = this.#outbox;
    this.#outbox = new Map();
    for (const [nodeId, batch] of outbox) {
      counters.transportBatches++;
      counters.messagesSent += batch.length;
      transport.send(nodeId, batch);
    }
  }

  /** Nothing arrives or leaves any more. */
  stop(): void {
    this.#stopped = true;
    this.#outbox.clear();
  }
}
