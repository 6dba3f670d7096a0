/**
 * One region in a node: its peer, its storage, its state machine, and what has arrived for it since
 * the last turn. It carries the peer's writes and applies out and turns their completions into events.
 *
 * @module
 */

import { type Message, type PeerId, RaftError } from "../raft/mod.ts";
import type { RaftStorage } from "../storage/contract.ts";
import { StateMachineError, StorageFailedError } from "./errors.ts";
import type {
  AppendWork,
  ApplyWork,
  PeerEffects,
  PeerEvent,
  ProposalRequest,
  ReadRequest,
} from "./events.ts";
import type { Peer } from "./peer.ts";
import type { ApplyBatch, StateMachine } from "./state_machine.ts";

/** Most messages that wait for a region's next turn; the newest beyond it are dropped. */
export const INBOX_MESSAGES_MAX = 16_384;

/** What a region is made of. */
export interface RegionParts {
  readonly peer: Peer;
  readonly storage: RaftStorage;
  readonly stateMachine: StateMachine;
  /** Something waits: a turn must come. */
  readonly wake: () => void;
  /** The storage or the state machine failed. */
  readonly fail: (error: RaftError) => void;
}

/** One region in a node. */
export class Region {
  readonly peer: Peer;
  readonly stateMachine: StateMachine;
  readonly #storage: RaftStorage;
  readonly #wake: () => void;
  readonly #fail: (error: RaftError) => void;
  #events: PeerEvent[] = [];
  #messages: Message[] = [];
  #proposals: ProposalRequest[] = [];
  #reads: ReadRequest[] = [];
  #applying: Promise<unknown> = Promise.resolve();

  constructor(parts: RegionParts) {
    this.peer = parts.peer;
    this.stateMachine = parts.stateMachine;
    this.#storage = parts.storage;
    this.#wake = parts.wake;
    this.#fail = parts.fail;
  }

  get regionId(): number {
    return this.peer.regionId;
  }

  get peerId(): PeerId {
    return this.peer.id;
  }

  /** Resolves when the apply that is under way, if any, has ended. */
  get idle(): Promise<unknown> {
    return this.#applying;
  }

  /** Whether anything waits for a turn. */
  get hasEvents(): boolean {
    return this.#events.length > 0 || this.#messages.length > 0 || this.#proposals.length > 0 ||
      this.#reads.length > 0;
  }

  /** Adds an event for the next turn. */
  push(event: PeerEvent): void {
    this.#events.push(event);
    this.#wake();
  }

  /** Adds a message for the next turn; false when there are too many. */
  receive(message: Message): boolean {
    if (this.#messages.length >= INBOX_MESSAGES_MAX) return false;
    this.#messages.push(message);
    this.#wake();
    return true;
  }

  /** Adds a proposal for the next turn. */
  propose(proposal: ProposalRequest): void {
    this.#proposals.push(proposal);
    this.#wake();
  }

  /** Adds a read for the next turn. */
  read(read: ReadRequest): void {
    this.#reads.push(read);
    this.#wake();
  }

  /**
   * Handles everything that waits. Completions and ticks come first, then messages, then what
   * callers ask for.
   */
  handle(now: number): PeerEffects {
    const events = this.#events;
    this.#events = [];
    if (this.#messages.length > 0) {
      events.push({ type: "messages", messages: this.#messages });
      this.#messages = [];
    }
    if (this.#proposals.length > 0) {
      events.push({ type: "proposals", proposals: this.#proposals });
      this.#proposals = [];
    }
    if (this.#reads.length > 0) {
      events.push({ type: "reads", reads: this.#reads });
      this.#reads = [];
    }
    return this.peer.handle(orderCancels(events), now);
  }

  /** Ends the peer: whatever callers wait for is rejected. */
  stop(cause: RaftError | undefined, now: number): PeerEffects {
    this.#events = [];
    this.#messages = [];
    const asked: PeerEvent[] = [
      { type: "stop", cause },
      { type: "proposals", proposals: this.#proposals },
      { type: "reads", reads: this.#reads },
    ];
    this.#proposals = [];
    this.#reads = [];
    return this.peer.handle(asked, now);
  }

  /** Starts a write; its completion comes back as an event. */
  append(work: AppendWork): void {
    const done: PeerEvent = { type: "appended", id: work.id };
    this.#write(() => this.#storage.append(work.write), done);
  }

  /** Starts work of the state machine; its completion comes back as an event. */
  apply(work: ApplyWork): void {
    if (work.type === "batch") return this.#applyBatch(work.batch);
    const done: PeerEvent = { type: "configuration-saved" };
    this.#write(() => this.#storage.saveConfState(work.confState, work.index), done);
  }

  #write(start: () => Promise<void>, done: PeerEvent): void {
    try {
      start().then(() => this.push(done), (error) => this.#storageFailed(error));
    } catch (error) {
      this.#storageFailed(error);
    }
  }

  #applyBatch(batch: ApplyBatch): void {
    try {
      const results = this.stateMachine.apply(batch);
      if (Array.isArray(results)) return this.push({ type: "applied", results });
      this.#applying = Promise.resolve(results).then(
        (resolved) => this.push({ type: "applied", results: resolved }),
        (error) => this.#stateMachineFailed(error),
      );
    } catch (error) {
      this.#stateMachineFailed(error);
    }
  }

  #storageFailed(error: unknown): void {
    this.#fail(
      error instanceof RaftError
        ? error
        : new StorageFailedError(`the storage failed: ${messageOf(error)}`, { cause: error }),
    );
  }

  #stateMachineFailed(cause: unknown): void {
    this.#fail(
      new StateMachineError(
        `the state machine of region ${this.regionId} failed: ${messageOf(cause)}`,
        { cause },
      ),
    );
  }
}

/** A cancellation may have arrived in the same turn as what it cancels: it goes last. */
function orderCancels(events: PeerEvent[]): PeerEvent[] {
  if (!events.some((event) => event.type === "cancel")) return events;
  const isCancel = (event: PeerEvent): boolean => event.type === "cancel";
  return [...events.filter((event) => !isCancel(event)), ...events.filter(isCancel)];
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
