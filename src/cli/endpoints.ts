/**
 * How the client commands reach a cluster: their options, their client, and sentences for people
 * when a call fails.
 *
 * @module
 */

import { EtcdClient, type EtcdClientTls, EtcdError, EtcdSession, GrpcStatus } from "../etcd/mod.ts";
import { parseEndpoints } from "./addresses.ts";
import { CLIENT_TLS_OPTIONS, clientTlsOf, environment } from "./client_tls.ts";
import type { CommandOption, Invocation } from "./command.ts";
import { CommandFailedError, EXIT_CODE } from "./errors.ts";
import type { Terminal } from "./terminal.ts";

/** The endpoint that is asked when none is named. */
export const ENDPOINT_DEFAULT = "127.0.0.1:2379";
const TIMEOUT_MS_DEFAULT = 10_000;
const SESSION_END_MS_MAX = 1_000;

/** The options of every client command. */
export const ENDPOINTS_OPTION: Readonly<Record<string, CommandOption>> = {
  endpoints: {
    value: "LIST",
    help:
      "members to ask, [https://]HOST:PORT,…, in this order; default: $FLAREDB_ENDPOINTS, else " +
      ENDPOINT_DEFAULT,
  },
  ...CLIENT_TLS_OPTIONS,
};

/** The options of commands that make one call. */
export const CALL_OPTIONS: Readonly<Record<string, CommandOption>> = {
  ...ENDPOINTS_OPTION,
  "timeout-ms": {
    value: "MS",
    help: `how long to wait for an answer; default: ${TIMEOUT_MS_DEFAULT}`,
  },
};

/** Whom a client command asks, and how. */
export interface Connection {
  /** At least one. */
  readonly endpoints: readonly string[];
  /** How it speaks TLS, when it does. */
  readonly tls?: EtcdClientTls;
}

/**
 * Whom an invocation asks, and how.
 *
 * @throws UsageError when an endpoint is no address. CommandFailedError when a certificate cannot be
 *   read.
 */
export function connectionOf(invocation: Invocation): Connection {
  const endpoints = invocation.text("endpoints") ?? environment("FLAREDB_ENDPOINTS");
  const tls = clientTlsOf(invocation);
  return {
    endpoints: parseEndpoints("--endpoints", endpoints ?? ENDPOINT_DEFAULT),
    ...(tls && { tls }),
  };
}

/** The time limit of an invocation, in milliseconds. @throws UsageError when it is none. */
export function timeoutOf(invocation: Invocation): number {
  return invocation.integer("timeout-ms", TIMEOUT_MS_DEFAULT, 1, 86_400_000);
}

/**
 * Makes a call with a client that is closed afterwards, or at once when the user asks to end.
 *
 * @param options `writesOnce`: writes go through a session, and are repeated when they are in doubt.
 * @throws CommandFailedError that says what failed and what to check.
 */
export async function withClient<Result>(
  invocation: Invocation,
  terminal: Terminal,
  call: (client: EtcdClient) => Promise<Result>,
  options: { readonly writesOnce?: boolean } = {},
): Promise<Result> {
  const connection = connectionOf(invocation);
  const session = options.writesOnce === true ? new EtcdSession() : undefined;
  const client = new EtcdClient({ ...connection, deadlineMs: timeoutOf(invocation), session });
  const close = (): void => client.close();
  terminal.signal.addEventListener("abort", close, { once: true });
  try {
    const result = await call(client);
    // Otherwise it expires by itself.
    await client.endSession({ deadlineMs: SESSION_END_MS_MAX }).catch(() => {});
    return result;
  } catch (error) {
    if (error instanceof EtcdError) {
      throw explain(error, connection.endpoints, terminal.signal.aborted);
    }
    throw error;
  } finally {
    terminal.signal.removeEventListener("abort", close);
    client.close();
  }
}

