/**
 * `flaredb.v1.Sessions`: writes of clients that name them by session and sequence number, so that each
 * takes effect once. Clients of etcd know nothing of it and are served as ever.
 *
 * @module
 */

import {
  deleteRangeRequest,
  NO_BYTES,
  type ProtoReader,
  type ProtoWriter,
  putRequest,
  readDeleteRangeRequest,
  readPutRequest,
  readTxnRequest,
} from "../kv/mod.ts";
import { writeDeleteRangeResponse, writePutResponse, writeTxnResponse } from "./codec.ts";
import type { Answer, EtcdHandlers } from "./handlers.ts";
import type { CheckedServerOptions, ReplicatedNode } from "./server_options.ts";
import {
  readPositioned,
  readSessionId,
  readSessionTimeout,
  sessionPath,
  writeSessionId,
} from "./session_codec.ts";
import { EtcdStatus, statusOfError } from "./status_errors.ts";

/** Registers a method that takes one message and answers with one. */
export type AddMethod = <Request, Response>(
  path: string,
  decode: (reader: ProtoReader) => Request,
  encode: (writer: ProtoWriter, response: Response) => void,
  handle: (request: Request, deadline: number, answer: Answer<Response>) => void,
) => void;

/** Registers the methods of sessions; nothing when the node has none. */
export function addSessionMethods(
  add: AddMethod,
  handlers: EtcdHandlers,
  options: CheckedServerOptions,
): void {
  const { openSessionId, closeSessionId } = options.node;
  if (openSessionId === undefined || closeSessionId === undefined) return;
  addLifetime(add, options, { openSessionId, closeSessionId });
  const noPut = putRequest({ key: NO_BYTES });
  add(
    sessionPath("Put"),
    (reader) => readPositioned(reader, readPutRequest, noPut),
    writePutResponse,
    ({ request, position }, deadline, answer) => handlers.put(request, deadline, answer, position),
  );
  const noDeletion = deleteRangeRequest({ key: NO_BYTES });
  add(
    sessionPath("DeleteRange"),
    (reader) => readPositioned(reader, readDeleteRangeRequest, noDeletion),
    writeDeleteRangeResponse,
    ({ request, position }, deadline, answer) =>
      handlers.deleteRange(request, deadline, answer, position),
  );
  add(
    sessionPath("Txn"),
    (reader) =>
      readPositioned(reader, (nested) => readTxnRequest(nested), {
        compare: [],
        success: [],
        failure: [],
      }),
    writeTxnResponse,
    ({ request, position }, deadline, answer) => handlers.txn(request, deadline, answer, position),
  );
}

function addLifetime(
  add: AddMethod,
  { node, requestTimeoutMs }: CheckedServerOptions,
  { openSessionId, closeSessionId }: Required<
    Pick<ReplicatedNode, "openSessionId" | "closeSessionId">
  >,
): void {
  const call = <Value>(
    deadline: number,
    answer: Answer<Value>,
    run: (options: { deadlineMs: number }) => Promise<Value>,
  ): void => {
    const deadlineMs = Math.max(0, Math.min(deadline - Date.now(), requestTimeoutMs));
    const knowsLeader = (): boolean => node.status().leaderNodeId !== 0;
    run({ deadlineMs }).then(
      (value) => answer(null, value),
      (error) => answer(statusOfError(error, knowsLeader)),
    );
  };
  add(sessionPath("Open"), readSessionTimeout, writeSessionId, (timeoutMs, deadline, answer) => {
    const timeout = timeoutMs === 0 ? {} : { timeoutMs };
    call(deadline, answer, (options) => openSessionId.call(node, { ...options, ...timeout }));
  });
  add(sessionPath("Close"), readSessionId, () => {}, (id, deadline, answer: Answer<string>) => {
    if (id === "") return answer(EtcdStatus.sessionExpired);
    call(deadline, answer, async (options) => {
      await closeSessionId.call(node, id, options);
      return id;
    });
  });
}
