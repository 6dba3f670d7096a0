import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  ETCD_SERVICES,
  type Member,
  readDeleteRangeResponse,
  readHeader,
  readMember,
  readMemberListRequest,
  readMemberListResponse,
  readPutResponse,
  readRangeResponse,
  readStatusResponse,
  readTxnResponse,
  type ResponseHeader,
  type ResponseOperation,
  type TxnResponse,
  writeDeleteRangeResponse,
  writeMember,
  writeMemberListRequest,
  writeMemberListResponse,
  writePutResponse,
  writeRangeResponse,
  writeStatusResponse,
  writeTxnResponse,
} from "../../src/etcd/mod.ts";
import { ProtoReader } from "../../src/kv/mod.ts";
import { keyValues } from "../kv/arbitraries.ts";
import {
  checkCodec,
  record,
  reflect,
  reflectServices,
  someIds,
  someNumbers,
} from "../kv/reflection.ts";

const headers: fc.Arbitrary<ResponseHeader> = record({
  clusterId: someIds,
  memberId: someIds,
  revision: someNumbers,
  raftTerm: someNumbers,
});
const pairs = fc.array(keyValues, { maxLength: 4 });
const strings = fc.array(fc.string({ unit: "grapheme" }), { maxLength: 3 });

const rangeResponses = record({
  header: headers,
  kvs: pairs,
  more: fc.boolean(),
  count: someNumbers,
});
const putResponses = record({
  header: headers,
  prevKv: fc.option(keyValues, { nil: undefined }),
});
const deleteRangeResponses = record({
  header: headers,
  deleted: someNumbers,
  prevKvs: pairs,
});
const members: fc.Arbitrary<Member> = record({
  id: someIds,
  name: fc.string({ unit: "grapheme" }),
  peerUrls: strings,
  clientUrls: strings,
  isLearner: fc.boolean(),
});

test("RangeResponse is encoded as the .proto says", () =>
  checkCodec({
    name: "etcdserverpb.RangeResponse",
    arbitrary: rangeResponses,
    write: writeRangeResponse,
    read: readRangeResponse,
  }));

test("PutResponse is encoded as the .proto says", () =>
  checkCodec({
    name: "etcdserverpb.PutResponse",
    arbitrary: putResponses,
    write: writePutResponse,
    read: readPutResponse,
  }));

test("DeleteRangeResponse is encoded as the .proto says", () =>
  checkCodec({
    name: "etcdserverpb.DeleteRangeResponse",
    arbitrary: deleteRangeResponses,
    write: writeDeleteRangeResponse,
    read: readDeleteRangeResponse,
  }));

const { txn } = fc.letrec<{ txn: TxnResponse; operation: ResponseOperation }>((tie) => ({
  operation: fc.oneof(
    { maxDepth: 2 },
    fc.constant({ kind: "none" as const }),
    record({ kind: fc.constant("range" as const), response: rangeResponses }),
    record({ kind: fc.constant("put" as const), response: putResponses }),
    record({ kind: fc.constant("delete-range" as const), response: deleteRangeResponses }),
    record({ kind: fc.constant("txn" as const), response: tie("txn") }),
  ) as fc.Arbitrary<ResponseOperation>,
  txn: record({
    header: headers,
    succeeded: fc.boolean(),
    responses: fc.array(tie("operation"), { maxLength: 3 }),
  }),
}));

const OPERATION_FIELDS = {
  range: "responseRange",
  put: "responsePut",
  "delete-range": "responseDeleteRange",
  txn: "responseTxn",
};

function txnToProto(response: TxnResponse): unknown {
  const responses = response.responses.map((operation) => {
    if (operation.kind === "none") return {};
    const { kind } = operation;
    const inner = kind === "txn" ? txnToProto(operation.response) : operation.response;
    return { [OPERATION_FIELDS[kind]]: inner };
  });
  return { ...response, responses };
}

test("TxnResponse is encoded as the .proto says", () =>
  checkCodec({
    name: "etcdserverpb.TxnResponse",
    arbitrary: txn,
    write: writeTxnResponse,
    read: readTxnResponse,
    toProto: txnToProto,
  }));

function memberToProto(member: Member): unknown {
  const { id, peerUrls, clientUrls, name, isLearner } = member;
  return { ID: id, name, peerURLs: peerUrls, clientURLs: clientUrls, isLearner };
}

test("Member is encoded as the .proto says", () =>
  checkCodec({
    name: "etcdserverpb.Member",
    arbitrary: members,
    write: writeMember,
    read: readMember,
    toProto: memberToProto,
  }));

test("MemberListRequest and MemberListResponse are encoded as the .proto says", () => {
  checkCodec({
    name: "etcdserverpb.MemberListRequest",
    arbitrary: record({ linearizable: fc.boolean() }),
    write: writeMemberListRequest,
    read: readMemberListRequest,
  });
  checkCodec({
    name: "etcdserverpb.MemberListResponse",
    arbitrary: record({ header: headers, members: fc.array(members, { maxLength: 4 }) }),
    write: writeMemberListResponse,
    read: readMemberListResponse,
    toProto: (response) => ({ ...response, members: response.members.map(memberToProto) }),
  });
});

test("StatusResponse is encoded as the .proto says", () =>
  checkCodec({
    name: "etcdserverpb.StatusResponse",
    arbitrary: record({
      header: headers,
      version: fc.string({ unit: "grapheme" }),
      dbSizeBytes: someNumbers,
      dbSizeInUseBytes: someNumbers,
      leader: someIds,
      raftIndex: someNumbers,
      raftTerm: someNumbers,
      raftAppliedIndex: someNumbers,
      errors: strings,
      isLearner: fc.boolean(),
    }),
    write: writeStatusResponse,
    read: readStatusResponse,
    toProto: ({ dbSizeBytes, dbSizeInUseBytes, ...rest }) => ({
      ...rest,
      dbSize: dbSizeBytes,
      dbSizeInUse: dbSizeInUseBytes,
      storageVersion: "",
      dbSizeQuota: 0,
      downgradeInfo: undefined,
    }),
  }));

test("a response without a header reads as one from nobody", () => {
  const header = { clusterId: 0n, memberId: 0n, revision: 0, raftTerm: 0 };
  assert.deepEqual(readPutResponse(new ProtoReader(new Uint8Array(0))).header, header);
  assert.deepEqual(readHeader(new ProtoReader(new Uint8Array(0))), header);
});

test("the services that are registered are those of the .proto, with the same streams", () => {
  const declared = reflectServices().map(([service, methods]) => [
    service,
    methods.map(([name, requestStream, responseStream]) => [
      name,
      requestStream && responseStream
        ? "both-stream"
        : requestStream
        ? "client-stream"
        : responseStream
        ? "server-stream"
        : "unary",
    ]),
  ]);
  const registered = Object.entries(ETCD_SERVICES).map(([service, methods]) => [
    service,
    Object.entries(methods),
  ]);
  assert.deepEqual(registered, declared);
  assert.equal(reflect("etcdserverpb.WatchResponse").fields.events!.id, 11);
});
