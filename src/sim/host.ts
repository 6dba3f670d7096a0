/**
 * A node of the simulated cluster: what `Node` does in production, without promises. It collects what
 * arrives, hands it to its peers, and carries their effects out, over one disk for all its regions.
 * Its process may end between any two of these steps.
 *
 * @module
 */

import type { AppendWork, ApplyWork, PeerEffects, PeerEvent } from "../node/mod.ts";
import { createMessage, type Message, type RaftError } from "../raft/mod.ts";
import type { Chance } from "./chance.ts";
import { describeTurn } from "./describe.ts";
import { Disk } from "./disk.ts";
import { violated } from "./errors.ts";
import { traceTurn } from "./fingerprint.ts";
import { HostClock } from "./host_clock.ts";
import { inspect, type Replicas } from "./inspection.ts";
import type { Packet } from "./network.ts";
import { encodePacket, packetsOf } from "./outbox.ts";
import type { Replica } from "./replica.ts";
import type { World } from "./world.ts";

/** What a node asks of its world. */
export interface HostHandler {
  send(packet: Packet): void;
  /** All replicas of a region there ever were. */
  replicasOf(regionId: number): Replicas;
  nodeOf(regionId: number, peerId: number): number;
  /** What a peer answers its callers. */
  answer(host: Host, replica: Replica, effects: PeerEffects): void;
  /** The process ended; every caller is left without an answer. */
  ended(host: Host): void;
  /** The process could not start, as its disk is damaged. */
  refused(host: Host): void;
}

/** What a node of the network does not do itself. */
interface Inbox {
  events: PeerEvent[];
  isTurnDue: boolean;
}

/** Where in a turn a process ends. */
export type CrashPoint = "before-sending" | "while-sending" | "before-writing" | "after-writing";

/** A batch that the state machine is applying. */
interface Applying {
  readonly work: ApplyWork & { readonly type: "batch" };
  isDone: boolean;
}

/** One process and its disk. */
export class Host {
  readonly id: number;
  readonly disk: Disk;
  readonly clock: HostClock;
  readonly replicas = new Map<number, Replica>();
  /** Whether the process runs. */
  isUp = false;
  /** Whether its disk is lost: it never runs again. */
  isLost = false;
  /** Whether its disk is damaged, so that it will be lost at the next start. */
  isDamaged = false;
  /** Counts its processes. */
  incarnation = 0;
  /** The process ends at this point of its next turn. */
  crashPoint: CrashPoint | undefined;
  readonly #world: World;
  readonly #chance: Chance;
  readonly #handler: HostHandler;
  readonly #inboxes = new Map<number, Inbox>();
  readonly #applying = new Map<number, Applying>();
  #pausedUntil = 0;
  #machineSlowUntil = 0;
  #backlog: (() => void)[] = [];

  constructor(id: number, world: World, chance: Chance, handler: HostHandler) {
    this.id = id;
    this.#world = world;
    this.#chance = chance;
    this.#handler = handler;
    this.clock = new HostClock(world, chance.below(100_000));
    this.disk = new Disk(world, chance, (error) => this.#diskFailed(error));
  }

  /** Whether its process runs and is not paused. */
  get isAwake(): boolean {
    return this.isUp && this.#world.now >= this.#pausedUntil;
  }

  /** Starts the process. */
  start(): void {
    if (this.isUp || this.isLost) return;
    for (const replica of this.replicas.values()) {
      if (replica.start()) continue;
      this.isLost = true;
      this.#world.coverage.add("damaged disks refused");
      for (const other of this.replicas.values()) other.crash(false);
      return this.#handler.refused(this);
    }
    this.isUp = true;
    this.incarnation++;
    this.crashPoint = undefined;
    this.#pausedUntil = 0;
    if (this.#world.trace.verbose) this.#world.line(`node ${this.id} starts`);
    for (const regionId of this.replicas.keys()) {
      this.#inboxes.set(regionId, { events: [], isTurnDue: false });
    }
    this.#scheduleTick(this.#chance.below(this.#world.environment.tickUs));
  }

  /** Ends the process; `writesSurvive` when the machine goes on. */
  crash(writesSurvive: boolean): void {
    if (!this.isUp) return;
    if (this.#world.trace.verbose) this.#world.line(`node ${this.id} crashes`);
    this.isUp = false;
    this.incarnation++;
    this.#backlog = [];
    this.#applying.clear();
    for (const replica of this.replicas.values()) replica.crash(writesSurvive);
    this.disk.crash();
    this.#handler.ended(this);
  }

  /** Suspends the process. Time goes on without it. */
  pause(durationUs: number): void {
    const isPaused = !this.isAwake;
    this.#pausedUntil = Math.max(this.#pausedUntil, this.#world.now + durationUs);
    if (isPaused) return;
    this.#resumeLater();
  }

  /** Its state machines finish nothing for a while. */
  slowMachines(durationUs: number): void {
    this.#machineSlowUntil = this.#world.now + durationUs;
  }

  /** Something happened for a peer. */
  push(regionId: number, event: PeerEvent): void {
    if (!this.isUp || this.replicas.get(regionId)?.isRetired) return;
    if (!this.isAwake) {
      this.#backlog.push(() => this.push(regionId, event));
      return;
    }
    const inbox = this.#inboxes.get(regionId)!;
    inbox.events.push(event);
    if (inbox.isTurnDue) return;
    const { turnMaxUs } = this.#world.environment;
    if (turnMaxUs === 0 || this.#chance.hits(300)) return this.#turn(regionId);
    inbox.isTurnDue = true;
    const { incarnation } = this;
    this.#world.schedule(this.#chance.below(turnMaxUs), () => {
      if (this.incarnation !== incarnation) return;
      this.#whenAwake(() => {
        inbox.isTurnDue = false;
        this.#turn(regionId);
      });
    });
  }

