/**
 * The methods that a client calls, with the codecs of their messages.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import {
  ProtoReader,
  ProtoWriter,
  writeDeleteRangeRequest,
  writePutRequest,
  writeRangeRequest,
  writeTxnRequest,
} from "../kv/mod.ts";
import {
  readMemberAddResponse,
  readMemberChangeResponse,
  writeMemberAddRequest,
  writeMemberIdRequest,
  writeMemberUpdateRequest,
} from "./cluster_codec.ts";
import {
  readDeleteRangeResponse,
  readMemberListResponse,
  readPutResponse,
  readRangeResponse,
  readStatusResponse,
  readTxnResponse,
  writeMemberListRequest,
} from "./codec.ts";
import { COUNTERS_PATH, readCounters } from "./counters.ts";
import type { MemberListRequest, MemberListResponse } from "./messages.ts";
import {
  type Positioned,
  readSessionId,
  sessionPath,
  writePositioned,
  writeSessionId,
  writeSessionTimeout,
} from "./session_codec.ts";

/** A method of a server, as a client calls it. */
export interface Method<Request, Response> {
  readonly path: string;
  /** Whether it may change something. */
  readonly write: boolean;
  readonly serialize: (request: Request) => Buffer;
  readonly deserialize: (bytes: Buffer) => Response;
}

function method<Request, Response>(
  path: string,
  write: boolean,
  encode: (writer: ProtoWriter, request: Request) => void,
  decode: (reader: ProtoReader) => Response,
): Method<Request, Response> {
  const writer = new ProtoWriter();
  return {
    path,
    write,
    serialize: (request) => {
      encode(writer, request);
      const bytes = writer.finish();
      return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    },
    deserialize: (bytes) => decode(new ProtoReader(bytes)),
  };
}

function positioned<Request, Response>(
  path: string,
  encode: (writer: ProtoWriter, request: Request) => void,
  decode: (reader: ProtoReader) => Response,
): Method<Positioned<Request>, Response> {
  const write = (writer: ProtoWriter, request: Positioned<Request>): void =>
    writePositioned(writer, request, encode);
  return method(path, true, write, decode);
}

const memberChange = (name: string) =>
  method(`/etcdserverpb.Cluster/${name}`, true, writeMemberIdRequest, readMemberChangeResponse);

/** The methods of etcd's API, of `flaredb.v1.Sessions`, and of the counters. */
export const METHODS = {
  range: method("/etcdserverpb.KV/Range", false, writeRangeRequest, readRangeResponse),
  put: method("/etcdserverpb.KV/Put", true, writePutRequest, readPutResponse),
  deleteRange: method(
    "/etcdserverpb.KV/DeleteRange",
    true,
    writeDeleteRangeRequest,
    readDeleteRangeResponse,
  ),
  txn: method("/etcdserverpb.KV/Txn", true, writeTxnRequest, readTxnResponse),
  status: method("/etcdserverpb.Maintenance/Status", false, () => {}, readStatusResponse),
  moveLeader: method(
    "/etcdserverpb.Maintenance/MoveLeader",
    true,
    writeMemberIdRequest,
    readMemberChangeResponse,
  ),
  memberList: method<MemberListRequest, MemberListResponse>(
    "/etcdserverpb.Cluster/MemberList",
    false,
    writeMemberListRequest,
    readMemberListResponse,
  ),
  memberAdd: method(
    "/etcdserverpb.Cluster/MemberAdd",
    true,
    writeMemberAddRequest,
    readMemberAddResponse,
  ),
  memberUpdate: method(
    "/etcdserverpb.Cluster/MemberUpdate",
    true,
    writeMemberUpdateRequest,
    readMemberChangeResponse,
  ),
  memberPromote: memberChange("MemberPromote"),
  memberRemove: memberChange("MemberRemove"),
  counters: method(COUNTERS_PATH, false, () => {}, readCounters),
  sessionOpen: method(sessionPath("Open"), false, writeSessionTimeout, readSessionId),
  sessionClose: method(sessionPath("Close"), false, writeSessionId, () => undefined),
  sessionPut: positioned(sessionPath("Put"), writePutRequest, readPutResponse),
  sessionDeleteRange: positioned(
    sessionPath("DeleteRange"),
    writeDeleteRangeRequest,
    readDeleteRangeResponse,
  ),
  sessionTxn: positioned(sessionPath("Txn"), writeTxnRequest, readTxnResponse),
} as const;
