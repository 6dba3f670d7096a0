/**
 * What the store puts into a log entry: a versioned envelope (`proto/etcd/command.proto`) around one
 * request. A new kind of command, or a new meaning of an old one, may be proposed only once every
 * member knows it; a member that meets one it does not know refuses it as a result and goes on.
 *
 * @module
 */

import { KvDecodeError } from "./errors.ts";
import { LENGTH_DELIMITED, ProtoReader, ProtoWriter, VARINT } from "./protobuf.ts";
import {
  readDeleteRangeRequest,
  readPutRequest,
  readTxnRequest,
  writeDeleteRangeRequest,
  writePutRequest,
  writeTxnRequest,
} from "./request_codec.ts";
import type {
  DeleteRangeRequest,
  KvCommand,
  KvFailureReason,
  PutRequest,
  TxnRequest,
} from "./types.ts";

/** The version of the envelope this build writes, and the newest it applies. */
export const COMMAND_VERSION = 1;

const VERSION_TAG = 1 << 3 | VARINT;
const PUT_TAG = 4 << 3 | LENGTH_DELIMITED;
const DELETE_RANGE_TAG = 5 << 3 | LENGTH_DELIMITED;
const TXN_TAG = 6 << 3 | LENGTH_DELIMITED;

const writer = new ProtoWriter();

/** The command that puts one key. @throws KvEncodeError when a number is out of its range */
export function encodePutCommand(request: PutRequest): Uint8Array {
  writePutRequest(writer, request);
  return envelope(PUT_TAG);
}

/** The command that deletes a key or a range. */
export function encodeDeleteRangeCommand(request: DeleteRangeRequest): Uint8Array {
  writeDeleteRangeRequest(writer, request);
  return envelope(DELETE_RANGE_TAG);
}

/** The command of a transaction. @throws KvEncodeError when a number is out of its range */
export function encodeTxnCommand(request: TxnRequest): Uint8Array {
  writeTxnRequest(writer, request);
  return envelope(TXN_TAG);
}

function envelope(tag: number): Uint8Array {
  writer.message(tag, 0);
  writer.number(VERSION_TAG, COMMAND_VERSION);
  return writer.finish();
}

/** A command that cannot be applied: the same finding on every member of this version. */
export interface CommandRefusal {
  /** Tells it from results. */
  readonly kind: "refused";
  /** Why. */
  readonly reason: KvFailureReason;
  /** The same for people. */
  readonly message: string;
}

/** Reads a command. Never throws because of the bytes: what cannot be applied is a refusal. */
export function decodeCommand(bytes: Uint8Array): KvCommand | CommandRefusal {
  try {
    return decodeEnvelope(new ProtoReader(bytes));
  } catch (error) {
    if (!(error instanceof KvDecodeError)) throw error;
    return { kind: "refused", reason: "malformed-command", message: error.message };
  }
}

function decodeEnvelope(reader: ProtoReader): KvCommand | CommandRefusal {
  let command: KvCommand | undefined;
  let version = 0;
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    switch (tag) {
      case VERSION_TAG:
        version = reader.int32();
        if (version !== COMMAND_VERSION) return unknownVersion(version);
        break;
      case PUT_TAG:
        command = { kind: "put", request: reader.message(readPutRequest) };
        break;
      case DELETE_RANGE_TAG:
        command = { kind: "delete-range", request: reader.message(readDeleteRangeRequest) };
        break;
      case TXN_TAG:
        command = { kind: "txn", request: reader.message((nested) => readTxnRequest(nested)) };
        break;
      default:
        reader.skip(tag);
    }
  }
  if (version === 0) return unknownVersion(0);
  return command ?? {
    kind: "refused",
    reason: "unknown-command",
    message: "Cannot apply command: it holds no request that this version knows",
  };
}

function unknownVersion(version: number): CommandRefusal {
  return {
    kind: "refused",
    reason: "unknown-command-version",
    message: `Cannot apply command: expected version ${COMMAND_VERSION}, found ${version}`,
  };
}
