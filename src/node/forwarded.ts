/**
 * What a leader does with proposals that other members forward to it. A network may repeat or delay
 * a message, and a repeated proposal would be applied twice. So a forwarded proposal names the term
 * of the leader it is meant for, and that leader takes it in that term only, and only once; a member
 * that does not lead drops it instead of forwarding it further. It follows that
 *
 * - no attempt of a proposal is ever in the log twice, and
 * - an attempt made for term T is in the log as an entry of term T or not at all: once an entry of a
 *   later term has been applied without it, it is certain never to take effect.
 *
 * @module
 */

import { createMessage, type Message, type RaftLogEntry } from "../raft/mod.ts";
import { decodeProposalId, type ProposalId } from "./envelope.ts";
import { PENDING_PROPOSALS_BOUND } from "./limits.ts";

const WINDOW_BITS = 2 * PENDING_PROPOSALS_BOUND;
const ORIGINS_MAX = 512;

/**
 * Remembers which sequence numbers of one origin were seen: exactly within the newest 65,536, and
 * "seen" for all that are older, which refuses more than it must but never too little.
 */
class SequenceWindow {
  readonly #bits = new Uint32Array(WINDOW_BITS / 32);
  #highest = 0;

  /** Whether `sequence` is seen for the first time. */
  accept(sequence: number): boolean {
    if (sequence > this.#highest) {
      this.#advanceTo(sequence);
    } else if (sequence <= this.#highest - WINDOW_BITS) {
      return false;
    }
    const position = sequence % WINDOW_BITS;
    const word = position >>> 5;
    const bit = 1 << (position & 31);
    if ((this.#bits[word] & bit) !== 0) return false;
    this.#bits[word] |= bit;
    return true;
  }

  #advanceTo(sequence: number): void {
    if (sequence - this.#highest >= WINDOW_BITS) {
      this.#bits.fill(0);
    } else {
      for (let skipped = this.#highest + 1; skipped <= sequence; skipped++) {
        const position = skipped % WINDOW_BITS;
        this.#bits[position >>> 5] &= ~(1 << (position & 31));
      }
    }
    this.#highest = sequence;
  }
}

/**
 * Lets each forwarded proposal through once. It remembers 512 incarnations of origins a term (8 KiB
 * each); proposals of further ones are dropped until the term changes.
 */
export class ForwardedProposals {
  #term = 0;
  readonly #windows = new Map<string, SequenceWindow>();

  /**
   * What of a forwarded `propose` message a leader in `term` may append: the message itself, one
   * with fewer entries, or undefined when nothing is left. Entries without a proposal id
   * (configuration changes) pass: to repeat them changes nothing.
   */
  filter(message: Message, term: number): Message | undefined {
    if (term !== this.#term) {
      this.#term = term;
      this.#windows.clear();
    }
    const entries = message.entries.filter((entry) => this.#accept(entry));
    if (entries.length === message.entries.length) return message;
    return entries.length === 0 ? undefined : createMessage({ ...message, entries });
  }

  #accept(entry: RaftLogEntry): boolean {
    const id = decodeProposalId(entry.context);
    if (id === undefined) return true;
    return id.term === this.#term && this.#window(id)?.accept(id.sequence) === true;
  }

  #window(id: ProposalId): SequenceWindow | undefined {
    const key = `${id.origin}/${id.epoch}`;
    let window = this.#windows.get(key);
    if (window === undefined && this.#windows.size < ORIGINS_MAX) {
      window = new SequenceWindow();
      this.#windows.set(key, window);
    }
    return window;
  }
}
