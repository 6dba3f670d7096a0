import { test } from "node:test";
import assert from "node:assert/strict";
import fc from "fast-check";
import protobuf from "protobufjs/minimal.js";
import { createConfState, createEntry, createMessage } from "../../src/raft/mod.ts";
import type { Message } from "../../src/raft/mod.ts";
import {
  decodeConfState,
  decodeEntry,
  decodeFrame,
  decodeHardState,
  decodeHello,
  decodeMessage,
  decodeReply,
  decodeSnapshot,
  encodeFrame,
  encodeHello,
  encodeMessage,
  encodeSnapshot,
  REFUSED_PER_FRAME_MAX,
  WireError,
} from "../../src/wire/mod.ts";
import { encodeBySchema, LOCAL_KINDS, message, record, schema } from "./support.ts";

const { Writer } = protobuf;

function refuses(run: () => unknown, code: string, field: string, text?: RegExp): void {
  assert.throws(run, (error) => {
    assert.ok(error instanceof WireError, String(error));
    assert.equal(error.code, code, error.message);
    assert.equal(error.field, field);
    if (text !== undefined) assert.match(error.message, text);
    return true;
  });
}

/** The bytes of a message with one varint field, written without any check. */
function withField(number: number, value: string | number): Uint8Array {
  return Writer.create().uint32(8).uint32(8).uint32(number << 3).uint64(value as number).finish();
}

test("a message of a kind that never leaves its process is not encoded", () => {
  for (const type of LOCAL_KINDS) {
    refuses(() => encodeMessage(createMessage({ type })), "WIRE_LOCAL_TYPE", "Message.msg_type");
  }
});

test("a message of a local kind is refused when it is decoded", () => {
  for (const number of [0, 1, 10, 11, 12]) {
    const bytes = Uint8Array.of(0x08, number, 0x10, 2);
    refuses(() => decodeMessage(bytes), "WIRE_LOCAL_TYPE", "Message.msg_type");
  }
  refuses(() => decodeMessage(new Uint8Array(0)), "WIRE_LOCAL_TYPE", "Message.msg_type");
});

test("a message of an unknown type is refused by its number", () => {
  refuses(
    () => decodeMessage(Uint8Array.of(0x08, 19)),
    "WIRE_UNKNOWN_TYPE",
    "Message.msg_type",
    /found 19/,
  );
  const negative = Writer.create().uint32(8).int32(-1).finish();
  refuses(() => decodeMessage(negative), "WIRE_UNKNOWN_TYPE", "Message.msg_type");
  refuses(() => decodeEntry(Uint8Array.of(0x08, 3)), "WIRE_UNKNOWN_TYPE", "Entry.entry_type");
});

test("what exists in memory only is not encoded", () => {
  const base = { type: "append" } as const;
  refuses(
    () => encodeMessage(createMessage({ ...base, vote: 1 })),
    "WIRE_NOT_ENCODABLE",
    "Message.vote",
  );
  refuses(
    () => encodeMessage(createMessage({ ...base, responses: [] })),
    "WIRE_NOT_ENCODABLE",
    "Message.responses",
  );
});

test("an integer beyond 2^53-1 is refused with the field's name, and 2^53-1 is not", () => {
  const fields: [number, string, keyof Message][] = [
    [2, "Message.to", "to"],
    [3, "Message.from", "from"],
    [4, "Message.term", "term"],
    [5, "Message.log_term", "logTerm"],
    [6, "Message.index", "index"],
    [8, "Message.commit", "commit"],
    [11, "Message.reject_hint", "rejectHint"],
    [13, "Message.request_snapshot", "requestSnapshot"],
    [14, "Message.deprecated_priority", "priority"],
    [15, "Message.commit_term", "commitTerm"],
    [16, "Message.priority", "priority"],
  ];
  for (const [number, field, key] of fields) {
    const largest = decodeMessage(withField(number, "9007199254740991"));
    assert.equal(largest[key], Number.MAX_SAFE_INTEGER);
    refuses(
      () => decodeMessage(withField(number, "9007199254740992")),
      "WIRE_INTEGER_RANGE",
      field,
      /found 9007199254740992$/,
    );
  }
  refuses(
    () => decodeMessage(withField(4, "18446744073709551615")),
    "WIRE_INTEGER_RANGE",
    "Message.term",
    /found 18446744073709551615$/,
  );
});

test("a priority may be as low as -(2^53-1) and no lower", () => {
  assert.equal(
    decodeMessage(withField(16, "-9007199254740991")).priority,
    -Number.MAX_SAFE_INTEGER,
  );
  for (const value of ["-9007199254740992", "-9223372036854775808", "9223372036854775807"]) {
    refuses(
      () => decodeMessage(withField(16, value)),
      "WIRE_INTEGER_RANGE",
      "Message.priority",
      new RegExp(`found ${value}$`),
    );
  }
});

