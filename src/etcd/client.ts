/**
 * A small client of the etcd v3 API, for the command line and for tests: it works against any server
 * of that API. It stays with one endpoint and goes on to the next when that one is unavailable; a
 * write moves on only when it is certain that the endpoint did not take it.
 *
 * @module
 */

import { isIP } from "node:net";
import { checkServerIdentity } from "node:tls";
import * as grpc from "@grpc/grpc-js";
import {
  deleteRangeRequest,
  prefixRangeEnd,
  ProtoReader,
  ProtoWriter,
  type PutRequest,
  putRequest,
  type RangeRequest,
  rangeRequest,
  type TxnRequest,
  writeDeleteRangeRequest,
  writePutRequest,
  writeRangeRequest,
  writeTxnRequest,
} from "../kv/mod.ts";
import { ConfigError } from "../raft/mod.ts";
import { channelCredentials } from "../tls/grpc_credentials.ts";
import {
  readMemberAddResponse,
  readMemberChangeResponse,
  writeMemberAddRequest,
  writeMemberIdRequest,
  writeMemberUpdateRequest,
} from "./cluster_codec.ts";
import type { MemberAddResponse, MemberChangeResponse } from "./cluster_messages.ts";
import {
  readDeleteRangeResponse,
  readMemberListResponse,
  readPutResponse,
  readRangeResponse,
  readStatusResponse,
  readTxnResponse,
  writeMemberListRequest,
} from "./codec.ts";
import { type Counters, COUNTERS_PATH, readCounters } from "./counters.ts";
import { EtcdError } from "./errors.ts";
import { attemptOnce } from "./exactly_once.ts";
import { GrpcStatus } from "./grpc_status.ts";
import type {
  DeleteRangeResponse,
  MemberListRequest,
  MemberListResponse,
  PutResponse,
  RangeResponse,
  StatusResponse,
  TxnResponse,
} from "./messages.ts";
import type { EtcdSession, SessionWrite } from "./session.ts";
import {
  type Positioned,
  readSessionId,
  sessionPath,
  writePositioned,
  writeSessionId,
  writeSessionTimeout,
} from "./session_codec.ts";
import { decodeSnapshotBlob } from "./snapshot_stream.ts";
import { EtcdStatus } from "./status_errors.ts";

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

/** How long to wait before a round of all endpoints is tried again. */
const RETRY_WAIT_MS_MIN = 50;
const RETRY_WAIT_MS_MAX = 500;
const DEADLINE_MS_DEFAULT = 5_000;

const textEncoder = new TextEncoder();

interface Method<Request, Response> {
  readonly path: string;
  readonly write: boolean;
  readonly serialize: (request: Request) => Buffer;
  readonly deserialize: (bytes: Buffer) => Response;
}

function method<Request, Response>(
  path: string,
  write: boolean,
  encode: (writer: ProtoWriter, request: Request) => void,
  decode: (reader: ProtoReader) => Response,
): Method<Request, Response> {
  const writer = new ProtoWriter();
  return {
    path,
    write,
    serialize: (request) => {
      encode(writer, request);
      const bytes = writer.finish();
      return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    },
    deserialize: (bytes) => decode(new ProtoReader(bytes)),
  };
}

const RANGE = method("/etcdserverpb.KV/Range", false, writeRangeRequest, readRangeResponse);
const PUT = method("/etcdserverpb.KV/Put", true, writePutRequest, readPutResponse);
const DELETE_RANGE = method(
  "/etcdserverpb.KV/DeleteRange",
  true,
  writeDeleteRangeRequest,
  readDeleteRangeResponse,
);
const TXN = method("/etcdserverpb.KV/Txn", true, writeTxnRequest, readTxnResponse);
const STATUS = method(
  "/etcdserverpb.Maintenance/Status",
  false,
  () => {},
  readStatusResponse,
);
const COUNTERS = method(COUNTERS_PATH, false, () => {}, readCounters);
const MEMBER_LIST = method<MemberListRequest, MemberListResponse>(
  "/etcdserverpb.Cluster/MemberList",
  false,
  writeMemberListRequest,
  readMemberListResponse,
);

