/**
 * One call of a write through a session: attempt after attempt, at one endpoint after the other, until it
 * is answered or out of time. That is safe, as the servers let each write of a session take effect once.
 *
 * @module
 */

import type { SessionPosition } from "../node/mod.ts";
import { EtcdError } from "./errors.ts";
import { GrpcStatus } from "./grpc_status.ts";
import type { SessionWrite } from "./session.ts";
import { EtcdStatus } from "./status_errors.ts";

/** How a client reaches its servers. Each rejects with an `EtcdError`. */
export interface OnceCalls<Response> {
  /** Opens a session. */
  readonly open: (deadlineMs: number) => Promise<string>;
  /** Writes as any client of etcd does. */
  readonly plain: (deadlineMs: number) => Promise<Response>;
  /** Attempts the write once. @param until when to give up, as of `Date.now()`. */
  readonly attempt: (position: SessionPosition, until: number) => Promise<Response>;
  /** Asks another endpoint from now on. */
  readonly moveOn: () => void;
}

/** An endpoint that has not answered for so long may never do; another one is asked meanwhile. */
const ATTEMPT_MS_MAX = 3_000;
const WAIT_MS_MIN = 20;
const WAIT_MS_MAX = 500;

/**
 * Writes once.
 *
 * @param deadline as of `Date.now()`.
 * @throws EtcdError: `mayHaveTakenEffect` is about all attempts of the write.
 */
export async function attemptOnce<Response>(
  write: SessionWrite,
  deadline: number,
  calls: OnceCalls<Response>,
): Promise<Response> {
  const left = (): number => leftUntil(deadline);
  for (let waitMs = WAIT_MS_MIN;; waitMs = Math.min(waitMs * 2, WAIT_MS_MAX)) {
    const outcome = await attemptWithin(write, deadline, calls);
    if (outcome.type === "answered") return outcome.response;
    // Without sessions a write in doubt must not be repeated.
    if (outcome.type === "no-sessions") return await calls.plain(left());
    const { error } = outcome;
    const renewed = isExpired(error) && settleExpired(write);
    if (!renewed && !mayPass(error) || left() <= waitMs) throw concluded(error, write);
    if (!renewed) calls.moveOn();
    await new Promise((resolve) => setTimeout(resolve, waitMs));
  }
}

/** A call takes no deadline of 0: one of 1 ms that is late already fails as such. */
function leftUntil(deadline: number): number {
  return Math.max(1, deadline - Date.now());
}

type Outcome<Response> =
  | { readonly type: "answered"; readonly response: Response }
  | { readonly type: "no-sessions" }
  | { readonly type: "failed"; readonly error: EtcdError };

async function attemptWithin<Response>(
  write: SessionWrite,
  deadline: number,
  calls: OnceCalls<Response>,
): Promise<Outcome<Response>> {
  try {
    const open = (): Promise<string> => calls.open(leftUntil(deadline));
    const position = await write.position(() => orUndefined(open()));
    if (position === undefined) return { type: "no-sessions" };
    const until = Math.min(deadline, Date.now() + ATTEMPT_MS_MAX);
    return { type: "answered", response: await calls.attempt(position, until) };
  } catch (error) {
    if (!(error instanceof EtcdError)) throw error;
    write.isInDoubt ||= error.mayHaveTakenEffect;
    return { type: "failed", error };
  }
}

/** Whether the write goes on in another session: only when no attempt may have taken effect. */
function settleExpired(write: SessionWrite): boolean {
  if (write.isInDoubt) write.expire();
  else write.renew();
  return !write.isInDoubt;
}

/** Servers without sessions, those of etcd for one, do not know the method. */
async function orUndefined(opening: Promise<string>): Promise<string | undefined> {
  try {
    return await opening;
  } catch (error) {
    if (error instanceof EtcdError && error.status === GrpcStatus.UNIMPLEMENTED) return undefined;
    throw error;
  }
}

function isExpired({ reason }: EtcdError): boolean {
  return reason === EtcdStatus.sessionExpired.details;
}

/** Whether another attempt may come to another end. */
function mayPass({ status }: EtcdError): boolean {
  switch (status) {
    case GrpcStatus.UNAVAILABLE:
    case GrpcStatus.DEADLINE_EXCEEDED:
    case GrpcStatus.UNKNOWN:
    case GrpcStatus.INTERNAL:
    case GrpcStatus.ABORTED:
      return true;
    default:
      return false;
  }
}

/** The error of a call, with what is known of all attempts. */
function concluded(error: EtcdError, write: SessionWrite): EtcdError {
  const tookEffect = error.reason === EtcdStatus.resultForgotten.details;
  const { status, reason, endpoint, retryable } = error;
  return new EtcdError({
    status,
    reason,
    endpoint,
    mayHaveTakenEffect: tookEffect || write.isInDoubt,
    retryable,
    cause: error.cause,
  });
}
