/** The bytes of configuration changes, and the sizes of entries, against protobufjs and the .proto file. */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { test } from "node:test";
import fc from "fast-check";
import protobuf from "protobufjs";
import {
  type ConfChange,
  ConfChangeError,
  type ConfChangeSingle,
  type ConfChangeType,
  type ConfChangeV2,
  createEntry,
  decodeConfChange,
  encodeConfChange,
  encodeConfChangeV2,
  entriesSize,
  entrySize,
  isConfChangeV2,
  PEER_ID_MAX,
  type RaftLogEntry,
  toConfChangeV2,
} from "../../src/raft/mod.ts";
import { bytes } from "./network.ts";

const root = protobuf.loadSync(
  fileURLToPath(new URL("../../proto/eraftpb.proto", import.meta.url)),
);
const Entry = root.lookupType("eraftpb.Entry");
const ConfChangeMessage = root.lookupType("eraftpb.ConfChange");
const ConfChangeV2Message = root.lookupType("eraftpb.ConfChangeV2");

const CHANGE_TYPES: readonly ConfChangeType[] = ["add-node", "remove-node", "add-learner"];
const TRANSITIONS = ["auto", "joint-implicit", "joint-explicit"] as const;

const integer = fc.oneof(
  fc.integer({ min: 0, max: 300 }),
  fc.maxSafeNat(),
  // The edges between lengths of the encoding.
  fc.constantFrom(...[7, 14, 21, 28, 35, 42, 49].flatMap((bits) => [2 ** bits - 1, 2 ** bits])),
);
const peerId = integer.map((id) => Math.min(id, PEER_ID_MAX));
const someBytes = fc.uint8Array({ maxLength: 300 });
const context = fc.option(fc.uint8Array({ minLength: 1, maxLength: 300 }), { nil: undefined });
const type = fc.constantFrom(...CHANGE_TYPES);
const plainObject = { noNullPrototype: true };
const change: fc.Arbitrary<ConfChange> = fc.record({ type, peerId, context }, plainObject);
const changeV2: fc.Arbitrary<ConfChangeV2> = fc.record({
  transition: fc.constantFrom(...TRANSITIONS),
  changes: fc.array(fc.record({ type, peerId }, plainObject), { maxLength: 6 }),
  context,
}, plainObject);
const entry: fc.Arbitrary<RaftLogEntry> = fc.record({
  index: integer,
  term: integer,
  type: fc.constantFrom("normal" as const, "conf-change" as const, "conf-change-v2" as const),
  command: someBytes,
  context: fc.option(someBytes, { nil: undefined }),
});

/** protobufjs wants a Long, or its parts, for what does not fit 32 bits. */
const long = (value: number) => protobuf.util.LongBits.fromNumber(value).toLong(true);
const singleFields = (single: ConfChangeSingle) => ({
  ...(single.type === "add-node" ? {} : { changeType: CHANGE_TYPES.indexOf(single.type) }),
  ...(single.peerId === 0 ? {} : { nodeId: long(single.peerId) }),
});
const contextFields = (data: Uint8Array | undefined) =>
  data === undefined || data.length === 0 ? {} : { context: data };
const plain = (data: Uint8Array) => [...data];

test("a change of one peer is encoded as protobufjs does, and read back", () => {
  fc.assert(
    fc.property(change, (what) => {
      const encoded = encodeConfChange(what);
      const expected = ConfChangeMessage.encode({
        ...singleFields(what),
        ...contextFields(what.context),
      }).finish();
      assert.deepEqual(plain(encoded), plain(expected));
      assert.deepEqual(decodeConfChange("conf-change", encoded), what);
    }),
    { numRuns: 500 },
  );
});

test("a change of many peers is encoded as protobufjs does, and read back", () => {
  fc.assert(
    fc.property(changeV2, (what) => {
      const encoded = encodeConfChangeV2(what);
      const transition = TRANSITIONS.indexOf(what.transition);
      const expected = ConfChangeV2Message.encode({
        ...(transition === 0 ? {} : { transition }),
        changes: what.changes.map(singleFields),
        ...contextFields(what.context),
      }).finish();
      assert.deepEqual(plain(encoded), plain(expected));
      assert.deepEqual(decodeConfChange("conf-change-v2", encoded), what);
    }),
    { numRuns: 500 },
  );
});

test("any bytes decode to a change or are refused with a typed error", () => {
  fc.assert(
    fc.property(someBytes, fc.boolean(), (data, v2) => {
      try {
        decodeConfChange(v2 ? "conf-change-v2" : "conf-change", data);
      } catch (error) {
        assert.ok(error instanceof ConfChangeError, String(error));
      }
    }),
    { numRuns: 2000 },
  );
});

test("cut and changed encodings decode or are refused with a typed error", () => {
  fc.assert(
    fc.property(changeV2, fc.nat(), fc.nat(255), fc.nat(), (what, at, value, length) => {
      const data = encodeConfChangeV2(what).slice();
      if (data.length > 0) data[at % data.length] = value;
      try {
        decodeConfChange("conf-change-v2", data.subarray(0, length % (data.length + 1)));
      } catch (error) {
        assert.ok(error instanceof ConfChangeError, String(error));
      }
    }),
    { numRuns: 1000 },
  );
});