  /** Messages arrived. */
  receive(regionId: number, messages: readonly Message[]): void {
    const peerId = this.replicas.get(regionId)?.peerId;
    const [first] = messages;
    if (first.to !== peerId) return;
    if (first.type === "snapshot" && this.#world.environment.streamsSnapshots) {
      if (this.replicas.get(regionId)!.peer?.refusalOf(first) !== undefined) return;
      return this.push(regionId, { type: "snapshot-received", message: first });
    }
    this.push(regionId, { type: "messages", messages });
  }

  /** Discards the log before `index`. */
  compact(replica: Replica, index: number): void {
    const { written, durable } = replica;
    if (index <= written.truncatedIndex) return;
    this.#world.coverage.add("compactions");
    written.compact(index);
    this.disk.submit({ commit: () => durable.compact(index), done: () => {} });
  }

  #turn(regionId: number): void {
    const inbox = this.#inboxes.get(regionId)!;
    if (inbox.events.length === 0) return;
    const { events } = inbox;
    inbox.events = [];
    const replica = this.replicas.get(regionId)!;
    this.#carryOut(replica, this.#handle(replica, events));
  }

  #handle(replica: Replica, events: readonly PeerEvent[]): PeerEffects {
    let effects: PeerEffects;
    try {
      effects = replica.peer!.handle(events, this.clock.nowMs);
    } catch (error) {
      violated("no-exception", `peer ${replica.name} threw ${error}`, error);
    }
    const { trace } = this.#world;
    traceTurn(trace, replica, events.length, effects);
    if (trace.verbose) this.#world.line(describeTurn(replica, events, effects));
    inspect(replica, effects, this.#handler.replicasOf(replica.regionId));
    return effects;
  }

  #carryOut(replica: Replica, effects: PeerEffects): void {
    const { crashPoint, incarnation } = this;
    if (crashPoint === "before-sending") return this.#crashInTurn();
    const sent = crashPoint === "while-sending"
      ? effects.messages.slice(0, this.#chance.below(effects.messages.length + 1))
      : effects.messages;
    this.#send(replica, sent);
    // A connection that refuses a message wakes the peer at once, and it may crash in that turn.
    if (this.incarnation !== incarnation) return;
    for (const request of effects.snapshots) this.#sendSnapshot(replica, request);
    if (crashPoint === "while-sending" || crashPoint === "before-writing") {
      return this.#crashInTurn();
    }
    for (const work of effects.appends) this.#append(replica, work);
    if (crashPoint === "after-writing") return this.#crashInTurn();
    this.#handler.answer(this, replica, effects);
    if (this.incarnation === incarnation && effects.apply !== undefined) {
      this.#apply(replica, effects.apply);
    }
  }

  #crashInTurn(): void {
    this.#world.coverage.add("crashes in a turn");
    this.crashPoint = undefined;
    this.crash(this.#chance.hits(500));
  }

  #send(replica: Replica, messages: readonly Message[]): void {
    if (messages.length === 0) return;
    const { regionId } = replica;
    const { batched, encodesMessages } = this.#world.environment;
    const nodeOf = (peerId: number): number => this.#handler.nodeOf(regionId, peerId);
    for (const packet of packetsOf({ from: this.id, regionId }, messages, nodeOf, batched)) {
      this.#handler.send(encodesMessages ? encodePacket(packet) : packet);
    }
  }

  /** The state is taken when it is sent. When that cannot be, the core tries again later. */
  #sendSnapshot(replica: Replica, request: Message): void {
    const snapshot = replica.snapshotNow();
    if (snapshot !== undefined) {
      return this.#send(replica, [createMessage({ ...request, snapshot })]);
    }
    this.#world.coverage.add("snapshots temporarily unavailable");
    const { regionId } = replica;
    const { incarnation } = this;
    this.#world.schedule(2 * this.#world.environment.tickUs, () => {
      if (this.incarnation !== incarnation) return;
      this.push(regionId, { type: "snapshot-sent", peerId: request.to, ok: false });
    });
  }

  #append(replica: Replica, { id, write }: AppendWork): void {
    const { regionId, durable } = replica;
    this.disk.submit({
      commit: () => {
        const before = durable.entriesReplaced;
        durable.append(write);
        if (durable.entriesReplaced > before) {
          this.#world.coverage.add("durable entries replaced");
        }
      },
      done: () => {
        if (write.snapshot !== undefined) {
          this.#world.coverage.add("snapshots installed");
          if (this.#applying.get(regionId)?.isDone === false) {
            this.#world.coverage.add("snapshots installed with a batch under way");
          }
          this.#finishApplying(replica);
          replica.restore(write.snapshot);
        }
        const nodeState = write.snapshot && replica.state.nodeState;
        this.push(regionId, { type: "appended", id, nodeState });
      },
    });
  }

  #apply(replica: Replica, work: ApplyWork): void {
    const { regionId, durable, written } = replica;
    if (work.type === "configuration") {
      const { confState, index } = work;
      written.saveConfState(confState, index);
      this.disk.submit({
        commit: () => durable.saveConfState(confState, index),
        done: () => this.push(regionId, { type: "configuration-saved" }),
      });
      return;
    }
    const applying: Applying = { work, isDone: false };
    this.#applying.set(regionId, applying);
    const { incarnation } = this;
    const slow = Math.max(0, this.#machineSlowUntil - this.#world.now);
    const delay = slow + this.#chance.below(this.#world.environment.applyMaxUs);
    this.#world.schedule(delay, () => {
      if (this.incarnation !== incarnation || applying.isDone) return;
      this.#whenAwake(() => this.#finishApplying(replica));
    });
  }

  /** The state machine finishes the batch that is under way, if any. */
  #finishApplying(replica: Replica): void {
    const { regionId, state, truth } = replica;
    const applying = this.#applying.get(regionId);
    if (applying === undefined || applying.isDone) return;
    applying.isDone = true;
    const { batch } = applying.work;
    const results = state.apply(batch);
    this.#world.trace.add(truth.checkState(batch, results, state.digest()));
    this.push(regionId, { type: "applied", results });
    if (this.#chance.hits(this.#world.environment.checkpointPerMille)) {
      const checkpoint = replica.checkpoint();
      this.disk.submit({
        commit: () => replica.keep(checkpoint),
        done: () => this.compact(replica, checkpoint.index - this.#world.environment.entriesKept),
      });
    }
  }

  #scheduleTick(delayUs: number): void {
    const { incarnation } = this;
    this.#world.schedule(delayUs, () => {
      if (this.incarnation !== incarnation) return;
      this.#whenAwake(() => {
        for (const regionId of this.replicas.keys()) {
          if (this.incarnation === incarnation) this.push(regionId, { type: "tick" });
        }
        if (this.incarnation !== incarnation) return;
        const { tickUs } = this.#world.environment;
        this.#scheduleTick(Math.max(1, Math.round(tickUs / this.clock.rate)));
      });
    });
  }

  #whenAwake(action: () => void): void {
    if (this.isAwake) action();
    else if (this.isUp) this.#backlog.push(action);
  }

  #resumeLater(): void {
    const { incarnation } = this;
    this.#world.schedule(this.#pausedUntil - this.#world.now, () => {
      if (this.incarnation !== incarnation) return;
      if (!this.isAwake) return this.#resumeLater();
      const backlog = this.#backlog;
      this.#backlog = [];
      for (const action of backlog) {
        if (this.incarnation === incarnation) action();
      }
    });
  }

  #diskFailed(error: RaftError): void {
    if (!this.isUp) return;
    for (const replica of this.replicas.values()) {
      const effects = this.#handle(replica, [{ type: "stop", cause: error }]);
      this.#handler.answer(this, replica, effects);
    }
    this.crash(true);
  }
}
