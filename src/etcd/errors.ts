/**
 * What the server and the client of the etcd API throw.
 *
 * @module
 */

import { RaftError } from "../raft/mod.ts";
import { grpcStatusName } from "./grpc_status.ts";

/** The facts of an {@linkcode EtcdError}. */
export interface EtcdErrorFacts {
  /** The number of the gRPC status. */
  readonly status: number;
  /** What the server, or gRPC, says. */
  readonly reason: string;
  /** Who was asked. */
  readonly endpoint: string;
  /** Whether a write may have been done, or may still be. */
  readonly mayHaveTakenEffect: boolean;
  /** Whether the same call may succeed later, or elsewhere. */
  readonly retryable: boolean;
  /** The error of gRPC, if there is one. */
  readonly cause?: unknown;
}

/** A call failed. `code` is the name of the gRPC status, such as `"UNAVAILABLE"`. */
export class EtcdError extends RaftError {
  /** The gRPC status, by number. */
  readonly status: number;
  /** What the server, or the connection, said: `"etcdserver: no leader"`. */
  readonly reason: string;
  /** The endpoint that was asked last. */
  readonly endpoint: string;
  /** Whether a write may have happened, or may happen yet; false for reads. */
  readonly mayHaveTakenEffect: boolean;
  /** Whether asking again, or another endpoint, is safe and may help. */
  readonly retryable: boolean;

  /** Makes the error of these facts. */
  constructor(facts: EtcdErrorFacts) {
    const outcome = facts.mayHaveTakenEffect ? " (the write may have taken effect)" : "";
    super(grpcStatusName(facts.status), `${facts.endpoint}: ${facts.reason}${outcome}`, {
      cause: facts.cause,
    });
    this.status = facts.status;
    this.reason = facts.reason;
    this.endpoint = facts.endpoint;
    this.mayHaveTakenEffect = facts.mayHaveTakenEffect;
    this.retryable = facts.retryable;
  }
}

/** The server cannot listen on its address; `cause` says why. */
export class ListenError extends RaftError {
  /** Names the address and says why. */
  constructor(address: string, cause: Error) {
    super("LISTEN", `Cannot listen on ${address}: ${cause.message}`, { cause });
  }
}
