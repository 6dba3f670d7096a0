/**
 * What a steered fault works with: it waits for telling moments, and does to the cluster only what
 * networks, disks, processes and operators do anyway, but at those moments. Whatever it does to links
 * and disks is undone when it ends, however it ends.
 *
 * @module
 */

import type { PeerEvent } from "../../node/mod.ts";
import type { Message } from "../../raft/mod.ts";
import type { Chance } from "../chance.ts";
import type { Cluster, SimRegion } from "../cluster.ts";
import type { RareEvent } from "../coverage.ts";
import type { Host } from "../host.ts";
import type { Membership } from "../membership.ts";
import { cutLinks, type Links } from "../partitions.ts";
import type { ProbeRead } from "../probes.ts";
import type { Replica } from "../replica.ts";

/** A moment that a steered fault waits for. The wait says whether it came in time. */
export interface Moment {
  readonly holds: () => boolean;
  readonly patienceUs: number;
}

/** A steered fault: it stops at each moment that it waits for. */
export type Script = Generator<Moment, void, boolean>;

/** Begins a steered fault. */
export type Play = (stage: Stage) => Script;

/** Waits for a moment. */
export function until(holds: () => boolean, patienceUs: number): Moment {
  return { holds, patienceUs };
}

/** Lets time go by. */
export function pass(durationUs: number): Moment {
  return { holds: () => false, patienceUs: durationUs };
}

/** Whether a message brings entries. */
export function bringsEntries({ type, entries }: Message): boolean {
  return type === "append" && entries.length > 0;
}

/** The cluster, as a steered fault of one region sees it. */
export class Stage {
  readonly region: SimRegion;
  readonly chance: Chance;
  readonly membership: Membership;
  /** The shortest election timeout, in microseconds. */
  readonly electionTimeoutUs: number;
  /** A tick, in microseconds. */
  readonly tickUs: number;
  readonly #cluster: Cluster;
  readonly #undo = new Set<() => void>();

  constructor(cluster: Cluster, membership: Membership, region: SimRegion, chance: Chance) {
    this.#cluster = cluster;
    this.membership = membership;
    this.region = region;
    this.chance = chance;
    const { electionTick, tickUs } = cluster.world.environment;
    this.tickUs = tickUs;
    this.electionTimeoutUs = electionTick * tickUs;
  }

  /** Microseconds of virtual time. */
  get now(): number {
    return this.#cluster.world.now;
  }

  /** The leader of the highest term, if it is a voter and the configuration is not joint. */
  leader(): Replica | undefined {
    const { voters, votersOutgoing } = this.region.truth.configuration;
    const leader = this.#cluster.leaderOf(this.region);
    if (leader === undefined || votersOutgoing.length > 0) return undefined;
    return voters.includes(leader.peerId) ? leader : undefined;
  }

  /** A leader of a later term than `term`. */
  laterLeader(term: number): Replica | undefined {
    const leader = this.#cluster.leaderOf(this.region);
    return leader !== undefined && leader.peer!.term > term ? leader : undefined;
  }

