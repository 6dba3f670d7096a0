/**
 * The messages of `messages.ts` as protobuf (`proto/etcd/rpc.proto`), both ways: the server writes
 * responses, the client reads them.
 *
 * @module
 */

import {
  type KeyValue,
  LENGTH_DELIMITED,
  type ProtoReader,
  type ProtoWriter,
  readKeyValue,
  VARINT,
  writeKeyValue,
} from "../kv/mod.ts";
import type {
  DeleteRangeResponse,
  Member,
  MemberListRequest,
  MemberListResponse,
  PutResponse,
  RangeResponse,
  ResponseHeader,
  ResponseOperation,
  StatusResponse,
  TxnResponse,
} from "./messages.ts";

const HEADER_TAG = 1 << 3 | LENGTH_DELIMITED;

/** The header of a response that came without one. */
export const NO_HEADER: ResponseHeader = {
  clusterId: 0n,
  memberId: 0n,
  revision: 0,
  raftTerm: 0,
};

/** Reads a `ResponseHeader`. @throws KvDecodeError */
export function readHeader(reader: ProtoReader): ResponseHeader {
  let clusterId = 0n, memberId = 0n;
  let revision = 0, raftTerm = 0;
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    switch (tag) {
      case 1 << 3 | VARINT:
        clusterId = reader.unsigned();
        break;
      case 2 << 3 | VARINT:
        memberId = reader.unsigned();
        break;
      case 3 << 3 | VARINT:
        revision = reader.number();
        break;
      case 4 << 3 | VARINT:
        raftTerm = reader.number();
        break;
      default:
        reader.skip(tag);
    }
  }
  return { clusterId, memberId, revision, raftTerm };
}

/** Writes a `ResponseHeader` as field 1, where every response has it. */
export function writeHeader(writer: ProtoWriter, header: ResponseHeader): void {
  const end = writer.written;
  writer.number(4 << 3 | VARINT, header.raftTerm);
  writer.number(3 << 3 | VARINT, header.revision);
  writer.bigint(2 << 3 | VARINT, header.memberId);
  writer.bigint(1 << 3 | VARINT, header.clusterId);
  writer.message(HEADER_TAG, end);
}

function writePair(writer: ProtoWriter, tag: number, pair: KeyValue): void {
  const end = writer.written;
  writeKeyValue(writer, pair);
  writer.message(tag, end);
}

/** Reads a `RangeResponse`. @throws KvDecodeError */
export function readRangeResponse(reader: ProtoReader): RangeResponse {
  let header = NO_HEADER, more = false, count = 0;
  const kvs: KeyValue[] = [];
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    switch (tag) {
      case HEADER_TAG:
        header = reader.message(readHeader);
        break;
      case 2 << 3 | LENGTH_DELIMITED:
        kvs.push(reader.message(readKeyValue));
        break;
      case 3 << 3 | VARINT:
        more = reader.bool();
        break;
      case 4 << 3 | VARINT:
        count = reader.number();
        break;
      default:
        reader.skip(tag);
    }
  }
  return { header, kvs, more, count };
}

/** Writes a `RangeResponse`. */
export function writeRangeResponse(writer: ProtoWriter, response: RangeResponse): void {
  writer.number(4 << 3 | VARINT, response.count);
  writer.bool(3 << 3 | VARINT, response.more);
  for (let i = response.kvs.length - 1; i >= 0; i--) {
    writePair(writer, 2 << 3 | LENGTH_DELIMITED, response.kvs[i]!);
  }
  writeHeader(writer, response.header);
}

/** Reads a `PutResponse`. @throws KvDecodeError */
export function readPutResponse(reader: ProtoReader): PutResponse {
  let header = NO_HEADER;
  let prevKv: KeyValue | undefined;
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === HEADER_TAG) header = reader.message(readHeader);
    else if (tag === (2 << 3 | LENGTH_DELIMITED)) prevKv = reader.message(readKeyValue);
    else reader.skip(tag);
  }
  return { header, prevKv };
}

/** Writes a `PutResponse`. */
export function writePutResponse(writer: ProtoWriter, response: PutResponse): void {
  if (response.prevKv !== undefined) {
    writePair(writer, 2 << 3 | LENGTH_DELIMITED, response.prevKv);
  }
  writeHeader(writer, response.header);
}

