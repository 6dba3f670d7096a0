/**
 * What a peer keeps from its core although another peer sent it: forwarded proposals that could be
 * applied twice, snapshots whose state it could not install, and answers without a term, which the
 * core would take for its own.
 *
 * @module
 */

import type { BasicStatus, Message, MessageType, Snapshot } from "../raft/mod.ts";
import { MessageRejectedError } from "./errors.ts";
import { ForwardedProposals } from "./forwarded.ts";
import { INITIAL_INDEX } from "./recovery.ts";

/** Kinds whose sender always has a term; a refused pre-vote may come from a peer that has seen none. */
const IN_A_TERM: ReadonlySet<MessageType> = new Set<MessageType>([
  "append-response",
  "heartbeat-response",
  "vote-response",
  "timeout-now",
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
  readonly #installsSnapshots: boolean;

  /** @param installsSnapshots whether the host restores state machines; see `PeerOptions`. */
  constructor(installsSnapshots: boolean) {
    this.#installsSnapshots = installsSnapshots;
  }

  /** Whether messages of this kind must pass `admit`; all others go to the core as they are. */
  concerns(message: Message): boolean {
    return message.type === "propose" || message.type === "snapshot" || lacksTerm(message);
  }

  /** Decides about a message, as of the peer's state right before it is stepped. */
  admit(message: Message, status: BasicStatus, lastApplied: number): Admitted {
    if (message.type === "propose") return this.#admitProposals(message, status);
    if (lacksTerm(message)) {
      const text = `${message.type} from ${message.from} has no term`;
      return { message: undefined, refusal: new MessageRejectedError("TERM_MISSING", text) };
    }
    if (this.#installsSnapshots) return { message, refusal: undefined };
    return admitSnapshot(message, status, lastApplied);
  }

  #admitProposals(message: Message, status: BasicStatus): Admitted {
    if (status.softState.role !== "leader") {
      const text = "a forwarded proposal came to a member that does not lead";
      return { message: undefined, refusal: new MessageRejectedError("NOT_LEADING", text) };
    }
    const fresh = this.#forwarded.filter(message, status.hardState.currentTerm);
    if (fresh === message) return { message, refusal: undefined };
    const text = "a forwarded proposal was repeated, or meant for another term";
    return { message: fresh, refusal: new MessageRejectedError("STALE_PROPOSAL", text) };
  }
}

function lacksTerm(message: Message): boolean {
  return message.term === 0 && IN_A_TERM.has(message.type);
}

function admitSnapshot(message: Message, status: BasicStatus, lastApplied: number): Admitted {
  if (canInstall(message.snapshot, status, lastApplied)) return { message, refusal: undefined };
  const text = "a snapshot carries a state, which this host does not install";
  return { message: undefined, refusal: new MessageRejectedError("SNAPSHOT_UNSUPPORTED", text) };
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
