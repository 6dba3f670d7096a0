/**
 * Three replicas of the consensus core in one page: each a `RawNode` over a storage in memory that
 * plays its disk, and a network whose messages take time and can be lost. Nothing here knows the page.
 *
 * @module
 */

import {
  createConfState,
  type Message,
  type PeerId,
  type RaftLogEntry,
  RawNode,
  type Role,
} from "../../src/raft/mod.ts";
import { MemoryStorage } from "../../src/storage/memory.ts";

/** The members. */
export const IDS: readonly PeerId[] = [1, 2, 3];

// Slow enough to watch: an election takes one to three seconds, a message a third of one.
const TICK_MS = 60;
const ELECTION_TICKS = 20;
const HEARTBEAT_TICKS = 8;
const FLIGHT_MS_MIN = 260;
const FLIGHT_MS_MAX = 420;

const EVENTS_MAX = 60;

/** A message on its way. */
export interface Flight {
  readonly message: Message;
  readonly sentAtMs: number;
  readonly arrivesAtMs: number;
  /** It will not arrive, as one of its ends was cut off or stopped. */
  lost: boolean;
}

/** Something worth telling. */
export interface ClusterEvent {
  readonly atMs: number;
  readonly text: string;
}

/** An entry of a log. */
export interface EntryView {
  readonly index: number;
  readonly term: number;
  /** The command; empty for the first entry of a leader. */
  readonly text: string;
  readonly committed: boolean;
}

/** What can be seen of a replica. */
export interface ReplicaView {
  readonly id: PeerId;
  readonly running: boolean;
  readonly cutOff: boolean;
  /** What it was last, when it is stopped. */
  readonly role: Role;
  readonly term: number;
  readonly votedFor: PeerId;
  readonly leader: PeerId;
  readonly commitIndex: number;
  readonly log: readonly EntryView[];
  readonly applied: readonly string[];
}

/** One replica: a core that can be stopped, and a disk that survives it. */
interface Replica {
  readonly id: PeerId;
  readonly storage: MemoryStorage;
  core: RawNode | undefined;
  cutOff: boolean;
  applied: string[];
  told: string;
}

/** The replicas and the network between them, in a time of their own. */
export class Cluster {
  /** The time, which only `advance` moves. */
  nowMs = 0;
  /** The messages under way, in the order they were sent. */
  readonly flights: Flight[] = [];
  /** What has happened, oldest first. */
  readonly events: ClusterEvent[] = [];
  readonly #replicas: readonly Replica[];
  readonly #random: (bound: number) => number;
  #nextTickMs = TICK_MS;

