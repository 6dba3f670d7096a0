import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  type Compare,
  decodeCommand,
  encodeDeleteRangeCommand,
  encodePutCommand,
  encodeTxnCommand,
  KvDecodeError,
  ProtoReader,
  ProtoWriter,
  putRequest,
  readCompare,
  readDeleteRangeRequest,
  readKeyValue,
  readPutRequest,
  readRangeRequest,
  readTxnRequest,
  TXN_DEPTH_MAX,
  type TxnOperation,
  type TxnRequest,
  writeCompare,
  writeDeleteRangeRequest,
  writeKeyValue,
  writePutRequest,
  writeRangeRequest,
  writeTxnRequest,
} from "../../src/kv/mod.ts";
import {
  compares,
  deleteRangeRequests,
  keyValues,
  putRequests,
  rangeRequests,
  txnRequests,
} from "./arbitraries.ts";
import { checkCodec, normalize, reflect } from "./reflection.ts";
import { bytes } from "./support.ts";

test("KeyValue is encoded as the .proto says", () =>
  checkCodec({
    name: "mvccpb.KeyValue",
    arbitrary: keyValues,
    write: writeKeyValue,
    read: readKeyValue,
  }));

test("RangeRequest is encoded as the .proto says", () =>
  checkCodec({
    name: "etcdserverpb.RangeRequest",
    arbitrary: rangeRequests,
    write: writeRangeRequest,
    read: readRangeRequest,
  }));

test("PutRequest is encoded as the .proto says", () =>
  checkCodec({
    name: "etcdserverpb.PutRequest",
    arbitrary: putRequests,
    write: writePutRequest,
    read: readPutRequest,
  }));

test("DeleteRangeRequest is encoded as the .proto says", () =>
  checkCodec({
    name: "etcdserverpb.DeleteRangeRequest",
    arbitrary: deleteRangeRequests,
    write: writeDeleteRangeRequest,
    read: readDeleteRangeRequest,
  }));

const OPERAND_FIELDS = ["version", "createRevision", "modRevision", "value", "lease"];

/** proto3 leaves out an operand of 0; it then reads as absent, which means the same. */
function isDefault(operand: number | bigint | Uint8Array): boolean {
  return operand === 0 || operand === 0n || operand instanceof Uint8Array && operand.length === 0;
}

function compareToProto({ operand, ...rest }: Compare): unknown {
  return isDefault(operand) ? rest : { ...rest, [OPERAND_FIELDS[rest.target]!]: operand };
}

const OPERATION_FIELDS = {
  range: "requestRange",
  put: "requestPut",
  "delete-range": "requestDeleteRange",
  txn: "requestTxn",
};

function operationToProto(operation: TxnOperation): unknown {
  if (operation.kind === "none") return {};
  const request = operation.kind === "txn" ? txnToProto(operation.request) : operation.request;
  return { [OPERATION_FIELDS[operation.kind]]: request };
}

function txnToProto(request: TxnRequest): unknown {
  return {
    compare: request.compare.map(compareToProto),
    success: request.success.map(operationToProto),
    failure: request.failure.map(operationToProto),
  };
}

test("Compare is encoded as the .proto says", () =>
  checkCodec({
    name: "etcdserverpb.Compare",
    arbitrary: compares,
    write: writeCompare,
    read: readCompare,
    toProto: compareToProto,
  }));

test("TxnRequest is encoded as the .proto says, nested ones included", () =>
  checkCodec({
    name: "etcdserverpb.TxnRequest",
    arbitrary: txnRequests,
    write: writeTxnRequest,
    read: (reader) => readTxnRequest(reader),
    toProto: txnToProto,
  }));

test("a command is its request in a versioned envelope", () => {
  const type = reflect("flaredb.kv.Command");
  const check = (command: Uint8Array, field: string, request: unknown) => {
    const envelope = type.toObject(type.decode(command), { defaults: true, arrays: true });
    assert.deepEqual(normalize(envelope), normalize({ version: 1, [field]: request }));
  };
  fc.assert(fc.property(putRequests, deleteRangeRequests, txnRequests, (put, deletion, txn) => {
    const commands = [
      [encodePutCommand(put), "put", { kind: "put", request: put }],
      [encodeDeleteRangeCommand(deletion), "deleteRange", {
        kind: "delete-range",
        request: deletion,
      }],
      [encodeTxnCommand(txn), "txn", { kind: "txn", request: txn }],
    ] as const;
    for (const [command, field, expected] of commands) {
      assert.deepEqual(decodeCommand(command), expected);
      const { request } = expected;
      check(command, field, expected.kind === "txn" ? txnToProto(expected.request) : request);
    }
  }));
});

