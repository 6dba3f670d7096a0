/**
 * Results of the store as responses of the API.
 *
 * @module
 */

import type { DeleteRangeResult, KvSuccess, PutResult, RangeResult, TxnResult } from "../kv/mod.ts";
import type {
  DeleteRangeResponse,
  PutResponse,
  RangeResponse,
  ResponseHeader,
  ResponseOperation,
  TxnResponse,
} from "./messages.ts";

/** The response to a put. */
export function putResponse(header: ResponseHeader, result: PutResult): PutResponse {
  return { header, prevKv: result.previous };
}

/** The response to a deletion. */
export function deleteRangeResponse(
  header: ResponseHeader,
  result: DeleteRangeResult,
): DeleteRangeResponse {
  return { header, deleted: result.deleted, prevKvs: result.previous };
}

/** The response to a range request. */
export function rangeResponse(header: ResponseHeader, result: RangeResult): RangeResponse {
  return { header, kvs: result.pairs, more: result.more, count: result.count };
}

/** The response to a transaction. */
export function txnResponse(header: ResponseHeader, result: TxnResult): TxnResponse {
  const responses = result.results.map(operationResponse);
  return { header, succeeded: result.succeeded, responses };
}

/** Inside a transaction headers carry a revision only, as in etcd. */
function operationResponse(result: KvSuccess): ResponseOperation {
  if (result.kind === "none") return { kind: "none" };
  const header = { clusterId: 0n, memberId: 0n, revision: result.revision, raftTerm: 0 };
  switch (result.kind) {
    case "range":
      return { kind: "range", response: rangeResponse(header, result) };
    case "put":
      return { kind: "put", response: putResponse(header, result) };
    case "delete-range":
      return { kind: "delete-range", response: deleteRangeResponse(header, result) };
    case "txn":
      return { kind: "txn", response: txnResponse(header, result) };
  }
}