/** Reads a `DeleteRangeResponse`. @throws KvDecodeError */
export function readDeleteRangeResponse(reader: ProtoReader): DeleteRangeResponse {
  let header = NO_HEADER, deleted = 0;
  const prevKvs: KeyValue[] = [];
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === HEADER_TAG) header = reader.message(readHeader);
    else if (tag === (2 << 3 | VARINT)) deleted = reader.number();
    else if (tag === (3 << 3 | LENGTH_DELIMITED)) prevKvs.push(reader.message(readKeyValue));
    else reader.skip(tag);
  }
  return { header, deleted, prevKvs };
}

/** Writes a `DeleteRangeResponse`. */
export function writeDeleteRangeResponse(
  writer: ProtoWriter,
  response: DeleteRangeResponse,
): void {
  for (let i = response.prevKvs.length - 1; i >= 0; i--) {
    writePair(writer, 3 << 3 | LENGTH_DELIMITED, response.prevKvs[i]!);
  }
  writer.number(2 << 3 | VARINT, response.deleted);
  writeHeader(writer, response.header);
}

/** Reads a `TxnResponse`. @throws KvDecodeError */
export function readTxnResponse(reader: ProtoReader): TxnResponse {
  let header = NO_HEADER, succeeded = false;
  const responses: ResponseOperation[] = [];
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === HEADER_TAG) header = reader.message(readHeader);
    else if (tag === (2 << 3 | VARINT)) succeeded = reader.bool();
    else if (tag === (3 << 3 | LENGTH_DELIMITED)) responses.push(reader.message(readOperation));
    else reader.skip(tag);
  }
  return { header, succeeded, responses };
}

function readOperation(reader: ProtoReader): ResponseOperation {
  let operation: ResponseOperation = { kind: "none" };
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    switch (tag) {
      case 1 << 3 | LENGTH_DELIMITED:
        operation = { kind: "range", response: reader.message(readRangeResponse) };
        break;
      case 2 << 3 | LENGTH_DELIMITED:
        operation = { kind: "put", response: reader.message(readPutResponse) };
        break;
      case 3 << 3 | LENGTH_DELIMITED:
        operation = { kind: "delete-range", response: reader.message(readDeleteRangeResponse) };
        break;
      case 4 << 3 | LENGTH_DELIMITED:
        operation = { kind: "txn", response: reader.message(readTxnResponse) };
        break;
      default:
        reader.skip(tag);
    }
  }
  return operation;
}

/** Writes a `TxnResponse`. */
export function writeTxnResponse(writer: ProtoWriter, response: TxnResponse): void {
  for (let i = response.responses.length - 1; i >= 0; i--) {
    const end = writer.written;
    writeOperation(writer, response.responses[i]!);
    writer.message(3 << 3 | LENGTH_DELIMITED, end);
  }
  writer.bool(2 << 3 | VARINT, response.succeeded);
  writeHeader(writer, response.header);
}

function writeOperation(writer: ProtoWriter, operation: ResponseOperation): void {
  const end = writer.written;
  switch (operation.kind) {
    case "range":
      writeRangeResponse(writer, operation.response);
      writer.message(1 << 3 | LENGTH_DELIMITED, end);
      break;
    case "put":
      writePutResponse(writer, operation.response);
      writer.message(2 << 3 | LENGTH_DELIMITED, end);
      break;
    case "delete-range":
      writeDeleteRangeResponse(writer, operation.response);
      writer.message(3 << 3 | LENGTH_DELIMITED, end);
      break;
    case "txn":
      writeTxnResponse(writer, operation.response);
      writer.message(4 << 3 | LENGTH_DELIMITED, end);
      break;
    case "none":
      break;
  }
}

/** Reads a `Member`. @throws KvDecodeError */
export function readMember(reader: ProtoReader): Member {
  let id = 0n, name = "", isLearner = false;
  const peerUrls: string[] = [];
  const clientUrls: string[] = [];
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    switch (tag) {
      case 1 << 3 | VARINT:
        id = reader.unsigned();
        break;
      case 2 << 3 | LENGTH_DELIMITED:
        name = reader.string();
        break;
      case 3 << 3 | LENGTH_DELIMITED:
        peerUrls.push(reader.string());
        break;
      case 4 << 3 | LENGTH_DELIMITED:
        clientUrls.push(reader.string());
        break;
      case 5 << 3 | VARINT:
        isLearner = reader.bool();
        break;
      default:
        reader.skip(tag);
    }
  }
  return { id, name, peerUrls, clientUrls, isLearner };
}

