/** The examples run, on the runtime of the tests, and print what they should. */
import assert from "node:assert/strict";
import process from "node:process";
import { join } from "node:path";
import { test } from "node:test";
import { reservePorts } from "../../scripts/reserved_ports.ts";
import { PROJECT_ROOT } from "../../scripts/project_files.ts";
import { withSandbox } from "../process/support.ts";

async function outputOf(example: string, args: readonly string[] = []): Promise<string[]> {
  let output = "";
  await withSandbox(async (sandbox) => {
    const flags = process.versions.deno === undefined ? [] : ["run", "-A"];
    const file = join(PROJECT_ROOT, "examples", example);
    const outcome = await sandbox.runProgram(process.execPath, [...flags, file, ...args]);
    assert.equal(outcome.code, 0, outcome.stderr);
    output = outcome.stdout;
  });
  return output.trim().split("\n");
}

test("the example of the core replicates two commands to three replicas", async () => {
  assert.deepEqual(await outputOf("core.ts"), [
    "replica 1 is leader: hello, world",
    "replica 2 is follower: hello, world",
    "replica 3 is follower: hello, world",
  ]);
});

test("the example of embedding adds on every member and reads on every member", async () => {
  const ports = await reservePorts(3);
  const lines = await outputOf("embed.ts", ports.map((port) => `127.0.0.1:${port}`));
  const sums = lines.slice(0, 3).map((line) => Number(/the sum is (\d+)$/.exec(line)?.[1]));
  assert.deepEqual(sums, [1, 3, 6]);
  assert.deepEqual(lines.slice(3), ["node 1 has 6", "node 2 has 6", "node 3 has 6"]);
});
