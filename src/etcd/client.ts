/**
 * A small client of the etcd v3 API, for the command line and for tests: it works against any server
 * of that API. It stays with one endpoint and goes on to the next when that one is unavailable; a
 * write moves on only when it is certain that the endpoint did not take it.
 *
 * @module
 */

import type * as grpc from "@grpc/grpc-js";
import { Buffer } from "node:buffer";
import {
  deleteRangeRequest,
  prefixRangeEnd,
  putRequest,
  type RangeRequest,
  rangeRequest,
  type TxnRequest,
} from "../kv/mod.ts";
import { ConfigError } from "../raft/mod.ts";
import type { MemberAddResponse, MemberChangeResponse } from "./cluster_messages.ts";
import { type Method, METHODS } from "./client_methods.ts";
import type {
  Bytes,
  CallOptions,
  DeleteOptions,
  EtcdClientOptions,
  GetOptions,
  MemberAddOptions,
  PutOptions,
  WriteOptions,
} from "./client_options.ts";
import type { Counters } from "./counters.ts";
import { attemptCall, type Endpoint, openEndpoint, toEtcdError } from "./endpoint.ts";
import { EtcdError } from "./errors.ts";
import { attemptOnce } from "./exactly_once.ts";
import type {
  DeleteRangeResponse,
  MemberListRequest,
  MemberListResponse,
  PutResponse,
  RangeResponse,
  StatusResponse,
  TxnResponse,
} from "./messages.ts";
import type { EtcdSession } from "./session.ts";
import type { Positioned } from "./session_codec.ts";
import { decodeSnapshotBlob } from "./snapshot_stream.ts";

/** How long to wait before a round of all endpoints is tried again. */
const RETRY_WAIT_MS_MIN = 50;
const RETRY_WAIT_MS_MAX = 500;
const DEADLINE_MS_DEFAULT = 5_000;

const textEncoder = new TextEncoder();

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
    return this.#call(METHODS.range, request, { deadlineMs, endpoint });
  }

  /** Reads as the request says. @throws EtcdError */
  range(request: RangeRequest, options: CallOptions = {}): Promise<RangeResponse> {
    return this.#call(METHODS.range, request, options);
  }

  /** Writes a key. @throws EtcdError */
  put(key: Bytes, value: Bytes, options: PutOptions = {}): Promise<PutResponse> {
    const { deadlineMs, endpoint, write, ...rest } = options;
    const request = putRequest({ ...rest, key: toBytes(key), value: toBytes(value) });
    return this.#write(METHODS.put, METHODS.sessionPut, request, { deadlineMs, endpoint, write });
  }

  /** Deletes a key, or a range of keys. @throws EtcdError */
  delete(key: Bytes, options: DeleteOptions = {}): Promise<DeleteRangeResponse> {
    const request = deleteRangeRequest({
      ...keyRange(key, options.prefix, options.rangeEnd),
      prevKv: options.prevKv ?? false,
    });
    return this.#write(METHODS.deleteRange, METHODS.sessionDeleteRange, request, options);
  }

  /** Compares, then does one thing or another, as one step. @throws EtcdError */
  txn(request: TxnRequest, options: WriteOptions = {}): Promise<TxnResponse> {
    return this.#write(METHODS.txn, METHODS.sessionTxn, request, options);
  }

  /** Asks how a member is doing: the one at `options.endpoint`, or any. @throws EtcdError */
  status(options: CallOptions = {}): Promise<StatusResponse> {
    return this.#call(METHODS.status, undefined, options);
  }

  /**
   * Asks a member of FlareDB what it has counted since its start: the one at `options.endpoint`, or
   * any. @throws EtcdError `UNIMPLEMENTED` from another kind of server
   */
  counters(options: CallOptions = {}): Promise<Counters> {
    return this.#call(METHODS.counters, undefined, options);
  }

  /** Asks for the members; by default no older than the call. @throws EtcdError */
  memberList(
    options: CallOptions & Partial<MemberListRequest> = {},
  ): Promise<MemberListResponse> {
    const { linearizable = true, ...call } = options;
    return this.#call(METHODS.memberList, { linearizable }, call);
  }

  /**
   * Adds a member that will listen for others at `peerUrl`, and tells its id. It begins as a learner.
   *
   * @throws EtcdError
   */
  memberAdd(peerUrl: string, options: MemberAddOptions = {}): Promise<MemberAddResponse> {
    const { isLearner = false, replaces = 0n, ...call } = options;
    return this.#call(METHODS.memberAdd, { peerUrls: [peerUrl], isLearner, replaces }, call);
  }

  /** Makes a learner that has caught up a voter. @throws EtcdError */
  memberPromote(id: bigint, options: CallOptions = {}): Promise<MemberChangeResponse> {
    return this.#call(METHODS.memberPromote, { id }, options);
  }

  /** Removes a member, for good. @throws EtcdError */
  memberRemove(id: bigint, options: CallOptions = {}): Promise<MemberChangeResponse> {
    return this.#call(METHODS.memberRemove, { id }, options);
  }

  /** Says where a member listens for others from now on. @throws EtcdError */
  memberUpdate(
    id: bigint,
    peerUrl: string,
    options: CallOptions = {},
  ): Promise<MemberChangeResponse> {
    return this.#call(METHODS.memberUpdate, { id, peerUrls: [peerUrl] }, options);
  }

  /**
   * Hands leadership to a member. Servers of etcd take this from their leader alone, those of FlareDB
   * from any member.
   *
   * @throws EtcdError also when it did not happen in time; it may happen yet.
   */
  async moveLeader(id: bigint, options: CallOptions = {}): Promise<void> {
    await this.#call(METHODS.moveLeader, { id }, options);
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
    await this.#session?.end((id) => this.#call(METHODS.sessionClose, id, options));
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
        open: (deadlineMs) => this.#call(METHODS.sessionOpen, 0, { ...options, deadlineMs }),
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
        // With hardly any time left, another attempt would make an unknown outcome of a clear answer.
        if (Date.now() + 2 * waitMs > deadline) throw error;
        await new Promise((resolve) => setTimeout(resolve, waitMs));
        if (Date.now() + waitMs > deadline) throw error;
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