test("an integer beyond 2^53-1 is refused wherever it is embedded", () => {
  const beyond = "9007199254740992" as unknown as number;
  const entry = encodeBySchemaUnchecked("eraftpb.Entry", { index: beyond });
  refuses(() => decodeEntry(entry), "WIRE_INTEGER_RANGE", "Entry.index");
  const state = encodeBySchemaUnchecked("eraftpb.ConfState", { votersOutgoing: [1, beyond] });
  refuses(() => decodeConfState(state), "WIRE_INTEGER_RANGE", "ConfState.voters_outgoing");
  const snapshot = encodeBySchemaUnchecked("eraftpb.Snapshot", { metadata: { term: beyond } });
  refuses(() => decodeSnapshot(snapshot), "WIRE_INTEGER_RANGE", "SnapshotMetadata.term");
  const hard = encodeBySchemaUnchecked("eraftpb.HardState", { vote: beyond });
  refuses(() => decodeHardState(hard), "WIRE_INTEGER_RANGE", "HardState.vote");
});

test("a number that is no integer from 0 to 2^53-1 is not encoded", () => {
  for (const value of [-1, 0.5, NaN, Infinity, 2 ** 53, "1" as unknown as number, 1n as never]) {
    refuses(
      () => encodeMessage(createMessage({ type: "append", term: value })),
      "WIRE_INTEGER_RANGE",
      "Message.term",
    );
    refuses(
      () =>
        encodeMessage(createMessage({ type: "append", entries: [createEntry({ index: value })] })),
      "WIRE_INTEGER_RANGE",
      "Entry.index",
    );
  }
  const confState = { ...createConfState(), learners: [1.5] };
  refuses(
    () => encodeSnapshot({ metadata: { index: 1, term: 1, confState }, data: new Uint8Array(0) }),
    "WIRE_INTEGER_RANGE",
    "ConfState.learners",
  );
  refuses(
    () => encodeMessage(createMessage({ type: "vote", priority: -(2 ** 53) })),
    "WIRE_INTEGER_RANGE",
    "Message.priority",
  );
});

test("bytes that end anywhere in the middle are refused or a shorter message, never misread", () => {
  fc.assert(
    fc.property(message, (value) => {
      const bytes = encodeMessage(value);
      for (let length = 0; length < bytes.length; length++) {
        // Beyond the end lies a continuation of the message: reading it would go unnoticed otherwise.
        const part = bytes.subarray(0, length);
        try {
          assert.ok(encodeMessage(decodeMessage(part)).length <= bytes.length);
        } catch (error) {
          assert.ok(error instanceof WireError, String(error));
        }
      }
    }),
    { numRuns: 50 },
  );
});

test("a length that reaches beyond its message is refused, even inside a larger buffer", () => {
  const inner = Uint8Array.of(0x22, 5, 1, 2, 3);
  const outer = Uint8Array.of(0x08, 3, 0x3a, inner.length, ...inner, 0x40, 1, 0x40, 1);
  refuses(() => decodeMessage(outer), "WIRE_TRUNCATED", "Entry.data", /length is 5, 3 bytes/);
  const endless = Uint8Array.of(0x08, 3, 0x3a, 2, 0x10, 0x80, 0x01);
  refuses(() => decodeMessage(endless), "WIRE_TRUNCATED", "Entry.term");
});

test("a known field of another wire type is refused, not skipped", () => {
  refuses(() => decodeMessage(Uint8Array.of(0x08, 3, 0x22, 0)), "WIRE_MALFORMED", "Message");
  refuses(() => decodeEntry(Uint8Array.of(0x20, 1)), "WIRE_MALFORMED", "Entry");
});

test("an embedded message that may occur once is refused when it occurs twice", () => {
  const bytes = Uint8Array.of(0x08, 7, 0x4a, 0, 0x4a, 0);
  refuses(() => decodeMessage(bytes), "WIRE_MALFORMED", "Message.snapshot");
});

test("fields of a later version are skipped, whatever their wire type", () => {
  const known = encodeMessage(createMessage({ type: "heartbeat", term: 300, commit: 5 }));
  const later = Writer.create()
    .uint32(100 << 3).uint64("18446744073709551615" as never)
    .uint32(101 << 3 | 1).fixed64(1)
    .uint32(102 << 3 | 2).bytes(new Uint8Array(200))
    .uint32(103 << 3 | 3).uint32(104 << 3 | 2).bytes(new Uint8Array(3)).uint32(103 << 3 | 4)
    .uint32(105 << 3 | 5).fixed32(1)
    .finish();
  const both = Uint8Array.of(...later, ...known, ...later);
  assert.deepEqual(decodeMessage(both), decodeMessage(known));
});

