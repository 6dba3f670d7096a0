/**
 * The committed entries of a replica on their way to the state machine, in order, one piece of work
 * at a time. Everything that waits becomes one batch, up to the next configuration change. A change
 * goes to the core first, then its result is made durable, and only then does a batch carry the state
 * machine past its index; so no state machine is ever ahead of the stored configuration.
 *
 * @module
 */

import {
  type ConfChange,
  type ConfChangeV2,
  type ConfState,
  decodeConfChange,
  type Message,
  RaftInvariantError,
  type RaftLogEntry,
} from "../raft/mod.ts";
import { checkEnvelope } from "./envelope.ts";
import { StateMachineError } from "./errors.ts";
import type { ApplyWork } from "./events.ts";
import type { MemberBook } from "./member_book.ts";
import { changeOf } from "./member_changes.ts";
import { refuseSessionEntry, SessionBatch } from "./sessions/batches.ts";
import { isSessionContext } from "./sessions/envelope.ts";
import type { SessionTable } from "./sessions/table.ts";
import type { ApplyBatch, Command, NodeStateDelta, ResultCodec } from "./state_machine.ts";
import type { PeerCounters } from "./status.ts";

/** Entries that have been applied, with the result of each command. */
export interface AppliedEntries {
  /** The batch they were. */
  readonly batch: ApplyBatch;
  readonly entries: readonly RaftLogEntry[];
  /** The result of the entry at the same position; undefined for those without a command. */
  readonly results: readonly unknown[];
  /** Where changes of the members are among them that have no effect; see `MemberBook.voids`. */
  readonly voided: readonly number[];
  /** What became of the entries that concern client sessions, if there are any. */
  readonly sessions: SessionBatch | undefined;
  /** What to deliver to the core now. */
  readonly responses: readonly Message[];
}

/** Applies a change to the core. */
export type ApplyConfChange = (change: ConfChange | ConfChangeV2) => ConfState;

/** What of a replica's own state the entries change. */
export interface ReplicatedParts {
  /** Where changes of the members are recorded, if anywhere. */
  readonly book?: MemberBook;
  /** The client sessions, and how their results are kept, if there are any. */
  readonly sessions?: { readonly table: SessionTable; readonly codec: ResultCodec };
}

/** A batch that was handed to the state machine. */
interface UnderWay {
  readonly batch: ApplyBatch;
  readonly entries: readonly RaftLogEntry[];
  readonly voided: readonly number[];
  readonly sessions: SessionBatch | undefined;
}

/** The entries that are not applied. */
export class ApplyQueue {
  readonly #counters: PeerCounters;
  #entries: RaftLogEntry[] = [];
  #responses: { readonly lastIndex: number; readonly messages: readonly Message[] }[] = [];
  #lastApplied: number;
  /** Configuration changes up to here have been applied to the core. */
  #confStateIndex: number;
  #underWay: UnderWay | undefined;
  #savingConfiguration = false;

  readonly #book: MemberBook | undefined;
  readonly #sessions: ReplicatedParts["sessions"];

  constructor(
    lastApplied: number,
    confStateIndex: number,
    counters: PeerCounters,
    parts: ReplicatedParts = {},
  ) {
    this.#book = parts.book;
    this.#sessions = parts.sessions;
    this.#lastApplied = lastApplied;
    this.#confStateIndex = confStateIndex;
    this.#counters = counters;
  }

  /** The last index the state machine has applied. */
  get lastApplied(): number {
    return this.#lastApplied;
  }

  /** Configuration changes up to here have been applied to the core. */
  get confStateIndex(): number {
    return this.#confStateIndex;
  }