const MEMBER_ADD = method(
  "/etcdserverpb.Cluster/MemberAdd",
  true,
  writeMemberAddRequest,
  readMemberAddResponse,
);
const [MEMBER_PROMOTE, MEMBER_REMOVE] = ["MemberPromote", "MemberRemove"].map((name) =>
  method(
    `/etcdserverpb.Cluster/${name}`,
    true,
    writeMemberIdRequest,
    readMemberChangeResponse,
  )
);
const MEMBER_UPDATE = method(
  "/etcdserverpb.Cluster/MemberUpdate",
  true,
  writeMemberUpdateRequest,
  readMemberChangeResponse,
);

const MOVE_LEADER = method(
  "/etcdserverpb.Maintenance/MoveLeader",
  true,
  writeMemberIdRequest,
  readMemberChangeResponse,
);

const SESSION_OPEN = method(sessionPath("Open"), false, writeSessionTimeout, readSessionId);
const SESSION_CLOSE = method(sessionPath("Close"), false, writeSessionId, () => undefined);
const SESSION_PUT = positioned(sessionPath("Put"), writePutRequest, readPutResponse);
const SESSION_DELETE_RANGE = positioned(
  sessionPath("DeleteRange"),
  writeDeleteRangeRequest,
  readDeleteRangeResponse,
);
const SESSION_TXN = positioned(sessionPath("Txn"), writeTxnRequest, readTxnResponse);

function positioned<Request, Response>(
  path: string,
  encode: (writer: ProtoWriter, request: Request) => void,
  decode: (reader: ProtoReader) => Response,
): Method<Positioned<Request>, Response> {
  const write = (writer: ProtoWriter, request: Positioned<Request>): void =>
    writePositioned(writer, request, encode);
  return method(path, true, write, decode);
}

interface Endpoint {
  readonly name: string;
  readonly client: grpc.Client;
}

/**
 * A client of an etcd v3 API.
 *
 * @example
 * ```ts
 * import { EtcdClient } from "@flaredb/raft/etcd";
 *
 * async function greet() {
 *   const client = new EtcdClient({ endpoints: ["127.0.0.1:2379", "127.0.0.1:22379"] });
 *   await client.put("greeting", "hello");
 *   const { kvs } = await client.get("greeting");
 *   console.log(new TextDecoder().decode(kvs[0]?.value));
 *   client.close();
 * }
 * ```
 */
export class EtcdClient {
  /** The endpoints as given, in their order. */
  readonly endpoints: readonly string[];
  readonly #endpoints: Endpoint[];
  readonly #deadlineMs: number;
  readonly #session: EtcdSession | undefined;
  #current = 0;

  /** Connects when it is first used. @throws ConfigError when an endpoint is malformed or there is none */
  constructor(options: EtcdClientOptions) {
    if (options.endpoints.length === 0) {
      throw new ConfigError("Cannot create client as endpoints must hold at least one: found none");
    }
    this.endpoints = [...options.endpoints];
    this.#deadlineMs = checkDeadline(options.deadlineMs ?? DEADLINE_MS_DEFAULT);
    this.#session = options.session;
    this.#endpoints = options.endpoints.map((name) => openEndpoint(name, options.tls));
  }

  /** Reads a key, or a range of keys. @throws EtcdError */
  get(key: Bytes, options: GetOptions = {}): Promise<RangeResponse> {
    const { prefix, rangeEnd, deadlineMs, endpoint, ...rest } = options;
    const request = rangeRequest({ ...rest, ...keyRange(key, prefix, rangeEnd) });
    return this.#call(RANGE, request, { deadlineMs, endpoint });
  }

  /** Reads as the request says. @throws EtcdError */
  range(request: RangeRequest, options: CallOptions = {}): Promise<RangeResponse> {
    return this.#call(RANGE, request, options);
  }

  /** Writes a key. @throws EtcdError */
  put(key: Bytes, value: Bytes, options: PutOptions = {}): Promise<PutResponse> {
    const { deadlineMs, endpoint, write, ...rest } = options;
    const request = putRequest({ ...rest, key: toBytes(key), value: toBytes(value) });
    return this.#write(PUT, SESSION_PUT, request, { deadlineMs, endpoint, write });
  }

