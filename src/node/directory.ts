/**
 * Who lives where: for each region, the node of every known peer.
 *
 * @module
 */

import { NO_PEER, type PeerId } from "../raft/mod.ts";

/** The nodes of the peers of all regions of a node. */
export class Directory {
  readonly #nodes = new Map<number, Map<PeerId, number>>();

  /** Notes that a peer lives on a node. */
  set(regionId: number, peerId: PeerId, nodeId: number): void {
    let region = this.#nodes.get(regionId);
    if (region === undefined) {
      region = new Map();
      this.#nodes.set(regionId, region);
    }
    region.set(peerId, nodeId);
  }

  /** Notes where a peer's message came from, when its node is not known. */
  learn(regionId: number, peerId: PeerId, nodeId: number): void {
    if (peerId !== NO_PEER && this.nodeOf(regionId, peerId) === 0) {
      this.set(regionId, peerId, nodeId);
    }
  }

  /** The peers of a region whose node is known. */
  peers(regionId: number): PeerId[] {
    return [...this.#nodes.get(regionId)?.keys() ?? []];
  }

  /** Whether any known peer lives on a node. */
  hosts(nodeId: number): boolean {
    return [...this.#nodes.values()].some((region) => [...region.values()].includes(nodeId));
  }

  /** Forgets where a peer lives. */
  delete(regionId: number, peerId: PeerId): void {
    this.#nodes.get(regionId)?.delete(peerId);
  }

  /** The node of a peer, or 0 when it is not known. */
  nodeOf(regionId: number, peerId: PeerId): number {
    return this.#nodes.get(regionId)?.get(peerId) ?? 0;
  }

  /** The peers of a region on a node. */
  peersOn(regionId: number, nodeId: number): PeerId[] {
    const peers: PeerId[] = [];
    for (const [peerId, node] of this.#nodes.get(regionId) ?? []) {
      if (node === nodeId) peers.push(peerId);
    }
    return peers;
  }
}