  /** Takes a `storage-apply` message. */
  push(message: Message): void {
    const { entries, responses } = message;
    const waiting = this.#entries.at(-1) ?? this.#underWay?.entries.at(-1);
    const expected = Math.max(this.#lastApplied, waiting?.index ?? 0);
    if (entries.length === 0 || entries[0].index !== expected + 1) {
      throw new RaftInvariantError(
        `committed entries must follow ${expected}: found ${entries[0]?.index ?? "none"}`,
      );
    }
    this.#entries = this.#entries.length === 0 ? entries.slice() : this.#entries.concat(entries);
    this.#responses.push({
      lastIndex: entries[entries.length - 1].index,
      messages: responses ?? [],
    });
  }

  /**
   * A snapshot is being installed: the core has its configuration already, and what waits up to its
   * index is in it. A batch under way is finished first.
   */
  supersede(index: number): void {
    this.#entries = this.#entries.filter((entry) => entry.index > index);
    this.#confStateIndex = Math.max(this.#confStateIndex, index);
  }

  /**
   * A snapshot was installed: its index is now this replica's.
   *
   * @returns what to deliver to the core for the entries it stands for.
   */
  restored(index: number): readonly Message[] {
    this.#lastApplied = Math.max(this.#lastApplied, index);
    return this.#takeResponses();
  }

  /** The next work, when none is under way and something waits. */
  next(applyConfChange: ApplyConfChange): ApplyWork | undefined {
    if (this.#underWay !== undefined || this.#savingConfiguration || this.#entries.length === 0) {
      return undefined;
    }
    const first = this.#entries[0];
    if (!this.#changesConfiguration(first)) return this.#nextBatch();
    const change = changeOf(first);
    if (change === undefined || this.#book?.voids(change) !== true) {
      return this.#configuration(first, applyConfChange);
    }
    // It has no effect: the core never hears of it, and it goes with the batch like any other entry.
    this.#confStateIndex = first.index;
    return this.#nextBatch();
  }

  #changesConfiguration(entry: RaftLogEntry): boolean {
    return entry.type !== "normal" && entry.index > this.#confStateIndex;
  }

  #configuration(entry: RaftLogEntry, applyConfChange: ApplyConfChange): ApplyWork {
    if (entry.type === "normal") throw new RaftInvariantError("not a configuration change");
    const confState = applyConfChange(decodeConfChange(entry.type, entry.command));
    this.#confStateIndex = entry.index;
    this.#savingConfiguration = true;
    return { type: "configuration", confState, index: entry.index };
  }

  #nextBatch(): ApplyWork {
    let end = 1;
    while (end < this.#entries.length && !this.#changesConfiguration(this.#entries[end])) end++;
    const entries = end === this.#entries.length ? this.#entries : this.#entries.slice(0, end);
    const commands: Command[] = [];
    const nodeState: NodeStateDelta[number][] = [];
    const voided: number[] = [];
    let sessions: SessionBatch | undefined;
    for (let position = 0; position < entries.length; position++) {
      const entry = entries[position];
      if (entry.type === "normal" && isSessionContext(entry.context)) {
        sessions ??= this.#openSessionBatch(entry.index);
        if (!sessions.admit(entry, position, commands.length)) continue;
      } else {
        checkEnvelope(entry.index, entry.context);
        if (entry.type !== "normal" && this.#book !== undefined) {
          const change = changeOf(entry)!;
          if (this.#book.voids(change)) voided.push(entry.index);
          nodeState.push(...this.#book.record(change));
        }
        if (!carriesCommand(entry)) continue;
      }
      commands.push({ index: entry.index, term: entry.term, bytes: entry.command });
    }
    this.#entries = this.#entries.slice(end);
    this.#counters.applyBatches++;
    this.#counters.applyCommands += commands.length;
    const lastApplied = entries[entries.length - 1].index;
    const batch: ApplyBatch = { commands, lastApplied, nodeState, sessionState: sessions?.state };
    this.#underWay = { batch, entries, voided, sessions };
    return { type: "batch", batch };
  }

  #openSessionBatch(index: number): SessionBatch {
    if (this.#sessions === undefined) refuseSessionEntry(index);
    return new SessionBatch(this.#sessions.table, this.#sessions.codec);
  }

  /** The configuration is durable: the next batch may pass it. */
  configurationSaved(): void {
    this.#savingConfiguration = false;
  }

  /**
   * The state machine has applied the batch under way.
   *
   * @throws StateMachineError when there is not one result a command, or the changes of the sessions were
   *   not committed.
   */
  applied(commandResults: readonly unknown[]): AppliedEntries {
    if (this.#underWay === undefined) throw new RaftInvariantError("no batch is being applied");
    const { batch, entries, voided, sessions } = this.#underWay;
    sessions?.checkRecorded();
    this.#underWay = undefined;
    this.#lastApplied = Math.max(this.#lastApplied, batch.lastApplied);
    return {
      batch,
      entries,
      results: spreadResults(entries, commandResults, sessions),
      voided,
      sessions,
      responses: this.#takeResponses(),
    };
  }

  #takeResponses(): readonly Message[] {
    const responses = this.#responses;
    const messages: Message[] = [];
    let done = 0;
    for (; done < responses.length && responses[done].lastIndex <= this.#lastApplied; done++) {
      messages.push(...responses[done].messages);
    }
    this.#responses = responses.slice(done);
    return messages;
  }
}

/** A leader's empty entry carries no command; an empty command of a caller has a context. */
function carriesCommand(entry: RaftLogEntry): boolean {
  return entry.type === "normal" && (entry.context !== undefined || entry.command.length > 0);
}

function spreadResults(
  entries: readonly RaftLogEntry[],
  commandResults: readonly unknown[],
  sessions: SessionBatch | undefined,
): unknown[] {
  let position = 0;
  const results = entries.map((entry, at) =>
    sessions?.isApplied(at) ?? carriesCommand(entry) ? commandResults[position++] : undefined
  );
  if (position !== commandResults.length) {
    throw new StateMachineError(
      `the state machine must return one result a command: expected ${position}, ` +
        `found ${commandResults.length}`,
    );
  }
  return results;
}