  /** Deletes a key, or a range of keys. @throws EtcdError */
  delete(key: Bytes, options: DeleteOptions = {}): Promise<DeleteRangeResponse> {
    const request = deleteRangeRequest({
      ...keyRange(key, options.prefix, options.rangeEnd),
      prevKv: options.prevKv ?? false,
    });
    return this.#write(DELETE_RANGE, SESSION_DELETE_RANGE, request, options);
  }

  /** Compares, then does one thing or another, as one step. @throws EtcdError */
  txn(request: TxnRequest, options: WriteOptions = {}): Promise<TxnResponse> {
    return this.#write(TXN, SESSION_TXN, request, options);
  }

  /** Asks how a member is doing: the one at `options.endpoint`, or any. @throws EtcdError */
  status(options: CallOptions = {}): Promise<StatusResponse> {
    return this.#call(STATUS, undefined, options);
  }

  /**
   * Asks a member of FlareDB what it has counted since its start: the one at `options.endpoint`, or
   * any. @throws EtcdError `UNIMPLEMENTED` from another kind of server
   */
  counters(options: CallOptions = {}): Promise<Counters> {
    return this.#call(COUNTERS, undefined, options);
  }

  /** Asks for the members; by default no older than the call. @throws EtcdError */
  memberList(
    options: CallOptions & Partial<MemberListRequest> = {},
  ): Promise<MemberListResponse> {
    const { linearizable = true, ...call } = options;
    return this.#call(MEMBER_LIST, { linearizable }, call);
  }

  /**
   * Adds a member that will listen for others at `peerUrl`, and tells its id. It begins as a learner.
   *
   * @throws EtcdError
   */
  memberAdd(peerUrl: string, options: MemberAddOptions = {}): Promise<MemberAddResponse> {
    const { isLearner = false, replaces = 0n, ...call } = options;
    return this.#call(MEMBER_ADD, { peerUrls: [peerUrl], isLearner, replaces }, call);
  }

  /** Makes a learner that has caught up a voter. @throws EtcdError */
  memberPromote(id: bigint, options: CallOptions = {}): Promise<MemberChangeResponse> {
    return this.#call(MEMBER_PROMOTE, { id }, options);
  }

  /** Removes a member, for good. @throws EtcdError */
  memberRemove(id: bigint, options: CallOptions = {}): Promise<MemberChangeResponse> {
    return this.#call(MEMBER_REMOVE, { id }, options);
  }

  /** Says where a member listens for others from now on. @throws EtcdError */
  memberUpdate(
    id: bigint,
    peerUrl: string,
    options: CallOptions = {},
  ): Promise<MemberChangeResponse> {
    return this.#call(MEMBER_UPDATE, { id, peerUrls: [peerUrl] }, options);
  }

  /**
   * Hands leadership to a member. Servers of etcd take this from their leader alone, those of FlareDB
   * from any member.
   *
   * @throws EtcdError also when it did not happen in time; it may happen yet.
   */
  async moveLeader(id: bigint, options: CallOptions = {}): Promise<void> {
    await this.#call(MOVE_LEADER, { id }, options);
  }