test("the empty change takes no bytes, and no bytes are the empty change", () => {
  const empty: ConfChangeV2 = { transition: "auto", changes: [], context: undefined };
  assert.equal(encodeConfChangeV2(empty).length, 0);
  assert.deepEqual(decodeConfChange("conf-change-v2", new Uint8Array(0)), empty);
});

test("unknown fields of every wire type are skipped", () => {
  // Fields 9 to 12: a varint, 8 bytes, a length of 2, 4 bytes; then node_id 7.
  const data = [0x48, 0x81, 0x01, 0x51, ...Array(8).fill(1), 0x5a, 2, 1, 1, 0x65, 1, 1, 1, 1];
  const decoded = decodeConfChange("conf-change", Uint8Array.from([...data, 0x18, 7]));
  assert.deepEqual(decoded, { type: "add-node", peerId: 7, context: undefined });
});

test("a field of the wrong wire type is unknown", () => {
  const decoded = decodeConfChange("conf-change", Uint8Array.from([0x1a, 1, 9, 0x18, 7]));
  assert.deepEqual(decoded, { type: "add-node", peerId: 7, context: undefined });
});

test("malformed bytes are refused, and the reason says how", () => {
  const tooLong = [0x18, ...Array(10).fill(0x80), 1];
  const cases: [number[], RegExp][] = [
    [[0x18], /truncated number/],
    [[0x18, 0x80], /truncated number/],
    [tooLong, /more than ten bytes/],
    [[0x48, ...Array(11).fill(0x80)], /more than ten bytes/],
    [[0x48, 0x80], /truncated field/],
    [[0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], /beyond 2\^53-1/],
    [[0x22, 5, 1], /truncated field/],
    [[0x51, 1], /truncated field/],
    [[0x65, 1], /truncated field/],
    [[0x00, 1], /field number 0/],
    [[0x4b], /wire type 3/],
    [[0x10, 3], /unexpected conf type 3/],
  ];
  for (const [data, why] of cases) {
    assert.throws(
      () => decodeConfChange("conf-change", Uint8Array.from(data)),
      (error: unknown) => error instanceof ConfChangeError && why.test(error.message),
      String(why),
    );
  }
  assert.throws(() => decodeConfChange("conf-change-v2", Uint8Array.from([8, 3])), /transition 3/);
  assert.throws(
    () => decodeConfChange("normal", new Uint8Array(0)),
    /entry of type normal/,
  );
});

test("a peer id that belongs to a storage thread is refused both ways", () => {
  const id = PEER_ID_MAX + 1;
  assert.throws(
    () => encodeConfChange({ type: "add-node", peerId: id, context: undefined }),
    ConfChangeError,
  );
  const encoded = ConfChangeMessage.encode({ nodeId: long(id) }).finish();
  assert.throws(() => decodeConfChange("conf-change", encoded), ConfChangeError);
});

test("what has no number in eraftpb cannot be encoded", () => {
  const context = undefined;
  assert.throws(
    () => encodeConfChange({ type: "update-node", peerId: 1, context }),
    ConfChangeError,
  );
  assert.throws(
    () =>
      encodeConfChangeV2({
        transition: "auto",
        changes: [{ type: "update-node", peerId: 1 }],
        context,
      }),
    ConfChangeError,
  );
  assert.throws(
    () => encodeConfChangeV2({ transition: "never" as "auto", changes: [], context }),
    ConfChangeError,
  );
});

test("the decoded context is a copy of its own", () => {
  const data = encodeConfChange({ type: "add-node", peerId: 1, context: bytes("abc") });
  const decoded = decodeConfChange("conf-change", data);
  data.fill(0);
  assert.deepEqual(decoded.context, bytes("abc"));
});

test("a change of one peer is a change of the general kind that uses no joint configuration", () => {
  const one: ConfChange = { type: "add-learner", peerId: 3, context: bytes("c") };
  const general = toConfChangeV2(one);
  assert.equal(isConfChangeV2(one), false);
  assert.equal(isConfChangeV2(general), true);
  assert.deepEqual(general, {
    transition: "auto",
    changes: [{ type: "add-learner", peerId: 3 }],
    context: bytes("c"),
  });
  assert.equal(toConfChangeV2(general), general);
});

test("the size of an entry is that of its encoding", () => {
  fc.assert(
    fc.property(entry, (what) => {
      const number = ["normal", "conf-change", "conf-change-v2"].indexOf(what.type);
      const encoded = Entry.encode({
        ...(number === 0 ? {} : { entryType: number }),
        ...(what.term === 0 ? {} : { term: long(what.term) }),
        ...(what.index === 0 ? {} : { index: long(what.index) }),
        ...(what.command.length === 0 ? {} : { data: what.command }),
        ...contextFields(what.context),
      }).finish();
      assert.equal(entrySize(what), encoded.length);
    }),
    { numRuns: 500 },
  );
  const two = [createEntry({ index: 1, term: 1 }), createEntry({ index: 2, command: bytes("x") })];
  assert.equal(entriesSize(two), entrySize(two[0]) + entrySize(two[1]));
});
