/**
 * What reaches a peer's core from outside: messages of other peers, as far as they are admitted. What is
 * refused is counted and reported, and changes nothing.
 *
 * @module
 */

import type { Message, PeerId, RaftError, RawNode } from "../raft/mod.ts";
import { Admission } from "./admission.ts";
import type { PeerEffects } from "./events.ts";
import { LostVoterGuard } from "./lost_voter.ts";
import type { PeerOptions } from "./peer_options.ts";
import type { PeerCounters } from "./status.ts";

/** The incoming side of a peer's core. */
export class CoreInput {
  readonly #core: RawNode;
  readonly #admission: Admission;
  readonly #lostVoter: LostVoterGuard | undefined;
  readonly #lastApplied: () => number;
  readonly #counters: PeerCounters;
  readonly #acknowledged = new Map<PeerId, number>();

  /** @param lastApplied the last index the state machine has applied, whenever it is called. */
  constructor(
    options: PeerOptions,
    core: RawNode,
    lastApplied: () => number,
    counters: PeerCounters,
  ) {
    this.#core = core;
    this.#admission = new Admission(options.id, options.installsSnapshots ?? false);
    this.#lostVoter = options.beginsAsLearner === true
      ? new LostVoterGuard(options.id, options.storage)
      : undefined;
    this.#lastApplied = lastApplied;
    this.#counters = counters;
  }

  /** Takes a message of another peer. */
  receive(message: Message, effects: PeerEffects): void {
    this.#counters.messagesReceived++;
    if (this.#lostVoter?.watches !== true) return this.#admit(message, effects);
    const guarded = this.#lostVoter.admit(message);
    if (guarded.refusal !== undefined) this.refuse(guarded.refusal, effects);
    if (guarded.message !== undefined) this.#admit(guarded.message, effects);
  }

  /**
   * The highest index that a peer has acknowledged to this one since it runs, in whatever term; 0 when
   * there is none. The core forgets that when it does not lead any more.
   */
  acknowledged(peerId: PeerId): number {
    return this.#acknowledged.get(peerId) ?? 0;
  }

  /** Takes the message of a snapshot whose state has arrived whole. */
  receiveSnapshot(message: Message, effects: PeerEffects): void {
    this.#counters.messagesReceived++;
    this.step(message, effects);
  }

  /** Why a snapshot that another member offers to stream must not come; undefined when it may. */
  refusalOf(message: Message): RaftError | undefined {
    return this.#lostVoter?.watches === true ? this.#lostVoter.admit(message).refusal : undefined;
  }

  /** Gives a message to the core, whoever it comes from. */
  step(message: Message, effects: PeerEffects): void {
    const error = this.#core.step(message);
    if (error !== undefined) this.refuse(error, effects);
    else if (message.type === "append-response" && !message.reject) this.#remember(message);
  }

  /** Counts and reports what was refused. */
  refuse(error: RaftError, effects: PeerEffects): void {
    this.#counters.messagesRefused++;
    effects.refused.push(error);
  }

  #remember({ from, index }: Message): void {
    if (index > this.acknowledged(from)) this.#acknowledged.set(from, index);
  }

  #admit(message: Message, effects: PeerEffects): void {
    if (!this.#admission.concerns(message)) return this.step(message, effects);
    const admitted = this.#admission.admit(message, this.#core.basicStatus(), this.#lastApplied());
    if (admitted.refusal !== undefined) this.refuse(admitted.refusal, effects);
    if (admitted.message !== undefined) this.step(admitted.message, effects);
  }
}
