/**
 * The callers of a node: a proposal or a read together with the promise it is answered through.
 *
 * @module
 */

import { ConfigError } from "../raft/mod.ts";
import { CancelledError, type RequestError } from "./errors.ts";
import { ProposalRequest, ReadRequest } from "./events.ts";
import type { ProposalResult, ReadResult, RequestOptions } from "./options.ts";
import type { SessionOperation } from "./sessions/operation.ts";

/** A caller's promise, and how it stops watching the caller's signal. */
interface Answer<Value> {
  readonly resolve: (value: Value) => void;
  readonly reject: (error: unknown) => void;
  unwatch: (() => void) | undefined;
}

/** A proposal with its caller. */
export class LocalProposal extends ProposalRequest {
  readonly answer: Answer<ProposalResult>;
  constructor(
    command: Uint8Array,
    deadline: number,
    session: SessionOperation | undefined,
    answer: Answer<ProposalResult>,
  ) {
    super(command, deadline, session);
    this.answer = answer;
  }
}

/** A read with its caller. */
export class LocalRead extends ReadRequest {
  readonly answer: Answer<ReadResult>;
  constructor(deadline: number, answer: Answer<ReadResult>) {
    super(deadline);
    this.answer = answer;
  }
}

/** Resolves a caller's promise. */
export function resolve<Value>(answer: Answer<Value>, value: Value): void {
  answer.unwatch?.();
  answer.resolve(value);
}

/** Rejects a caller's promise. */
export function reject<Value>(answer: Answer<Value>, error: RequestError): void {
  answer.unwatch?.();
  answer.reject(error);
}

/**
 * Builds a request around a promise, hands it to `submit`, and watches the caller's signal.
 *
 * @throws CancelledError by rejection, when the signal is aborted already.
 */
export function request<Value, Request extends LocalProposal | LocalRead>(
  what: string,
  signal: AbortSignal | undefined,
  build: (answer: Answer<Value>) => Request,
  submit: (request: Request) => void,
  cancel: (request: Request, reason: unknown) => void,
): Promise<Value> {
  if (signal?.aborted) {
    return Promise.reject(new CancelledError(what, false, { cause: signal.reason }));
  }
  return new Promise((resolve, reject) => {
    const answer: Answer<Value> = { resolve, reject, unwatch: undefined };
    const built = build(answer);
    if (signal !== undefined) {
      const onAbort = () => cancel(built, signal.reason);
      signal.addEventListener("abort", onAbort, { once: true });
      answer.unwatch = () => signal.removeEventListener("abort", onAbort);
    }
    submit(built);
  });
}

/**
 * When a request gives up, on the monotonic clock.
 *
 * @throws ConfigError when `deadlineMs` is not a number of milliseconds >= 0.
 */
export function deadlineOf(options: RequestOptions, now: number, defaultMs: number): number {
  const deadlineMs = options.deadlineMs ?? defaultMs;
  if (typeof deadlineMs !== "number" || !(deadlineMs >= 0)) {
    throw new ConfigError(
      `deadlineMs must be a number of milliseconds >= 0: current value is ${String(deadlineMs)}`,
    );
  }
  return now + deadlineMs;
}
