/**
 * The virtual network. Each direction between two nodes is a link of its own, with its own delay,
 * loss and partitions. Snapshots travel as separate streams that take their time and may be cut
 * anywhere; their sender is told how they ended, as far as it can know.
 *
 * @module
 */

import type { Message } from "../raft/mod.ts";
import type { Chance } from "./chance.ts";
import { encodePacket } from "./outbox.ts";
import type { World } from "./world.ts";

/** Messages of one region on their way from node to node. */
export interface Packet {
  readonly from: number;
  readonly to: number;
  readonly regionId: number;
  readonly messages: readonly Message[];
  /** The same as bytes, when they travel as such. */
  readonly frame: Uint8Array | undefined;
}

/** What the network tells the nodes. */
export interface NetworkHandler {
  /** A packet arrived. */
  deliver(packet: Packet): void;
  /** The sender notices that packets to a node were lost. */
  unreachable(from: number, to: number): void;
  /** A snapshot left its sender completely, or did not. */
  snapshotSent(packet: Packet, ok: boolean): void;
}

/** One direction between two nodes. */
interface Link {
  /** How many partitions cut it. */
  cuts: number;
  delayFactor: number;
  lossPerMille: number;
  /** Counts its connections: what was sent on an earlier one is lost. */
  connection: number;
  lastArrival: number;
  /** What alone gets through; undefined when all does. */
  lets: ((message: Message) => boolean) | undefined;
  /** What arrives is kept here, in order, for later; undefined when it is not kept. */
  held: Packet[] | undefined;
}

/** A snapshot under way. */
interface SnapshotStream {
  readonly packet: Packet;
  /** Whether it has arrived or was cut. */
  ended: boolean;
}

const ARCHIVE_PACKETS = 256;
const LINK_KEY = 4096;

/** The network between all nodes. */
export class Network {
  readonly #world: World;
  readonly #chance: Chance;
  readonly #handler: NetworkHandler;
  readonly #links = new Map<number, Link>();
  readonly #streams = new Set<SnapshotStream>();
  /** Packets of the past, for replays. */
  readonly #archive: Packet[] = [];
  #archived = 0;
  /** Whether packets are still lost, duplicated and delayed at random. */
  #calm = false;

  constructor(world: World, chance: Chance, handler: NetworkHandler) {
    this.#world = world;
    this.#chance = chance;
    this.#handler = handler;
  }

