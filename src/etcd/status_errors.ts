/**
 * What the server answers when it cannot do what was asked: etcd's texts with etcd's codes, from
 * failures of the store and errors of the node.
 *
 * @module
 */

import { type KvFailure, KvReadError } from "../kv/mod.ts";
import { RaftError } from "../raft/mod.ts";
import { GrpcStatus } from "./grpc_status.ts";

/** A gRPC status that is not OK. */
export interface StatusError {
  /** The number of the gRPC status. */
  readonly code: number;
  /** The text, as etcd's. */
  readonly details: string;
}

function invalid(details: string): StatusError {
  return { code: GrpcStatus.INVALID_ARGUMENT, details };
}

function precondition(details: string): StatusError {
  return { code: GrpcStatus.FAILED_PRECONDITION, details };
}

function unavailable(details: string): StatusError {
  return { code: GrpcStatus.UNAVAILABLE, details };
}

function session(details: string): StatusError {
  return { code: GrpcStatus.FAILED_PRECONDITION, details: `flaredb: ${details}` };
}

/** Why etcd refuses a request, as far as this server does too. */
export type EtcdStatusName =
  | "keyNotProvided"
  | "keyNotFound"
  | "valueProvided"
  | "leaseProvided"
  | "tooManyOperations"
  | "duplicateKey"
  | "invalidSortOption"
  | "requestTooLarge"
  | "leaseNotFound"
  | "compacted"
  | "futureRevision"
  | "tooManyRequests"
  | "memberNotFound"
  | "memberIdExists"
  | "peerUrlExists"
  | "memberBadUrls"
  | "memberNotLearner"
  | "learnerNotReady"
  | "notEnoughStarted"
  | "changeUnderWay"
  | "badLeaderTransferee"
  | "noLeader"
  | "notLeader"
  | "leaderChanged"
  | "timedOut"
  | "stopped"
  | "sessionExpired"
  | "sessionPassed"
  | "sessionAhead"
  | "resultForgotten"
  | "sessionsUnsupported"
  | "cancelled";

/** The statuses of etcd that this server gives. */
export const EtcdStatus: Readonly<Record<EtcdStatusName, StatusError>> = {
  keyNotProvided: invalid("etcdserver: key is not provided"),
  keyNotFound: invalid("etcdserver: key not found"),
  valueProvided: invalid("etcdserver: value is provided"),
  leaseProvided: invalid("etcdserver: lease is provided"),
  tooManyOperations: invalid("etcdserver: too many operations in txn request"),
  duplicateKey: invalid("etcdserver: duplicate key given in txn request"),
  invalidSortOption: invalid("etcdserver: invalid sort option"),
  requestTooLarge: invalid("etcdserver: request is too large"),
  leaseNotFound: {
    code: GrpcStatus.NOT_FOUND,
    details: "etcdserver: requested lease not found",
  },
  compacted: {
    code: GrpcStatus.OUT_OF_RANGE,
    details: "etcdserver: mvcc: required revision has been compacted",
  },
  futureRevision: {
    code: GrpcStatus.OUT_OF_RANGE,
    details: "etcdserver: mvcc: required revision is a future revision",
  },
  tooManyRequests: {
    code: GrpcStatus.RESOURCE_EXHAUSTED,
    details: "etcdserver: too many requests",
  },
  memberNotFound: { code: GrpcStatus.NOT_FOUND, details: "etcdserver: member not found" },
  memberIdExists: precondition("etcdserver: member ID already exist"),
  peerUrlExists: precondition("etcdserver: Peer URLs already exists"),
  memberBadUrls: invalid("etcdserver: given member URLs are invalid"),
  memberNotLearner: precondition("etcdserver: can only promote a learner member"),
  learnerNotReady: precondition(
    "etcdserver: can only promote a learner member which is in sync with leader",
  ),
  notEnoughStarted: precondition(
    "etcdserver: re-configuration failed due to not enough started members",
  ),
  changeUnderWay: unavailable("etcdserver: another change of the members is under way"),
  badLeaderTransferee: precondition("etcdserver: bad leader transferee"),
  noLeader: unavailable("etcdserver: no leader"),
  notLeader: unavailable("etcdserver: not leader"),
  leaderChanged: unavailable("etcdserver: leader changed"),
  timedOut: unavailable("etcdserver: request timed out"),
  stopped: unavailable("etcdserver: server stopped"),
  sessionExpired: session("client session not found: it expired, was closed, or never was"),
  sessionPassed: session("the client session has acknowledged this sequence number"),
  sessionAhead: session("the sequence number is too far above what is acknowledged"),
  resultForgotten: session("the write took effect, and its answer was too large to be kept"),
  sessionsUnsupported: {
    code: GrpcStatus.UNIMPLEMENTED,
    details: "flaredb: client sessions are not supported",
  },
  cancelled: { code: GrpcStatus.CANCELLED, details: "etcdserver: request canceled" },
};

