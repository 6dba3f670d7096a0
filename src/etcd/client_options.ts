/**
 * What an `EtcdClient` and its calls are told.
 *
 * @module
 */

import type { PutRequest, RangeRequest } from "../kv/mod.ts";
import type { EtcdSession, SessionWrite } from "./session.ts";

/** Certificates in PEM for a connection over TLS. */
export interface EtcdClientTls {
  /** The authorities the server's certificate must come from; the system's when absent. */
  readonly ca?: string | Uint8Array;
  /** The client's own certificate and key, when the server asks for one. */
  readonly certificate?: string | Uint8Array;
  /** The key of the certificate, in PEM. */
  readonly privateKey?: string | Uint8Array;
  /** The name to check the server's certificate against instead of the endpoint's host. */
  readonly serverName?: string;
}

/** What an {@linkcode EtcdClient} is made of. */
export interface EtcdClientOptions {
  /** `host:port`, `http://host:port` or `https://host:port`; at least one. */
  readonly endpoints: readonly string[];
  /** TLS for endpoints without a scheme or with `https`; without it, plaintext is used. */
  readonly tls?: EtcdClientTls;
  /** How long a call may take over all its attempts, in milliseconds. Default 5,000. */
  readonly deadlineMs?: number;
  /**
   * Writes go through this session, and are repeated when their outcome is unknown: each takes effect
   * once. Default: without one; a write whose outcome is unknown then fails.
   */
  readonly session?: EtcdSession;
}

/** What every call takes. */
export interface CallOptions {
  /** How long the call may take over all its attempts, in milliseconds. Default: the client's. */
  readonly deadlineMs?: number;
  /** Ask only this endpoint, one of the client's. */
  readonly endpoint?: string;
}

/** What writes take. */
export interface WriteOptions extends CallOptions {
  /**
   * The write of the client's session that this call attempts, when an earlier call, of this client or
   * another, did so before. Default: a write of its own.
   */
  readonly write?: SessionWrite;
}

/** A key or a value: text is encoded as UTF-8. */
export type Bytes = string | Uint8Array;

/** Options of {@linkcode EtcdClient.get}: those of a range, and `prefix` instead of a range end. */
export interface GetOptions extends CallOptions, Partial<Omit<RangeRequest, "key" | "rangeEnd">> {
  /** All keys that begin with the key; an empty key means every key. */
  readonly prefix?: boolean;
  /** The end of the range, itself not included. */
  readonly rangeEnd?: Bytes;
}

/** Options of {@linkcode EtcdClient.put}. */
export interface PutOptions extends WriteOptions, Partial<Omit<PutRequest, "key" | "value">> {}

/** Options of {@linkcode EtcdClient.delete}. */
export interface DeleteOptions extends WriteOptions {
  /** All keys that begin with the key; an empty key means every key. */
  readonly prefix?: boolean;
  /** The end of the range, itself not included. */
  readonly rangeEnd?: Bytes;
  /** Return the pairs that were deleted. */
  readonly prevKv?: boolean;
}

/** Options of {@linkcode EtcdClient.memberAdd}. */
export interface MemberAddOptions extends CallOptions {
  /**
   * It stays a learner until it is promoted. Default false: FlareDB makes it a voter once it has
   * caught up; etcd at once.
   */
  readonly isLearner?: boolean;
  /** Of FlareDB: the member whose place it takes once it has caught up. Default 0n: of none. */
  readonly replaces?: bigint;
}
