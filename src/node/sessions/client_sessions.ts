/**
 * The sessions that callers have opened on a node: how they reach it, and how they are kept alive.
 *
 * @module
 */

import { EPOCH_BOUND } from "../envelope.ts";
import type {
  ProposalResult,
  RequestOptions,
  SessionOptions,
  SessionPosition,
} from "../options.ts";
import { unpredictableSeed } from "../random.ts";
import { ClientSession } from "./client_session.ts";
import {
  checkSessionTimeout,
  parseSessionId,
  type SessionCommand,
  type SessionKey,
  type SessionOperation,
} from "./operation.ts";

/** What operations without a command carry. */
export const NO_COMMAND: Uint8Array = new Uint8Array(0);

/** What sessions need of their node. */
export interface SessionNode {
  /** The monotonic clock, in milliseconds. */
  now(): number;
  /** When a call gives up, on that clock. */
  deadline(options: RequestOptions): number;
  propose<Result>(
    command: Uint8Array,
    options: RequestOptions,
    operation: SessionOperation,
  ): Promise<ProposalResult<Result>>;
}

/** The sessions that callers of a node use. */
export class ClientSessions {
  readonly #kept = new Set<ClientSession>();

  /** Opens a session. @throws ConfigError, or what the proposal is rejected with, by rejection */
  async open(
    options: SessionOptions & { readonly attemptMs: number },
    node: SessionNode,
  ): Promise<ClientSession> {
    const { regionId, attemptMs, keepsAlive = true } = options;
    const timeoutMs = checkSessionTimeout(options.timeoutMs);
    const operation = openOperation(timeoutMs);
    const { result } = await node.propose<SessionKey>(NO_COMMAND, options, operation);
    const closed = (): void => void this.#kept.delete(session);
    const session = new ClientSession(result, { node, regionId, attemptMs, timeoutMs, closed });
    if (keepsAlive) this.#kept.add(session);
    return session;
  }

  /** A tick has passed: those that are not used are kept alive. */
  tick(): void {
    for (const session of this.#kept) session.tick();
  }
}

/** The operation that opens a session. @throws ConfigError when the timeout is out of bounds */
export function openOperation(timeoutMs: number | undefined): SessionOperation {
  const nonce = unpredictableSeed() % EPOCH_BOUND;
  return { kind: "open", nonce, timeoutMs: checkSessionTimeout(timeoutMs) };
}

/** Runs `propose` with the operation of a command's place; what is malformed rejects. */
export async function atPosition<Result>(
  { id, sequence, acknowledged }: SessionPosition,
  propose: (operation: SessionCommand) => Promise<Result>,
): Promise<Result> {
  return await propose({ kind: "command", session: parseSessionId(id), sequence, acknowledged });
}