test("no bytes make a decoder throw anything but its own error", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (garbage) => {
      decodeCommand(garbage);
      for (const read of [readRangeRequest, readPutRequest, readTxnRequest, readKeyValue]) {
        try {
          (read as (reader: ProtoReader) => unknown)(new ProtoReader(garbage));
        } catch (error) {
          assert.ok(error instanceof KvDecodeError, String(error));
        }
      }
    }),
    { numRuns: 2_000 },
  );
});

test("a message cut anywhere is refused or reads as a shorter message, never past its end", () => {
  fc.assert(fc.property(putRequests, (request) => {
    const command = encodePutCommand(request);
    for (let length = 0; length < Math.min(command.length, 200); length++) {
      const decoded = decodeCommand(command.subarray(0, length));
      assert.equal(decoded.kind, "refused");
    }
  }));
});

test("fields that are not known are passed over, whatever their wire type", () => {
  const writer = new ProtoWriter();
  const known = putRequest({ key: bytes("a"), value: bytes("b") });
  writePutRequest(writer, known);
  const unknown = [
    [15 << 3 | 0, 0xff, 0x01],
    [15 << 3 | 1, 1, 2, 3, 4, 5, 6, 7, 8],
    [15 << 3 | 2, 2, 9, 9],
    [15 << 3 | 5, 1, 2, 3, 4],
    [1 << 3 | 0, 7],
  ].flat();
  const message = Uint8Array.from([...unknown, ...writer.finish(), ...unknown]);
  assert.deepEqual(readPutRequest(new ProtoReader(message)), known);
});

test("a number beyond 2^53-1 is refused where it must be exact", () => {
  const type = reflect("mvccpb.KeyValue");
  const message = type.encode(type.fromObject({ modRevision: "9007199254740992" })).finish();
  assert.throws(() => readKeyValue(new ProtoReader(message)), {
    code: "KV_DECODE",
    message: /9007199254740992 is not a safe integer/,
  });
});

test("a limit or revision beyond 2^53-1 counts as the greatest there is", () => {
  const type = reflect("etcdserverpb.RangeRequest");
  const message = type.encode(type.fromObject({
    limit: "9223372036854775807",
    maxModRevision: "9223372036854775807",
    revision: "-9223372036854775808",
  })).finish();
  const request = readRangeRequest(new ProtoReader(message));
  assert.equal(request.limit, Number.MAX_SAFE_INTEGER);
  assert.equal(request.maxModRevision, Number.MAX_SAFE_INTEGER);
  assert.equal(request.revision, Number.MIN_SAFE_INTEGER);
});

test("a number that is no safe integer cannot be written, and leaves the writer usable", () => {
  const writer = new ProtoWriter();
  for (const value of [0.5, Number.NaN, 2 ** 53, Number.POSITIVE_INFINITY]) {
    assert.throws(() => writer.number(1 << 3, value), { code: "KV_ENCODE" });
  }
  assert.throws(() => writer.bigint(1 << 3, 2n ** 64n), { code: "KV_ENCODE" });
  assert.equal(writer.written, 0);
});

test("a comparison whose operand does not belong to its target is refused or counts as absent", () => {
  const compare = { result: 0, target: 3, key: bytes("a"), rangeEnd: bytes(""), operand: 5 };
  assert.throws(() => writeCompare(new ProtoWriter(), compare), { code: "KV_ENCODE" });
  const type = reflect("etcdserverpb.Compare");
  const message = type.encode(type.fromObject({ target: 3, version: 5 })).finish();
  assert.deepEqual(readCompare(new ProtoReader(message)).operand, bytes(""));
});

test("transactions nested too deep are refused", () => {
  let request: TxnRequest = { compare: [], success: [], failure: [] };
  for (let depth = 1; depth < TXN_DEPTH_MAX; depth++) {
    request = { compare: [], success: [{ kind: "txn", request }], failure: [] };
  }
  assert.equal(decodeCommand(encodeTxnCommand(request)).kind, "txn");
  const deeper = encodeTxnCommand({
    compare: [],
    success: [{ kind: "txn", request }],
    failure: [],
  });
  assert.deepEqual(decodeCommand(deeper), {
    kind: "refused",
    reason: "malformed-command",
    message: "Cannot decode transaction: nested deeper than 16",
  });
});