  /** Sends a packet. One with a snapshot becomes a stream. */
  send(sent: Packet): void {
    const link = this.link(sent.from, sent.to);
    const packet = link.lets === undefined ? sent : this.#sieve(sent, link.lets);
    if (packet === undefined) return;
    if (packet.messages[0].type === "snapshot") return this.#stream(packet, link);
    this.#archive[this.#archived++ % ARCHIVE_PACKETS] = packet;
    if (this.#isLost(link)) {
      if (this.#chance.hits(100)) this.#handler.unreachable(packet.from, packet.to);
      return;
    }
    this.#transmit(packet, link);
    if (!this.#calm && this.#chance.hits(this.#world.environment.duplicatePerMille)) {
      this.#world.coverage.add("packets duplicated");
      this.#transmit(packet, link);
    }
  }

  /** The link between two nodes. */
  link(from: number, to: number): Link {
    const key = from * LINK_KEY + to;
    let link = this.#links.get(key);
    if (link === undefined) {
      link = {
        cuts: 0,
        delayFactor: 1,
        lossPerMille: 0,
        connection: 0,
        lastArrival: 0,
        lets: undefined,
        held: undefined,
      };
      this.#links.set(key, link);
    }
    return link;
  }

  /** Breaks the connection of two nodes: what is under way is lost, and both notice. */
  reset(a: number, b: number): void {
    this.#world.coverage.add("links reset");
    for (const [from, to] of [[a, b], [b, a]]) {
      this.link(from, to).connection++;
      this.#handler.unreachable(from, to);
    }
    for (const stream of [...this.#streams]) {
      const { from, to } = stream.packet;
      if ((from === a && to === b) || (from === b && to === a)) this.#cut(stream);
    }
  }

  /** Delivers packets of the past again. */
  replay(count: number): void {
    if (this.#archive.length === 0) return;
    for (let done = 0; done < count; done++) {
      const packet = this.#chance.pick(this.#archive);
      this.#world.coverage.add("packets replayed");
      this.#world.schedule(this.#chance.below(20_000), () => this.#handler.deliver(packet));
    }
  }

  /** Cuts all snapshots that are under way. */
  cutSnapshots(): void {
    for (const stream of [...this.#streams]) this.#cut(stream);
  }

  /** Keeps what arrives over a link until it is released. */
  hold(from: number, to: number): void {
    this.link(from, to).held ??= [];
  }

  /** Lets what was held arrive now, in its order. */
  release(from: number, to: number): void {
    const link = this.link(from, to);
    const held = link.held ?? [];
    link.held = undefined;
    for (const packet of held) this.#world.schedule(0, () => this.#handler.deliver(packet));
  }

  /** From now on nothing is lost, duplicated or cut. */
  calmDown(): void {
    this.#calm = true;
    for (const link of this.#links.values()) {
      link.cuts = 0;
      link.delayFactor = 1;
      link.lossPerMille = 0;
      link.lets = undefined;
    }
  }

  #transmit(packet: Packet, link: Link): void {
    const world = this.#world;
    const { connection } = link;
    const arrival = this.#arrival(link);
    world.schedule(arrival - world.now, () => {
      if (link.connection !== connection) return;
      if (link.cuts > 0 && this.#chance.hits(700)) {
        world.coverage.add("packets cut by a partition");
        return;
      }
      if (link.held === undefined) this.#handler.deliver(packet);
      else link.held.push(packet);
    });
  }

  /** What of a packet gets through; undefined when nothing does. */
  #sieve(packet: Packet, lets: (message: Message) => boolean): Packet | undefined {
    const messages = packet.messages.filter(lets);
    if (messages.length === packet.messages.length) return packet;
    this.#world.coverage.add("packets lost");
    if (messages.length === 0) return undefined;
    const rest = { ...packet, messages, frame: undefined };
    return packet.frame === undefined ? rest : encodePacket(rest);
  }

  #arrival(link: Link): number {
    const { environment, now } = this.#world;
    const { delayMinUs, delayMaxUs, inOrder } = environment;
    let delay = this.#chance.between(delayMinUs, delayMaxUs) * link.delayFactor;
    if (!inOrder && !this.#calm && this.#chance.hits(20)) delay *= 10;
    if (!inOrder) return now + delay;
    link.lastArrival = Math.max(link.lastArrival, now + delay);
    return link.lastArrival;
  }

  #isLost(link: Link): boolean {
    if (link.cuts > 0) {
      this.#world.coverage.add("packets cut by a partition");
      return true;
    }
    const perMille = this.#calm ? 0 : this.#world.environment.lossPerMille + link.lossPerMille;
    if (!this.#chance.hits(perMille)) return false;
    this.#world.coverage.add("packets lost");
    return true;
  }

  /** A snapshot takes its time, and is cut at any moment of it. */
  #stream(packet: Packet, link: Link): void {
    const { coverage, environment } = this.#world;
    coverage.add("snapshots sent");
    const stream: SnapshotStream = { packet, ended: false };
    this.#streams.add(stream);
    const durationUs = environment.delayMaxUs * this.#chance.between(1, 12) * link.delayFactor;
    if (!this.#calm && this.#chance.hits(100)) {
      this.#world.schedule(this.#chance.below(durationUs), () => this.#cut(stream));
    }
    this.#world.schedule(durationUs, () => {
      if (stream.ended) return;
      if (link.cuts > 0) this.#cut(stream);
      else this.#streamed(stream);
    });
  }

  #streamed(stream: SnapshotStream): void {
    const { packet } = stream;
    stream.ended = true;
    this.#streams.delete(stream);
    // The last bytes may be lost after all, and the end be known before or after the arrival.
    const arrives = this.#calm || !this.#chance.hits(50);
    if (arrives && this.#chance.hits(500)) this.#handler.deliver(packet);
    else if (arrives) this.#world.schedule(500, () => this.#handler.deliver(packet));
    this.#handler.snapshotSent(packet, true);
    this.#archive[this.#archived++ % ARCHIVE_PACKETS] = packet;
  }

  #cut(stream: SnapshotStream): void {
    if (stream.ended) return;
    stream.ended = true;
    this.#streams.delete(stream);
    this.#world.coverage.add("snapshots cut");
    this.#handler.snapshotSent(stream.packet, false);
  }
}
