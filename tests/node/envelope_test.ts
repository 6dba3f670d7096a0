/** The envelopes in the opaque bytes of the core, and the generator of integers. */

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  checkEnvelope,
  decodeProposalId,
  decodeReadRound,
  encodeProposalId,
  encodeReadRound,
} from "../../src/node/envelope.ts";
import { EnvelopeError, EPOCH_BOUND, Random, unpredictableSeed } from "../../src/node/mod.ts";
import { ConfigError } from "../../src/raft/mod.ts";

const uint48 = fc.integer({ min: 0, max: EPOCH_BOUND - 1 });
const uint53 = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });

test("a proposal id of any numbers is read back as it was", () => {
  fc.assert(fc.property(uint53, uint48, uint48, uint53, (origin, epoch, sequence, term) => {
    const bytes = encodeProposalId(origin, epoch, sequence, term);
    assert.deepEqual(decodeProposalId(bytes), { origin, epoch, sequence, term });
  }));
});

test("the bytes of a proposal id never change", () => {
  const bytes = encodeProposalId(0x01020304050607, 0x111213141516, 0x212223242526, 0x0a);
  assert.equal(
    [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join(" "),
    "01 07 06 05 04 03 02 01 16 15 14 13 12 11 26 25 24 23 22 21 0a 00 00 00 00 00 00",
  );
});

test("bytes that are not a proposal id are none", () => {
  const bytes = encodeProposalId(1, 2, 3, 4);
  assert.equal(decodeProposalId(undefined), undefined);
  assert.equal(decodeProposalId(bytes.subarray(1)), undefined);
  assert.equal(decodeProposalId(new Uint8Array([2, ...bytes.subarray(1)])), undefined);
});

test("an envelope that must be understood is refused, any other is not", () => {
  checkEnvelope(1, undefined);
  checkEnvelope(1, new Uint8Array(0));
  checkEnvelope(1, encodeProposalId(1, 2, 3, 4));
  checkEnvelope(1, new Uint8Array([127, 9]));
  assert.throws(() => checkEnvelope(1, new Uint8Array([128])), EnvelopeError);
});

test("a read round is read back by its own incarnation only", () => {
  fc.assert(fc.property(uint48, fc.integer({ min: 1, max: EPOCH_BOUND - 1 }), (epoch, round) => {
    const bytes = encodeReadRound(epoch, round);
    assert.equal(decodeReadRound(bytes, epoch), round);
    assert.equal(decodeReadRound(bytes, (epoch + 1) % EPOCH_BOUND), 0);
    assert.equal(decodeReadRound(bytes.subarray(1), epoch), 0);
  }));
});

test("equal seeds give equal numbers on every runtime", () => {
  const random = new Random(42);
  const numbers = Array.from({ length: 4 }, () => random.next());
  assert.deepEqual(numbers, [547831437, 699355280, 1141012487, 4219482394]);
  const again = new Random(42);
  assert.deepEqual(numbers, numbers.map(() => again.next()));
  const high = new Random(42 + 2 ** 40);
  assert.notDeepEqual(numbers, numbers.map(() => high.next()));
});

test("numbers below a bound are within it and all occur about equally", () => {
  const random = new Random(1);
  const counts = Array(7).fill(0);
  for (let at = 0; at < 70_000; at++) counts[random.below(7)]++;
  for (const count of counts) assert.ok(Math.abs(count - 10_000) < 500, `${counts}`);
  assert.equal(random.below(1), 0);
});

test("seeds and bounds out of range are refused", () => {
  for (const seed of [-1, 0.5, NaN, 2 ** 53]) assert.throws(() => new Random(seed), ConfigError);
  for (const bound of [0, -1, 1.5, 2 ** 32 + 1]) {
    assert.throws(() => new Random(0).below(bound), ConfigError);
  }
});

test("unpredictable seeds differ and fit an epoch", () => {
  const seeds = Array.from({ length: 100 }, unpredictableSeed);
  assert.equal(new Set(seeds).size, 100);
  for (const seed of seeds) {
    assert.ok(Number.isSafeInteger(seed) && seed >= 0 && seed < EPOCH_BOUND);
  }
});
