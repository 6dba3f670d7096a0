/** Questions between nodes, as bytes. */

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  decodeAnswer,
  decodeQuestion,
  encodeAnswer,
  encodeQuestion,
  QUESTION_BYTES_MAX,
  WireError,
} from "../../src/wire/mod.ts";
import { encodeBySchema } from "./support.ts";

const hello = {
  protocolVersion: 1,
  clusterId: "shop",
  fromNode: 4,
  toNode: 2 ** 53 - 1,
  features: ["a", "b"],
};

test("questions and answers of any size survive the round trip and are what the schema says", () => {
  for (const length of [0, 1, 200, QUESTION_BYTES_MAX]) {
    const body = new Uint8Array(length).fill(length % 251);
    const question = encodeQuestion({ hello, body });
    assert.deepEqual(decodeQuestion(question), { hello, body });
    assert.deepEqual(question, encodeBySchema("flaredb.raft.v1.Question", { hello, body }));
    assert.deepEqual(decodeAnswer(encodeAnswer(body)), body);
    assert.deepEqual(encodeAnswer(body), encodeBySchema("flaredb.raft.v1.Answer", { body }));
  }
});

test("fields of later versions are skipped in questions and answers", () => {
  const later = Uint8Array.of(0x1a, 2, 9, 9);
  const question = encodeQuestion({ hello, body: Uint8Array.of(5) });
  assert.deepEqual(decodeQuestion(Uint8Array.of(...question, ...later)).body, Uint8Array.of(5));
  assert.deepEqual(decodeAnswer(Uint8Array.of(...later, 0x0a, 1, 6)), Uint8Array.of(6));
});

test("questions and answers that are malformed or too large are refused", () => {
  const tooLarge = new Uint8Array(QUESTION_BYTES_MAX + 1);
  const question = encodeQuestion({ hello, body: Uint8Array.of(5) });
  const large = encodeBySchema("flaredb.raft.v1.Question", { hello, body: tooLarge });
  const cases: [() => unknown, string][] = [
    [() => encodeQuestion({ hello, body: tooLarge }), "WIRE_LIMIT"],
    [() => encodeAnswer(tooLarge), "WIRE_LIMIT"],
    [() => decodeQuestion(large), "WIRE_LIMIT"],
    [() => decodeQuestion(Uint8Array.of(0x12, 1, 5)), "WIRE_MALFORMED"],
    [() => decodeQuestion(Uint8Array.of(...question, ...question)), "WIRE_MALFORMED"],
    [() => decodeQuestion(question.subarray(0, question.length - 1)), "WIRE_TRUNCATED"],
    [() => decodeQuestion(Uint8Array.of(0x08, 1)), "WIRE_MALFORMED"],
    [() => decodeAnswer(Uint8Array.of(0x08, 1)), "WIRE_MALFORMED"],
    [() => decodeAnswer(Uint8Array.of(0x0a, 9, 1)), "WIRE_TRUNCATED"],
  ];
  for (const [call, code] of cases) {
    assert.throws(call, (error) => error instanceof WireError && error.code === code, `${call}`);
  }
});
