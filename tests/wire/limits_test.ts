import assert from "node:assert/strict";
import { test } from "node:test";
import { createMessage } from "../../src/raft/mod.ts";
import { decodeMessage, encodeMessage, ENTRIES_PER_MESSAGE_MAX } from "../../src/wire/mod.ts";
import { GROUP_DEPTH_MAX } from "../../src/wire/reader.ts";

const HEARTBEAT = encodeMessage(createMessage({ type: "heartbeat", to: 2, from: 1, term: 1 }));

test("a message may have 1,048,576 entries, and no more", () => {
  const emptyEntry = [0x3a, 0x00];
  const withEntries = (count: number): Uint8Array => {
    const bytes = new Uint8Array(HEARTBEAT.length + 2 * count);
    bytes.set(HEARTBEAT);
    for (let at = HEARTBEAT.length; at < bytes.length; at += 2) bytes.set(emptyEntry, at);
    return bytes;
  };
  assert.equal(ENTRIES_PER_MESSAGE_MAX, 1_048_576);
  assert.equal(decodeMessage(withEntries(ENTRIES_PER_MESSAGE_MAX)).entries.length, 1_048_576);
  const refused = { code: "WIRE_LIMIT" };
  assert.throws(() => decodeMessage(withEntries(ENTRIES_PER_MESSAGE_MAX + 1)), refused);
});

test("unknown groups may nest 32 deep, and no deeper", () => {
  // Field 100 as the beginning and the end of a group.
  const begin = [0xa3, 0x06];
  const end = [0xa4, 0x06];
  const nested = (depth: number): Uint8Array =>
    Uint8Array.from([
      ...HEARTBEAT,
      ...Array(depth).fill(begin).flat(),
      ...Array(depth).fill(end).flat(),
    ]);
  assert.deepEqual(decodeMessage(nested(GROUP_DEPTH_MAX)), decodeMessage(HEARTBEAT));
  assert.throws(() => decodeMessage(nested(GROUP_DEPTH_MAX + 1)), { code: "WIRE_MALFORMED" });
});
