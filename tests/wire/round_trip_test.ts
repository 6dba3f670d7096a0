import { test } from "node:test";
import assert from "node:assert/strict";
import fc from "fast-check";
import { createEntry, createMessage } from "../../src/raft/mod.ts";
import {
  decodeConfState,
  decodeEntry,
  decodeFrame,
  decodeHardState,
  decodeHello,
  decodeMessage,
  decodeReply,
  decodeSnapshot,
  encodeConfState,
  encodeEntry,
  encodeFrame,
  encodeHardState,
  encodeHello,
  encodeMessage,
  encodeReceived,
  encodeSnapshot,
  encodeWelcome,
  entryWireSize,
  messageWireSize,
} from "../../src/wire/mod.ts";
import {
  asText,
  confState,
  confStateFields,
  decodeBySchema,
  encodeBySchema,
  entry,
  entryFields,
  message,
  messageFields,
  record,
  snapshot,
  snapshotFields,
  uint,
} from "./support.ts";

test("every field of a message survives the wire", () => {
  fc.assert(fc.property(message, (value) => {
    const bytes = encodeMessage(value);
    assert.equal(bytes.length, messageWireSize(value));
    assert.deepEqual(decodeMessage(bytes), value);
  }));
});

test("a message has the bytes that protobufjs gives it from the schema", () => {
  fc.assert(fc.property(message, (value) => {
    const fields = messageFields(value);
    assert.deepEqual(encodeMessage(value), encodeBySchema("eraftpb.Message", fields));
    assert.deepEqual(
      asText(decodeBySchema("eraftpb.Message", encodeMessage(value))),
      asText(fields),
    );
  }));
});

test("what protobufjs encodes from the schema decodes to the same message", () => {
  fc.assert(fc.property(message, (value) => {
    assert.deepEqual(decodeMessage(encodeBySchema("eraftpb.Message", messageFields(value))), value);
  }));
});

test("an entry survives the wire and has the bytes that protobufjs gives it", () => {
  fc.assert(fc.property(entry, (value) => {
    const bytes = encodeEntry(value);
    assert.equal(bytes.length, entryWireSize(value));
    assert.deepEqual(decodeEntry(bytes), value);
    assert.deepEqual(bytes, encodeBySchema("eraftpb.Entry", entryFields(value)));
  }));
});

test("a snapshot survives the wire and has the bytes that protobufjs gives it", () => {
  fc.assert(fc.property(snapshot, (value) => {
    const bytes = encodeSnapshot(value);
    assert.deepEqual(decodeSnapshot(bytes), value);
    assert.deepEqual(bytes, encodeBySchema("eraftpb.Snapshot", snapshotFields(value)));
  }));
});

test("a configuration survives the wire and has the bytes that protobufjs gives it", () => {
  fc.assert(fc.property(confState, (value) => {
    const bytes = encodeConfState(value);
    assert.deepEqual(decodeConfState(bytes), value);
    assert.deepEqual(bytes, encodeBySchema("eraftpb.ConfState", confStateFields(value)));
  }));
});

test("a hard state survives the wire and has the bytes that protobufjs gives it", () => {
  fc.assert(fc.property(uint, uint, uint, (currentTerm, votedFor, commitIndex) => {
    const value = { currentTerm, votedFor, commitIndex };
    assert.deepEqual(decodeHardState(encodeHardState(value)), value);
    const fields = Object.entries({ term: currentTerm, vote: votedFor, commit: commitIndex });
    assert.deepEqual(
      encodeHardState(value),
      encodeBySchema("eraftpb.HardState", Object.fromEntries(fields.filter(([, n]) => n !== 0))),
    );
  }));
});

test("a frame keeps the messages of many regions in their order, in the bytes of the schema", () => {
  const regionId = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER });
  const items = fc.array(record({ regionId, message }), { maxLength: 6 });
  fc.assert(fc.property(items, (value) => {
    const bytes = encodeFrame(value);
    assert.deepEqual(decodeFrame(bytes), { messages: value, refused: [] });
    const messages = value.map((item) => ({
      regionId: item.regionId,
      message: messageFields(item.message),
    }));
    assert.deepEqual(bytes, encodeBySchema("flaredb.raft.v1.Frame", { messages }));
  }));
});

test("a hello and a welcome survive the wire and have the bytes of the schema", () => {
  const name = fc.string({ minLength: 1, maxLength: 20, unit: "grapheme" })
    .filter((text) => text.isWellFormed() && new TextEncoder().encode(text).length <= 128);
  const positive = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER });
  const version = fc.integer({ min: 1, max: 2 ** 31 });
  const features = fc.array(name, { maxLength: 4 });
  fc.assert(fc.property(version, name, positive, positive, features, (v, id, from, to, list) => {
    const hello = {
      protocolVersion: v,
      clusterId: id,
      fromNode: from,
      toNode: to,
      features: list,
    };
    assert.deepEqual(decodeHello(encodeHello(hello)), hello);
    assert.deepEqual(encodeHello(hello), encodeBySchema("flaredb.raft.v1.Frame", { hello }));
    const welcome = {
      protocolVersion: v,
      node: from,
      features: list,
      messageBytesMax: to,
      windowBytes: from,
    };
    assert.deepEqual(decodeReply(encodeWelcome(welcome)), { welcome, receivedBytes: undefined });
    assert.deepEqual(encodeWelcome(welcome), encodeBySchema("flaredb.raft.v1.Reply", { welcome }));
    const received = { welcome: undefined, receivedBytes: to };
    assert.deepEqual(decodeReply(encodeReceived(to)), received);
    assert.deepEqual(
      encodeReceived(to),
      encodeBySchema("flaredb.raft.v1.Reply", { receivedBytes: to }),
    );
  }));
});

test("an empty context is read as no context, with the other fields intact", () => {
  const empty = new Uint8Array(0);
  const value = createMessage({
    type: "append",
    term: 4,
    context: empty,
    entries: [createEntry({ index: 1, term: 4, context: empty })],
  });
  const decoded = decodeMessage(encodeMessage(value));
  assert.equal(decoded.context, undefined);
  assert.equal(decoded.entries[0]!.context, undefined);
  assert.equal(decoded.entries[0]!.index, 1);
});

test("a priority of an older peer is read from the deprecated field when the new one is absent", () => {
  const read = (fields: Record<string, unknown>) =>
    decodeMessage(encodeBySchema("eraftpb.Message", { msgType: 5, ...fields })).priority;
  assert.equal(read({ deprecatedPriority: 7 }), 7);
  assert.equal(read({ deprecatedPriority: 7, priority: 9 }), 9);
  assert.equal(read({ deprecatedPriority: 7, priority: -9 }), -9);
});

test("a decoded command is a view of its frame, and a copy where the frame is much larger", () => {
  const small = createMessage({
    type: "append",
    entries: [createEntry({ index: 1, term: 1, command: new Uint8Array(200).fill(7) })],
  });
  const large = createMessage({
    type: "append",
    entries: [createEntry({ index: 1, term: 1, command: new Uint8Array(2000) })],
  });
  const alone = encodeFrame([{ regionId: 1, message: small }]);
  const together = encodeFrame([{ regionId: 1, message: small }, { regionId: 2, message: large }]);
  const command = (frame: Uint8Array, at: number) =>
    decodeFrame(frame).messages[at]!.message.entries[0]!.command;
  assert.equal(command(alone, 0).buffer, alone.buffer);
  assert.notEqual(command(together, 0).buffer, together.buffer);
  assert.equal(command(together, 1).buffer, together.buffer);
  assert.deepEqual(command(together, 0), new Uint8Array(200).fill(7));
});
