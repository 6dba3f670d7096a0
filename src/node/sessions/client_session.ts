/**
 * `ClientSession`: a session for callers in the same process. It numbers the commands, tells up to where
 * their results have arrived, and makes an attempt again whose outcome is unknown, which is safe here.
 *
 * @module
 */

import {
  CancelledError,
  DroppedError,
  OverloadedError,
  RequestError,
  SessionError,
  StoppedError,
  TimedOutError,
} from "../errors.ts";
import type { ProposalResult, RequestOptions } from "../options.ts";
import { NO_COMMAND, type SessionNode } from "./client_sessions.ts";
import { SESSION_WINDOW } from "./limits.ts";
import { formatSessionId, type SessionKey } from "./operation.ts";
import { SequenceNumbers } from "./sequence_numbers.ts";

/** How a session reaches its node. */
export interface ClientSessionParts {
  readonly node: SessionNode;
  readonly regionId: number | undefined;
  readonly attemptMs: number;
  readonly timeoutMs: number;
  /** It is not to be kept alive any more. */
  readonly closed: () => void;
}

/** How often within its timeout an unused session is kept alive. */
const KEEP_ALIVES_PER_TIMEOUT = 3;

/** A client session, opened by `Node.openSession`. */
export class ClientSession {
  /** Names it on every member of the cluster. */
  readonly id: string;
  readonly #key: SessionKey;
  readonly #parts: ClientSessionParts;
  readonly #numbers = new SequenceNumbers();
  #usedAt: number;
  #ended: SessionError | undefined;

  /** For the node: `Node.openSession` opens one. */
  constructor(key: SessionKey, parts: ClientSessionParts) {
    this.id = formatSessionId(key);
    this.#key = key;
    this.#parts = parts;
    this.#usedAt = parts.node.now();
  }

  /** Whether it serves no more: it was closed, or it has expired. Open another. */
  get isEnded(): boolean {
    return this.#ended !== undefined;
  }

  /**
   * Proposes a command that takes effect at most once, and is tried again until the deadline while its
   * outcome is unknown. Up to 4,096 may be under way; they may take effect in any order.
   *
   * Once a later command of the session has taken effect, one that was given up has taken effect before
   * it or never will, if no earlier one was under way meanwhile.
   *
   * @param command the bytes for the state machine; they must not change afterwards.
   * @returns as `Node.propose`; where the command was first applied, if it was applied before.
   * @throws the errors of `Node.propose`, by rejection. SessionError `SESSION_EXPIRED` once the session
   *   has ended; `mayHaveTakenEffect` then says whether an attempt of this command may have taken effect.
   */
  async propose<Result = unknown>(
    command: Uint8Array,
    options: Omit<RequestOptions, "regionId"> = {},
  ): Promise<ProposalResult<Result>> {
    if (this.#ended !== undefined) throw certain(this.#ended);
    const numbers = this.#numbers;
    if (!numbers.hasNext) {
      throw new OverloadedError("commands of a session", SESSION_WINDOW, numbers.inUse);
    }
    const deadline = this.#parts.node.deadline(options);
    const sequence = numbers.begin();
    try {
      return await this.#attempt<Result>(command, sequence, options.signal, deadline);
    } finally {
      numbers.end(sequence);
    }
  }

  /**
   * Ends the session on all members, so that its place is free at once. What is under way may still take
   * effect. Idempotent.
   *
   * @throws the errors of `Node.propose`, by rejection: the session then expires by itself.
   */
  async close(options: Omit<RequestOptions, "regionId"> = {}): Promise<void> {
    this.#parts.closed();
    if (this.#ended !== undefined) return;
    this.#ended = new SessionError("SESSION_EXPIRED", "the session was closed", true);
    await this.#run({ kind: "close", session: this.#key }, options);
  }

  /** A tick has passed: keeps the session alive when it was not used for a third of its timeout. */
  tick(): void {
    const { node, timeoutMs } = this.#parts;
    if (this.#ended !== undefined || this.#numbers.inUse > 0) return;
    if (node.now() - this.#usedAt < timeoutMs / KEEP_ALIVES_PER_TIMEOUT) return;
    this.#usedAt = node.now();
    // When it is lost, the next one, or a command, finds out.
    this.#run({ kind: "keep-alive", session: this.#key }, {}).catch((error) => this.#note(error));
  }

  async #attempt<Result>(
    command: Uint8Array,
    sequence: number,
    signal: AbortSignal | undefined,
    deadline: number,
  ): Promise<ProposalResult<Result>> {
    const { node, regionId, attemptMs } = this.#parts;
    let isInDoubt = false;
    for (;;) {
      const now = this.#usedAt = node.now();
      const deadlineMs = Math.max(0, Math.min(deadline - now, attemptMs));
      const { acknowledged } = this.#numbers;
      const operation = { kind: "command", session: this.#key, sequence, acknowledged } as const;
      try {
        return await node.propose<Result>(command, { regionId, signal, deadlineMs }, operation);
      } catch (error) {
        this.#note(error);
        if (!(error instanceof RequestError)) throw error;
        const passes = error instanceof TimedOutError || error instanceof DroppedError;
        if (!passes || node.now() >= deadline) throw isInDoubt ? inDoubt(error) : certain(error);
        isInDoubt ||= error.mayHaveTakenEffect;
      }
    }
  }

  async #run(
    operation: { readonly kind: "close" | "keep-alive"; readonly session: SessionKey },
    options: RequestOptions,
  ): Promise<void> {
    const { node, regionId } = this.#parts;
    await node.propose(NO_COMMAND, { ...options, regionId }, operation);
  }

  #note(error: unknown): void {
    if (!(error instanceof SessionError) || error.code !== "SESSION_EXPIRED") return;
    this.#ended ??= error;
    this.#parts.closed();
  }
}

/** The error of the only attempt of a command: without its session it has no effect. */
function certain(error: RequestError): RequestError {
  if (error.code !== "SESSION_EXPIRED") return error;
  return new SessionError("SESSION_EXPIRED", error.message, false, { cause: error.cause });
}

/** The error of an attempt after others that may have taken effect. */
function inDoubt(error: RequestError): RequestError {
  if (error.mayHaveTakenEffect) return error;
  const options = { cause: error.cause };
  if (error instanceof TimedOutError) return new TimedOutError("proposal", true);
  if (error instanceof CancelledError) return new CancelledError("proposal", true, options);
  if (error instanceof StoppedError) return new StoppedError(true, options);
  const text = `${error.message}; an earlier attempt may have taken effect`;
  return new RequestError(error.code, text, true, { cause: error });
}
