/** What a node may touch where the runtime can limit it (Deno), and that this is enough. */
import assert from "node:assert/strict";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { reservePorts } from "../../scripts/reserved_ports.ts";
import { denoFlags, ownCommand } from "../../src/cli/runtime.ts";
import { readSource } from "../../scripts/project_files.ts";
import { until, withSandbox } from "../process/support.ts";

const MAIN = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));
const WORKER = fileURLToPath(new URL("../../src/storage/sqlite/worker.ts", import.meta.url));

test("a comma in a path is doubled, as a single one separates paths", () => {
  const net = ["127.0.0.1:1", "127.0.0.1:2"];
  assert.deepEqual(denoFlags({ net, folders: ["/data/a,b"], files: ["/certs"] }), [
    "--no-prompt",
    "--allow-net=127.0.0.1:1,127.0.0.1:2",
    "--allow-read=/data/a,,b,/certs",
    "--allow-write=/data/a,,b",
    "--allow-env=GRPC_*",
  ]);
});

test("the thread that writes imports no file but its own", () => {
  const imports = readSource("src/storage/sqlite/worker.ts").matchAll(
    /\bfrom "([^"]+)"|\bimport\(/g,
  );
  assert.deepEqual([...imports].map(([, name]) => name), ["node:sqlite", "node:worker_threads"]);
});

test("a node serves, and writes in a thread, with its addresses, data and worker file alone", {
  timeout: 120_000,
}, () =>
  withSandbox(async (sandbox) => {
    const [client, peer] = (await reservePorts(2)).map((port) => `127.0.0.1:${port}`);
    const data = join(sandbox.folder, "data");
    const start = ["start", "--id", "1", "--cluster-id", "alone", "--data", data];
    start.push("--members", `1=${peer}/${client}`, "--tick-ms", "50", "--storage-writer", "worker");
    const [program, args] = ownCommand(start, { net: [client, peer], folders: [data] });
    const flags = process.versions.deno === undefined ? [] : [
      "run",
      "--no-prompt",
      `--allow-net=${client},${peer}`,
      `--allow-read=${data},${WORKER}`,
      `--allow-write=${data}`,
      "--allow-env=GRPC_*",
    ];
    assert.deepEqual(args, [...flags, MAIN, ...start]);
    const node = sandbox.spawn(program, args);
    await until("the node serves", () => {
      if (!node.isRunning) throw new Error(node.transcript());
      return node.standardError.includes("serving clients");
    });
    assert.match(node.standardError, /storage: writes to .* in a thread of its own: as asked for/);
    const endpoint = ["--endpoints", client, "--timeout-ms", "30000"];
    const put = await sandbox.run(["put", "greeting", "hello", ...endpoint]);
    assert.equal(put.code, 0, put.stderr + node.transcript());
    assert.equal((await sandbox.run(["get", "greeting", ...endpoint])).stdout, "greeting\nhello\n");
    node.kill("SIGTERM");
    assert.equal(await node.exitCode(), 0, node.transcript());
    assert.doesNotMatch(node.standardError, /NotCapable|Requires \w+ access/);
  }));