  /** The other voters that run, in an order of chance. */
  otherVoters(of: Replica): Replica[] {
    const found: Replica[] = [];
    for (const id of this.region.truth.configuration.voters) {
      const replica = this.region.replicas.get(id);
      if (replica === undefined || replica === of || !this.#cluster.isLive(replica)) continue;
      found.splice(this.chance.below(found.length + 1), 0, replica);
    }
    return found;
  }

  /** All replicas of the region but these. */
  everybodyBut(...these: readonly Replica[]): Replica[] {
    return [...this.region.replicas.values()].filter((replica) => !these.includes(replica));
  }

  /** Whether a replica runs and leads, as far as it knows. */
  leads(replica: Replica): boolean {
    return this.isLive(replica) && replica.peer!.state === "leader";
  }

  /** Whether a replica runs. */
  isLive(replica: Replica): boolean {
    return this.#cluster.isLive(replica);
  }

  /** The node of a replica. */
  hostOf(replica: Replica): Host {
    return this.#cluster.hostOf(replica);
  }

  /** Lets a replica's peer know of something. */
  push(replica: Replica, event: PeerEvent): void {
    this.hostOf(replica).push(this.region.regionId, event);
  }

  /** Asks a member for a linearizable read. */
  read(replica: Replica): ProbeRead {
    return this.#cluster.probe(this.region, replica);
  }

  /** Cuts all links between two groups. @returns what mends them. */
  sever(a: readonly Replica[], b: readonly Replica[]): () => void {
    const links = linksOf(a, b, "both");
    const { network } = this.#cluster;
    for (const [from, to] of links) network.link(from, to).cuts++;
    return this.#undoable(() => {
      for (const [from, to] of links) network.link(from, to).cuts--;
    });
  }

  /** Lets only some messages pass from one group to another. @returns what ends that. */
  sieve(
    from: readonly Replica[],
    to: readonly Replica[],
    lets: (message: Message) => boolean,
  ): () => void {
    const links = linksOf(from, to, "out");
    const { network } = this.#cluster;
    for (const [a, b] of links) network.link(a, b).lets = lets;
    return this.#undoable(() => {
      for (const [a, b] of links) network.link(a, b).lets = undefined;
    });
  }

  /** Keeps what one group sends to another under way. @returns what lets it arrive. */
  hold(from: readonly Replica[], to: readonly Replica[]): () => void {
    const links = linksOf(from, to, "out");
    const { network } = this.#cluster;
    for (const [a, b] of links) network.hold(a, b);
    return this.#undoable(() => {
      for (const [a, b] of links) network.release(a, b);
    });
  }

  /** The connection of two replicas' nodes breaks. */
  reset(a: Replica, b: Replica): void {
    this.#cluster.network.reset(a.nodeId, b.nodeId);
  }

  /** A replica's disk hangs. @returns what lets it answer. */
  stall(replica: Replica, durationUs: number): () => void {
    const { disk } = this.hostOf(replica);
    disk.stallUntil(this.now + durationUs);
    return this.#undoable(() => disk.resume());
  }

  /** A replica's node loses what its disk held, and comes back under its old id. */
  forget(replica: Replica, downUs: number): void {
    const host = this.hostOf(replica);
    this.reached("nodes that came back without their data");
    this.#cluster.forget(host);
    this.#cluster.world.schedule(downUs, () => host.start());
  }

  /** Counts a rare event. */
  reached(event: RareEvent): void {
    this.#cluster.world.coverage.add(event);
  }

  /** Undoes what still lasts. */
  clear(): void {
    for (const undo of [...this.#undo]) undo();
  }

  #undoable(action: () => void): () => void {
    const undo = (): void => {
      if (this.#undo.delete(undo)) action();
    };
    this.#undo.add(undo);
    return undo;
  }
}

/**
 * Whoever leads in a later term than `term` is asked to hand leadership back to `former`.
 *
 * @returns whether `former` leads again.
 */
export function* handBack(
  stage: Stage,
  former: Replica,
  term: number,
  attempts: number,
): Generator<Moment, boolean, boolean> {
  const leadsAgain = (): boolean => stage.leads(former) && former.peer!.term > term;
  for (let attempt = 0; attempt < attempts && !leadsAgain(); attempt++) {
    const successor = stage.laterLeader(term);
    if (successor !== undefined && successor !== former) {
      stage.push(successor, { type: "transfer-leader", to: former.peerId });
    }
    yield until(leadsAgain, 2 * stage.tickUs);
  }
  return leadsAgain();
}

function linksOf(
  a: readonly Replica[],
  b: readonly Replica[],
  direction: "out" | "both",
): Links {
  return cutLinks(a.map(({ nodeId }) => nodeId), b.map(({ nodeId }) => nodeId), direction);
}
