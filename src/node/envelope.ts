/**
 * The envelopes that the node room puts in the opaque bytes of the core: the proposal id in an
 * entry's `context`, and the round id in a read's. Both start with a version byte.
 *
 * An entry's context, version 1 (27 bytes, integers little-endian):
 *
 * | bytes | field | meaning |
 * |---|---|---|
 * | 0 | version | 1 |
 * | 1-7 | origin | the peer that took the proposal |
 * | 8-13 | epoch | drawn anew at each start of that peer, so that no id is ever used twice |
 * | 14-19 | sequence | counts that peer's proposals since its start, from 1 |
 * | 20-26 | term | the term of the leader the proposal was handed to |
 *
 * The term makes a proposal valid for one leader only: a leader appends a forwarded proposal only in
 * that very term, and only once (see `forwarded.ts`).
 *
 * Versions to come: with the top bit clear (2-127) they may be skipped by who does not know them,
 * the entry is applied as if it had no context; with the top bit set (128-255) the entry must not be
 * applied by who does not know them, and the member stops. Version 128 is that of client sessions: it
 * begins like version 1, and goes on as `sessions/envelope.ts` says.
 *
 * A read's context (13 bytes): version 1, the epoch (6), the number of the round (6).
 *
 * @module
 */

import type { PeerId } from "../raft/mod.ts";
import { EnvelopeError } from "./errors.ts";
import { read48, read56, write48, write56 } from "./integers.ts";

/** Identifies one attempt to have a command appended. */
export interface ProposalId {
  /** The peer that took the proposal from its caller. */
  readonly origin: PeerId;
  /** That peer's incarnation: an integer from 0 to 2^48-1. */
  readonly epoch: number;
  /** Counts the proposals of that incarnation: an integer from 1 to 2^48-1. */
  readonly sequence: number;
  /** The term of the leader it was handed to. */
  readonly term: number;
}

/** One more than the largest epoch and sequence number: 2^48. */
export const EPOCH_BOUND: number = 2 ** 48;

const VERSION = 1;
const MUST_UNDERSTAND = 0x80;

/** The version of the envelopes of client sessions. */
export const SESSION_VERSION = 128;

/** Bytes of an entry's context of version 1, and of the part that version 128 begins with. */
export const PROPOSAL_BYTES = 27;
const READ_BYTES = 13;

/** Encodes a proposal id as an entry's context. */
export function encodeProposalId(
  origin: PeerId,
  epoch: number,
  sequence: number,
  term: number,
): Uint8Array {
  const bytes = new Uint8Array(PROPOSAL_BYTES);
  bytes[0] = VERSION;
  writeProposalId(bytes, origin, epoch, sequence, term);
  return bytes;
}

/** Writes a proposal id behind the version byte. */
export function writeProposalId(
  bytes: Uint8Array,
  origin: PeerId,
  epoch: number,
  sequence: number,
  term: number,
): void {
  write56(bytes, 1, origin);
  write48(bytes, 8, epoch);
  write48(bytes, 14, sequence);
  write56(bytes, 20, term);
}

/** The proposal id in an entry's context, or undefined when it holds none that this version reads. */
export function decodeProposalId(context: Uint8Array | undefined): ProposalId | undefined {
  if (context === undefined || context.length < PROPOSAL_BYTES) return undefined;
  const isPlain = context[0] === VERSION && context.length === PROPOSAL_BYTES;
  if (!isPlain && context[0] !== SESSION_VERSION) return undefined;
  return {
    origin: read56(context, 1),
    epoch: read48(context, 8),
    sequence: read48(context, 14),
    term: read56(context, 20),
  };
}

/**
 * Refuses an entry that concerns no sessions and that this version cannot apply correctly.
 *
 * @throws EnvelopeError when the context is of a version that must be understood.
 */
export function checkEnvelope(index: number, context: Uint8Array | undefined): void {
  if (context === undefined || context.length === 0 || context[0] < MUST_UNDERSTAND) return;
  throw new EnvelopeError(
    `entry ${index} has an envelope of version ${context[0]}, which this version cannot apply: ` +
      "upgrade this node",
  );
}

/** Encodes the id of a read round as a read's context. */
export function encodeReadRound(epoch: number, round: number): Uint8Array {
  const bytes = new Uint8Array(READ_BYTES);
  bytes[0] = VERSION;
  write48(bytes, 1, epoch);
  write48(bytes, 7, round);
  return bytes;
}

/** The round in a read's context, or 0 when it is not of this incarnation. */
export function decodeReadRound(context: Uint8Array, epoch: number): number {
  if (context.length !== READ_BYTES || context[0] !== VERSION) return 0;
  return read48(context, 1) === epoch ? read48(context, 7) : 0;
}
