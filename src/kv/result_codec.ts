/**
 * Results of commands as bytes, as the node keeps them for client sessions and in snapshots. Protobuf with
 * fields of our own:
 *
 * | message | fields |
 * |---|---|
 * | result | put 1, delete_range 2, range 3, txn 4, none 5, failure 6; one of them |
 * | put | revision 1, previous 2 (`mvccpb.KeyValue`) |
 * | delete_range | revision 1, previous 2 (repeated), deleted 3 |
 * | range | revision 1, pairs 2 (repeated), more 3, count 4 |
 * | txn | revision 1, results 2 (repeated result), succeeded 3 |
 * | failure | revision 1, reason 2 (text), message 3 |
 *
 * A later version may add fields and kinds of results; an earlier one refuses kinds it does not know.
 *
 * @module
 */

import { KvDecodeError } from "./errors.ts";
import { LENGTH_DELIMITED, ProtoReader, ProtoWriter, VARINT } from "./protobuf.ts";
import { readKeyValue, writeKeyValue } from "./request_codec.ts";
import type {
  DeleteRangeResult,
  KeyValue,
  KvFailure,
  KvFailureReason,
  KvResult,
  KvSuccess,
  PutResult,
  RangeResult,
  TxnResult,
} from "./types.ts";

const PUT_TAG = 1 << 3 | LENGTH_DELIMITED;
const DELETE_RANGE_TAG = 2 << 3 | LENGTH_DELIMITED;
const RANGE_TAG = 3 << 3 | LENGTH_DELIMITED;
const TXN_TAG = 4 << 3 | LENGTH_DELIMITED;
const NONE_TAG = 5 << 3 | LENGTH_DELIMITED;
const FAILURE_TAG = 6 << 3 | LENGTH_DELIMITED;
const REVISION_TAG = 1 << 3 | VARINT;
const LIST_TAG = 2 << 3 | LENGTH_DELIMITED;
const THIRD_TAG = 3 << 3 | VARINT;
const FOURTH_TAG = 4 << 3 | VARINT;
const MESSAGE_TAG = 3 << 3 | LENGTH_DELIMITED;

const writer = new ProtoWriter();

/** How results are kept; see `StateMachine.resultCodec`. */
export const RESULT_CODEC = {
  /** The bytes of a result; equal for equal results. @throws KvEncodeError when a number is out of range */
  encode(result: KvResult): Uint8Array {
    writeResult(result);
    return writer.finish();
  },
  /** The result in the bytes that `encode` made. @throws KvDecodeError when they are nothing known here */
  decode(bytes: Uint8Array): KvResult {
    return readResult(new ProtoReader(bytes));
  },
};

function writeResult(result: KvResult): void {
  const end = writer.written;
  switch (result.kind) {
    case "put":
      if (result.previous !== undefined) writePair(result.previous);
      writer.number(REVISION_TAG, result.revision);
      return writer.message(PUT_TAG, end);
    case "delete-range":
      writer.number(THIRD_TAG, result.deleted);
      writePairs(result.previous);
      writer.number(REVISION_TAG, result.revision);
      return writer.message(DELETE_RANGE_TAG, end);
    case "range":
      writer.number(FOURTH_TAG, result.count);
      writer.bool(THIRD_TAG, result.more);
      writePairs(result.pairs);
      writer.number(REVISION_TAG, result.revision);
      return writer.message(RANGE_TAG, end);
    case "txn":
      writer.bool(THIRD_TAG, result.succeeded);
      for (let at = result.results.length - 1; at >= 0; at--) {
        const nestedEnd = writer.written;
        writeResult(result.results[at]);
        writer.message(LIST_TAG, nestedEnd);
      }
      writer.number(REVISION_TAG, result.revision);
      return writer.message(TXN_TAG, end);
    case "none":
      return writer.message(NONE_TAG, end);
    case "failure":
      writer.string(MESSAGE_TAG, result.message);
      writer.string(LIST_TAG, result.reason);
      writer.number(REVISION_TAG, result.revision);
      return writer.message(FAILURE_TAG, end);
  }
}

function writePairs(pairs: readonly KeyValue[]): void {
  for (let at = pairs.length - 1; at >= 0; at--) writePair(pairs[at]);
}

function writePair(pair: KeyValue): void {
  const end = writer.written;
  writeKeyValue(writer, pair);
  writer.message(LIST_TAG, end);
}

function readResult(reader: ProtoReader): KvResult {
  let result: KvResult | undefined;
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    const read = READERS.get(tag);
    if (read === undefined) reader.skip(tag);
    else result = reader.message(read);
  }
  if (result !== undefined) return result;
  throw new KvDecodeError("Cannot decode result: it is of no kind that this version knows");
}

const READERS: ReadonlyMap<number, (reader: ProtoReader) => KvResult> = new Map<
  number,
  (reader: ProtoReader) => KvResult
>([
  [PUT_TAG, readPut],
  [DELETE_RANGE_TAG, readDeleteRange],
  [RANGE_TAG, readRange],
  [TXN_TAG, readTxn],
  [NONE_TAG, readNone],
  [FAILURE_TAG, readFailure],
]);

/** Reads the fields that results share, and hands the others to `other`. */
function readFields(
  reader: ProtoReader,
  list: () => void,
  other: (tag: number) => void,
): number {
  let revision = 0;
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === REVISION_TAG) revision = reader.number();
    else if (tag === LIST_TAG) list();
    else other(tag);
  }
  return revision;
}

function readPut(reader: ProtoReader): PutResult {
  let previous: KeyValue | undefined;
  const revision = readFields(
    reader,
    () => previous = reader.message(readKeyValue),
    (tag) => reader.skip(tag),
  );
  return { kind: "put", revision, previous };
}

function readDeleteRange(reader: ProtoReader): DeleteRangeResult {
  const previous: KeyValue[] = [];
  let deleted = 0;
  const revision = readFields(
    reader,
    () => previous.push(reader.message(readKeyValue)),
    (tag) => tag === THIRD_TAG ? deleted = reader.number() : reader.skip(tag),
  );
  return { kind: "delete-range", revision, deleted, previous };
}

function readRange(reader: ProtoReader): RangeResult {
  const pairs: KeyValue[] = [];
  let more = false;
  let count = 0;
  const revision = readFields(reader, () => pairs.push(reader.message(readKeyValue)), (tag) => {
    if (tag === THIRD_TAG) more = reader.bool();
    else if (tag === FOURTH_TAG) count = reader.number();
    else reader.skip(tag);
  });
  return { kind: "range", revision, pairs, more, count };
}

function readTxn(reader: ProtoReader): TxnResult {
  const results: KvSuccess[] = [];
  let succeeded = false;
  const revision = readFields(reader, () => {
    const result = reader.message(readResult);
    if (result.kind === "failure") throw new KvDecodeError("Cannot decode result: it is nested");
    results.push(result);
  }, (tag) => tag === THIRD_TAG ? succeeded = reader.bool() : reader.skip(tag));
  return { kind: "txn", revision, succeeded, results };
}

function readNone(reader: ProtoReader): KvResult {
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) reader.skip(tag);
  return { kind: "none" };
}

function readFailure(reader: ProtoReader): KvFailure {
  let reason = "";
  let message = "";
  const revision = readFields(reader, () => reason = reader.string(), (tag) => {
    if (tag === MESSAGE_TAG) message = reader.string();
    else reader.skip(tag);
  });
  return { kind: "failure", revision, reason: reason as KvFailureReason, message };
}