/** What a command that the store refused is answered with. */
export function statusOfFailure(failure: KvFailure): StatusError {
  switch (failure.reason) {
    case "key-not-provided":
      return EtcdStatus.keyNotProvided;
    case "key-not-found":
      return EtcdStatus.keyNotFound;
    case "lease-not-found":
      return EtcdStatus.leaseNotFound;
    case "compacted":
      return EtcdStatus.compacted;
    case "future-revision":
      return EtcdStatus.futureRevision;
    case "malformed-command":
    case "unknown-command":
    case "unknown-command-version":
      return { code: GrpcStatus.INTERNAL, details: `etcdserver: ${failure.message}` };
  }
}

/**
 * What an error of a proposal, a barrier or a read is answered with.
 *
 * @param knowsLeader whether the member knows a leader: without one, that is why it took too long.
 */
export function statusOfError(error: unknown, knowsLeader: () => boolean): StatusError {
  if (error instanceof KvReadError) {
    return error.reason === "compacted" ? EtcdStatus.compacted : EtcdStatus.futureRevision;
  }
  if (!(error instanceof RaftError)) return unknown(error);
  switch (error.code) {
    case "NOT_LEADER":
      return EtcdStatus.notLeader;
    case "DROPPED":
    case "PROPOSAL_DROPPED":
      return EtcdStatus.leaderChanged;
    case "UNKNOWN_PEER":
      return EtcdStatus.memberNotFound;
    case "ALREADY_MEMBER":
    case "PEER_ID_USED":
      return EtcdStatus.memberIdExists;
    case "NOT_A_LEARNER":
      return EtcdStatus.memberNotLearner;
    case "NOT_CAUGHT_UP":
      return EtcdStatus.learnerNotReady;
    case "LAST_VOTER":
    case "QUORUM_AT_RISK":
      return EtcdStatus.notEnoughStarted;
    case "CHANGE_UNDER_WAY":
    case "NOT_TAKEN":
      return EtcdStatus.changeUnderWay;
    case "OVERLOADED":
      return EtcdStatus.tooManyRequests;
    case "COMMAND_TOO_LARGE":
      return EtcdStatus.requestTooLarge;
    case "TIMED_OUT":
      return !mayHaveTakenEffect(error) && !knowsLeader()
        ? EtcdStatus.noLeader
        : EtcdStatus.timedOut;
    case "CANCELLED":
      return EtcdStatus.cancelled;
    case "STOPPED":
      return EtcdStatus.stopped;
    case "SESSION_EXPIRED":
      return EtcdStatus.sessionExpired;
    case "SEQUENCE_PASSED":
      return EtcdStatus.sessionPassed;
    case "SEQUENCE_AHEAD":
      return EtcdStatus.sessionAhead;
    case "RESULT_FORGOTTEN":
      return EtcdStatus.resultForgotten;
    case "SESSIONS_UNSUPPORTED":
      return EtcdStatus.sessionsUnsupported;
    case "INVALID_CONFIG":
      return { code: GrpcStatus.INVALID_ARGUMENT, details: `flaredb: ${error.message}` };
    default:
      return unknown(error);
  }
}

function mayHaveTakenEffect(error: RaftError): boolean {
  return (error as { mayHaveTakenEffect?: unknown }).mayHaveTakenEffect !== false;
}

function unknown(error: unknown): StatusError {
  const details = error instanceof Error ? error.message : String(error);
  return { code: GrpcStatus.UNKNOWN, details: `etcdserver: ${details}` };
}
