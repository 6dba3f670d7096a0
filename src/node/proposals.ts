/**
 * The proposals of a replica's callers, from the moment they are taken until they are settled. They
 * wait while no leader is known; what waits together is handed to the core as one message; and each
 * is settled when this very replica applies its entry.
 *
 * A proposal handed out in term T may be appended in term T only (`forwarded.ts` holds every leader
 * to that). Terms never decrease along the log, so once an entry of a later term has been applied and
 * the proposal has not, it never will be: it is then proposed again, or rejected as dropped. Before
 * that its outcome is unknown, and it is never repeated.
 *
 * @module
 */

import type { PeerId, RaftLogEntry } from "../raft/mod.ts";
import { decodeProposalId, encodeProposalId } from "./envelope.ts";
import {
  CancelledError,
  CommandTooLargeError,
  DroppedError,
  NotLeaderError,
  OverloadedError,
  SessionError,
  StoppedError,
  TimedOutError,
} from "./errors.ts";
import type { AppliedProposal, PeerEffects, ProposalRequest } from "./events.ts";
import type { CheckedLimits } from "./limits.ts";
import { encodeSessionContext } from "./sessions/envelope.ts";
import type { PeerCounters } from "./status.ts";

/** What a `ProposalQueue` is made of. */
export interface ProposalQueueOptions {
  readonly peerId: PeerId;
  /** This incarnation of the peer; see `envelope.ts`. */
  readonly epoch: number;
  readonly limits: CheckedLimits;
  /** Whether to propose again what was certainly lost. */
  readonly repeatDropped: boolean;
  /** Whether proposals may name sessions. */
  readonly servesSessions: boolean;
  readonly counters: PeerCounters;
}

/** Takes the entries of one proposal message; throws when they were not taken. */
export type Propose = (entries: { command: Uint8Array; context: Uint8Array }[]) => void;

/** The proposals that are not settled. */
export class ProposalQueue {
  readonly #options: ProposalQueueOptions;
  /** Those that no leader has been asked to append, in order, by sequence. */
  readonly #waiting = new Map<number, ProposalRequest>();
  /** Those whose outcome is open, by sequence. */
  readonly #handedOut = new Map<number, ProposalRequest>();
  #nextSequence = 1;
  #bytes = 0;
  /** At or before the deadline of all. */
  #earliestDeadline = Infinity;

  constructor(options: ProposalQueueOptions) {
    this.#options = options;
  }

  /** How many are not settled. */
  get count(): number {
    return this.#waiting.size + this.#handedOut.size;
  }

  /** Bytes of their commands. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Whether any waits to be handed out. */
  get hasWaiting(): boolean {
    return this.#waiting.size > 0;
  }

  /** Takes a proposal, or rejects it when a limit is reached. */
  add(proposal: ProposalRequest, effects: PeerEffects): void {
    const { limits, counters } = this.#options;
    const error = this.#refusal(proposal, limits);
    if (error !== undefined) {
      effects.rejected.push({ request: proposal, error });
      return;
    }
    counters.proposals++;
    proposal.sequence = this.#nextSequence++;
    this.#bytes += proposal.command.length;
    this.#earliestDeadline = Math.min(this.#earliestDeadline, proposal.deadline);
    this.#waiting.set(proposal.sequence, proposal);
  }

