/**
 * The responses of the etcd v3 API and the requests that are not the store's own, as plain data.
 *
 * @module
 */

import type { KeyValue } from "../kv/mod.ts";

/** On every response: who answered, and the state of the store when it did. */
export interface ResponseHeader {
  /** An unsigned 64-bit integer, exact. */
  readonly clusterId: bigint;
  /** An unsigned 64-bit integer, exact. */
  readonly memberId: bigint;
  /** The revision of the store. */
  readonly revision: number;
  /** The term of the member. */
  readonly raftTerm: number;
}

/** The answer to a range request. */
export interface RangeResponse {
  /** Who answered, and as of which revision. */
  readonly header: ResponseHeader;
  /** What was found, in ascending order of the keys unless asked otherwise. */
  readonly kvs: readonly KeyValue[];
  /** Whether the limit left pairs out. */
  readonly more: boolean;
  /** How many keys are in the range, whatever the limit. */
  readonly count: number;
}

/** The answer to a put. */
export interface PutResponse {
  /** Who answered, and as of which revision. */
  readonly header: ResponseHeader;
  /** The pair before, when asked for and existing. */
  readonly prevKv: KeyValue | undefined;
}

/** The answer to a deletion. */
export interface DeleteRangeResponse {
  /** Who answered, and as of which revision. */
  readonly header: ResponseHeader;
  /** How many keys there were. */
  readonly deleted: number;
  /** The pairs before, when asked for. */
  readonly prevKvs: readonly KeyValue[];
}

/** What one operation of a transaction answered; its header carries a revision and no more. */
export type ResponseOperation =
  | { readonly kind: "range"; readonly response: RangeResponse }
  | { readonly kind: "put"; readonly response: PutResponse }
  | { readonly kind: "delete-range"; readonly response: DeleteRangeResponse }
  | { readonly kind: "txn"; readonly response: TxnResponse }
  | { readonly kind: "none" };

/** The answer to a transaction. */
export interface TxnResponse {
  /** Who answered, and as of which revision. */
  readonly header: ResponseHeader;
  /** Whether the comparisons held. */
  readonly succeeded: boolean;
  /** What each operation of the branch came to, in their order. */
  readonly responses: readonly ResponseOperation[];
}

/** A member of the cluster. */
export interface Member {
  /** An unsigned 64-bit integer, exact. */
  readonly id: bigint;
  /** Empty while it has not started yet. */
  readonly name: string;
  /** Where it listens for other members. */
  readonly peerUrls: readonly string[];
  /** Where it listens for clients. */
  readonly clientUrls: readonly string[];
  /** Whether it receives the log without a vote. */
  readonly isLearner: boolean;
}

/** The question for the members. */
export interface MemberListRequest {
  /** Whether the list must be no older than the call. */
  readonly linearizable: boolean;
}

/** The members, in ascending order of their ids. */
export interface MemberListResponse {
  /** Who answered, and as of which revision. */
  readonly header: ResponseHeader;
  /** All members, by ascending id. */
  readonly members: readonly Member[];
}

/** How a member is doing. */
export interface StatusResponse {
  /** Who answered, and as of which revision. */
  readonly header: ResponseHeader;
  /** The version of the API it serves, and of the server. */
  readonly version: string;
  /** Bytes of the store on disk. */
  readonly dbSizeBytes: number;
  /** Bytes of it in use. */
  readonly dbSizeInUseBytes: number;
  /** The leader as far as the member knows, or 0n. */
  readonly leader: bigint;
  /** The commit index. */
  readonly raftIndex: number;
  /** Its term. */
  readonly raftTerm: number;
  /** The last index its store has applied. */
  readonly raftAppliedIndex: number;
  /** What is wrong with it, for people. */
  readonly errors: readonly string[];
  /** Whether it receives the log without a vote. */
  readonly isLearner: boolean;
}
