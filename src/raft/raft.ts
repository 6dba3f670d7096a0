/**
 * The state of one replica and the few primitives that every role uses: sending, appending, starting
 * over in a term. The rules live in `roles/`, one subject a file; they read and change this state.
 *
 * @module
 */

import { checkConfig, type CheckedConfig, type Config } from "./config.ts";
import { RaftInvariantError } from "./errors.ts";
import { type EventName, messageEventName } from "./events.ts";
import { RaftLog } from "./log/mod.ts";
import { restoreMembership } from "./membership/mod.ts";
import { ReadOnly } from "./read_only.ts";
import { type ReplicationState, Tracker } from "./replication/mod.ts";
import { commandsSize } from "./size.ts";
import {
  type ConfChangeSingle,
  createMessage,
  type HardState,
  isEmptyHardState,
  type Message,
  NO_PEER,
  type PeerId,
  type RaftLogEntry,
  type ReadState,
  type Role,
} from "./types.ts";

/** The largest term a replica takes part in; beyond it no further election could be held. */
export const TERM_MAX = Number.MAX_SAFE_INTEGER - 1;

/** The largest index an entry may have. */
export const INDEX_MAX = Number.MAX_SAFE_INTEGER - 1;

type Writable<T> = { -readonly [K in keyof T]: T[K] };

/** What a caller of `send` provides; sender and, for most kinds, the term are filled in. */
export type Outgoing = Partial<Omit<Message, "from">> & Pick<Message, "type" | "to">;

/** One replica (Raft figure 2). */
export class Raft {
  readonly id: PeerId;
  readonly config: CheckedConfig;
  readonly log: RaftLog;
  readonly tracker: Tracker;

  term = 0;
  vote: PeerId = NO_PEER;
  role: Role = "follower";
  leader: PeerId = NO_PEER;
  /** Election priority; see `Config.priority`. */
  priority: number;

  /** The peer that leadership is being transferred to (thesis §3.10), or none. */
  leadTransferee: PeerId = NO_PEER;
  /**
   * At least the index of the last configuration change in the log that may not be applied. Another
   * one is only accepted once this index is applied (thesis §4.1: one change at a time).
   */
  pendingConfIndex = 0;
  /** On a leader: bytes of commands appended in its term and not yet applied; an estimate that never exceeds the truth. */
  uncommittedSize = 0;
  /** On a follower: the index from which it asks the leader for a snapshot (opt-in); 0 when it does not. */
  pendingRequestSnapshot = 0;

  /** Reads that wait for a quorum's confirmation. */
  readOnly: ReadOnly = new ReadOnly();
  /**
   * Reads that arrived before the leader committed an entry of its term. Should it lose its term
   * first, they wait for the next term it leads: late, but no less linearizable.
   */
  postponedReads: Message[] = [];
  /** Reads that are confirmed, for the next Ready. */
  readStates: ReadState[] = [];

  /** Messages to send at once, for the next Ready. */
  messages: Message[] = [];
  /** Messages to send once all that is unstable now is stable, for the next Ready; some are to this replica itself. */
  messagesAfterAppend: Message[] = [];

  /** Ticks since the last word from the leader, or since the last check of the quorum on a leader. */
  electionElapsed = 0;
  /** On a leader: ticks since the last heartbeats. */
  heartbeatElapsed = 0;
  /** Ticks without a leader until a campaign: in [electionTick, 2·electionTick), drawn anew each term. */
  randomizedElectionTimeout = 0;

  constructor(options: Config) {
    const config = checkConfig(options);
    this.config = config;
    this.id = config.id;
    this.priority = config.priority;
    this.log = new RaftLog(config.storage, config.maxCommittedSizePerReady);
    this.tracker = new Tracker(
      { countMax: config.maxInflightMessages, bytesMax: config.maxInflightBytes },
      config.groupCommit,
    );
    const { hardState, confState } = config.storage.initialState();
    const { confState: restored, progress } = restoreMembership(confState, this.newPeers());
    this.tracker.use(restored, progress);
    if (!isEmptyHardState(hardState)) this.#load(hardState);
    this.#loadApplied(config.applied);
    this.startTerm(this.term);
    this.emit("InitState");
  }

  /** Whether this replica takes part without a vote. */
  get isLearner(): boolean {
    return this.self()?.isLearner ?? false;
  }

  /** This replica's own entry among the peers; undefined when it is not part of the configuration. */
  self(): ReplicationState | undefined {
    return this.tracker.get(this.id);
  }

  /** What is to be persisted of this state. */
  hardState(): HardState {
    return { currentTerm: this.term, votedFor: this.vote, commitIndex: this.log.committed };
  }

  /** What peers that join now start from. */
  newPeers(): { lastIndex: number; limits: Tracker["limits"] } {
    return { lastIndex: this.log.lastIndex(), limits: this.tracker.limits };
  }

  /** Whether it could become a leader: a voter with no snapshot waiting to be applied. */
  isPromotable(): boolean {
    const self = this.self();
    return self !== undefined && !self.isLearner && this.log.unstable.snapshot === undefined;
  }

  /** Whether an entry of the current term is committed (Raft §8: only then a leader knows what is). */
  hasCommittedInTerm(): boolean {
    return this.log.term(this.log.committed) === this.term;
  }

