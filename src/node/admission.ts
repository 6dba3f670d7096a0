/**
 * What a peer keeps from its core although another peer sent it: forwarded proposals that could be
 * applied twice, snapshots whose state it could not install, and answers that the core would take for
 * its own: without a term, or in its own name, by which it acknowledges to itself what is durable.
 *
 * @module
 */

import type { BasicStatus, Message, MessageType, PeerId, Snapshot } from "../raft/mod.ts";
import { MessageRejectedError, type MessageRejectionCode } from "./errors.ts";
import { ForwardedProposals } from "./forwarded.ts";
import { INITIAL_INDEX } from "./recovery.ts";

/** Kinds whose sender always has a term; a refused pre-vote may come from a peer that has seen none. */
const IN_A_TERM: ReadonlySet<MessageType> = new Set<MessageType>([
  "append-response",
  "heartbeat-response",
  "vote-response",
  "timeout-now",
]);

/** Kinds by which a peer answers itself as well. */
const TO_ITSELF: ReadonlySet<MessageType> = new Set<MessageType>([
  "append-response",
  "vote-response",
  "pre-vote-response",
]);

/** What becomes of a message. */
export interface Admitted {
  /** What the core may see of it. */
  readonly message: Message | undefined;
  /** Why it may not see all of it. */
  readonly refusal: MessageRejectedError | undefined;
}

/** Guards one peer's core. */
export class Admission {
  readonly #forwarded = new ForwardedProposals();
  readonly #id: PeerId;
  readonly #installsSnapshots: boolean;

  /** @param installsSnapshots whether the host restores state machines; see `PeerOptions`. */
  constructor(id: PeerId, installsSnapshots: boolean) {
    this.#id = id;
    this.#installsSnapshots = installsSnapshots;
  }

  /** Whether messages of this kind must pass `admit`; all others go to the core as they are. */
  concerns(message: Message): boolean {
    return message.type === "propose" || message.type === "snapshot" || lacksTerm(message) ||
      this.#isForged(message);
  }

  /** Decides about a message, as of the peer's state right before it is stepped. */
  admit(message: Message, status: BasicStatus, lastApplied: number): Admitted {
    if (message.type === "propose") return this.#admitProposals(message, status);
    if (this.#isForged(message)) return refused("OWN_NAME", `a ${message.type} in its own name`);
    if (lacksTerm(message)) {
      return refused("TERM_MISSING", `${message.type} from ${message.from} has no term`);
    }
    if (this.#installsSnapshots) return { message, refusal: undefined };
    return admitSnapshot(message, status, lastApplied);
  }

  #isForged(message: Message): boolean {
    return message.from === this.#id && TO_ITSELF.has(message.type);
  }

  #admitProposals(message: Message, status: BasicStatus): Admitted {
    if (status.softState.role !== "leader") {
      return refused("NOT_LEADING", "a forwarded proposal came to a member that does not lead");
    }
    const fresh = this.#forwarded.filter(message, status.hardState.currentTerm);
    if (fresh === message) return { message, refusal: undefined };
    const text = "a forwarded proposal was repeated, or meant for another term";
    return { message: fresh, refusal: new MessageRejectedError("STALE_PROPOSAL", text) };
  }
}

function refused(code: MessageRejectionCode, text: string): Admitted {
  return { message: undefined, refusal: new MessageRejectedError(code, text) };
}

function lacksTerm(message: Message): boolean {
  return message.term === 0 && IN_A_TERM.has(message.type);
}

function admitSnapshot(message: Message, status: BasicStatus, lastApplied: number): Admitted {
  if (canInstall(message.snapshot, status, lastApplied)) return { message, refusal: undefined };
  return refused("SNAPSHOT_UNSUPPORTED", "its state is nothing that this host installs");
}

/**
 * Without the host's help only the snapshot every first member starts from, that of the empty state,
 * can be installed. The core ignores one that stands for what is committed here, but answers it.
 */
function canInstall(
  snapshot: Snapshot | undefined,
  status: BasicStatus,
  lastApplied: number,
): boolean {
  if (snapshot === undefined) return true;
  const { index } = snapshot.metadata;
  if (index <= status.hardState.commitIndex) return true;
  return index === INITIAL_INDEX && snapshot.data.length === 0 && lastApplied === 0;
}
