/**
 * A small world for `Peer`s without promises or timers: messages, writes and applies wait in lists,
 * and a seeded generator decides what happens next. Everything is checked as it happens: equal
 * entries at equal indexes, no command twice, nothing acknowledged is missing, reads are not stale,
 * the stored configuration is never behind a state machine.
 *
 * @module
 */

import assert from "node:assert/strict";
import {
  type AppendWork,
  type ApplyWork,
  INITIAL_TERM,
  Peer,
  type PeerEffects,
  type PeerEvent,
  ProposalRequest,
  Random,
  ReadRequest,
  recoverLastApplied,
  RequestError,
} from "../../src/node/mod.ts";
import { type ConfChange, createConfState, type Message } from "../../src/raft/mod.ts";
import { MemoryStorage } from "../../src/storage/memory.ts";
import { command, ListMachine } from "./machines.ts";

/** How likely each kind of event is, in parts of a thousand a step. */
export interface WorldOptions {
  readonly seed: number;
  readonly peers?: number;
  readonly lose?: number;
  readonly repeat?: number;
  readonly crash?: number;
  readonly changeConfiguration?: boolean;
  readonly repeatDropped?: boolean;
}

class Request extends ProposalRequest {
  readonly text: string;
  constructor(text: string, deadline: number) {
    super(command(text), deadline);
    this.text = text;
  }
}

class Read extends ReadRequest {
  /** The highest index that was acknowledged when it was asked for. */
  readonly acknowledged: number;
  constructor(deadline: number, acknowledged: number) {
    super(deadline);
    this.acknowledged = acknowledged;
  }
}

/** A replica, its disk and its state machine. */
interface Place {
  readonly id: number;
  readonly storage: MemoryStorage;
  machine: ListMachine;
  peer: Peer | undefined;
  appends: AppendWork[];
  apply: ApplyWork | undefined;
}

/** Peers, and what is under way between them and their disks. */
export class World {
  now = 0;
  readonly places: Place[] = [];
  readonly acknowledged = new Map<string, number>();
  /** Texts whose error said that they never take effect. */
  readonly withoutEffect = new Set<string>();
  readonly counts: Record<string, number> = {};
  /** A hash of everything that came out of the peers. */
  trace = 0;
  readonly #options: WorldOptions;
  readonly #random: Random;
  readonly #committed = new Map<number, string>();
  #network: Message[] = [];
  /** Messages that were delivered and may come again much later. */
  readonly #old: Message[] = [];
  #cut = 0;
  #texts = 0;
  #acknowledgedIndex = 0;
  #open = 0;
  #storageErrors: unknown[] = [];