  /** Starts over in `term`, as whatever the caller makes of it. Vote and leader are forgotten. */
  startTerm(term: number): void {
    if (this.term !== term) {
      this.term = term;
      this.vote = NO_PEER;
    }
    this.leader = NO_PEER;
    this.electionElapsed = 0;
    this.heartbeatElapsed = 0;
    this.drawElectionTimeout();
    this.leadTransferee = NO_PEER;
    this.tracker.resetVotes();
    const lastIndex = this.log.lastIndex();
    for (const peer of this.tracker.peers) {
      peer.reset(lastIndex);
      if (peer.id === this.id) peer.matchIndex = lastIndex;
    }
    this.pendingConfIndex = 0;
    this.uncommittedSize = 0;
    this.readOnly = new ReadOnly();
  }

  /** Draws a new election timeout (Raft §5.2: randomized, so that votes are rarely split). */
  drawElectionTimeout(): void {
    const { electionTick, random } = this.config;
    const drawn = random(electionTick);
    if (!Number.isSafeInteger(drawn) || drawn < 0 || drawn >= electionTick) {
      throw new RaftInvariantError(
        `random(${electionTick}) must return an integer from 0 to ${
          electionTick - 1
        }: got ${drawn}`,
      );
    }
    this.randomizedElectionTimeout = electionTick + drawn;
  }

  /**
   * Queues a message. Responses to votes and appends wait until everything that is unstable now is
   * durable: a vote that could be forgotten, or an entry that could be lost, must not be counted
   * (thesis §3.8). Refusals wait as well; they are rare, and nothing then needs an argument.
   */
  send(fields: Outgoing): void {
    const message = createMessage(fields) as Writable<Message>;
    message.from = this.id;
    const { type } = message;
    switch (type) {
      case "vote":
      case "pre-vote":
        message.priority = this.priority;
        break;
      case "vote-response":
      case "pre-vote-response":
        break;
      default:
        message.term = this.term;
    }
    if (type === "append-response" || type === "vote-response" || type === "pre-vote-response") {
      this.messagesAfterAppend.push(message);
    } else {
      if (message.to === this.id) throw new RaftInvariantError(`sent ${type} to itself`);
      this.messages.push(message);
    }
    if (this.config.events !== undefined) this.emit(messageEventName("Send", type), message);
  }

  /**
   * Passes a request on to the leader, in the name of whoever made it. Proposals and reads belong to
   * no term: whoever leads when they arrive may take them.
   */
  forward(request: Message, leader: PeerId): void {
    const message = createMessage(request) as Writable<Message>;
    message.to = leader;
    if (request.from === NO_PEER) message.from = this.id;
    message.term = request.type === "transfer-leader" ? this.term : 0;
    this.messages.push(message);
    if (this.config.events !== undefined) {
      this.emit(messageEventName("Send", request.type), message);
    }
  }

  /**
   * Appends entries of this leader to its log, numbered and in its term, and acknowledges them to
   * itself once they are durable. False when the uncommitted tail would grow beyond its quota, or
   * the log is at its end; nothing is appended then. Empty commands always fit the quota: a new
   * leader's first entry and the leaving of a joint configuration must never fail.
   */
  appendEntries(proposed: readonly RaftLogEntry[]): boolean {
    const size = commandsSize(proposed);
    const total = this.uncommittedSize + size;
    if (this.uncommittedSize > 0 && size > 0 && total > this.config.maxUncommittedSize) {
      return false;
    }
    const lastIndex = this.log.lastIndex();
    if (lastIndex + proposed.length > INDEX_MAX) return false;
    this.uncommittedSize = total;
    const entries: RaftLogEntry[] = [];
    for (let i = 0; i < proposed.length; i++) {
      const { type, command, context } = proposed[i];
      entries.push({ index: lastIndex + 1 + i, term: this.term, type, command, context });
      if (type === "normal") this.emit("Replicate");
    }
    this.log.append(entries);
    this.send({ type: "append-response", to: this.id, index: lastIndex + entries.length });
    return true;
  }

  /** Reports an event to the sink, if there is one. */
  emit(
    name: EventName,
    message?: Message,
    changes?: readonly ConfChangeSingle[],
  ): void {
    const { events } = this.config;
    if (events === undefined) return;
    const { voters, votersOutgoing } = this.tracker.confState;
    events({
      name,
      id: this.id,
      role: this.role,
      term: this.term,
      vote: this.vote,
      commit: this.log.committed,
      logLength: this.log.lastIndex(),
      configuration: [voters, votersOutgoing],
      message,
      changes,
    });
  }

  #load(state: HardState): void {
    const { committed } = this.log;
    if (state.commitIndex < committed || state.commitIndex > this.log.lastIndex()) {
      throw new RaftInvariantError(
        `stored commit index ${state.commitIndex} is out of range ` +
          `[${committed}, ${this.log.lastIndex()}]: the log was lost, truncated or mixed up`,
      );
    }
    this.log.commitTo(state.commitIndex);
    this.term = state.currentTerm;
    this.vote = state.votedFor;
  }

  /** What was applied was committed, even if the commit index was not saved in time. */
  #loadApplied(applied: number): void {
    if (applied <= this.log.applied) return;
    if (applied > this.log.lastIndex()) {
      throw new RaftInvariantError(
        `applied index ${applied} is beyond the last index ${this.log.lastIndex()}: ` +
          "the log was lost, truncated or mixed up",
      );
    }
    this.log.commitTo(applied);
    this.log.appliedTo(applied, 0);
  }
}
