/**
 * A group of replicas with real traffic between them, into which forged messages are thrown. One seed
 * determines the group, its options and everything that happens.
 *
 * @module
 */

import {
  ConfChangeError,
  type ConfState,
  createConfState,
  LocalMessageError,
  type Message,
  MessageRefusedError,
  type PeerId,
  PeerNotFoundError,
  ProposalDroppedError,
  RaftError,
  RaftInvariantError,
  SnapshotRequestDroppedError,
  type Status,
} from "../../src/raft/mod.ts";
import { invent, mutate } from "./forge.ts";
import { checkStatus, InvariantViolation } from "./invariants.ts";
import { Random } from "./random.ts";
import { Replica, type ReplicaOptions } from "./replica.ts";

/** Most messages on their way, and most remembered to be forged from. */
const WIRE_MAX = 60;
const TRAFFIC_MAX = 150;
/** More than a refusal: these must leave no trace. */
const TRACELESS = [MessageRefusedError, LocalMessageError, PeerNotFoundError];

/** What a message met: its kind, the role of its receiver, whether it was refused. */
export type Observer = (message: Message, role: string, refusal: RaftError | undefined) => void;

/** Why a run failed, with what is needed to see it again. */
export class FuzzFailure extends Error {
  override readonly name = "FuzzFailure";
}

/** One group of replicas under fuzz. */
export class World {
  readonly #seed: number;
  readonly #random: Random;
  readonly #observe: Observer;
  readonly #ids: readonly PeerId[];
  readonly #replicas: readonly Replica[];
  readonly #window: number;
  readonly #statuses = new Map<PeerId, Status>();
  #wire: Message[] = [];
  #traffic: Message[] = [];
  #steps = 0;
  #last: unknown = "nothing yet";

  constructor(seed: number, observe: Observer) {
    this.#seed = seed;
    this.#observe = observe;
    const random = this.#random = new Random(seed);
    const confState = someGroup(random);
    const options = someOptions(random);
    this.#window = options.maxInflightMessages!;
    this.#ids = [...confState.voters, ...confState.learners, 6];
    this.#replicas = [...confState.voters, ...confState.learners].map((id) =>
      new Replica(id, confState, { ...options, priority: random.below(3) }, random)
    );
    for (const replica of this.#replicas) this.#statuses.set(replica.id, replica.node.status());
  }

