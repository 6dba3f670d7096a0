/** What a node without data is told by the others before it may become one. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { checkFirstStart } from "../../src/cli/first_start.ts";
import { CommandFailedError } from "../../src/cli/errors.ts";
import type { ServerOptions } from "../../src/cli/serve.ts";
import { encodeStanding, type Standing } from "../../src/node/member_questions.ts";
import { AskError } from "../../src/transport/mod.ts";
import { Lines } from "../transport/support.ts";

type Answers = Readonly<Record<number, Partial<Standing> | undefined>>;

/** Starts node 4 while nodes 1 and 2 answer so, or not at all. Returns the exit code and the text. */
async function start(
  join: boolean,
  answers: Answers,
): Promise<{ exitCode: number; text: string; warnings: string[] }> {
  const known: string[] = [];
  const transport = {
    addNode: (nodeId: number, address: string) => void known.push(`${nodeId} ${address}`),
    ask: (nodeId: number) => {
      const answer = answers[nodeId];
      return answer === undefined
        ? Promise.reject(new AskError(nodeId, "nobody listens", false))
        : Promise.resolve(
          encodeStanding({ role: "none", matchIndex: 0, members: [], ...answer }),
        );
    },
  };
  const members = [1, 2, 4].map((nodeId) => ({
    nodeId,
    peer: { host: "h", port: nodeId },
    client: undefined,
  }));
  const options = { nodeId: 4, clusterId: "shop", data: "/data", members, join };
  const lines = new Lines();
  try {
    await checkFirstStart(options as unknown as ServerOptions, transport, lines);
    assert.deepEqual(known, ["1 h:1", "2 h:2"], "it asks the others, not itself");
    return { exitCode: 0, text: "", warnings: lines.warnings };
  } catch (error) {
    assert.ok(error instanceof CommandFailedError, String(error));
    return { exitCode: error.exitCode, text: error.message, warnings: lines.warnings };
  }
}

test("the first member of a new cluster starts, whether others are there already or not", async () => {
  for (const answers of [{}, { 1: { role: "voter" } }, { 2: { role: "voter" } }] as Answers[]) {
    const { exitCode, warnings } = await start(false, answers);
    assert.deepEqual([exitCode, warnings], [0, []]);
  }
});

test("a node that is no first member of a cluster that runs is told to join", async () => {
  for (const role of ["none", "learner"] as const) {
    const { exitCode, text } = await start(false, { 2: { role } });
    assert.equal(exitCode, 1);
    assert.match(text, /runs already, and node 4 is not one of its first members.*--join/);
  }
});

test("a member that has acknowledged entries and has no data is kept out", async () => {
  const { exitCode, text } = await start(false, {
    1: { role: "voter" },
    2: { role: "voter", matchIndex: 7 },
  });
  assert.equal(exitCode, 4);
  assert.match(text, /its data is not in \/data.*flaredb member replace 4/);
});

test("a node joins once it was added, and is told what to do before", async () => {
  assert.equal((await start(true, { 1: { role: "none" }, 2: { role: "learner" } })).exitCode, 0);
  const { exitCode, text } = await start(true, { 1: { role: "none" } });
  assert.equal(exitCode, 1);
  assert.match(text, /is no member of the cluster "shop"\. Add it first: `flaredb member add/);
});

test("a node that joins and reaches nobody waits, and says so", async () => {
  const { exitCode, warnings } = await start(true, {});
  assert.equal(exitCode, 0);
  assert.match(warnings.join(), /none of the others in --members answers: it waits/);
});

test("a node joins neither as a voter nor under an id that was removed", async () => {
  const voter = await start(true, { 1: { role: "learner" }, 2: { role: "voter" } });
  assert.deepEqual([voter.exitCode, /its data is not in/.test(voter.text)], [4, true]);
  for (const join of [true, false]) {
    const removed = await start(join, { 2: { role: "removed" } });
    assert.equal(removed.exitCode, 4);
    assert.match(
      removed.text,
      /was removed from the cluster "shop", and its id is never used again/,
    );
  }
});
