/** The options: their defaults, and what is said about wrong ones. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  checkConfig,
  type Config,
  ConfigError,
  createConfState,
  PEER_ID_MAX,
  RawNode,
  SILENT_LOGGER,
} from "../../src/raft/mod.ts";
import { newStorage } from "./network.ts";

const storage = newStorage(1, createConfState({ voters: [1] }));
const base: Config = { id: 1, storage, random: () => 0 };

function assertWrong(fields: Partial<Config>, text: string): void {
  assert.throws(
    () => checkConfig({ ...base, ...fields }),
    (error: unknown) =>
      error instanceof ConfigError && error.code === "INVALID_CONFIG" && error.message === text,
    text,
  );
}

test("every option but three has a default", () => {
  assert.deepEqual(checkConfig(base), {
    ...base,
    electionTick: 10,
    heartbeatTick: 1,
    applied: 0,
    asyncStorageWrites: false,
    maxSizePerMessage: 1024 * 1024,
    maxCommittedSizePerReady: 1024 * 1024,
    maxUncommittedSize: Infinity,
    maxInflightMessages: 256,
    maxInflightBytes: Infinity,
    checkQuorum: false,
    preVote: false,
    readOnly: "safe",
    disableProposalForwarding: false,
    disableConfChangeValidation: false,
    stepDownOnRemoval: false,
    priority: 0,
    groupCommit: false,
    commitByVote: false,
    logger: SILENT_LOGGER,
    events: undefined,
  });
});

test("0 means no limit, or the size of a message, where there is nothing smaller", () => {
  const zero = checkConfig({ ...base, maxUncommittedSize: 0, maxInflightBytes: 0 });
  assert.deepEqual([zero.maxUncommittedSize, zero.maxInflightBytes], [Infinity, Infinity]);
  const small = checkConfig({ ...base, maxSizePerMessage: 77, maxCommittedSizePerReady: 0 });
  assert.equal(small.maxCommittedSizePerReady, 77);
  assert.equal(checkConfig({ ...base, maxSizePerMessage: 0 }).maxCommittedSizePerReady, 1);
});

test("an option out of its range is named, with what it must be and what it is", () => {
  const max = Number.MAX_SAFE_INTEGER;
  assertWrong({ id: 0 }, `id must be an integer from 1 to ${PEER_ID_MAX}: current value is 0`);
  assertWrong(
    { id: PEER_ID_MAX + 1 },
    `id must be an integer from 1 to ${PEER_ID_MAX}: current value is ${PEER_ID_MAX + 1}`,
  );
  assertWrong(
    { heartbeatTick: 0 },
    `heartbeatTick must be an integer from 1 to ${max}: current value is 0`,
  );
  assertWrong(
    { electionTick: 2.5 },
    `electionTick must be an integer from 1 to ${max}: current value is 2.5`,
  );
  assertWrong(
    { electionTick: 3, heartbeatTick: 3 },
    "electionTick must be greater than heartbeatTick (3): current value is 3",
  );
  assertWrong({ applied: -1 }, `applied must be an integer from 0 to ${max}: current value is -1`);
  assertWrong(
    { maxInflightMessages: 0 },
    `maxInflightMessages must be an integer from 1 to ${max}: current value is 0`,
  );
  assertWrong(
    { priority: 0.5 },
    `priority must be an integer from -${max} to ${max}: current value is 0.5`,
  );
  for (
    const name of [
      "maxSizePerMessage",
      "maxCommittedSizePerReady",
      "maxUncommittedSize",
      "maxInflightBytes",
    ]
  ) {
    assertWrong(
      { [name]: -1 },
      `${name} must be a number of bytes >= 0, or Infinity: current value is -1`,
    );
  }
  assertWrong(
    { maxSizePerMessage: 100, maxInflightBytes: 99 },
    "maxInflightBytes must be at least maxSizePerMessage (100): current value is 99",
  );
});

test("reads by lease need the check of the quorum", () => {
  assertWrong(
    { readOnly: "lease-based" },
    "checkQuorum must be enabled when readOnly is lease-based: current value is false",
  );
  assertWrong(
    { readOnly: "fast" as "safe" },
    'readOnly must be "safe" or "lease-based": current value is fast',
  );
  checkConfig({ ...base, readOnly: "lease-based", checkQuorum: true });
});

test("a storage and a source of randomness must be there", () => {
  for (const value of [null, undefined, "x"]) {
    assertWrong(
      { storage: value as unknown as Config["storage"] },
      `storage must be a LogStorage: current value is ${value}`,
    );
  }
  assertWrong(
    { random: 4 as unknown as Config["random"] },
    "random must be a function: current value is 4",
  );
});

test("a node of a wrong configuration cannot be made", () => {
  assert.throws(() => new RawNode({ ...base, id: -1 }), ConfigError);
});

test("the silent logger says nothing", () => {
  for (const level of ["debug", "info", "warn", "error"] as const) {
    assert.equal(SILENT_LOGGER[level]("text"), undefined);
  }
});
