/**
 * What a peer's core hands out, a Ready at a time, turned into effects: messages leave or wait for the
 * write they depend on, writes and committed entries go to their queues, and what completes is delivered
 * back to the core.
 *
 * @module
 */

import {
  createMessage,
  type Message,
  type PeerId,
  type RawNode,
  type Snapshot,
} from "../raft/mod.ts";
import type { AppendQueue } from "./append_queue.ts";
import type { ApplyQueue } from "./apply_queue.ts";
import type { PeerEffects } from "./events.ts";
import type { MemberChanges } from "./member_changes.ts";
import type { ReadQueue } from "./reads.ts";
import type { PeerCounters } from "./status.ts";

/** What a `CoreOutput` is made of. */
export interface CoreOutputParts {
  readonly id: PeerId;
  readonly core: RawNode;
  readonly appends: AppendQueue;
  readonly applies: ApplyQueue;
  readonly reads: ReadQueue;
  readonly changes: MemberChanges | undefined;
  readonly counters: PeerCounters;
  /** See `PeerOptions.streamsSnapshots`. */
  readonly streamsSnapshots: boolean;
  /** Whether nothing but a request to take over leadership may leave; see `disk_watch.ts`. */
  readonly isSilent: () => boolean;
  /** Gives a message to the core. */
  readonly step: (message: Message, effects: PeerEffects) => void;
}

/** The outgoing side of a peer's core. */
export class CoreOutput {
  readonly #parts: CoreOutputParts;
  /** A snapshot that is being written, by the id of its write. */
  #snapshot: { readonly appendId: number; readonly snapshot: Snapshot } | undefined;

  constructor(parts: CoreOutputParts) {
    this.#parts = parts;
  }

  /** Whether a snapshot is being written and installed. */
  get installsSnapshot(): boolean {
    return this.#snapshot !== undefined;
  }

  /** Takes a Ready, and a further one only when there are answers that no write delays. */
  takeReady(effects: PeerEffects): void {
    const { core, applies, reads, isSilent } = this.#parts;
    while (core.hasReady()) {
      const ready = core.ready();
      const silent = isSilent();
      const kept: Message[] = [];
      let answers: readonly Message[] = [];
      for (const message of waitForTerm(ready.messages)) {
        if (message.type === "storage-append") {
          answers = this.#append(message, effects);
        } else if (message.type === "storage-apply") {
          applies.push(message);
        } else if (!silent || message.type === "timeout-now") {
          this.#send(message, effects);
        } else if (message.type === "snapshot") {
          kept.push(message);
        }
      }
      // Nobody else will ever tell the core what became of them.
      for (const { to } of kept) core.reportSnapshot(to, "failure");
      for (const state of ready.readStates) reads.confirm(state);
      if (answers.length === 0) return;
      this.deliver(answers, effects);
    }
  }

  /** Delivers what waited for the storage: to the core, or to other peers. */
  deliver(messages: readonly Message[], effects: PeerEffects): void {
    const { id, step } = this.#parts;
    for (const message of messages) {
      if (message.to === id) step(message, effects);
      else this.#send(message, effects);
    }
  }

  /**
   * A write is durable, and with it the snapshot it carried is installed; `restored` is then called
   * before what waited for it is delivered.
   */
  appended(id: number, restored: () => void, effects: PeerEffects): void {
    const { appends, applies } = this.#parts;
    const responses = appends.complete(id);
    let superseded: readonly Message[] = [];
    if (this.#snapshot?.appendId === id) {
      superseded = applies.restored(this.#snapshot.snapshot.metadata.index);
      restored();
      this.#snapshot = undefined;
    }
    this.deliver(responses, effects);
    this.deliver(superseded, effects);
  }

  #append(message: Message, effects: PeerEffects): readonly Message[] {
    const { changes, appends, applies } = this.#parts;
    changes?.appended(message.entries);
    const answers = appends.push(message, effects.appends);
    if (message.snapshot !== undefined) {
      const work = effects.appends[effects.appends.length - 1];
      this.#snapshot = { appendId: work.id, snapshot: message.snapshot };
      applies.supersede(message.snapshot.metadata.index);
    }
    return answers;
  }

  #send(message: Message, effects: PeerEffects): void {
    const { counters, streamsSnapshots } = this.#parts;
    counters.messagesSent++;
    if (streamsSnapshots && message.type === "snapshot") effects.snapshots.push(message);
    else effects.messages.push(message);
  }
}

/**
 * Requests for a vote wait until the term and the candidate's own vote are durable (thesis §3.8). A
 * candidate that could forget them could win by the votes of others, append, crash, and be elected
 * again in the same term with another log: two entries of equal index and term. The core hands them
 * out before the write of the same Ready that saves that term.
 */
function waitForTerm(messages: readonly Message[]): readonly Message[] {
  if (messages.length === 0 || !messages.some(({ type }) => type === "vote")) return messages;
  const requests = messages.filter(({ type }) => type === "vote");
  const rest = messages.filter(({ type }) => type !== "vote" && type !== "storage-append");
  const write = messages.find(({ type }) => type === "storage-append") ??
    createMessage({ type: "storage-append" });
  const responses = [...requests, ...(write.responses ?? [])];
  return [...rest, createMessage({ ...write, responses })];
}
