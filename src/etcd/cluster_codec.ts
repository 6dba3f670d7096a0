/**
 * The messages of `cluster_messages.ts` as protobuf (`proto/etcd/rpc.proto`), both ways.
 *
 * @module
 */

import { LENGTH_DELIMITED, type ProtoReader, type ProtoWriter, VARINT } from "../kv/mod.ts";
import type {
  MemberAddRequest,
  MemberAddResponse,
  MemberChangeResponse,
  MemberIdRequest,
  MemberUpdateRequest,
} from "./cluster_messages.ts";
import {
  NO_HEADER,
  readHeader,
  readMember,
  readMemberListResponse,
  writeHeader,
  writeMember,
  writeMemberListResponse,
} from "./codec.ts";
import type { Member } from "./messages.ts";

const REPLACES_TAG = 1001 << 3 | VARINT;
const NO_MEMBER: Member = { id: 0n, name: "", peerUrls: [], clientUrls: [], isLearner: false };
const textEncoder = new TextEncoder();

/** Reads a `MemberAddRequest`. @throws KvDecodeError */
export function readMemberAddRequest(reader: ProtoReader): MemberAddRequest {
  const peerUrls: string[] = [];
  let isLearner = false, replaces = 0n;
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === (1 << 3 | LENGTH_DELIMITED)) peerUrls.push(reader.string());
    else if (tag === (2 << 3 | VARINT)) isLearner = reader.bool();
    else if (tag === REPLACES_TAG) replaces = reader.unsigned();
    else reader.skip(tag);
  }
  return { peerUrls, isLearner, replaces };
}

/** Writes a `MemberAddRequest`. */
export function writeMemberAddRequest(writer: ProtoWriter, request: MemberAddRequest): void {
  writer.bigint(REPLACES_TAG, request.replaces);
  writer.bool(2 << 3 | VARINT, request.isLearner);
  writeUrls(writer, 1 << 3 | LENGTH_DELIMITED, request.peerUrls);
}

/** Reads a `MemberAddResponse`. @throws KvDecodeError */
export function readMemberAddResponse(reader: ProtoReader): MemberAddResponse {
  let header = NO_HEADER, member = NO_MEMBER;
  const members: Member[] = [];
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === (1 << 3 | LENGTH_DELIMITED)) header = reader.message(readHeader);
    else if (tag === (2 << 3 | LENGTH_DELIMITED)) member = reader.message(readMember);
    else if (tag === (3 << 3 | LENGTH_DELIMITED)) members.push(reader.message(readMember));
    else reader.skip(tag);
  }
  return { header, member, members };
}

/** Writes a `MemberAddResponse`. */
export function writeMemberAddResponse(writer: ProtoWriter, response: MemberAddResponse): void {
  for (const member of [...response.members].reverse()) {
    writeNested(writer, 3 << 3 | LENGTH_DELIMITED, member);
  }
  writeNested(writer, 2 << 3 | LENGTH_DELIMITED, response.member);
  writeHeader(writer, response.header);
}

/** Reads a `MemberRemoveRequest` or a `MemberPromoteRequest`. @throws KvDecodeError */
export function readMemberIdRequest(reader: ProtoReader): MemberIdRequest {
  let id = 0n;
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === (1 << 3 | VARINT)) id = reader.unsigned();
    else reader.skip(tag);
  }
  return { id };
}

/** Writes a `MemberRemoveRequest` or a `MemberPromoteRequest`. */
export function writeMemberIdRequest(writer: ProtoWriter, { id }: MemberIdRequest): void {
  writer.bigint(1 << 3 | VARINT, id);
}

/** Reads a `MemberUpdateRequest`. @throws KvDecodeError */
export function readMemberUpdateRequest(reader: ProtoReader): MemberUpdateRequest {
  let id = 0n;
  const peerUrls: string[] = [];
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === (1 << 3 | VARINT)) id = reader.unsigned();
    else if (tag === (2 << 3 | LENGTH_DELIMITED)) peerUrls.push(reader.string());
    else reader.skip(tag);
  }
  return { id, peerUrls };
}

/** Writes a `MemberUpdateRequest`. */
export function writeMemberUpdateRequest(writer: ProtoWriter, request: MemberUpdateRequest): void {
  writeUrls(writer, 2 << 3 | LENGTH_DELIMITED, request.peerUrls);
  writer.bigint(1 << 3 | VARINT, request.id);
}

/** Reads the response to a removal, a promotion or an update: all are alike. @throws KvDecodeError */
export function readMemberChangeResponse(reader: ProtoReader): MemberChangeResponse {
  return readMemberListResponse(reader);
}

/** Writes the response to a removal, a promotion or an update: all are alike. */
export function writeMemberChangeResponse(
  writer: ProtoWriter,
  response: MemberChangeResponse,
): void {
  writeMemberListResponse(writer, response);
}

function writeNested(writer: ProtoWriter, tag: number, member: Member): void {
  const end = writer.written;
  writeMember(writer, member);
  writer.message(tag, end);
}

function writeUrls(writer: ProtoWriter, tag: number, urls: readonly string[]): void {
  for (const url of [...urls].reverse()) writer.element(tag, textEncoder.encode(url));
}