test("fields that no version can have are refused", () => {
  const cases: [number[], string][] = [
    [[0x00, 1], "WIRE_MALFORMED"], // field number 0
    [[0xfe, 0x07, 1], "WIRE_MALFORMED"], // wire type 6
    [[0xfc, 0x07], "WIRE_MALFORMED"], // a group ends that never began
    [[0xfb, 0x07, 0xf4, 0x07], "WIRE_MALFORMED"], // a group ends as another
    [[0xfb, 0x07], "WIRE_TRUNCATED"], // a group never ends
    [Array(40).fill([0xfb, 0x07]).flat(), "WIRE_MALFORMED"], // too many groups
    [[0xf9, 0x07, 1, 2, 3], "WIRE_TRUNCATED"],
    [[0xfd, 0x07, 1, 2, 3], "WIRE_TRUNCATED"],
    [[0xfa, 0x07, 1], "WIRE_TRUNCATED"],
    [[0xf8, 0x07, ...Array(10).fill(0x80), 0], "WIRE_MALFORMED"], // eleven bytes
    [[0xf8, 0x07, ...Array(9).fill(0xff), 2], "WIRE_MALFORMED"], // 65 bits
  ];
  for (const [bytes, code] of cases) {
    refuses(() => decodeMessage(Uint8Array.from([0x08, 3, ...bytes])), code, "Message");
  }
});

test("ids are read packed and one by one", () => {
  const single = Uint8Array.of(0x08, 1, 0x08, 0xac, 0x02, 0x0a, 2, 4, 5);
  assert.deepEqual(decodeConfState(single).voters, [1, 300, 4, 5]);
});

test("a refused message leaves the rest of its frame alone", () => {
  const good = createMessage({ type: "heartbeat", to: 2, from: 1, term: 3 });
  const before = encodeFrame([{ regionId: 1, message: good }]);
  const item = (regionId: number, bytes: Uint8Array) => encodeBySchemaRaw(regionId, bytes);
  const frame = Uint8Array.of(
    ...before,
    ...item(2, Uint8Array.of(0x08, 99)),
    ...item(3, withField(4, "9007199254740992")),
    ...item(0, encodeMessage(good)),
    ...item(4, Uint8Array.of(0x08, 3, 0x3a, 9)),
    ...Uint8Array.of(0x12, 2, 0x08, 5),
    ...before,
  );
  const decoded = decodeFrame(frame);
  assert.deepEqual(decoded.messages.map((item) => item.regionId), [1, 1]);
  assert.deepEqual(decoded.refused.map((error) => error.code), [
    "WIRE_UNKNOWN_TYPE",
    "WIRE_INTEGER_RANGE",
    "WIRE_INTEGER_RANGE",
    "WIRE_TRUNCATED",
    "WIRE_MALFORMED",
  ]);
});

test("a message above the limit is refused, one at the limit is not", () => {
  const value = createMessage({ type: "propose", context: new Uint8Array(1000) });
  const length = encodeMessage(value).length;
  const frame = encodeFrame([{ regionId: 1, message: value }]);
  assert.equal(decodeFrame(frame, { messageBytesMax: length }).messages.length, 1);
  const decoded = decodeFrame(frame, { messageBytesMax: length - 1 });
  assert.deepEqual(decoded.refused.map((error) => error.code), ["WIRE_LIMIT"]);
});

test("a frame of too many refused messages is refused as a whole", () => {
  const bad = encodeBySchemaRaw(1, Uint8Array.of(0x08, 99));
  const frame = (count: number) => Uint8Array.from(Array(count).fill([...bad]).flat());
  assert.equal(decodeFrame(frame(REFUSED_PER_FRAME_MAX)).refused.length, REFUSED_PER_FRAME_MAX);
  refuses(
    () => decodeFrame(frame(REFUSED_PER_FRAME_MAX + 1)),
    "WIRE_UNKNOWN_TYPE",
    "Message.msg_type",
  );
});

test("a region that is no integer from 1 is not encoded", () => {
  const value = createMessage({ type: "heartbeat" });
  for (const regionId of [0, -1, 1.5, 2 ** 53]) {
    refuses(
      () => encodeFrame([{ regionId, message: value }]),
      "WIRE_INTEGER_RANGE",
      "RegionMessage.region_id",
    );
  }
});

