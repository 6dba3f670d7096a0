/** The built package runs on the runtime of the tests: nodes over gRPC and SQLite, and its thread. */
import assert from "node:assert/strict";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { cachedBuild } from "../../scripts/package/cached_build.ts";
import { EMBED_LINES, linkPackage, writeConsumer } from "../../scripts/package/consumer.ts";
import { currentRuntime, runArguments } from "../../scripts/package/runtimes.ts";
import { reservePorts } from "../../scripts/reserved_ports.ts";
import { createConfState, createEntry } from "../../src/raft/mod.ts";
import type * as Sqlite from "../../src/storage/sqlite/mod.ts";
import { withSandbox } from "../process/support.ts";

test("the package elects and replicates over gRPC and SQLite on this runtime", {
  timeout: 300_000,
}, () =>
  withSandbox(async (sandbox) => {
    writeConsumer(sandbox.folder);
    linkPackage(sandbox.folder, cachedBuild());
    const program = join(sandbox.folder, "embed.ts");
    const addresses = (await reservePorts(3)).map((port) => `127.0.0.1:${port}`);
    const args = [...runArguments(currentRuntime().name, program), ...addresses];
    const { code, stdout, stderr } = await sandbox.runProgram(process.execPath, args);
    assert.equal(code, 0, stderr);
    assert.deepEqual(stdout.trim().split("\n").slice(-3), EMBED_LINES);
  }));

test(
  "the package finds the thread that writes to slow disks",
  { timeout: 300_000 },
  () =>
    withSandbox(async (sandbox) => {
      const module = pathToFileURL(join(cachedBuild(), "src/storage/sqlite/mod.js")).href;
      const { SqliteNodeStorage } = await import(module) as typeof Sqlite;
      const storage = await SqliteNodeStorage.open({
        directory: sandbox.folder,
        identity: { clusterId: "package", nodeId: 1 },
        writer: "worker",
      });
      try {
        const confState = createConfState({ voters: [1] });
        const initial = { index: 1, term: 1, confState };
        const region = await storage.createRegion({ regionId: 1, peerId: 1, initial });
        await region.append({ entries: [createEntry({ index: 2, term: 1 })] });
        assert.equal(storage.writer.mode, "worker");
        assert.equal(region.lastIndex(), 2);
      } finally {
        await storage.close();
      }
    }),
);
