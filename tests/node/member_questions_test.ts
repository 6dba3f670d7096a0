/** What nodes ask each other about members, as bytes. */

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  MembershipError,
  NotLeaderError,
  QuestionError,
  RequestError,
  TimedOutError,
} from "../../src/node/mod.ts";
import {
  decodeChangeOutcome,
  decodeMemberQuestion,
  decodeStanding,
  encodeChangeOutcome,
  encodeMemberQuestion,
  encodeStanding,
  type MemberQuestion,
  type Standing,
} from "../../src/node/member_questions.ts";
import type { MemberChange } from "../../src/node/mod.ts";

const bytes = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));

test("questions survive the round trip", () => {
  const member = { peerId: 4, nodeId: 40, address: "a:1", becomesVoter: true, replaces: 2 };
  const changes: MemberChange[] = [
    { kind: "add-learner", member },
    { kind: "update", member: { peerId: 4, nodeId: 4, clientAddress: "c:2" } },
    { kind: "promote", peerId: 4 },
    { kind: "remove", peerId: 4, force: true },
    { kind: "swap", removed: 2, promoted: 4 },
  ];
  const questions: MemberQuestion[] = [
    { ask: "standing", regionId: 7, peerId: 4 },
    ...changes.map((change) => ({ ask: "change", regionId: 7, change, deadlineMs: 9 }) as const),
  ];
  for (const question of questions) {
    assert.deepEqual(decodeMemberQuestion(encodeMemberQuestion(question)), question);
  }
});

test("standings survive the round trip", () => {
  for (const role of ["voter", "learner", "none", "removed"] as const) {
    const standing: Standing = {
      role,
      matchIndex: 5,
      members: [{ peerId: 1, nodeId: 10, address: "a:1" }],
    };
    assert.deepEqual(decodeStanding(encodeStanding(standing)), standing);
  }
});

test("the outcome of a change survives the round trip, errors with what they say", () => {
  const result = { index: 8, voters: [1, 2], learners: [4] };
  assert.deepEqual(decodeChangeOutcome(encodeChangeOutcome(result)), result);
  const errors: RequestError[] = [
    new MembershipError("QUORUM_AT_RISK", "too few", false),
    new NotLeaderError(2, 20),
    new TimedOutError("change of members", true),
  ];
  for (const error of errors) {
    assert.throws(
      () => decodeChangeOutcome(encodeChangeOutcome(error)),
      (found) =>
        found instanceof RequestError && found.constructor === error.constructor &&
        found.code === error.code && found.message === error.message &&
        found.mayHaveTakenEffect === error.mayHaveTakenEffect,
    );
  }
  assert.throws(() => decodeChangeOutcome(encodeChangeOutcome(errors[1])), { leaderNodeId: 20 });
});

test("what cannot be understood is a QuestionError", () => {
  const version = 1;
  const wrong: unknown[] = [
    [],
    null,
    {},
    { version: 2, ask: "standing", regionId: 1, peerId: 1 },
    { version, ask: "standing", regionId: 0, peerId: 1 },
    { version, ask: "standing", regionId: 1, peerId: 2 ** 53 },
    { version, ask: "weather", regionId: 1 },
    { version, ask: "change", regionId: 1, deadlineMs: 1 },
    { version, ask: "change", regionId: 1, deadlineMs: 1, change: { kind: "promote" } },
    { version, ask: "change", regionId: 1, deadlineMs: 1, change: { kind: "split", peerId: 1 } },
    {
      version,
      ask: "change",
      regionId: 1,
      deadlineMs: 1,
      change: { kind: "add-learner", member: { peerId: 1 } },
    },
    { version, ask: "change", regionId: 1, change: { kind: "promote", peerId: 1 } },
  ];
  for (const value of wrong) {
    assert.throws(() => decodeMemberQuestion(bytes(value)), QuestionError, JSON.stringify(value));
  }
  assert.throws(() => decodeMemberQuestion(Uint8Array.of(0xff)), QuestionError);
  assert.throws(() => decodeStanding(bytes({ version, role: "voter" })), QuestionError);
  assert.throws(
    () => decodeStanding(bytes({ version, role: "boss", matchIndex: 0, members: [] })),
    QuestionError,
  );
  assert.throws(
    () => decodeStanding(bytes({ version, role: "voter", matchIndex: 0, members: [{}] })),
    QuestionError,
  );
  assert.throws(() => decodeChangeOutcome(bytes({ version, result: { index: 1 } })), QuestionError);
});
