/**
 * What the callers of a peer want: proposals, reads and changes of the members, from the event that
 * brings them to the moment they leave for the core, are given up, or end with the peer.
 *
 * @module
 */

import {
  type BasicStatus,
  type Logger,
  NO_PEER,
  type PeerId,
  ProposalDroppedError,
  type RawNode,
} from "../raft/mod.ts";
import { StoppedError } from "./errors.ts";
import { type PeerEffects, type PeerEvent, ProposalRequest } from "./events.ts";
import type { MemberChanges } from "./member_changes.ts";
import type { ProposalQueue } from "./proposals.ts";
import type { ReadQueue } from "./reads.ts";

/** What `Callers` are made of. */
export interface CallersParts {
  readonly core: RawNode;
  readonly proposals: ProposalQueue;
  readonly reads: ReadQueue;
  readonly changes: MemberChanges | undefined;
  /** See `PeerOptions.forwardProposals`. */
  readonly forwardProposals: boolean;
  readonly nodeOf: (peerId: PeerId) => number;
  readonly logger: Logger;
  /** What log lines begin with. */
  readonly name: string;
}

/** The callers of a peer. */
export class Callers {
  readonly #parts: CallersParts;

  constructor(parts: CallersParts) {
    this.#parts = parts;
  }

  /** Takes what callers ask for, or ask for no more; false when the event is of another kind. */
  take(event: PeerEvent, effects: PeerEffects): boolean {
    const { proposals, reads, changes } = this.#parts;
    switch (event.type) {
      case "proposals":
        for (const proposal of event.proposals) proposals.add(proposal, effects);
        return true;
      case "reads":
        for (const read of event.reads) reads.add(read, effects);
        return true;
      case "cancel":
        if (event.request instanceof ProposalRequest) {
          proposals.cancel(event.request, event.reason, effects);
        } else {
          reads.cancel(event.request, event.reason, effects);
        }
        return true;
      case "change-members":
        changes?.add(event.request, effects);
        return true;
      default:
        return false;
    }
  }

  /** Begins a round for the reads that wait, if a leader is known and none is under way. */
  handOutReads({ softState, hardState }: BasicStatus): void {
    const { core, reads } = this.#parts;
    if (softState.leader === NO_PEER) return;
    const readIndex = (context: Uint8Array): void => core.readIndex(context);
    reads.beginRound(softState.leader, hardState.currentTerm, readIndex);
  }

  /** Proposes what waits, as far as it can go out now. @param silent see `disk_watch.ts`. */
  handOutProposals(basic: BasicStatus, silent: boolean, effects: PeerEffects): void {
    const { core, proposals, forwardProposals, nodeOf, logger, name } = this.#parts;
    if (!proposals.hasWaiting) return;
    const { softState, hardState, leadTransferee } = basic;
    const { leader } = softState;
    if (!forwardProposals && softState.role !== "leader") {
      return proposals.rejectWaiting(leader, leader === NO_PEER ? 0 : nodeOf(leader), effects);
    }
    if (leader === NO_PEER || leadTransferee !== NO_PEER || silent) return;
    try {
      proposals.handOut(hardState.currentTerm, (entries) => core.proposeBatch(entries));
    } catch (error) {
      if (!(error instanceof ProposalDroppedError)) throw error;
      logger.debug(`${name} proposals wait: ${error.reason}`);
    }
  }

  /** Rejects what has reached its deadline. */
  expire(now: number, effects: PeerEffects): void {
    const { proposals, reads, changes } = this.#parts;
    proposals.expire(now, effects);
    reads.expire(now, effects);
    changes?.expire(now, effects);
  }

  /** Rejects everything: the peer ends. */
  stop(cause: unknown, effects: PeerEffects): void {
    const { proposals, reads, changes } = this.#parts;
    proposals.stop(cause, effects);
    reads.stop(cause, effects);
    changes?.stop(cause, effects);
  }

  /** Rejects what is asked for after the end. */
  rejectLate(event: PeerEvent, effects: PeerEffects): void {
    if (event.type === "proposals" || event.type === "reads") {
      this.take(event, effects);
      this.stop(undefined, effects);
    } else if (event.type === "change-members") {
      const error = new StoppedError(false);
      effects.changesRejected.push({ request: event.request, error });
    }
  }
}
