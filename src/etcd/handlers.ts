/**
 * What the API's methods do, without gRPC: a request goes in, a response or a status comes out
 * through a callback, so that a call costs no promise beyond the node's own.
 *
 * @module
 */

import { createHash } from "node:crypto";
import {
  type DeleteRangeRequest,
  encodeDeleteRangeCommand,
  encodePutCommand,
  encodeTxnCommand,
  type KvResult,
  type PutRequest,
  type RangeRequest,
  type TxnRequest,
} from "../kv/mod.ts";
import type { SessionPosition } from "../node/mod.ts";
import type { Counters } from "./counters.ts";
import type {
  DeleteRangeResponse,
  Member,
  MemberListRequest,
  MemberListResponse,
  PutResponse,
  RangeResponse,
  ResponseHeader,
  StatusResponse,
  TxnResponse,
} from "./messages.ts";
import { deleteRangeResponse, putResponse, rangeResponse, txnResponse } from "./responses.ts";
import type { CheckedServerOptions, ClusterMember } from "./server_options.ts";
import { EtcdStatus, type StatusError, statusOfError, statusOfFailure } from "./status_errors.ts";
import { checkDeleteRange, checkPut, checkRange, checkTxn } from "./validation.ts";

/** Takes the outcome of a call: a status that is not OK, or a response. */
export type Answer<Response> = (error: StatusError | null, response?: Response) => void;

/** For how long the term in headers of reads may be out of date. */
const TERM_AGE_MS_MAX = 100;

/** The methods that are served. */
export class EtcdHandlers {
  readonly #options: CheckedServerOptions;
  readonly #clusterId: bigint;
  readonly #memberId: bigint;
  #term = 0;
  #termReadAt = Number.NEGATIVE_INFINITY;

  constructor(options: CheckedServerOptions) {
    this.#options = options;
    this.#clusterId = clusterIdNumber(options.clusterId);
    this.#memberId = BigInt(options.node.status().nodeId);
  }

  /** `KV.Range`: linearizable, unless the request says otherwise. */
  range(request: RangeRequest, deadline: number, answer: Answer<RangeResponse>): void {
    const refused = checkRange(request);
    if (refused !== undefined) return answer(refused);
    if (request.serializable) return this.#readNow(request, answer);
    this.#afterBarrier(deadline, answer, () => this.#readNow(request, answer));
  }

