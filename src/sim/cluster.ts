/**
 * The simulated cluster: nodes, the regions they host, and the network between them. Nodes come and
 * go; a peer id is used once.
 *
 * @module
 */

import {
  INITIAL_INDEX,
  INITIAL_TERM,
  type PeerEffects,
  SESSION_RESULT_BYTES_MAX,
  type SessionLimits,
  SESSIONS_MAX,
  SESSIONS_RESULT_BYTES_MAX,
} from "../node/mod.ts";
import { type ConfState, createConfState, type PeerId } from "../raft/mod.ts";
import { Chance } from "./chance.ts";
import { Clients } from "./clients.ts";
import { Host, type HostHandler } from "./host.ts";
import { LogImage } from "./log_image.ts";
import type { SimStateMachine, Workload } from "./machine.ts";
import { settleOperatorRequests } from "./member_requests.ts";
import { Network, type NetworkHandler, type Packet } from "./network.ts";
import { messagesOf } from "./outbox.ts";
import { answerProbes, ProbeRead } from "./probes.ts";
import { RegionTruth } from "./region_truth.ts";
import { Replica } from "./replica.ts";
import { SessionTruth } from "./session_truth.ts";
import type { World } from "./world.ts";

/** The limits of every node, where the world has none of its own. */
const SESSION_LIMITS: SessionLimits = {
  sessionsMax: SESSIONS_MAX,
  sessionResultBytesMax: SESSION_RESULT_BYTES_MAX,
  resultBytesMax: SESSIONS_RESULT_BYTES_MAX,
};

/** Peer ids of region r are node ids plus (r - 1) times this. */
const PEER_ID_STRIDE = 1000;

const PROBE_TIMEOUT_MS = 2_000;

/** The streams of chance of a run. */
export const STREAMS = { environment: 0, network: 1, hosts: 2, clients: 3, faults: 1000 } as const;

/** A region: its replicas, its clients, and the truth about it. */
export interface SimRegion {
  readonly regionId: number;
  readonly truth: RegionTruth;
  /** The replicas by peer id; those on lost disks are missing. */
  readonly replicas: Map<PeerId, Replica>;
  /** All replicas there ever were. */
  readonly everyReplica: Map<PeerId, Replica>;
  readonly clients: Clients;
}

/** What a cluster is made of. */
export interface ClusterParts {
  readonly world: World;
  readonly seed: number;
  readonly nodes: number;
  readonly regions: number;
  readonly clients: number;
  readonly createMachine: () => SimStateMachine;
  readonly createWorkload: () => Workload;
}

/** All nodes and regions of a run. */
export class Cluster implements HostHandler, NetworkHandler {
  readonly world: World;
  readonly network: Network;
  readonly hosts = new Map<number, Host>();
  readonly regions: SimRegion[] = [];
  readonly #parts: ClusterParts;
  #nextHostId = 1;

  constructor(parts: ClusterParts) {
    this.#parts = parts;
    this.world = parts.world;
    this.network = new Network(parts.world, new Chance(parts.seed, STREAMS.network), this);
    for (let count = 0; count < parts.nodes; count++) this.#createHost();
    for (let regionId = 1; regionId <= parts.regions; regionId++) this.#createRegion(regionId);
    for (const host of this.hosts.values()) host.start();
  }

  /** The region with this id. */
  region(regionId: number): SimRegion {
    return this.regions[regionId - 1];
  }

  replicasOf(regionId: number): ReadonlyMap<PeerId, Replica> {
    return this.region(regionId).everyReplica;
  }

  nodeOf(regionId: number, peerId: PeerId): number {
    const nodeId = peerId - (regionId - 1) * PEER_ID_STRIDE;
    return this.hosts.has(nodeId) ? nodeId : 0;
  }

  /** The node that a replica lives on. */
  hostOf(replica: Replica): Host {
    return this.hosts.get(replica.nodeId)!;
  }

  /** Whether a replica's process runs, and it has not left the group for good. */
  isLive(replica: Replica): boolean {
    return this.hostOf(replica).isUp && !replica.isRetired;
  }

  /**
   * The leader of a region with the highest term, if its process is awake. It may be one that came back
   * without its data, as a learner, and was promoted: operators still replace it.
   */
  leaderOf(region: SimRegion): Replica | undefined {
    let leader: Replica | undefined;
    for (const replica of region.everyReplica.values()) {
      if (replica.peer?.state !== "leader" || !this.isLive(replica)) continue;
      if (!this.hostOf(replica).isAwake) continue;
      if (leader === undefined || replica.peer.term > leader.peer!.term) leader = replica;
    }
    return leader;
  }

