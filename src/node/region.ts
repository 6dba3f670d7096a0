/**
 * One region in a node: its peer, its storage, its state machine, and what has arrived for it since
 * the last turn. It carries the peer's writes and applies out and turns their completions into events.
 *
 * @module
 */

import {
  type Logger,
  type Message,
  type PeerId,
  RaftError,
  type SnapshotMetadata,
} from "../raft/mod.ts";
import type { RaftStorage } from "../storage/contract.ts";
import type { CheckedCompaction } from "./compaction.ts";
import { Compactor } from "./compactor.ts";
import { SnapshotSpoolError, StateMachineError, StorageFailedError } from "./errors.ts";
import type {
  AppendWork,
  ApplyWork,
  PeerEffects,
  PeerEvent,
  ProposalRequest,
  ReadRequest,
} from "./events.ts";
import type { Peer } from "./peer.ts";
import { restorationError } from "./recovery.ts";
import type { ArrivalRegion } from "./snapshots/arrivals.ts";
import type { DepartureRegion } from "./snapshots/departures.ts";
import type { SpooledSnapshot } from "./snapshots/spool.ts";
import type { ApplyBatch, SnapshotChunks, StateMachine } from "./state_machine.ts";

/** Most messages that wait for a region's next turn; the newest beyond it are dropped. */
export const INBOX_MESSAGES_MAX = 16_384;

/** What a region is made of. */
export interface RegionParts {
  readonly peer: Peer;
  readonly storage: RaftStorage;
  readonly stateMachine: StateMachine;
  readonly compaction: CheckedCompaction;
  readonly logger: Logger;
  /** Something waits: a turn must come. */
  readonly wake: () => void;
  /** The storage or the state machine failed. */
  readonly fail: (error: RaftError) => void;
}

/** One region in a node. */
export class Region implements ArrivalRegion, DepartureRegion {
  readonly peer: Peer;
  readonly stateMachine: StateMachine;
  readonly #storage: RaftStorage;
  readonly #compactor: Compactor;
  readonly #wake: () => void;
  readonly #fail: (error: RaftError) => void;
  #events: PeerEvent[] = [];
  #messages: Message[] = [];
  #proposals: ProposalRequest[] = [];
  #reads: ReadRequest[] = [];
  #applying: Promise<unknown> = Promise.resolve();
  /** A snapshot whose state has arrived, until its message has been handled. */
  #received: SpooledSnapshot | undefined;
  /** One whose message the core took up, by the write that saves it, until it is installed. */
  #install: { readonly appendId: number; readonly spooled: SpooledSnapshot } | undefined;
  #installing: Promise<void> = Promise.resolve();
  #stopped = false;
  /** Whether a snapshot brought other members. */
  membersRestored = false;