  #refusal(proposal: ProposalRequest, limits: CheckedLimits) {
    if (proposal.session !== undefined && !this.#options.servesSessions) {
      const text = "the state machine supports no client sessions: it has no resultCodec";
      return new SessionError("SESSIONS_UNSUPPORTED", text, false);
    }
    const bytes = proposal.command.length;
    if (bytes > limits.commandBytesMax) {
      return new CommandTooLargeError(limits.commandBytesMax, bytes);
    }
    if (this.count >= limits.pendingProposalsMax) {
      return new OverloadedError("proposals", limits.pendingProposalsMax, this.count);
    }
    if (this.#bytes > 0 && this.#bytes + bytes > limits.pendingProposalBytesMax) {
      return new OverloadedError(
        "bytes of proposals",
        limits.pendingProposalBytesMax,
        this.#bytes,
      );
    }
    return undefined;
  }

  /**
   * Hands everything that waits to the leader of `term`, in as few messages as the limits allow.
   * What `propose` throws on stays waiting, as it is certain not to have been appended.
   */
  handOut(term: number, propose: Propose): void {
    const { counters } = this.#options;
    while (this.#waiting.size > 0) {
      const batch = this.#nextBatch();
      propose(batch.map((proposal) => ({
        command: proposal.command,
        context: this.#contextOf(proposal, term),
      })));
      counters.proposalMessages++;
      counters.proposalEntries += batch.length;
      for (const proposal of batch) {
        proposal.term = term;
        this.#waiting.delete(proposal.sequence);
        this.#handedOut.set(proposal.sequence, proposal);
      }
    }
  }

  #contextOf({ session, sequence }: ProposalRequest, term: number): Uint8Array {
    const { peerId, epoch } = this.#options;
    return session === undefined
      ? encodeProposalId(peerId, epoch, sequence, term)
      : encodeSessionContext(session, peerId, epoch, sequence, term);
  }

  #nextBatch(): ProposalRequest[] {
    const { proposalEntriesMax, proposalBytesMax } = this.#options.limits;
    const batch: ProposalRequest[] = [];
    let bytes = 0;
    for (const proposal of this.#waiting.values()) {
      bytes += proposal.command.length;
      if (batch.length === proposalEntriesMax) break;
      if (batch.length > 0 && bytes > proposalBytesMax) break;
      batch.push(proposal);
    }
    return batch;
  }

  /** Settles the proposal that `entry` came from, when it is one of this queue. */
  settleApplied(entry: RaftLogEntry, result: unknown): AppliedProposal | undefined {
    if (this.#handedOut.size === 0) return undefined;
    const id = decodeProposalId(entry.context);
    if (id === undefined || id.origin !== this.#options.peerId) return undefined;
    if (id.epoch !== this.#options.epoch) return undefined;
    const proposal = this.#handedOut.get(id.sequence);
    if (proposal === undefined) return undefined;
    this.#handedOut.delete(id.sequence);
    this.#bytes -= proposal.command.length;
    return { proposal, index: entry.index, term: entry.term, result, isDuplicate: false };
  }

  /** An entry of `appliedTerm` has been applied: what was handed out in an earlier term is lost. */
  settleLost(appliedTerm: number, effects: PeerEffects): void {
    for (const proposal of this.#handedOut.values()) {
      if (proposal.term >= appliedTerm) continue;
      this.#handedOut.delete(proposal.sequence);
      if (this.#options.repeatDropped) {
        proposal.term = 0;
        this.#options.counters.proposalsRepeated++;
        this.#waiting.set(proposal.sequence, proposal);
      } else {
        this.#bytes -= proposal.command.length;
        const error = new DroppedError(proposal.term, appliedTerm);
        effects.rejected.push({ request: proposal, error });
      }
    }
  }

  /**
   * A snapshot stands in for entries this replica never sees, which may include those of what has
   * been handed out: from now on only their deadline, or their entry, settles them.
   */
  forgetCertainty(): void {
    for (const proposal of this.#handedOut.values()) proposal.term = Number.MAX_SAFE_INTEGER;
  }

  /** Rejects what waits, as this replica does not lead and does not forward. */
  rejectWaiting(leaderPeerId: PeerId, leaderNodeId: number, effects: PeerEffects): void {
    for (const proposal of this.#waiting.values()) {
      this.#bytes -= proposal.command.length;
      const error = new NotLeaderError(leaderPeerId, leaderNodeId);
      effects.rejected.push({ request: proposal, error });
    }
    this.#waiting.clear();
  }

  /** Rejects what has reached its deadline. */
  expire(now: number, effects: PeerEffects): void {
    if (now < this.#earliestDeadline) return;
    let earliest = Infinity;
    for (const map of [this.#waiting, this.#handedOut]) {
      for (const proposal of map.values()) {
        if (proposal.deadline > now) {
          earliest = Math.min(earliest, proposal.deadline);
          continue;
        }
        map.delete(proposal.sequence);
        this.#bytes -= proposal.command.length;
        const error = new TimedOutError("proposal", map === this.#handedOut);
        effects.rejected.push({ request: proposal, error });
      }
    }
    this.#earliestDeadline = earliest;
  }

  /** Rejects one whose caller no longer waits. Nothing happens when it is settled. */
  cancel(proposal: ProposalRequest, reason: unknown, effects: PeerEffects): void {
    const handedOut = this.#handedOut.delete(proposal.sequence);
    if (!handedOut && !this.#waiting.delete(proposal.sequence)) return;
    this.#bytes -= proposal.command.length;
    const error = new CancelledError("proposal", handedOut, { cause: reason });
    effects.rejected.push({ request: proposal, error });
  }

  /** Rejects everything. */
  stop(cause: unknown, effects: PeerEffects): void {
    for (const map of [this.#waiting, this.#handedOut]) {
      for (const proposal of map.values()) {
        const error = new StoppedError(map === this.#handedOut, { cause });
        effects.rejected.push({ request: proposal, error });
      }
      map.clear();
    }
    this.#bytes = 0;
  }
}