  /**
   * Streams a backup of a member's state: of the one at `options.endpoint`, or of the one this client
   * stays with. The stream must be read to its end, or given up. `deadlineMs` is for all of it.
   *
   * @throws EtcdError while it is read
   */
  async *snapshot(options: CallOptions = {}): AsyncGenerator<Uint8Array> {
    const deadline = Date.now() + checkDeadline(options.deadlineMs ?? this.#deadlineMs);
    const index = options.endpoint === undefined ? this.#current : this.#indexOf(options.endpoint);
    const endpoint = this.#endpoints[index]!;
    const call = endpoint.client.makeServerStreamRequest(
      "/etcdserverpb.Maintenance/Snapshot",
      () => Buffer.alloc(0),
      (bytes: Buffer) => decodeSnapshotBlob(bytes),
      {},
      { deadline },
    );
    try {
      for await (const blob of call) yield blob as Uint8Array;
    } catch (error) {
      throw toEtcdError(error as grpc.ServiceError, endpoint.name, false);
    } finally {
      call.cancel();
    }
  }

  /** Closes the connections; calls under way fail. Idempotent. */
  close(): void {
    for (const endpoint of this.#endpoints) endpoint.client.close();
  }

  /** Ends the client's session on the servers, so that its place is free at once. @throws EtcdError */
  async endSession(options: CallOptions = {}): Promise<void> {
    await this.#session?.end((id) => this.#call(SESSION_CLOSE, id, options));
  }

  async #write<Request, Response>(
    plain: Method<Request, Response>,
    once: Method<Positioned<Request>, Response>,
    request: Request,
    options: WriteOptions,
  ): Promise<Response> {
    const session = this.#session;
    if (session === undefined) return await this.#call(plain, request, options);
    const write = options.write ?? await session.begin();
    const deadline = Date.now() + checkDeadline(options.deadlineMs ?? this.#deadlineMs);
    try {
      return await attemptOnce(write, deadline, {
        open: (deadlineMs) => this.#call(SESSION_OPEN, 0, { ...options, deadlineMs }),
        plain: (deadlineMs) => this.#call(plain, request, { ...options, deadlineMs }),
        attempt: (position, until) =>
          attemptCall(
            this.#endpoints[this.#indexFor(options)]!,
            once,
            { position, request },
            until,
          ),
        moveOn: () => this.#current = (this.#current + 1) % this.#endpoints.length,
      });
    } finally {
      if (options.write === undefined) write.end();
    }
  }

  #indexFor({ endpoint }: CallOptions): number {
    return endpoint === undefined ? this.#current : this.#indexOf(endpoint);
  }

  async #call<Request, Response>(
    method: Method<Request, Response>,
    request: Request,
    options: CallOptions,
  ): Promise<Response> {
    const deadline = Date.now() + checkDeadline(options.deadlineMs ?? this.#deadlineMs);
    const pinned = options.endpoint === undefined ? -1 : this.#indexOf(options.endpoint);
    const candidates = pinned === -1 ? this.#endpoints.length : 1;
    let waitMs = RETRY_WAIT_MS_MIN;
    for (let attempt = 1;; attempt++) {
      const index = pinned === -1 ? this.#current : pinned;
      try {
        return await attemptCall(this.#endpoints[index]!, method, request, deadline);
      } catch (error) {
        if (!(error instanceof EtcdError) || !error.retryable) throw error;
        if (index === this.#current) this.#current = (index + 1) % this.#endpoints.length;
        if (attempt % candidates !== 0) continue;
        if (Date.now() + waitMs >= deadline) throw error;
        await new Promise((resolve) => setTimeout(resolve, waitMs));
        waitMs = Math.min(waitMs * 2, RETRY_WAIT_MS_MAX);
      }
    }
  }

  #indexOf(endpoint: string): number {
    const index = this.endpoints.indexOf(endpoint);
    if (index >= 0) return index;
    throw new ConfigError(
      `Cannot call endpoint as it must be one of ${this.endpoints.join(", ")}: found ${endpoint}`,
    );
  }
}

function attemptCall<Request, Response>(
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

function toEtcdError(error: grpc.ServiceError, endpoint: string, write: boolean): EtcdError {
  const neverTaken = isNeverTaken(error.code, error.details);
  return new EtcdError({
    status: error.code,
    reason: error.details,
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

function openEndpoint(name: string, tls: EtcdClientTls | undefined): Endpoint {
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

function toBytes(value: Bytes): Uint8Array {
  return typeof value === "string" ? textEncoder.encode(value) : value;
}

function keyRange(
  key: Bytes,
  prefix: boolean | undefined,
  rangeEnd: Bytes | undefined,
): { key: Uint8Array; rangeEnd?: Uint8Array } {
  const bytes = toBytes(key);
  if (prefix !== true) {
    return rangeEnd === undefined ? { key: bytes } : { key: bytes, rangeEnd: toBytes(rangeEnd) };
  }
  if (rangeEnd !== undefined) {
    throw new ConfigError("Cannot read or delete with both prefix and rangeEnd: give one");
  }
  return {
    key: bytes.length === 0 ? Uint8Array.of(0) : bytes,
    rangeEnd: prefixRangeEnd(bytes),
  };
}

function checkDeadline(deadlineMs: number): number {
  if (Number.isSafeInteger(deadlineMs) && deadlineMs > 0) return deadlineMs;
  throw new ConfigError(
    `Cannot set deadlineMs as it must be a positive integer: found ${deadlineMs}`,
  );
}
