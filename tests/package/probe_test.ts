/** The runtime of the tests is sound under gRPC, as `deno task probe:deno` tells of any Deno. */
import assert from "node:assert/strict";
import process from "node:process";
import { test } from "node:test";
import { currentRuntime } from "../../scripts/package/runtimes.ts";
import { probe } from "../../scripts/probe_deno.ts";

test("this runtime serves many unary calls and outlives the clients that made them", {
  timeout: 150_000,
}, async () => {
  const args = currentRuntime().name === "deno" ? ["run", "-A"] : [];
  assert.deepEqual(await probe(process.execPath, args), { sound: true });
});

test("a runtime that ends by itself is not sound, and the verdict says how it ended", async () => {
  const args = ["-e", "process.exit(134)"];
  const program = currentRuntime().name === "deno" ? "node" : process.execPath;
  const verdict = await probe(program, args);
  assert.deepEqual(verdict, { sound: false, reason: "exit code 134: " });
});
