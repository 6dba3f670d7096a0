/**
 * The writes of a replica on their way to the disk, in order. It turns `storage-append` messages of
 * the core into writes, keeps the responses until their write is durable, and knows how long the
 * oldest write has been under way.
 *
 * A change of the commit index alone needs no write of its own: it can be learned again, and a lost
 * one costs nothing but time. It rides with the next write, or leaves at a tick when the disk is idle.
 * A message that writes nothing waits for the writes before it.
 *
 * @module
 */

import { type HardState, isEmptyHardState, type Message, RaftInvariantError } from "../raft/mod.ts";
import type { AppendWork } from "./events.ts";
import type { LogWrite } from "../storage/contract.ts";
import type { PeerCounters } from "./status.ts";

interface PendingAppend {
  readonly id: number;
  readonly startTick: number;
  /** Whether it installs a snapshot, which may take long. */
  readonly installs: boolean;
  responses: readonly Message[];
}

const NO_RESPONSES: readonly Message[] = Object.freeze([]);

/** The writes under way. */
export class AppendQueue {
  readonly #counters: PeerCounters;
  #pending: PendingAppend[] = [];
  #nextId = 1;
  #ticks = 0;
  /** The newest hard state that was handed to the disk. */
  #handedOut: HardState;
  /** A newer one that differs in its commit index only, and was not. */
  #deferred: HardState | undefined;

  constructor(hardState: HardState, counters: PeerCounters) {
    this.#handedOut = hardState;
    this.#counters = counters;
  }

  /** How many writes are under way. */
  get count(): number {
    return this.#pending.length;
  }

  /**
   * How many ticks the oldest of them has been under way; 0 when there is none, or when a snapshot is
   * being installed, which says nothing about the disk.
   */
  get oldestTicks(): number {
    const oldest = this.#pending[0];
    return oldest === undefined || oldest.installs ? 0 : this.#ticks - oldest.startTick;
  }

  /** Counts a tick; returns the deferred hard state as a write when the disk is idle. */
  tick(): AppendWork | undefined {
    this.#ticks++;
    if (this.#deferred === undefined || this.#pending.length > 0) return undefined;
    return this.#start({ hardState: this.#takeHardState(undefined) }, NO_RESPONSES);
  }

  /**
   * Takes a `storage-append` message: pushes its write to `appends`, if it has one.
   *
   * @returns responses to deliver at once, as everything they depend on is durable.
   */
  push(message: Message, appends: AppendWork[]): readonly Message[] {
    const responses = message.responses ?? NO_RESPONSES;
    const hardState = hardStateOf(message);
    const writes = message.entries.length > 0 || message.snapshot !== undefined;
    if (!writes && (hardState === undefined || this.#onlyCommitChanged(hardState))) {
      this.#deferred = hardState ?? this.#deferred;
      return this.#afterPending(responses);
    }
    const write: LogWrite = {
      entries: message.entries.length > 0 ? message.entries : undefined,
      hardState: this.#takeHardState(hardState),
      snapshot: message.snapshot,
    };
    appends.push(this.#start(write, responses));
    return NO_RESPONSES;
  }

  /**
   * A write is durable.
   *
   * @returns the responses that waited for it.
   * @throws RaftInvariantError when it is not the oldest one.
   */
  complete(id: number): readonly Message[] {
    const oldest = this.#pending.shift();
    if (oldest?.id !== id) {
      throw new RaftInvariantError(
        `writes must complete in order: expected ${oldest?.id ?? "none"}, found ${id}`,
      );
    }
    // What waited behind an installation has only now had the disk's attention.
    if (oldest.installs) {
      this.#pending = this.#pending.map((write) => ({ ...write, startTick: this.#ticks }));
    }
    return oldest.responses;
  }

  #start(write: LogWrite, responses: readonly Message[]): AppendWork {
    const id = this.#nextId++;
    this.#counters.appends++;
    this.#counters.appendEntries += write.entries?.length ?? 0;
    const installs = write.snapshot !== undefined;
    this.#pending.push({ id, startTick: this.#ticks, installs, responses });
    return { id, write };
  }

  #onlyCommitChanged(hardState: HardState): boolean {
    return hardState.currentTerm === this.#handedOut.currentTerm &&
      hardState.votedFor === this.#handedOut.votedFor;
  }

  #takeHardState(newest: HardState | undefined): HardState | undefined {
    const hardState = newest ?? this.#deferred;
    this.#deferred = undefined;
    if (hardState !== undefined) this.#handedOut = hardState;
    return hardState;
  }

  #afterPending(responses: readonly Message[]): readonly Message[] {
    const newest = this.#pending.at(-1);
    if (newest === undefined) return responses;
    if (responses.length > 0) newest.responses = newest.responses.concat(responses);
    return NO_RESPONSES;
  }
}

function hardStateOf(message: Message): HardState | undefined {
  const hardState: HardState = {
    currentTerm: message.term,
    votedFor: message.vote,
    commitIndex: message.commit,
  };
  return isEmptyHardState(hardState) ? undefined : hardState;
}
