/**
 * The envelope of an entry that concerns client sessions: the context of version 128. Integers are
 * little-endian. Behind the proposal id, which is as in version 1:
 *
 * | operation (byte 27) | bytes | fields |
 * |---|---|---|
 * | 1 open | 28-39 | nonce (6), timeout in milliseconds (6) |
 * | 2 command | 28-52 | session: index (7), nonce (6); sequence (6), acknowledged (6) |
 * | 3 keep alive | 28-40 | session: index (7), nonce (6) |
 * | 4 close | 28-40 | session: index (7), nonce (6) |
 * | 5 clock | 28-33 | milliseconds that have passed (6) |
 *
 * Only a command has bytes for the state machine. The leader alone proposes what the clock says; its
 * entry answers nobody and carries a proposal id of zeros.
 *
 * @module
 */

import type { PeerId } from "../../raft/mod.ts";
import { PROPOSAL_BYTES, SESSION_VERSION, writeProposalId } from "../envelope.ts";
import { EnvelopeError } from "../errors.ts";
import { read48, read56, write48, write56 } from "../integers.ts";
import type { SessionKey, SessionOperation } from "./operation.ts";

/** What an entry does to the sessions. */
export type SessionEntry = SessionOperation | {
  readonly kind: "clock";
  /** Time that has passed since the clock was told last. */
  readonly elapsedMs: number;
};

const OPEN = 1;
const COMMAND = 2;
const KEEP_ALIVE = 3;
const CLOSE = 4;
const CLOCK = 5;
const BODY = PROPOSAL_BYTES + 1;
const KEY_BYTES = 13;

/** Encodes an operation, and the proposal it is, as an entry's context. */
export function encodeSessionContext(
  operation: SessionOperation,
  origin: PeerId,
  epoch: number,
  proposal: number,
  term: number,
): Uint8Array {
  const bytes = encodeBody(operation);
  writeProposalId(bytes, origin, epoch, proposal, term);
  return bytes;
}

/** Encodes that time has passed. */
export function encodeSessionClock(elapsedMs: number): Uint8Array {
  const bytes = create(CLOCK, 6);
  write48(bytes, BODY, elapsedMs);
  return bytes;
}

/** Whether an entry concerns sessions. */
export function isSessionContext(context: Uint8Array | undefined): context is Uint8Array {
  return context !== undefined && context.length > 0 && context[0] === SESSION_VERSION;
}

/**
 * What an entry does to the sessions.
 *
 * @throws EnvelopeError when it is nothing that this version knows: the entry must not be applied.
 */
export function decodeSessionEntry(index: number, context: Uint8Array): SessionEntry {
  const entry = decodeBody(context);
  if (entry !== undefined) return entry;
  throw new EnvelopeError(
    `entry ${index} has an envelope of sessions with operation ${context[PROPOSAL_BYTES]} and ` +
      `${context.length} bytes, which this version cannot apply: upgrade this node`,
  );
}

function encodeBody(operation: SessionOperation): Uint8Array {
  switch (operation.kind) {
    case "open": {
      const bytes = create(OPEN, 12);
      write48(bytes, BODY, operation.nonce);
      write48(bytes, BODY + 6, operation.timeoutMs);
      return bytes;
    }
    case "command": {
      const bytes = create(COMMAND, KEY_BYTES + 12);
      writeKey(bytes, operation.session);
      write48(bytes, BODY + KEY_BYTES, operation.sequence);
      write48(bytes, BODY + KEY_BYTES + 6, operation.acknowledged);
      return bytes;
    }
    case "keep-alive":
    case "close": {
      const bytes = create(operation.kind === "close" ? CLOSE : KEEP_ALIVE, KEY_BYTES);
      writeKey(bytes, operation.session);
      return bytes;
    }
  }
}

function decodeBody(bytes: Uint8Array): SessionEntry | undefined {
  const length = bytes.length - BODY;
  switch (bytes[PROPOSAL_BYTES]) {
    case OPEN:
      if (length !== 12) return undefined;
      return { kind: "open", nonce: read48(bytes, BODY), timeoutMs: read48(bytes, BODY + 6) };
    case COMMAND:
      if (length !== KEY_BYTES + 12) return undefined;
      return {
        kind: "command",
        session: readKey(bytes),
        sequence: read48(bytes, BODY + KEY_BYTES),
        acknowledged: read48(bytes, BODY + KEY_BYTES + 6),
      };
    case KEEP_ALIVE:
      return length === KEY_BYTES ? { kind: "keep-alive", session: readKey(bytes) } : undefined;
    case CLOSE:
      return length === KEY_BYTES ? { kind: "close", session: readKey(bytes) } : undefined;
    case CLOCK:
      return length === 6 ? { kind: "clock", elapsedMs: read48(bytes, BODY) } : undefined;
    default:
      return undefined;
  }
}

function create(operation: number, bodyBytes: number): Uint8Array {
  const bytes = new Uint8Array(BODY + bodyBytes);
  bytes[0] = SESSION_VERSION;
  bytes[PROPOSAL_BYTES] = operation;
  return bytes;
}

function writeKey(bytes: Uint8Array, { index, nonce }: SessionKey): void {
  write56(bytes, BODY, index);
  write48(bytes, BODY + 7, nonce);
}

function readKey(bytes: Uint8Array): SessionKey {
  return { index: read56(bytes, BODY), nonce: read48(bytes, BODY + 7) };
}
