/**
 * Linearizable reads without writing to the log (thesis §6.4, ReadIndex). Each request gets a
 * position in the order of arrival; heartbeats carry the last position, followers echo it, and an
 * echo confirms every request up to it. Positions, not the users' contexts, are what is confirmed:
 * two requests with equal contexts must not confirm each other (etcd#20418).
 *
 * @module
 */

import type { JointQuorum } from "./quorum/mod.ts";
import type { Message, PeerId } from "./types.ts";

/** A request that waits for its confirmation. */
export interface PendingRead {
  /** The `read-index` message, from a follower or from this peer's own host. */
  readonly request: Message;
  /** The commit index when the leader received it. */
  readonly index: number;
}

const POSITION_BYTES = 8;
const NO_READS: readonly PendingRead[] = Object.freeze([]);

/** The read requests of one leader in one term. */
export class ReadOnly {
  readonly #acked = new Map<PeerId, number>();
  readonly #ackedPosition = (id: PeerId) => this.#acked.get(id);
  #unconfirmed: PendingRead[] = [];
  #confirmed = 0;

  /** The position of the newest request. */
  get #issued(): number {
    return this.#confirmed + this.#unconfirmed.length;
  }

  /** Takes a request that `self` has confirmed by receiving it. */
  add(index: number, request: Message, self: PeerId): void {
    this.#unconfirmed.push({ request, index });
    this.#acked.set(self, this.#issued);
  }

  /** What a heartbeat carries: the position of the newest request; nothing when none waits. */
  heartbeatContext(): Uint8Array | undefined {
    return this.#unconfirmed.length === 0 ? undefined : encodePosition(this.#issued);
  }

  /**
   * Takes a follower's echo. Bytes that are no position, and positions that were never issued,
   * confirm nothing.
   */
  receiveAck(from: PeerId, context: Uint8Array): void {
    const position = decodePosition(context);
    if (position === undefined || position > this.#issued) return;
    if (position > (this.#acked.get(from) ?? 0)) this.#acked.set(from, position);
  }

  /** Removes and returns, in order, the requests that a quorum of `voters` has confirmed by now. */
  takeConfirmed(voters: JointQuorum): readonly PendingRead[] {
    const confirmed = Math.min(voters.committedIndex(this.#ackedPosition), this.#issued);
    if (confirmed <= this.#confirmed) return NO_READS;
    const taken = this.#unconfirmed.splice(0, confirmed - this.#confirmed);
    this.#confirmed = confirmed;
    return taken;
  }
}

/** A position as 8 bytes, little endian. */
function encodePosition(position: number): Uint8Array {
  const bytes = new Uint8Array(POSITION_BYTES);
  for (let i = 0; i < POSITION_BYTES; i++) {
    bytes[i] = position % 256;
    position = Math.floor(position / 256);
  }
  return bytes;
}

/** The position in the first 8 bytes; undefined when there are fewer or it is beyond 2^53-1. */
function decodePosition(bytes: Uint8Array): number | undefined {
  if (bytes.length < POSITION_BYTES) return undefined;
  let position = 0;
  for (let i = POSITION_BYTES - 1; i >= 0; i--) position = position * 256 + bytes[i];
  return Number.isSafeInteger(position) ? position : undefined;
}