  /** `KV.Put`. */
  put(
    request: PutRequest,
    deadline: number,
    answer: Answer<PutResponse>,
    session?: SessionPosition,
  ): void {
    const refused = checkPut(request);
    if (refused !== undefined) return answer(refused);
    this.#propose(encodePutCommand(request), deadline, answer, (header, result) => {
      return result.kind === "put" ? putResponse(header, result) : undefined;
    }, session);
  }

  /** `KV.DeleteRange`. */
  deleteRange(
    request: DeleteRangeRequest,
    deadline: number,
    answer: Answer<DeleteRangeResponse>,
    session?: SessionPosition,
  ): void {
    const refused = checkDeleteRange(request);
    if (refused !== undefined) return answer(refused);
    this.#propose(encodeDeleteRangeCommand(request), deadline, answer, (header, result) => {
      return result.kind === "delete-range" ? deleteRangeResponse(header, result) : undefined;
    }, session);
  }

  /** `KV.Txn`: through the log, also when it only reads. */
  txn(
    request: TxnRequest,
    deadline: number,
    answer: Answer<TxnResponse>,
    session?: SessionPosition,
  ): void {
    const refused = checkTxn(request, this.#options.txnOperationsMax);
    if (refused !== undefined) return answer(refused);
    this.#propose(encodeTxnCommand(request), deadline, answer, (header, result) => {
      return result.kind === "txn" ? txnResponse(header, result) : undefined;
    }, session);
  }

  /** `Cluster.MemberList`. */
  memberList(
    request: MemberListRequest,
    deadline: number,
    answer: Answer<MemberListResponse>,
  ): void {
    const list = () => {
      answer(null, { header: this.header(), members: listMembers(this.#options) });
    };
    if (request.linearizable) this.#afterBarrier(deadline, answer, list);
    else this.#guard(answer, list);
  }

  /** `Maintenance.Status`: this member's own view. */
  status(answer: Answer<StatusResponse>): void {
    this.#guard(answer, () => {
      const status = this.#options.node.status();
      const size = this.#options.store.size();
      answer(null, {
        header: this.header(status.term),
        version: this.#options.version,
        dbSizeBytes: size.bytes,
        dbSizeInUseBytes: size.inUseBytes,
        leader: BigInt(status.leaderNodeId),
        raftIndex: status.commitIndex,
        raftTerm: status.term,
        raftAppliedIndex: status.lastApplied,
        errors: status.leaderNodeId === 0 ? [EtcdStatus.noLeader.details] : [],
        isLearner: status.learners.includes(status.peerId),
      });
    });
  }

  /** `Diagnostics.Counters`: this member's own. */
  counters(answer: Answer<Counters>): void {
    this.#guard(answer, () => answer(null, this.#options.counters()));
  }

  #readNow(request: RangeRequest, answer: Answer<RangeResponse>): void {
    this.#guard(answer, () => {
      const result = this.#options.store.range(request);
      answer(null, rangeResponse(this.header(this.#recentTerm(), result.revision), result));
    });
  }

  /** Answers with what `action` throws: an exception would end the process. */
  #guard<Response>(answer: Answer<Response>, action: () => void): void {
    try {
      action();
    } catch (error) {
      answer(this.statusOf(error));
    }
  }

  #afterBarrier<Response>(
    deadline: number,
    answer: Answer<Response>,
    action: () => void,
  ): void {
    this.#options.node.read({ deadlineMs: this.remaining(deadline) }).then(
      () => this.#guard(answer, action),
      (error) => answer(this.statusOf(error)),
    );
  }

  #propose<Response>(
    command: Uint8Array,
    deadline: number,
    answer: Answer<Response>,
    respond: (header: ResponseHeader, result: KvResult) => Response | undefined,
    session: SessionPosition | undefined,
  ): void {
    if (command.length > this.#options.requestBytesMax) return answer(EtcdStatus.requestTooLarge);
    const deadlineMs = this.remaining(deadline);
    this.#options.node.propose(command, { deadlineMs, session }).then(
      ({ term, result }) => {
        if (result.kind === "failure") return answer(statusOfFailure(result));
        const revision = result.kind === "none" ? undefined : result.revision;
        const response = respond(this.header(term, revision), result);
        if (response !== undefined) return answer(null, response);
        answer(this.statusOf(new Error(`unexpected result ${result.kind}`)));
      },
      (error) => answer(this.statusOf(error)),
    );
  }

  /** What a call is answered with that failed with this error. */
  statusOf(error: unknown): StatusError {
    return statusOfError(error, () => this.#options.node.status().leaderNodeId !== 0);
  }

  /** Milliseconds left, at most the server's own limit. @param deadline as of `Date.now()`. */
  remaining(deadline: number): number {
    return Math.max(0, Math.min(deadline - Date.now(), this.#options.requestTimeoutMs));
  }

  /** The header of a response as of now. */
  header(
    raftTerm: number = this.#recentTerm(),
    revision: number = this.#options.store.revision,
  ): ResponseHeader {
    return { clusterId: this.#clusterId, memberId: this.#memberId, revision, raftTerm };
  }

  /** A node's whole status is too much to ask for with every read. */
  #recentTerm(): number {
    const now = Date.now();
    if (Math.abs(now - this.#termReadAt) > TERM_AGE_MS_MAX) {
      this.#term = this.#options.node.status().term;
      this.#termReadAt = now;
    }
    return this.#term;
  }
}

/** The number a cluster's id has in headers: 53 bits of its SHA-256, the same on every member. */
export function clusterIdNumber(clusterId: string): bigint {
  return createHash("sha256").update(clusterId).digest().readBigUInt64BE(0) >> 11n;
}

/** The members as they are now, by ascending id. */
export function listMembers({ members }: CheckedServerOptions): Member[] {
  return members().map(toMember).sort((a, b) => a.id < b.id ? -1 : 1);
}

function toMember(member: ClusterMember): Member {
  return {
    id: BigInt(member.nodeId),
    name: member.name,
    peerUrls: member.peerUrls,
    clientUrls: member.clientUrls,
    isLearner: member.isLearner ?? false,
  };
}