  constructor(options: WorldOptions) {
    this.#options = options;
    this.#random = new Random(options.seed);
    const ids = Array.from({ length: options.peers ?? 3 }, (_, at) => at + 1);
    const initial = { index: 1, term: 1, confState: createConfState({ voters: ids }) };
    for (const id of ids) {
      const storage = new MemoryStorage({ regionId: 1, peerId: id, initial });
      const hardState = { currentTerm: INITIAL_TERM, votedFor: 0, commitIndex: 1 };
      storage.append({ hardState }).catch((error) => this.#storageErrors.push(error));
      const machine = new ListMachine();
      this.places.push({ id, storage, machine, peer: undefined, appends: [], apply: undefined });
      this.start(this.places[id - 1]);
    }
  }

  /** Starts a replica from what its disk and its state machine kept. */
  start(place: Place): void {
    place.peer = new Peer({
      id: place.id,
      nodeId: place.id,
      regionId: 1,
      storage: place.storage,
      lastApplied: recoverLastApplied(place.storage, place.machine),
      epoch: this.#random.below(2 ** 32),
      random: (bound) => this.#random.below(bound),
      repeatDropped: this.#options.repeatDropped,
    });
  }

  /** Ends a replica at once; what was not written is lost. */
  crash(place: Place): void {
    const effects = place.peer!.handle([{ type: "stop" }], this.now);
    this.#settle(effects);
    place.peer = undefined;
    place.appends = [];
    place.apply = undefined;
    if (this.#random.below(2) === 0) place.machine = new ListMachine();
  }

  /** Does something at random. */
  step(): void {
    const { lose = 0, repeat = 0, crash = 0 } = this.#options;
    const place = this.#pick(this.places);
    const dice = this.#random.below(1000);
    if (place.peer === undefined) {
      if (dice < 60) this.start(place);
    } else if (dice < crash) {
      this.#count("crashes");
      this.crash(place);
    } else if (dice < 60) {
      this.tickAll();
    } else if (dice < 90) {
      this.propose(place);
    } else if (dice < 110) {
      this.#ask(place);
    } else if (dice < 112) {
      this.#cut = this.#random.below(this.places.length + 1);
    } else if (dice < 113 && this.#options.changeConfiguration) {
      this.#changeConfiguration(place);
    } else if (dice < 116) {
      this.#handle(place, [{ type: "campaign" }]);
    } else if (dice < 119) {
      this.#handle(place, [{ type: "transfer-leader", to: this.#pick(this.places).id }]);
    } else if (dice < 350) {
      this.completeAppend(place);
    } else if (dice < 500) {
      this.completeApply(place);
    } else {
      this.#deliver(lose, repeat);
    }
  }

  /** One tick at every replica. */
  tickAll(): void {
    this.now += 100;
    for (const place of this.places) this.#handle(place, [{ type: "tick" }]);
  }

  /** A caller proposes a new text. */
  propose(place: Place): void {
    const proposals = Array.from(
      { length: 1 + this.#random.below(3) },
      () => new Request(`${++this.#texts}`, this.now + 3_000),
    );
    this.#open += proposals.length;
    this.#handle(place, [{ type: "proposals", proposals }]);
  }

  #ask(place: Place): void {
    this.#open++;
    const read = new Read(this.now + 3_000, this.#acknowledgedIndex);
    this.#handle(place, [{ type: "reads", reads: [read] }]);
  }

  /** The last replica becomes a learner, or a voter again. */
  #changeConfiguration(place: Place): void {
    const peerId = this.places.length;
    const type = this.#random.below(2) === 0 ? "add-learner" : "add-node";
    const change: ConfChange = { type, peerId, context: undefined };
    this.#handle(place, [{ type: "change-configuration", change }]);
  }

  completeAppend(place: Place): void {
    const work = place.appends.shift();
    if (work === undefined) return;
    place.storage.append(work.write).catch((error) => this.#storageErrors.push(error));
    this.#handle(place, [{ type: "appended", id: work.id }]);
  }

  completeApply(place: Place): void {
    const work = place.apply;
    if (work === undefined) return;
    place.apply = undefined;
    if (work.type === "configuration") {
      this.#count("configurations");
      place.storage.saveConfState(work.confState, work.index)
        .catch((error) => this.#storageErrors.push(error));
      return this.#handle(place, [{ type: "configuration-saved" }]);
    }
    const from = place.machine.lastApplied() + 1;
    const results = place.machine.apply(work.batch) as number[];
    for (const { index, text } of place.machine.state.applied) {
      if (index < from) continue;
      assert.equal(this.#committed.get(index) ?? text, text, `index ${index} differs`);
      this.#committed.set(index, text);
    }
    this.#checkConfiguration(place, Math.max(from, place.storage.firstIndex()));
    this.#handle(place, [{ type: "applied", results }]);
  }

  #checkConfiguration(place: Place, from: number): void {
    const { storage, machine } = place;
    for (const { index, type } of storage.entries(from, machine.lastApplied() + 1, Infinity)) {
      if (type !== "normal") assert.ok(storage.confStateIndex() >= index);
    }
  }

  #deliver(lose: number, repeat: number): void {
    if (this.#network.length === 0) return;
    const at = this.#random.below(Math.min(this.#network.length, 8));
    const message = this.#network[at];
    const dice = this.#random.below(1000);
    if (dice < repeat) this.#repeatLater(message);
    this.#network.splice(at, 1);
    const cut = this.#cut !== 0 && (message.to === this.#cut) !== (message.from === this.#cut);
    if (cut || dice > 1000 - lose) return this.#count("lost");
    this.#handle(this.places[message.to - 1], [{ type: "messages", messages: [message] }]);
  }

  #repeatLater(message: Message): void {
    this.#count("repeated");
    this.#network.push(message);
    this.#old.push(message);
    this.#network.push(this.#pick(this.#old));
  }

  #handle(place: Place, events: PeerEvent[]): void {
    if (place.peer === undefined) {
      for (const event of events) {
        if (event.type === "proposals") this.#open -= event.proposals.length;
        if (event.type === "reads") this.#open--;
      }
      return;
    }
    const effects = place.peer.handle(events, this.now);
    if (effects.failure !== undefined) throw effects.failure;
    for (const { index } of effects.readable) assert.ok(place.machine.lastApplied() >= index);
    this.#record(place, effects);
    this.#network.push(...effects.messages);
    for (const { type, to } of effects.messages) {
      if (type !== "snapshot" || place.peer.state !== "leader") continue;
      this.#handle(place, [{ type: "snapshot-sent", peerId: to, ok: this.#random.below(2) === 0 }]);
    }
    place.appends.push(...effects.appends);
    if (effects.apply !== undefined) {
      assert.equal(place.apply, undefined);
      place.apply = effects.apply;
    }
    this.#settle(effects);
    assert.ok(place.peer.lastApplied <= place.peer.commitIndex);
  }

  #settle(effects: PeerEffects): void {
    this.#open -= effects.applied.length + effects.readable.length + effects.rejected.length;
    for (const { proposal, index } of effects.applied) {
      const { text } = proposal as Request;
      assert.equal(this.#committed.get(index), text);
      this.acknowledged.set(text, index);
      this.#acknowledgedIndex = Math.max(this.#acknowledgedIndex, index);
    }
    for (const { read, index } of effects.readable) {
      this.#count("reads");
      assert.ok(index >= (read as Read).acknowledged, "a stale read");
    }
    for (const { request, error } of effects.rejected) {
      this.#count(error.code);
      assert.ok(error instanceof RequestError);
      if (request instanceof Request && !error.mayHaveTakenEffect) {
        this.withoutEffect.add(request.text);
      }
    }
    for (const error of effects.refused) this.#count(error.code);
  }

  /** Ends all faults, lets everything come to rest and checks what is left. */
  async finish(): Promise<void> {
    this.#cut = 0;
    for (const place of this.places) if (place.peer === undefined) this.start(place);
    for (let tick = 0; tick < 200 && !(tick > 60 && this.#atRest()); tick++) {
      this.tickAll();
      for (let pass = 0; pass < 12; pass++) this.#drain();
    }
    await Promise.resolve();
    assert.deepEqual(this.#storageErrors, []);
    assert.equal(this.#open, 0, "every request is settled");
    const [first, ...others] = this.places.map(({ machine }) => machine.texts);
    for (const texts of others) assert.deepEqual(texts, first);
    assert.equal(new Set(first).size, first.length, "a command was applied twice");
    for (const text of this.acknowledged.keys()) assert.ok(first.includes(text));
    for (const text of this.withoutEffect) assert.ok(!first.includes(text), `${text} took effect`);
    this.counts.repeatedProposals = this.places
      .reduce((sum, { peer }) => sum + peer!.counters.proposalsRepeated, 0);
  }

  #atRest(): boolean {
    const applied = this.places.map(({ peer }) => peer!.lastApplied);
    return this.#open === 0 && applied.every((index) => index === applied[0]);
  }

  #drain(): void {
    for (const message of this.#network.splice(0)) {
      this.#handle(this.places[message.to - 1], [{ type: "messages", messages: [message] }]);
    }
    for (const place of this.places) {
      while (place.appends.length > 0) this.completeAppend(place);
      while (place.apply !== undefined) this.completeApply(place);
    }
  }

  #record(place: Place, effects: PeerEffects): void {
    const { messages, appends, apply, applied, readable, rejected, leaderState } = effects;
    const told = [
      place.id,
      messages.map(({ type, to, term, index, commit }) => [type, to, term, index, commit]),
      appends.map(({ id, write }) => [id, write.hardState, write.entries?.length]),
      apply?.type,
      applied.map(({ index, term, result }) => [index, term, result]),
      readable.map(({ index }) => index),
      rejected.map(({ error }) => error.code),
      leaderState,
    ];
    for (const char of JSON.stringify(told)) {
      this.trace = Math.imul(this.trace ^ char.charCodeAt(0), 0x01000193) >>> 0;
    }
  }

  #pick<Item>(items: readonly Item[]): Item {
    return items[this.#random.below(items.length)];
  }

  #count(what: string): void {
    this.counts[what] = (this.counts[what] ?? 0) + 1;
  }
}