test("names in a handshake have a limit and must be UTF-8", () => {
  const hello = { protocolVersion: 1, clusterId: "c", fromNode: 1, toNode: 2, features: [] };
  assert.equal(
    decodeHello(encodeHello({ ...hello, clusterId: "x".repeat(128) })).clusterId.length,
    128,
  );
  refuses(
    () => encodeHello({ ...hello, clusterId: "x".repeat(129) }),
    "WIRE_LIMIT",
    "Hello.cluster_id",
  );
  refuses(() => encodeHello({ ...hello, clusterId: "" }), "WIRE_LIMIT", "Hello.cluster_id");
  refuses(
    () => encodeHello({ ...hello, features: Array(65).fill("f") }),
    "WIRE_LIMIT",
    "Hello.features",
  );
  const long = encodeBySchema("flaredb.raft.v1.Frame", { hello: { clusterId: "x".repeat(129) } });
  refuses(() => decodeHello(long), "WIRE_LIMIT", "Hello.cluster_id");
  const many = encodeBySchema("flaredb.raft.v1.Frame", {
    hello: { features: Array(65).fill("f") },
  });
  refuses(() => decodeHello(many), "WIRE_LIMIT", "Hello.features");
  refuses(
    () => decodeHello(Uint8Array.of(0x0a, 4, 0x12, 2, 0xc3, 0x28)),
    "WIRE_MALFORMED",
    "Hello.cluster_id",
  );
});

test("a hello among messages, and messages beside a hello, are refused", () => {
  const hello = encodeHello({
    protocolVersion: 1,
    clusterId: "c",
    fromNode: 1,
    toNode: 2,
    features: [],
  });
  const frame = encodeFrame([{ regionId: 1, message: createMessage({ type: "heartbeat" }) }]);
  refuses(() => decodeFrame(hello), "WIRE_MALFORMED", "Frame.hello");
  refuses(() => decodeHello(frame), "WIRE_MALFORMED", "Frame.hello");
  refuses(() => decodeHello(Uint8Array.of(...hello, ...frame)), "WIRE_MALFORMED", "Frame.hello");
  refuses(() => decodeHello(Uint8Array.of(...hello, ...hello)), "WIRE_MALFORMED", "Frame.hello");
  const twice = Uint8Array.of(0x0a, 0, 0x0a, 0);
  refuses(() => decodeReply(twice), "WIRE_MALFORMED", "Reply.welcome");
});

test("random bytes give typed errors or values, and values encode again", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), survives), { numRuns: 2000 });
});

test("mutated messages give typed errors or values, and values encode again", () => {
  const mutation = record({ at: fc.nat(), to: fc.integer({ min: 0, max: 255 }) });
  const mutations = fc.array(mutation, { minLength: 1, maxLength: 4 });
  const items = fc.array(record({ regionId: fc.integer({ min: 1 }), message }), {
    minLength: 1,
    maxLength: 3,
  });
  fc.assert(
    fc.property(items, mutations, fc.boolean(), (value, changes, single) => {
      const bytes = single ? encodeMessage(value[0]!.message) : encodeFrame(value);
      for (const { at, to } of changes) bytes[at % bytes.length] = to;
      survives(bytes);
    }),
    { numRuns: 2000 },
  );
});

/** Decodes `bytes` as everything there is, in the middle of a buffer whose surroundings are poison. */
function survives(bytes: Uint8Array): void {
  const padded = new Uint8Array(bytes.length + 32).fill(0x01);
  padded.set(bytes, 16);
  const view = padded.subarray(16, 16 + bytes.length);
  const decoders: [(bytes: Uint8Array) => unknown, ((value: never) => Uint8Array)?][] = [
    [decodeMessage, encodeMessage],
    [decodeEntry],
    [decodeSnapshot, encodeSnapshot],
    [decodeConfState],
    [decodeHardState],
    [(bytes) => decodeFrame(bytes).messages, encodeFrame],
    [decodeHello],
    [decodeReply],
  ];
  for (const [decode, encode] of decoders) {
    let value: unknown;
    try {
      value = decode(view);
    } catch (error) {
      assert.ok(error instanceof WireError, String((error as Error).stack));
      continue;
    }
    assert.deepEqual(decode(view.slice()), value, "bytes around the buffer must not matter");
    if (encode !== undefined && !hasEmptyName(value)) {
      assert.deepEqual(decode(encode(value as never)), value);
    }
  }
}

function hasEmptyName(value: unknown): boolean {
  const features = (value as { features?: string[] }).features;
  return features !== undefined && features.includes("");
}

function encodeBySchemaRaw(regionId: number, message: Uint8Array): Uint8Array {
  const inner = Writer.create();
  if (regionId !== 0) inner.uint32(8).uint64(regionId);
  inner.uint32(0x12).bytes(message);
  return Writer.create().uint32(0x12).bytes(inner.finish()).finish();
}

function encodeBySchemaUnchecked(type: string, value: Record<string, unknown>): Uint8Array {
  return Uint8Array.from(schema.lookupType(type).encode(value).finish());
}
