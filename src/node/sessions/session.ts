/**
 * One client session as it is replicated, and the bytes it is kept as in the node's own part of a state
 * machine: the key `session/<index>`, and as the value (integers little-endian)
 *
 * version (1 byte, 1), nonce (6), timeout in milliseconds (6), when it was used last: index (7) and time
 * on the clock of the sessions (6); the highest sequence number that is acknowledged (6); the number of
 * results (4); and for each, by ascending sequence number: sequence (6), index (7), term (7), length plus
 * one (4; 0 when the result was not kept), bytes.
 *
 * @module
 */

import { EnvelopeError } from "../errors.ts";
import { read48, read56, write48, write56 } from "../integers.ts";

/** A result of a session. */
export interface KeptResult {
  /** Where in the log its command was applied. */
  readonly index: number;
  /** The term of that entry. */
  readonly term: number;
  /** The result; undefined when it was too large to be kept, or is not known yet. */
  bytes: Uint8Array | undefined;
}

/** A session. */
export interface Session {
  /** Where it was opened. */
  readonly index: number;
  readonly nonce: number;
  readonly timeoutMs: number;
  /** The entry that used it last. */
  usedIndex: number;
  /** When that was, on the clock of the sessions, in milliseconds. */
  usedMs: number;
  /** The client waits for no result up to this sequence number. */
  acknowledged: number;
  /** Of the commands that were applied and are not acknowledged, by sequence number. */
  readonly results: Map<number, KeptResult>;
  /** Bytes of the results. */
  bytes: number;
}

const VERSION = 1;
const HEAD_BYTES = 36;
const RESULT_HEAD_BYTES = 24;

/** Encodes a session. */
export function encodeSession(session: Session): Uint8Array {
  const sequences = [...session.results.keys()].sort((a, b) => a - b);
  const bytes = new Uint8Array(
    HEAD_BYTES + sequences.length * RESULT_HEAD_BYTES + session.bytes,
  );
  bytes[0] = VERSION;
  write48(bytes, 1, session.nonce);
  write48(bytes, 7, session.timeoutMs);
  write56(bytes, 13, session.usedIndex);
  write48(bytes, 20, session.usedMs);
  write48(bytes, 26, session.acknowledged);
  const view = new DataView(bytes.buffer);
  view.setUint32(32, sequences.length, true);
  let at = HEAD_BYTES;
  for (const sequence of sequences) {
    const result = session.results.get(sequence)!;
    write48(bytes, at, sequence);
    write56(bytes, at + 6, result.index);
    write56(bytes, at + 13, result.term);
    view.setUint32(at + 20, result.bytes === undefined ? 0 : result.bytes.length + 1, true);
    at += RESULT_HEAD_BYTES;
    if (result.bytes === undefined) continue;
    bytes.set(result.bytes, at);
    at += result.bytes.length;
  }
  return bytes;
}

/**
 * Decodes a session.
 *
 * @param index where it was opened, as its key says.
 * @throws EnvelopeError when the bytes are of a version that this one cannot read.
 */
export function decodeSession(index: number, bytes: Uint8Array): Session {
  if (bytes.length < HEAD_BYTES || bytes[0] !== VERSION) {
    throw new EnvelopeError(
      `session ${index} is kept as ${bytes.length} bytes of version ${
        bytes[0]
      }, which this version ` +
        "cannot read: upgrade this node",
    );
  }
  const session: Session = {
    index,
    nonce: read48(bytes, 1),
    timeoutMs: read48(bytes, 7),
    usedIndex: read56(bytes, 13),
    usedMs: read48(bytes, 20),
    acknowledged: read48(bytes, 26),
    results: new Map(),
    bytes: 0,
  };
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const count = view.getUint32(32, true);
  let at = HEAD_BYTES;
  for (let read = 0; read < count; read++) {
    const length = view.getUint32(at + 20, true) - 1;
    const start = at + RESULT_HEAD_BYTES;
    session.results.set(read48(bytes, at), {
      index: read56(bytes, at + 6),
      term: read56(bytes, at + 13),
      bytes: length < 0 ? undefined : bytes.slice(start, start + length),
    });
    session.bytes += Math.max(0, length);
    at = start + Math.max(0, length);
  }
  return session;
}
