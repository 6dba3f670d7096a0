/** The built package runs on the runtime of the tests: three nodes over gRPC and SQLite. */
import assert from "node:assert/strict";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { cachedBuild } from "../../scripts/package/cached_build.ts";
import { EMBED_LINES, linkPackage, writeConsumer } from "../../scripts/package/consumer.ts";
import { currentRuntime, runArguments } from "../../scripts/package/runtimes.ts";
import { freePorts } from "../../src/cli/addresses.ts";
import { withSandbox } from "../process/support.ts";

test("the package elects and replicates over gRPC and SQLite on this runtime", {
  timeout: 300_000,
}, () =>
  withSandbox(async (sandbox) => {
    writeConsumer(sandbox.folder);
    linkPackage(sandbox.folder, cachedBuild());
    const program = join(sandbox.folder, "embed.ts");
    const addresses = (await freePorts("127.0.0.1", 3)).map((port) => `127.0.0.1:${port}`);
    const args = [...runArguments(currentRuntime().name, program), ...addresses];
    const { code, stdout, stderr } = await sandbox.runProgram(process.execPath, args);
    assert.equal(code, 0, stderr);
    assert.deepEqual(stdout.trim().split("\n").slice(-3), EMBED_LINES);
  }));