  constructor(parts: RegionParts) {
    this.peer = parts.peer;
    this.stateMachine = parts.stateMachine;
    this.#storage = parts.storage;
    this.#compactor = new Compactor(
      parts.peer,
      parts.storage,
      parts.stateMachine,
      parts.compaction,
      parts.logger,
    );
    this.#wake = parts.wake;
    this.#fail = parts.fail;
  }

  get regionId(): number {
    return this.peer.regionId;
  }

  get peerId(): PeerId {
    return this.peer.id;
  }

  /** Resolves when the apply and the installation that are under way, if any, have ended. */
  get idle(): Promise<unknown> {
    return Promise.allSettled([this.#applying, this.#installing]);
  }

  get commitIndex(): number {
    return this.peer.commitIndex;
  }

  get installing(): boolean {
    return this.#received !== undefined || this.#install !== undefined;
  }

  /** The index of the snapshot that is being installed, or 0. */
  get installingIndex(): number {
    return (this.#received ?? this.#install?.spooled)?.index ?? 0;
  }

  leadsIn(term: number): boolean {
    return this.peer.state === "leader" && this.peer.term === term;
  }

  hasPeer(peerId: PeerId): boolean {
    return this.peer.status().progress?.has(peerId) ?? false;
  }

  hears(peerId: PeerId): boolean {
    return this.peer.status().progress?.get(peerId)?.recentActive ?? false;
  }

  sent(peerId: PeerId, ok: boolean): void {
    this.push({ type: "snapshot-sent", peerId, ok });
  }

  answer(message: Message): void {
    this.push({ type: "messages", messages: [message] });
  }

  install(message: Message, spooled: SpooledSnapshot): void {
    this.#received = spooled;
    this.push({ type: "snapshot-received", message });
  }

  openSnapshot(): { metadata: SnapshotMetadata; chunks: SnapshotChunks } | undefined {
    if (this.installing || this.#stopped) return undefined;
    const metadata = this.peer.snapshotMetadata(this.stateMachine.lastApplied());
    return metadata && { metadata, chunks: this.stateMachine.snapshot() };
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
    const received = this.#received;
    const effects = this.peer.handle(orderCancels(events), now);
    if (received !== undefined) this.#settleReceived(received, effects);
    return effects;
  }

  /** The core installs a snapshot that arrived, or has no use for it by now. */
  #settleReceived(spooled: SpooledSnapshot, effects: PeerEffects): void {
    this.#received = undefined;
    const work = effects.appends.find(({ write }) =>
      write.snapshot?.metadata.index === spooled.index &&
      write.snapshot.metadata.term === spooled.term
    );
    if (work === undefined) void spooled.remove();
    else this.#install = { appendId: work.id, spooled };
  }

  /** Ends the peer: whatever callers wait for is rejected. */
  stop(cause: RaftError | undefined, now: number): PeerEffects {
    this.#stopped = true;
    const changes = this.#events.filter(({ type }) => type === "change-members");
    this.#events = [];
    this.#messages = [];
    const asked: PeerEvent[] = [
      { type: "stop", cause },
      ...changes,
      { type: "proposals", proposals: this.#proposals },
      { type: "reads", reads: this.#reads },
    ];
    this.#proposals = [];
    this.#reads = [];
    return this.peer.handle(asked, now);
  }

  /** A tick has passed. @param departingIndex see `Compactor.tick`. */
  tick(departingIndex: number): void {
    this.push({ type: "tick" });
    if (this.installing || this.#stopped) return;
    try {
      this.#compactor.tick(departingIndex)?.catch((error) => this.#storageFailed(error));
    } catch (error) {
      if (error instanceof RaftError) this.#fail(error);
      else this.#stateMachineFailed(error);
    }
  }

  /** Starts a write; its completion comes back as an event. */
  append(work: AppendWork): void {
    this.#compactor.written(work.write);
    const done = { type: "appended", id: work.id } as const;
    if (this.#install?.appendId === work.id) {
      const { spooled } = this.#install;
      this.#installing = this.#installSnapshot(work, spooled);
      this.#installing.then(() => {
        this.#install = undefined;
        this.membersRestored = true;
        this.push({ ...done, nodeState: this.stateMachine.nodeState() });
        void spooled.remove();
      }, () => {});
      return;
    }
    // What is written after a snapshot counts once that is installed.
    const before = this.#install === undefined ? undefined : this.#installing;
    this.#write(() => {
      const written = this.#storage.append(work.write);
      return before === undefined ? written : written.then(() => before);
    }, done);
  }

  /**
   * Saves the snapshot in the log first: if the process ends before the state machine is restored, the
   * next start finds the machine behind the log, and the state in the spool.
   */
  async #installSnapshot(work: AppendWork, spooled: SpooledSnapshot): Promise<void> {
    try {
      await this.#storage.append(work.write);
    } catch (error) {
      this.#storageFailed(error);
      throw error;
    }
    await this.#applying;
    try {
      await this.stateMachine.restore(this.#untilStopped(spooled), spooled.index);
    } catch (error) {
      if (!this.#stopped) this.#fail(restorationError(spooled, error));
      throw error;
    }
  }

  #untilStopped(spooled: SpooledSnapshot): SnapshotChunks {
    const chunks = spooled.read();
    const isStopped = (): boolean => this.#stopped;
    return {
      async *[Symbol.asyncIterator]() {
        for await (const chunk of chunks) {
          if (isStopped()) throw new SnapshotSpoolError("the node stops");
          yield chunk;
        }
      },
      recycle: (chunk) => chunks.recycle?.(chunk),
    };
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
      if (Array.isArray(results)) return this.#applied(batch, results);
      this.#applying = Promise.resolve(results)
        .then((resolved) => this.#applied(batch, resolved))
        .catch((error) => this.#stateMachineFailed(error));
    } catch (error) {
      this.#stateMachineFailed(error);
    }
  }

  /** A snapshot or a restart would begin at a wrong entry where the machine does not know where it is. */
  #applied(batch: ApplyBatch, results: unknown[]): void {
    const found = this.stateMachine.lastApplied();
    if (found !== batch.lastApplied) {
      throw new StateMachineError(
        `lastApplied() must be what the batch says, ${batch.lastApplied}: it is ${found}`,
      );
    }
    this.push({ type: "applied", results });
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