/** Turns a failed call into a sentence: what happened, what it means, what to check. */
export function explain(
  error: EtcdError,
  endpoints: readonly string[],
  interrupted: boolean,
): CommandFailedError {
  const outcome = error.mayHaveTakenEffect
    ? " The write may have taken effect: read the key before you write it again."
    : "";
  if (interrupted) return new CommandFailedError(`interrupted.${outcome}`, { cause: error });
  const unavailable = error.status === GrpcStatus.UNAVAILABLE ||
    error.status === GrpcStatus.DEADLINE_EXCEEDED;
  const text = `${sentenceOf(error, endpoints)}${outcome}`;
  return new CommandFailedError(text, {
    cause: error,
    exitCode: unavailable ? EXIT_CODE.unavailable : EXIT_CODE.failed,
  });
}

/** What a failed call means and what to check, whatever became of a write. */
export function sentenceOf(error: EtcdError, endpoints: readonly string[]): string {
  const all = endpoints.join(", ");
  if (/certificate|altname|SSL|TLS/i.test(error.reason)) {
    return `no secure connection to ${all}: ${error.reason}. Check --cacert, --cert and --key.`;
  }
  if (/ECONNREFUSED|No connection established|Failed to connect/.test(error.reason)) {
    return `cannot connect to ${all}. Is a node running there, and does it speak TLS (--cacert)? ` +
      "Check --endpoints; `flaredb dev` starts three nodes.";
  }
  if (/ENOTFOUND|Name resolution failed/.test(error.reason)) {
    return `cannot find the host of ${error.endpoint}: ${error.reason}. Check --endpoints.`;
  }
  if (/no leader/.test(error.reason)) {
    return `${error.endpoint} knows of no leader. Are more than half of the nodes running, and ` +
      "can they reach each other?";
  }
  if (error.status === GrpcStatus.DEADLINE_EXCEEDED) {
    return `no answer from ${error.endpoint} in time (${error.reason}). Are more than half of ` +
      "the nodes running? --timeout-ms waits longer.";
  }
  return `${error.endpoint} answered ${error.code}: ${error.reason}`;
}

/** Whether a write that failed so may succeed when it is repeated. */
export function mayPass(error: unknown): boolean {
  if (!(error instanceof EtcdError)) return false;
  switch (error.status) {
    case GrpcStatus.UNAVAILABLE:
    case GrpcStatus.DEADLINE_EXCEEDED:
    case GrpcStatus.ABORTED:
    case GrpcStatus.CANCELLED:
    case GrpcStatus.INTERNAL:
    case GrpcStatus.UNKNOWN:
      return true;
    case GrpcStatus.RESOURCE_EXHAUSTED:
      // Too many requests pass; a full database, or a message that is too large, does not.
      return /too many requests/.test(error.reason);
    default:
      return false;
  }
}

/**
 * Waits until a node says of itself that it leads. Resolves with its place in `endpoints`, from 1, or
 * with undefined when `signal` is aborted before.
 */
export async function findLeader(
  endpoints: readonly string[],
  pollMs: number,
  signal: AbortSignal,
): Promise<number | undefined> {
  const clients = endpoints.map((endpoint) => new EtcdClient({ endpoints: [endpoint] }));
  try {
    while (!signal.aborted) {
      const leads = await Promise.all(clients.map((client) => saysItLeads(client, pollMs)));
      const found = leads.indexOf(true);
      if (found >= 0) return found + 1;
      await turn(pollMs, signal);
    }
    return undefined;
  } finally {
    for (const client of clients) client.close();
  }
}

async function saysItLeads(client: EtcdClient, pollMs: number): Promise<boolean> {
  try {
    const { leader, header } = await client.status({ deadlineMs: Math.max(1000, pollMs) });
    return leader !== 0n && leader === header.memberId;
  } catch (error) {
    if (error instanceof EtcdError) return false;
    throw error;
  }
}

function turn(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done, { once: true });
  });
}
