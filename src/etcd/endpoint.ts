/**
 * One endpoint of a client: its connection, calls over it, and what their errors mean.
 *
 * @module
 */

import { isIP } from "node:net";
import { checkServerIdentity } from "node:tls";
import * as grpc from "@grpc/grpc-js";
import { ConfigError } from "../raft/mod.ts";
import { channelCredentials } from "../tls/grpc_credentials.ts";
import { withoutEmptyNote } from "../tls/mod.ts";
import type { Method } from "./client_methods.ts";
import type { EtcdClientTls } from "./client_options.ts";
import { EtcdError } from "./errors.ts";
import { GrpcStatus } from "./grpc_status.ts";
import { EtcdStatus } from "./status_errors.ts";

/** One of a client's endpoints. */
export interface Endpoint {
  readonly name: string;
  readonly client: grpc.Client;
}

/**
 * Calls a method once.
 *
 * @param deadline when to give up, as of `Date.now()`.
 * @throws EtcdError by rejection
 */
export function attemptCall<Request, Response>(
  endpoint: Endpoint,
  method: Method<Request, Response>,
  request: Request,
  deadline: number,
): Promise<Response> {
  return new Promise((resolve, reject) => {
    try {
      endpoint.client.makeUnaryRequest(
        method.path,
        method.serialize,
        method.deserialize,
        request,
        { deadline },
        (error, response) => {
          if (error !== null) reject(toEtcdError(error, endpoint.name, method.write));
          else resolve(response as Response);
        },
      );
    } catch (cause) {
      reject(closedError(endpoint.name, cause));
    }
  });
}

/** gRPC throws at once when the client was closed before the call, or between two attempts. */
function closedError(endpoint: string, cause: unknown): EtcdError {
  return new EtcdError({
    status: GrpcStatus.CANCELLED,
    reason: "the client is closed",
    endpoint,
    mayHaveTakenEffect: false,
    retryable: false,
    cause,
  });
}

/** The error of a call. @param write whether the call may change something */
export function toEtcdError(error: grpc.ServiceError, endpoint: string, write: boolean): EtcdError {
  const neverTaken = isNeverTaken(error.code, error.details);
  return new EtcdError({
    status: error.code,
    reason: withoutEmptyNote(error.details),
    endpoint,
    mayHaveTakenEffect: write && !neverTaken,
    retryable: error.code === GrpcStatus.UNAVAILABLE && (!write || neverTaken),
    cause: error,
  });
}

/** What etcd answers, when unavailable, only to requests that it did not take. */
const NEVER_TAKEN: readonly string[] = [
  EtcdStatus.noLeader.details,
  EtcdStatus.notLeader.details,
  EtcdStatus.leaderChanged.details,
];

/** Statuses that a server gives before it does anything, or that no server gave at all. */
function isNeverTaken(status: number, details: string): boolean {
  switch (status) {
    case GrpcStatus.INVALID_ARGUMENT:
    case GrpcStatus.NOT_FOUND:
    case GrpcStatus.ALREADY_EXISTS:
    case GrpcStatus.PERMISSION_DENIED:
    case GrpcStatus.RESOURCE_EXHAUSTED:
    case GrpcStatus.FAILED_PRECONDITION:
    case GrpcStatus.OUT_OF_RANGE:
    case GrpcStatus.UNIMPLEMENTED:
    case GrpcStatus.UNAUTHENTICATED:
      return true;
    case GrpcStatus.UNAVAILABLE:
      return NEVER_TAKEN.includes(details) || details.startsWith("No connection established");
    default:
      return false;
  }
}

/** Prepares a connection, which is made when it is first used. @throws ConfigError */
export function openEndpoint(name: string, tls: EtcdClientTls | undefined): Endpoint {
  const match = /^(?:(https?):\/\/)?([^/\s]+:\d+)\/?$/.exec(name);
  if (match === null) {
    throw new ConfigError(
      `Cannot create client as an endpoint must be host:port, with http:// or https:// or without: ` +
        `found ${JSON.stringify(name)}`,
    );
  }
  const [, scheme, address] = match;
  const secure = scheme === "https" || (scheme === undefined && tls !== undefined);
  const expected = tls?.serverName ?? hostOf(address!);
  const credentials = secure
    ? channelCredentials({
      ...tls,
      check: (_name, server) => checkServerIdentity(expected, server),
    })
    : grpc.credentials.createInsecure();
  const client = new grpc.Client(address!, credentials, {
    "grpc.max_receive_message_length": -1,
    "grpc.max_send_message_length": -1,
    // This client retries by itself, and a channel's own bookkeeping costs 14 % of a load's CPU.
    "grpc.enable_retries": 0,
    "grpc.service_config_disable_resolution": 1,
    "grpc.enable_channelz": 0,
    "grpc.initial_reconnect_backoff_ms": 100,
    "grpc.max_reconnect_backoff_ms": 1_000,
    // Each client its own connection: closing one must not depend on another.
    "grpc.use_local_subchannel_pool": 1,
    // What is asked for in the handshake must be a name, not an address, on some runtimes.
    ...(secure && {
      "grpc.ssl_target_name_override": isIP(expected) === 0 ? expected : NO_SERVER_NAME,
      "grpc.default_authority": address,
    }),
  });
  return { name, client };
}

/** Asked for in a handshake with an address; the address itself is what is checked. */
const NO_SERVER_NAME = "address.invalid";

function hostOf(address: string): string {
  return address.slice(0, address.lastIndexOf(":")).replace(/^\[|\]$/g, "");
}