  /** Throws messages at the group until `count` were handled. @throws FuzzFailure */
  run(count: number): void {
    try {
      for (let handled = 0; handled < count; this.#steps++) handled += this.#step();
    } catch (error) {
      const text = typeof this.#last === "string" ? this.#last : describe(this.#last);
      const why = error instanceof Error ? error.stack : String(error);
      throw new FuzzFailure(
        `seed ${this.#seed} fails at step ${this.#steps} with ${text}\n${why}`,
        { cause: error },
      );
    }
  }

  /** One random event; returns how many messages were handled. */
  #step(): number {
    const random = this.#random;
    const replica = random.pick(this.#replicas);
    const choice = random.below(100);
    if (choice < 55) return this.#deliver();
    if (choice < 75) return this.#forge(replica);
    if (choice < 77) return this.#throw(replica, invent(random, this.#ids));
    this.#last = `host call ${choice} on ${replica.id}`;
    if (choice < 89) replica.node.tick();
    else this.#call(replica, choice);
    this.#after(replica);
    return 0;
  }

  #deliver(): number {
    if (this.#wire.length === 0) return 0;
    // Mostly in order; now and then late, lost or twice.
    const position = this.#random.oneIn(5) ? this.#random.below(this.#wire.length) : 0;
    const message = this.#wire[position];
    if (!this.#random.oneIn(15)) this.#wire.splice(position, 1);
    if (this.#random.oneIn(20)) return 0;
    const receiver = this.#replicas.find((replica) => replica.id === message.to);
    return receiver === undefined ? 0 : this.#throw(receiver, message);
  }

  #forge(replica: Replica): number {
    const pool = this.#random.oneIn(8) ? replica.answers : this.#traffic;
    if (pool.length === 0) return 0;
    const message = mutate(this.#random, this.#random.pick(pool), this.#ids);
    return this.#throw(replica, message);
  }

  #throw(replica: Replica, message: Message): number {
    if (replica.isLie(message)) return 0;
    this.#last = message;
    const before = this.#statuses.get(replica.id)!;
    const hadReady = replica.node.hasReady();
    const refusal = replica.node.step(message);
    const role = before.confState.learners.includes(replica.id) ? "learner" : before.softState.role;
    this.#observe(message, role, refusal);
    if (refusal !== undefined && !(refusal instanceof RaftError)) {
      throw new InvariantViolation(`refused with ${String(refusal)}`);
    }
    if (refusal instanceof RaftInvariantError) throw refusal;
    if (TRACELESS.some((kind) => refusal instanceof kind)) {
      const same = JSON.stringify(plain(replica.node.status())) === JSON.stringify(plain(before));
      if (!same || replica.node.hasReady() !== hadReady) {
        throw new InvariantViolation(`refused (${refusal!.message}) but not without a trace`);
      }
    }
    this.#after(replica);
    return 1;
  }

  /** What the host of a replica may ask for at any time. */
  #call(replica: Replica, choice: number): void {
    const { node } = replica;
    const peer = this.#random.pick(this.#ids);
    try {
      if (choice < 92) node.propose(new Uint8Array(this.#random.below(40)));
      else if (choice === 92) node.readIndex(Uint8Array.of(this.#random.below(256)));
      else if (choice === 93) this.#changeConfiguration(replica, peer);
      else if (choice === 94) node.transferLeader(peer);
      else if (choice === 95) this.#report(replica, peer);
      else if (choice === 96) this.#rare(replica, peer);
      else if (choice === 97) this.#random.oneIn(2) ? node.campaign() : this.#rare(replica, peer);
      else if (choice === 98) replica.compact();
      else node.reportSnapshot(peer, this.#random.oneIn(2) ? "finish" : "failure");
    } catch (error) {
      const isRefusal = error instanceof ProposalDroppedError ||
        error instanceof ConfChangeError || error instanceof SnapshotRequestDroppedError;
      if (!isRefusal) throw error;
    }
  }

  #report({ node }: Replica, peer: PeerId): void {
    if (this.#random.oneIn(2)) node.reportUnreachable(peer);
    else node.forgetLeader();
  }

  #rare(replica: Replica, peer: PeerId): void {
    const choice = this.#random.below(4);
    if (choice === 0) {
      replica.restart();
      this.#statuses.set(replica.id, replica.node.status());
    } else if (choice === 1) replica.node.requestSnapshot();
    else if (choice === 2) replica.node.setPriority(this.#random.below(4) - 1);
    else replica.node.assignCommitGroups([[peer, 1 + this.#random.below(2)]]);
  }

  #changeConfiguration({ node }: Replica, peerId: PeerId): void {
    const random = this.#random;
    const type = random.pick(["add-node", "remove-node", "add-learner"] as const);
    const other = { type: "add-node" as const, peerId: random.pick(this.#ids) };
    const transition = random.pick(["auto", "joint-implicit", "joint-explicit"] as const);
    if (random.oneIn(2)) node.proposeConfChange({ type, peerId, context: undefined });
    else {
      const changes = random.oneIn(3) ? [] : [{ type, peerId }, other];
      node.proposeConfChange({ transition, changes, context: undefined });
    }
  }

  #after(replica: Replica): void {
    this.#check(replica);
    if (this.#random.oneIn(4)) return;
    const sent = replica.drive();
    if (sent.length > 0) {
      this.#wire.push(...sent);
      this.#traffic.push(...sent);
      if (this.#wire.length > WIRE_MAX) this.#wire.splice(0, this.#wire.length - WIRE_MAX);
      const excess = this.#traffic.length - TRAFFIC_MAX;
      if (excess > 0) this.#traffic.splice(0, excess);
    }
    this.#check(replica);
  }

  #check(replica: Replica): void {
    const now = replica.node.status();
    checkStatus(now, this.#statuses.get(replica.id)!, this.#window);
    this.#statuses.set(replica.id, now);
  }
}

/** A group of one to five voters, often with a learner. */
function someGroup(random: Random): ConfState {
  const voters = Array.from({ length: random.pick([1, 2, 3, 3, 3, 5]) }, (_, i) => i + 1);
  const learners = random.oneIn(2) ? [voters.length + 1] : [];
  return createConfState({ voters, learners });
}

function someOptions(random: Random): ReplicaOptions {
  const checkQuorum = random.oneIn(2);
  return {
    electionTick: 6,
    asyncStorageWrites: random.oneIn(2),
    maxSizePerMessage: random.pick([0, 20, 100, 100_000]),
    maxCommittedSizePerReady: random.pick([1, 50, 100_000]),
    maxUncommittedSize: random.pick([0, 60]),
    maxInflightMessages: random.pick([1, 3, 20]),
    maxInflightBytes: random.pick([0, 100_000]),
    checkQuorum,
    preVote: random.oneIn(2),
    readOnly: checkQuorum && random.oneIn(2) ? "lease-based" : "safe",
    disableProposalForwarding: random.oneIn(4),
    disableConfChangeValidation: random.oneIn(6),
    stepDownOnRemoval: random.oneIn(2),
    groupCommit: random.oneIn(3),
    commitByVote: random.oneIn(3),
    events: random.oneIn(4) ? () => {} : undefined,
  };
}

function plain(status: Status): unknown {
  return { ...status, progress: status.progress && [...status.progress] };
}

function describe(value: unknown): string {
  return JSON.stringify(value, (_key, item) => item instanceof Uint8Array ? [...item] : item);
}
