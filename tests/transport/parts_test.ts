import { test } from "node:test";
import assert from "node:assert/strict";
import fc from "fast-check";
import {
  decodeFrame,
  decodeSnapshotFrame,
  encodeSnapshotFrame,
  MESSAGES_PER_FRAME_MAX,
  messageWireSize,
} from "../../src/wire/mod.ts";
import type { RegionMessage } from "../../src/wire/mod.ts";
import { EPISODE_QUIET_MS, EpisodeLog, EPISODES_MAX } from "../../src/transport/episode_log.ts";
import { freeBytes } from "../../src/transport/free_bytes.ts";
import { SendQueue, writeFrame } from "../../src/transport/send_queue.ts";
import { Backoff } from "../../src/transport/grpc/backoff.ts";
import { checkOptions, type GrpcTransportOptions } from "../../src/transport/grpc/options.ts";
import { heartbeat, Lines, snapshot } from "./support.ts";

const STEPS = ["take", "take", "take", "take", "clear"] as const;

test("a queue within its limits gives back what it took, cut into frames of at most the limit", () => {
  const item = fc.oneof(
    fc.nat(1000).map((n) => heartbeat(n)),
    fc.nat(300).map(snapshot),
    fc.nat(4000).map(snapshot),
  );
  const step = fc.oneof(item, fc.constantFrom(...STEPS));
  fc.assert(fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
    const queue = new SendQueue(3000, 20);
    let model: RegionMessage[] = [];
    const size = (of: RegionMessage) => messageWireSize(of.message);
    for (const what of steps) {
      if (what === "clear") {
        assert.deepEqual(queue.clear(), model);
        model = [];
      } else if (what === "take") {
        if (model.length === 0) continue;
        const frame = queue.takeFrame(500);
        const bytes = new Uint8Array(frame.bytes);
        writeFrame(frame, bytes);
        assert.deepEqual(decodeFrame(bytes).messages, frame.items);
        assert.deepEqual(frame.items, model.splice(0, frame.items.length));
        assert.ok(frame.bytes <= 500 || frame.items.length === 1);
      } else {
        const bytes = model.reduce((sum, of) => sum + size(of), size(what));
        const fits = model.length === 0 || (model.length < 20 && bytes <= 3000);
        assert.equal(queue.push(what, size(what)), fits);
        if (fits) model.push(what);
      }
      assert.equal(queue.length, model.length);
      const waiting = model.reduce((sum, of) => sum + size(of), 0);
      assert.equal(queue.relaxed, waiting <= 1500 && model.length <= 10);
    }
  }));
});

test("a queue lets go of the messages that are too large, and keeps the order of the others", () => {
  const queue = new SendQueue(1e6, 100);
  const items = [heartbeat(1), snapshot(500), heartbeat(2), snapshot(50), heartbeat(3)];
  for (const item of items) queue.push(item, messageWireSize(item.message));
  assert.deepEqual(queue.takeFrame(1).items, [items[0]]);
  assert.deepEqual(queue.removeLarger(300), [items[1]]);
  assert.deepEqual(queue.takeFrame(1e6).items, items.slice(2));
});

test("a frame never holds more messages than a receiver takes", () => {
  const queue = new SendQueue(1e9, 1e6);
  for (let i = 0; i <= MESSAGES_PER_FRAME_MAX; i++) queue.push(heartbeat(1), 10);
  assert.equal(queue.takeFrame(1e9).items.length, MESSAGES_PER_FRAME_MAX);
  assert.equal(queue.length, 1);
});

test("delays double up to their limit, and begin anew after a connection that lasted", () => {
  const backoff = new Backoff(50, 2000, () => 1);
  const delays = (count: number) => Array.from({ length: count }, () => backoff.next());
  assert.deepEqual(delays(8), [50, 100, 200, 400, 800, 1600, 2000, 2000]);
  backoff.lost(1999);
  assert.deepEqual(delays(1), [2000]);
  backoff.lost(2000);
  assert.deepEqual(delays(2), [50, 100]);
});

test("randomness takes away at most half of a delay", () => {
  assert.equal(new Backoff(50, 2000, () => 0).next(), 25);
  assert.equal(new Backoff(50, 2000, () => 0.5).next(), 37.5);
});