/** Writes a `Member`. */
export function writeMember(writer: ProtoWriter, member: Member): void {
  writer.bool(5 << 3 | VARINT, member.isLearner);
  writeStrings(writer, 4 << 3 | LENGTH_DELIMITED, member.clientUrls);
  writeStrings(writer, 3 << 3 | LENGTH_DELIMITED, member.peerUrls);
  writer.string(2 << 3 | LENGTH_DELIMITED, member.name);
  writer.bigint(1 << 3 | VARINT, member.id);
}

const textEncoder = new TextEncoder();

function writeStrings(writer: ProtoWriter, tag: number, strings: readonly string[]): void {
  for (let i = strings.length - 1; i >= 0; i--) {
    writer.element(tag, textEncoder.encode(strings[i]!));
  }
}

/** Reads a `MemberListRequest`. @throws KvDecodeError */
export function readMemberListRequest(reader: ProtoReader): MemberListRequest {
  let linearizable = false;
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === (1 << 3 | VARINT)) linearizable = reader.bool();
    else reader.skip(tag);
  }
  return { linearizable };
}

/** Writes a `MemberListRequest`. */
export function writeMemberListRequest(writer: ProtoWriter, request: MemberListRequest): void {
  writer.bool(1 << 3 | VARINT, request.linearizable);
}

/** Reads a `MemberListResponse`. @throws KvDecodeError */
export function readMemberListResponse(reader: ProtoReader): MemberListResponse {
  let header = NO_HEADER;
  const members: Member[] = [];
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === HEADER_TAG) header = reader.message(readHeader);
    else if (tag === (2 << 3 | LENGTH_DELIMITED)) members.push(reader.message(readMember));
    else reader.skip(tag);
  }
  return { header, members };
}

/** Writes a `MemberListResponse`. */
export function writeMemberListResponse(writer: ProtoWriter, response: MemberListResponse): void {
  for (let i = response.members.length - 1; i >= 0; i--) {
    const end = writer.written;
    writeMember(writer, response.members[i]!);
    writer.message(2 << 3 | LENGTH_DELIMITED, end);
  }
  writeHeader(writer, response.header);
}

/** Reads a `StatusResponse`. @throws KvDecodeError */
export function readStatusResponse(reader: ProtoReader): StatusResponse {
  let header = NO_HEADER, version = "", leader = 0n, isLearner = false;
  let dbSizeBytes = 0, dbSizeInUseBytes = 0;
  let raftIndex = 0, raftTerm = 0, raftAppliedIndex = 0;
  const errors: string[] = [];
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    switch (tag) {
      case HEADER_TAG:
        header = reader.message(readHeader);
        break;
      case 2 << 3 | LENGTH_DELIMITED:
        version = reader.string();
        break;
      case 3 << 3 | VARINT:
        dbSizeBytes = reader.number();
        break;
      case 4 << 3 | VARINT:
        leader = reader.unsigned();
        break;
      case 5 << 3 | VARINT:
        raftIndex = reader.number();
        break;
      case 6 << 3 | VARINT:
        raftTerm = reader.number();
        break;
      case 7 << 3 | VARINT:
        raftAppliedIndex = reader.number();
        break;
      case 8 << 3 | LENGTH_DELIMITED:
        errors.push(reader.string());
        break;
      case 9 << 3 | VARINT:
        dbSizeInUseBytes = reader.number();
        break;
      case 10 << 3 | VARINT:
        isLearner = reader.bool();
        break;
      default:
        reader.skip(tag);
    }
  }
  return {
    header,
    version,
    dbSizeBytes,
    dbSizeInUseBytes,
    leader,
    raftIndex,
    raftTerm,
    raftAppliedIndex,
    errors,
    isLearner,
  };
}

/** Writes a `StatusResponse`. */
export function writeStatusResponse(writer: ProtoWriter, response: StatusResponse): void {
  writer.bool(10 << 3 | VARINT, response.isLearner);
  writer.number(9 << 3 | VARINT, response.dbSizeInUseBytes);
  writeStrings(writer, 8 << 3 | LENGTH_DELIMITED, response.errors);
  writer.number(7 << 3 | VARINT, response.raftAppliedIndex);
  writer.number(6 << 3 | VARINT, response.raftTerm);
  writer.number(5 << 3 | VARINT, response.raftIndex);
  writer.bigint(4 << 3 | VARINT, response.leader);
  writer.number(3 << 3 | VARINT, response.dbSizeBytes);
  writer.string(2 << 3 | LENGTH_DELIMITED, response.version);
  writeHeader(writer, response.header);
}
