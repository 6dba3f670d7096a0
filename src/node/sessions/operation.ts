/**
 * What a caller asks of client sessions (Raft thesis §6.3), and how a session is named.
 *
 * @module
 */

import { ConfigError } from "../../raft/mod.ts";
import { EPOCH_BOUND } from "../envelope.ts";
import { SESSION_TIMEOUT_MS_DEFAULT, SESSION_TIMEOUT_MS_MAX } from "./limits.ts";

/** Names a session of a region, for ever: no other session, past or to come, has the same key. */
export interface SessionKey {
  /** Where in the log it was opened. */
  readonly index: number;
  /**
   * Drawn by who opened it: an integer from 0 to 2^48-1. It tells sessions of the same index apart
   * that are of different clusters, one restored from a backup of the other.
   */
  readonly nonce: number;
}

/** What is asked of a session. */
export type SessionOperation =
  /** Opens a session; its result is the `SessionKey`. */
  | {
    readonly kind: "open";
    /** An integer from 0 to 2^48-1 that nobody can foresee. */
    readonly nonce: number;
    /** How long it lives unused, on the clock of the log, in milliseconds. */
    readonly timeoutMs: number;
  }
  /** Carries a command that is applied once, however often it is proposed with this number. */
  | {
    readonly kind: "command";
    readonly session: SessionKey;
    /** Numbers the command in its session: an integer from 1, above `acknowledged`. */
    readonly sequence: number;
    /**
     * The client waits for no result of a number up to this one: they are forgotten, and commands of
     * such numbers that come late are not applied. An integer from 0.
     */
    readonly acknowledged: number;
  }
  /** Keeps an unused session alive. */
  | { readonly kind: "keep-alive"; readonly session: SessionKey }
  /** Ends a session. To end one that is not there changes nothing. */
  | { readonly kind: "close"; readonly session: SessionKey };

/** The operation that carries a command. */
export type SessionCommand = SessionOperation & { readonly kind: "command" };

/** A session's key as text, to be handed to clients: `<index>-<nonce>`, both hexadecimal. */
export function formatSessionId({ index, nonce }: SessionKey): string {
  return `${index.toString(16)}-${nonce.toString(16)}`;
}

/**
 * The key in a text that `formatSessionId` made.
 *
 * @throws ConfigError when it is no such text.
 */
export function parseSessionId(id: string): SessionKey {
  const match = typeof id === "string" ? /^([0-9a-f]{1,14})-([0-9a-f]{1,12})$/.exec(id) : null;
  const index = parseInt(match?.[1] ?? "", 16);
  if (match === null || !Number.isSafeInteger(index) || index < 1) {
    throw new ConfigError(
      `session id must be one that was returned when a session was opened: current value is ${
        JSON.stringify(id)
      }`,
    );
  }
  return { index, nonce: parseInt(match[2], 16) };
}

/** @throws ConfigError when the numbers of an operation are out of bounds. */
export function checkSessionOperation(operation: SessionOperation): void {
  if (operation.kind === "open") {
    check("session nonce", operation.nonce, 0, EPOCH_BOUND - 1);
    check("session timeoutMs", operation.timeoutMs, 1, SESSION_TIMEOUT_MS_MAX);
    return;
  }
  check("session index", operation.session.index, 1, Number.MAX_SAFE_INTEGER);
  check("session nonce", operation.session.nonce, 0, EPOCH_BOUND - 1);
  if (operation.kind !== "command") return;
  check("session sequence", operation.sequence, 1, EPOCH_BOUND - 1);
  check("session acknowledged", operation.acknowledged, 0, operation.sequence - 1);
}

/** How long a session lives unused, checked. @throws ConfigError when it is no duration allowed. */
export function checkSessionTimeout(timeoutMs: number = SESSION_TIMEOUT_MS_DEFAULT): number {
  check("session timeoutMs", timeoutMs, 1, SESSION_TIMEOUT_MS_MAX);
  return timeoutMs;
}

function check(name: string, value: number, least: number, most: number): void {
  if (Number.isSafeInteger(value) && value >= least && value <= most) return;
  throw new ConfigError(
    `${name} must be an integer from ${least} to ${most}: current value is ${String(value)}`,
  );
}
