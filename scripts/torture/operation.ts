/**
 * Carries out an operation on a key over the etcd API, at one member, and reads the answer.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import type { EtcdClient, ResponseOperation, TxnResponse } from "../../src/etcd/mod.ts";
import {
  type Compare,
  CompareResult,
  CompareTarget,
  deleteRangeRequest,
  type KeyValue,
  NO_BYTES,
  putRequest,
  rangeRequest,
  type TxnOperation,
} from "../../src/kv/mod.ts";
import type { KeyAction, KeyCompare, KeyInput, KeyOutput } from "./model.ts";
import type { SeenVersion } from "./revisions.ts";

/** An answer. */
export interface Answer {
  readonly output: KeyOutput;
  /** The revision of the store. */
  readonly revision: number;
  /** The key before the operation; undefined when it did not exist. */
  readonly before: SeenVersion | undefined;
}

/** Where and for how long to ask. */
export interface Call {
  /** Default: whichever the client stays with. */
  readonly endpoint?: string;
  readonly deadlineMs: number;
  /** Read what the member has, which may be old. */
  readonly serializable?: boolean;
}

/** Carries out an operation. @throws EtcdError */
export async function perform(client: EtcdClient, input: KeyInput, call: Call): Promise<Answer> {
  const { key, compare, then } = input;
  const { endpoint, deadlineMs, serializable = false } = call;
  if (compare !== undefined) return txnAnswer(await performTxn(client, input, call));
  switch (then.type) {
    case "get": {
      const { kvs, header } = await client.get(key, { endpoint, deadlineMs, serializable });
      return answer(true, kvs[0], header.revision);
    }
    case "put": {
      const options = { prevKv: true, endpoint, deadlineMs };
      const { prevKv, header } = await client.put(key, String(then.value), options);
      return answer(true, prevKv, header.revision);
    }
    case "delete": {
      const { prevKvs, header } = await client.delete(key, {
        endpoint,
        deadlineMs,
        prevKv: true,
      });
      return answer(true, prevKvs[0], header.revision);
    }
  }
}

function performTxn(client: EtcdClient, input: KeyInput, call: Call): Promise<TxnResponse> {
  const key = Buffer.from(input.key);
  return client.txn({
    compare: [compareRequest(key, input.compare!)],
    success: [actionRequest(key, input.then)],
    failure: [actionRequest(key, input.else)],
  }, call);
}

const OPERATORS = {
  "=": CompareResult.equal,
  "!=": CompareResult.notEqual,
  "<": CompareResult.less,
  ">": CompareResult.greater,
} as const;

const TARGETS = {
  value: CompareTarget.value,
  version: CompareTarget.version,
  modRevision: CompareTarget.mod,
  createRevision: CompareTarget.create,
} as const;

function compareRequest(key: Uint8Array, compare: KeyCompare): Compare {
  const { field, operator, operand, revision } = compare;
  return {
    result: OPERATORS[operator],
    target: TARGETS[field],
    key,
    rangeEnd: NO_BYTES,
    operand: field === "value" ? Buffer.from(String(operand)) : revision ?? operand,
  };
}

function actionRequest(key: Uint8Array, action: KeyAction): TxnOperation {
  switch (action.type) {
    case "get":
      return { kind: "range", request: rangeRequest({ key }) };
    case "put": {
      const value = Buffer.from(String(action.value));
      return { kind: "put", request: putRequest({ key, value, prevKv: true }) };
    }
    case "delete":
      return { kind: "delete-range", request: deleteRangeRequest({ key, prevKv: true }) };
  }
}

function txnAnswer({ succeeded, responses, header }: TxnResponse): Answer {
  return answer(succeeded, pairOf(responses[0]), header.revision);
}

function pairOf(operation: ResponseOperation | undefined): KeyValue | undefined {
  switch (operation?.kind) {
    case "range":
      return operation.response.kvs[0];
    case "put":
      return operation.response.prevKv;
    case "delete-range":
      return operation.response.prevKvs[0];
    default:
      throw new Error(`a transaction answered with ${operation?.kind ?? "nothing"}`);
  }
}

function answer(succeeded: boolean, pair: KeyValue | undefined, revision: number): Answer {
  const before = pair && versionOf(pair);
  const { value, version } = before ?? { value: 0, version: 0 };
  return { output: { succeeded, value, version }, revision, before };
}

function versionOf(pair: KeyValue): SeenVersion {
  const { version, createRevision, modRevision } = pair;
  const value = Number(Buffer.from(pair.value).toString());
  return { value, version, createRevision, modRevision };
}

/** Reads a key as of a revision. @throws EtcdError */
export async function readVersion(
  client: EtcdClient,
  key: string,
  revision: number,
): Promise<SeenVersion | undefined> {
  const { kvs } = await client.get(key, { revision });
  return kvs[0] && versionOf(kvs[0]);
}
