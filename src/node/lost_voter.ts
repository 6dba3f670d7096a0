/**
 * Guards a region against a voter that lost its data. Whoever joins begins as a learner, so a replica
 * without a log that is asked for its vote, or offered a snapshot in which it votes, was a voter
 * before and has forgotten what it voted and acknowledged. Its voice could elect a second leader in
 * one term, or commit what nobody else holds (thesis §11.7.2), so it takes no part.
 *
 * @module
 */

import { createMessage, type LogStorage, type Message, type PeerId } from "../raft/mod.ts";
import { MessageRejectedError } from "./errors.ts";

/** What becomes of a message to a replica that may have no log. */
export interface Guarded {
  /** What the core may see of it. */
  readonly message: Message | undefined;
  /** Why it may not see it. */
  readonly refusal: MessageRejectedError | undefined;
}

/** Guards one replica until it has a log. */
export class LostVoterGuard {
  readonly #id: PeerId;
  readonly #storage: Pick<LogStorage, "lastIndex">;
  #hasLog: boolean;

  constructor(id: PeerId, storage: Pick<LogStorage, "lastIndex">) {
    this.#id = id;
    this.#storage = storage;
    this.#hasLog = storage.lastIndex() > 0;
  }

  /** Whether messages must pass `admit`. */
  get watches(): boolean {
    return !this.#hasLog;
  }

  /** Decides about a message. */
  admit(message: Message): Guarded {
    this.#hasLog = this.#storage.lastIndex() > 0;
    if (this.#hasLog) return { message, refusal: undefined };
    switch (message.type) {
      case "vote":
      case "pre-vote":
        return this.#refuse("it is asked for its vote");
      case "snapshot":
        return this.#admitSnapshot(message);
      case "heartbeat":
        // Its answer must not confirm a leader to those who read.
        return { message: createMessage({ ...message, context: undefined }), refusal: undefined };
      default:
        return { message, refusal: undefined };
    }
  }

  #admitSnapshot(message: Message): Guarded {
    const confState = message.snapshot?.metadata.confState;
    const votes = confState?.voters.includes(this.#id) ||
      confState?.votersOutgoing.includes(this.#id);
    return votes ? this.#refuse("a snapshot has it as a voter") : { message, refusal: undefined };
  }

  #refuse(how: string): Guarded {
    return { message: undefined, refusal: lostVoterError(this.#id, how) };
  }
}

/** What is said of a voter that lost its data. @param how how that was found out. */
export function lostVoterError(peerId: PeerId, how: string): MessageRejectedError {
  const text = `peer ${peerId} has no log, and ${how}: it was a voter and has lost its data, so ` +
    "it takes no part; remove it from its region, and add a new member with an id never used";
  return new MessageRejectedError("VOTER_WITHOUT_LOG", text);
}