  /** Asks a member for a linearizable read, apart from all clients. */
  probe(region: SimRegion, replica: Replica): ProbeRead {
    const host = this.hostOf(replica);
    const read = new ProbeRead(region.truth.commitIndex, host.clock.nowMs + PROBE_TIMEOUT_MS);
    host.push(region.regionId, { type: "reads", reads: [read] });
    return read;
  }

  /** A new node with an empty replica of a region, which waits to be added. */
  join(region: SimRegion): Replica {
    const host = this.#createHost();
    const replica = this.#createReplica(region, host, 0, createConfState());
    host.start();
    return replica;
  }

  /** The disk of a node is lost: its peers are never used again. */
  lose(host: Host): void {
    host.crash(false);
    host.isLost = true;
    this.refused(host);
  }

  /** A node comes back with an empty disk, and does not know what it was. */
  forget(host: Host): void {
    host.crash(false);
    this.refused(host);
    for (const replica of host.replicas.values()) replica.forget();
  }

  send(packet: Packet): void {
    this.network.send(packet);
  }

  deliver(packet: Packet): void {
    this.hosts.get(packet.to)?.receive(packet.regionId, messagesOf(packet));
  }

  unreachable(from: number, to: number): void {
    const host = this.hosts.get(from);
    for (const regionId of host?.replicas.keys() ?? []) {
      const peerId = to + (regionId - 1) * PEER_ID_STRIDE;
      host!.push(regionId, { type: "unreachable", peerId });
    }
  }

  snapshotSent(packet: Packet, ok: boolean): void {
    const { from, regionId, messages } = packet;
    this.hosts.get(from)?.push(regionId, {
      type: "snapshot-sent",
      peerId: messages[0].to,
      ok,
    });
  }

  answer(_host: Host, replica: Replica, effects: PeerEffects): void {
    this.region(replica.regionId).clients.answer(replica, effects);
    answerProbes(replica, effects);
    settleOperatorRequests(effects, this.world.coverage);
  }

  ended(host: Host): void {
    for (const region of this.regions) region.clients.hostEnded(host);
  }

  refused(host: Host): void {
    if (this.world.trace.verbose) this.world.line(`node ${host.id} has lost its disk`);
    for (const replica of host.replicas.values()) {
      this.region(replica.regionId).replicas.delete(replica.peerId);
    }
  }

  #createHost(): Host {
    const id = this.#nextHostId++;
    const chance = new Chance(this.#parts.seed, STREAMS.hosts + 16 * id);
    const host = new Host(id, this.world, chance, this);
    this.hosts.set(id, host);
    return host;
  }

  #createRegion(regionId: number): void {
    const ids = [...this.hosts.keys()].map((id) => id + (regionId - 1) * PEER_ID_STRIDE);
    const confState = createConfState({ voters: ids });
    const { coverage, environment } = this.world;
    const sessions = new SessionTruth(coverage, environment.sessionLimits ?? SESSION_LIMITS);
    const truth = new RegionTruth(INITIAL_INDEX, confState, sessions);
    const replicas = new Map<PeerId, Replica>();
    const { world, seed, createWorkload, clients: count } = this.#parts;
    const clients = new Clients({
      world,
      truth,
      regionId,
      chance: new Chance(seed, STREAMS.clients + 16 * regionId),
      workload: createWorkload(),
      count,
      hosts: () => this.#awakeHosts(regionId),
    });
    const region = { regionId, truth, replicas, everyReplica: new Map<PeerId, Replica>(), clients };
    this.regions.push(region);
    for (const host of this.hosts.values()) {
      this.#createReplica(region, host, INITIAL_INDEX, confState);
    }
  }

  #awakeHosts(regionId: number): Host[] {
    const hosts: Host[] = [];
    for (const host of this.hosts.values()) {
      const replica = host.replicas.get(regionId);
      if (host.isUp && replica !== undefined && !replica.isRetired) hosts.push(host);
    }
    return hosts;
  }

  #createReplica(region: SimRegion, host: Host, index: number, confState: ConfState): Replica {
    const { regionId, truth } = region;
    const term = index === 0 ? 0 : INITIAL_TERM;
    const peerId = host.id + (regionId - 1) * PEER_ID_STRIDE;
    const replica = new Replica({
      world: this.world,
      chance: new Chance(this.#parts.seed, STREAMS.hosts + 16 * peerId + 1),
      truth,
      regionId,
      nodeId: host.id,
      peerId,
      image: new LogImage({ index, term, confState }),
      createMachine: this.#parts.createMachine,
      nodeOf: (id) => this.nodeOf(regionId, id),
    });
    host.replicas.set(regionId, replica);
    region.replicas.set(peerId, replica);
    region.everyReplica.set(peerId, replica);
    return replica;
  }
}