  /** `random` gives an integer from 0 to one less than its argument. */
  constructor(random: (bound: number) => number) {
    this.#random = random;
    const initial = { index: 1, term: 1, confState: createConfState({ voters: IDS }) };
    this.#replicas = IDS.map((id) => ({
      id,
      storage: new MemoryStorage({ regionId: 1, peerId: id, initial }),
      core: undefined,
      cutOff: false,
      applied: [],
      told: "",
    }));
    for (const replica of this.#replicas) this.#start(replica);
  }

  /** Lets time pass: clocks tick and messages arrive, each at its moment. */
  advance(ms: number): void {
    const endMs = this.nowMs + ms;
    for (;;) {
      const arrivesAtMs = Math.min(...this.flights.map((flight) => flight.arrivesAtMs));
      const nextMs = Math.min(this.#nextTickMs, arrivesAtMs);
      if (nextMs > endMs) break;
      this.nowMs = nextMs;
      if (arrivesAtMs <= this.#nextTickMs) this.#deliver(arrivesAtMs);
      else this.#tick();
    }
    this.nowMs = endMs;
  }

  /**
   * Writes through the newest leader, or through a replica that knows one; returns whether there was
   * any. A leader that is cut off takes the command too: it cannot know yet that nobody hears it.
   */
  propose(text: string): boolean {
    const stateOf = ({ core }: Replica) => core!.basicStatus();
    const able = this.#replicas.filter((replica) =>
      replica.core !== undefined && stateOf(replica).softState.leader !== 0
    );
    const leaders = able.filter((replica) => stateOf(replica).softState.role === "leader");
    const termOf = (replica: Replica) => stateOf(replica).hardState.currentTerm;
    const replica = leaders.sort((a, b) => termOf(b) - termOf(a))[0] ?? able[0];
    if (replica === undefined) {
      this.#tell(`“${text}” is refused: nobody knows a leader`);
      return false;
    }
    replica.core!.propose(new TextEncoder().encode(text));
    this.#work(replica);
    return true;
  }

  /** Ends a replica as a power cut does; what it wrote to its disk stays. */
  stop(id: PeerId): void {
    const replica = this.#replica(id);
    if (replica.core === undefined) return;
    replica.core = undefined;
    this.#lose(id);
    this.#tell(`${id} is stopped`);
  }

  /** Starts a stopped replica again, from its disk. */
  restart(id: PeerId): void {
    const replica = this.#replica(id);
    if (replica.core !== undefined) return;
    this.#tell(`${id} starts again from its disk`);
    this.#start(replica);
  }

  /** Takes a replica off the network, while it runs on. */
  cutOff(id: PeerId): void {
    this.#replica(id).cutOff = true;
    this.#lose(id);
    this.#tell(`${id} is cut off from the others`);
  }

  /** Puts a replica back on the network. */
  reconnect(id: PeerId): void {
    this.#replica(id).cutOff = false;
    this.#tell(`${id} is connected again`);
  }

  /** What can be seen of every replica. */
  view(): ReplicaView[] {
    return this.#replicas.map((replica) => viewOf(replica));
  }

  #replica(id: PeerId): Replica {
    const found = this.#replicas.find((one) => one.id === id);
    if (found === undefined) throw new Error(`no such replica: ${id}`);
    return found;
  }

  #start(replica: Replica): void {
    replica.applied = [];
    replica.told = "follower";
    replica.core = new RawNode({
      id: replica.id,
      storage: replica.storage,
      random: this.#random,
      electionTick: ELECTION_TICKS,
      heartbeatTick: HEARTBEAT_TICKS,
      checkQuorum: true,
      preVote: true,
    });
    this.#work(replica);
  }

  #tick(): void {
    this.#nextTickMs += TICK_MS;
    for (const replica of this.#replicas) {
      replica.core?.tick();
      this.#work(replica);
    }
  }

  #deliver(atMs: number): void {
    const at = this.flights.findIndex((flight) => flight.arrivesAtMs === atMs);
    const [{ message, lost }] = this.flights.splice(at, 1);
    const to = this.#replica(message.to);
    if (lost || to.core === undefined) return;
    to.core.step(message);
    this.#work(to);
  }

  /** Carries out what a core asks for, in the order that Raft needs. */
  #work(replica: Replica): void {
    const { core, storage, applied } = replica;
    while (core?.hasReady()) {
      const ready = core.ready();
      this.#send(replica, ready.messages);
      void storage.append(ready); // in memory, so it is written when this returns
      this.#send(replica, ready.messagesAfterAppend);
      for (const entry of ready.committedEntries) {
        if (entry.command.length > 0) applied.push(textOf(entry));
      }
      core.advance();
    }
    this.#tellRole(replica);
  }

  #send(from: Replica, messages: readonly Message[]): void {
    for (const message of messages) {
      const flightMs = FLIGHT_MS_MIN + this.#random(FLIGHT_MS_MAX - FLIGHT_MS_MIN);
      const to = this.#replica(message.to);
      this.flights.push({
        message,
        sentAtMs: this.nowMs,
        arrivesAtMs: this.nowMs + flightMs,
        lost: from.cutOff || to.cutOff || to.core === undefined,
      });
    }
  }

  #lose(id: PeerId): void {
    for (const flight of this.flights) {
      if (flight.message.from === id || flight.message.to === id) flight.lost = true;
    }
  }

  #tellRole(replica: Replica): void {
    if (replica.core === undefined) return;
    const { softState, hardState } = replica.core.basicStatus();
    if (softState.role === replica.told) return;
    const was = replica.told;
    replica.told = softState.role;
    if (softState.role === "leader") {
      this.#tell(`${replica.id} leads in term ${hardState.currentTerm}`);
    } else if (softState.role === "candidate") {
      this.#tell(`${replica.id} asks for votes in term ${hardState.currentTerm}`);
    } else if (was === "leader") {
      this.#tell(`${replica.id} no longer leads`);
    }
  }

  #tell(text: string): void {
    this.events.push({ atMs: this.nowMs, text });
    if (this.events.length > EVENTS_MAX) this.events.shift();
  }
}

function viewOf({ id, storage, core, cutOff, applied, told }: Replica): ReplicaView {
  const { hardState } = storage.initialState();
  const status = core?.basicStatus();
  const { commitIndex, currentTerm, votedFor } = status?.hardState ?? hardState;
  const first = storage.firstIndex();
  const entries = storage.entries(first, storage.lastIndex() + 1, Number.MAX_SAFE_INTEGER);
  return {
    id,
    running: core !== undefined,
    cutOff,
    role: status?.softState.role ?? (told as Role),
    term: currentTerm,
    votedFor,
    leader: status?.softState.leader ?? 0,
    commitIndex,
    log: entries.map((entry) => ({
      index: entry.index,
      term: entry.term,
      text: textOf(entry),
      committed: entry.index <= commitIndex,
    })),
    applied,
  };
}

function textOf(entry: RaftLogEntry): string {
  return new TextDecoder().decode(entry.command);
}