test("a trouble is logged once an episode, and again after it healed or was quiet", () => {
  let now = 0;
  const lines = new Lines();
  const log = new EpisodeLog(lines, () => now);
  log.warn("a", "A");
  log.warn("b", "B");
  for (let i = 0; i < 5; i++) log.warn("a", "A");
  assert.deepEqual(lines.warnings, ["A", "B"]);
  now += EPISODE_QUIET_MS - 1;
  log.warn("a", "A");
  now += EPISODE_QUIET_MS;
  log.warn("a", "A");
  assert.deepEqual(lines.warnings.slice(2), ["A (6 more before without a log line)"]);
  log.healed("a", "A is over");
  log.healed("a", "A is over");
  assert.deepEqual(lines.infos, ["A is over"]);
  log.warn("a", "A");
  assert.deepEqual(lines.warnings.slice(3), ["A"]);
});

test("a log of troubles remembers no more than its limit", () => {
  const lines = new Lines();
  const log = new EpisodeLog(lines, () => 0);
  for (let i = 0; i <= EPISODES_MAX; i++) log.warn(`key ${i}`, "trouble");
  log.warn(`key ${EPISODES_MAX}`, "remembered");
  log.warn("key 0", "forgotten");
  assert.equal(lines.warnings.length, EPISODES_MAX + 2);
  assert.equal(lines.warnings.at(-1), "forgotten");
});

test("options out of their range are refused by name", () => {
  const good: GrpcTransportOptions = {
    clusterId: "c",
    nodeId: 1,
    listen: "127.0.0.1:0",
    insecure: true,
  };
  assert.equal(checkOptions(good).messageBytesMax, 64 * 1024 * 1024);
  const bad: [string, Partial<GrpcTransportOptions>][] = [
    ["clusterId", { clusterId: "" }],
    ["clusterId", { clusterId: "é".repeat(65) }],
    ["nodeId", { nodeId: 0 }],
    ["nodeId", { nodeId: 2 ** 53 }],
    ["listen", { listen: "127.0.0.1" }],
    ["listen", { listen: "127.0.0.1:65536" }],
    ["messageBytesMax", { messageBytesMax: 1023 }],
    ["messageBytesMax", { messageBytesMax: 2 ** 30 + 1 }],
    ["frameBytesMax", { frameBytesMax: 1000.5 }],
    ["queueBytesMax", { queueBytesMax: 0 }],
    ["queueMessagesMax", { queueMessagesMax: -1 }],
    ["windowBytes", { windowBytes: NaN }],
    ["backoffMs", { backoffMs: 0 }],
    ["backoffMsMax", { backoffMs: 100, backoffMsMax: 99 }],
    ["connectTimeoutMs", { connectTimeoutMs: 2 ** 31 }],
    ["keepaliveMs", { keepaliveMs: 999 }],
    ["keepaliveTimeoutMs", { keepaliveTimeoutMs: 0 }],
    ["drainMs", { drainMs: -1 }],
    ["tls", { insecure: false }],
    ["insecure", { tls: { certificates: { certificate: "", privateKey: "" } } }],
  ];
  for (const [name, change] of bad) {
    assert.throws(() => checkOptions({ ...good, ...change }), {
      code: "INVALID_CONFIG",
      message: new RegExp(`^${name} `),
    });
  }
});

test("freed bytes are empty, and those that share their memory stay", () => {
  const alone = new Uint8Array(8192).fill(1);
  freeBytes(alone);
  assert.equal(alone.length, 0);
  assert.equal(alone.buffer.byteLength, 0);
  const data = new Uint8Array(8192);
  const chunk = { offset: Number.MAX_SAFE_INTEGER, data, crc32: 2 ** 32 - 1 };
  const frame = decodeSnapshotFrame(encodeSnapshotFrame({ kind: "chunk", chunk }));
  assert.ok(frame.kind === "chunk");
  freeBytes(frame.chunk.data);
  assert.equal(frame.chunk.data.length, 0, "what a frame puts around a chunk does not count");
  const shared = new Uint8Array(64 * 1024).fill(2);
  freeBytes(shared.subarray(0, 8192));
  assert.ok(shared.every((byte) => byte === 2));
  const few = Uint8Array.of(3);
  freeBytes(few);
  assert.deepEqual(few, Uint8Array.of(3));
  freeBytes(alone);
});
