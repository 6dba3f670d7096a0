/** `flaredb dev`: what it promises about its processes, its output and its ports. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { runCommandLine } from "../../src/cli/mod.ts";
import { FakeTerminal } from "../cli/fake_terminal.ts";
import { isAlive, killPid, type Outcome, until, withSandbox } from "./support.ts";

/** Runs a client command without a process of its own, which is quicker. */
async function runInProcess(args: readonly string[]): Promise<Outcome> {
  const terminal = new FakeTerminal();
  const code = await runCommandLine(args, terminal);
  return { code, stdout: terminal.output, stderr: terminal.errors };
}

test("dev prints one line of JSON, serves all commands, and Ctrl-C leaves no process", () =>
  withSandbox(async (sandbox) => {
    const dev = await sandbox.dev();
    assert.deepEqual(dev.nodes.map(({ id }) => id), [1, 2, 3]);
    assert.ok([1, 2, 3].includes(dev.leader));
    assert.equal(new Set(dev.nodes.flatMap(({ client, peer }) => [client, peer])).size, 6);
    assert.equal(new Set(dev.nodes.map(({ pid }) => pid)).size, 3);
    for (const { pid, data } of dev.nodes) assert.ok(isAlive(pid) && existsSync(data));

    const run = (...args: string[]) => runInProcess(args);
    const all = ["--endpoints", dev.nodes.map(({ client }) => client).join(",")];
    const put = await sandbox.run(["put", "greeting", "hello", ...all]);
    assert.deepEqual([put.code, put.stdout], [0, "OK, revision 2\n"], put.stderr);
    const overwrite = await sandbox.run(["put", "greeting", "--prev-kv", "--json", ...all], "hi");
    assert.deepEqual(JSON.parse(overwrite.stdout), { revision: 3, previousValue: "hello" });
    await sandbox.run(["put", "greetings/2", "second", ...all]);
    for (const { client } of dev.nodes) {
      const get = await run("get", "greeting", "--prefix", "--endpoints", client);
      assert.deepEqual([get.code, get.stdout], [0, "greeting\nhi\ngreetings/2\nsecond\n"]);
    }
    const old = await run("get", "greeting", "--rev", "2", "--print-value-only", ...all);
    assert.equal(old.stdout, "hello\n", old.stderr);
    const one = await run("get", "greet", "--prefix", "--limit", "1", "--json", ...all);
    const { count, more, kvs } = JSON.parse(one.stdout);
    assert.deepEqual([count, more, kvs.length, kvs[0].version], [2, true, 1, 2]);
    const counted = await run("get", "--prefix", "--count-only", ...all);
    assert.equal(counted.stdout, "2\n");
    const nothing = await run("get", "nothing", ...all);
    assert.deepEqual([nothing.code, nothing.stdout], [0, ""]);
    const status = await run("status", "--json", ...all);
    const reports = JSON.parse(status.stdout) as { isLeader: boolean }[];
    assert.deepEqual(
      reports.map(({ isLeader }) => isLeader),
      [1, 2, 3].map((id) => id === dev.leader),
    );
    const table = await run("status", ...all);
    assert.match(table.stdout, /^ENDPOINT +MEMBER +ROLE[^]*leader/);
    const deleted = await run("del", "greet", "--prefix", ...all);
    assert.deepEqual([deleted.code, deleted.stdout], [0, "2\n"]);

    dev.process.kill("SIGINT");
    assert.equal(await dev.process.exitCode(), 0, dev.process.transcript());
    assert.equal(dev.process.lines.length, 1, "standard output has one line");
    for (const { pid, data } of dev.nodes) {
      assert.ok(!isAlive(pid), `process ${pid} has ended`);
      assert.ok(!existsSync(data), "the temporary data is removed");
    }
  }));

test("dev keeps its data between runs and never restarts a node", () =>
  withSandbox(async (sandbox) => {
    const data = join(sandbox.folder, "data");
    const first = await sandbox.dev(["--data", data]);
    const [one, two, three] = first.nodes;
    const put = await sandbox.run(["put", "a", "1", "--endpoints", one.client]);
    assert.equal(put.code, 0, put.stderr);
    killPid(one.pid);
    await until(
      "the news of the lost node",
      () => first.process.standardError.includes("node 1 | has ended"),
    );
    const get = await sandbox.run(["get", "a", "--endpoints", `${one.client},${two.client}`]);
    assert.equal(get.stdout, "a\n1\n", get.stderr);
    killPid(two.pid);
    killPid(three.pid);
    assert.equal(await first.process.exitCode(), 1);
    assert.ok(!isAlive(one.pid));

    const second = await sandbox.dev(["--data", data]);
    for (const { client } of second.nodes) {
      const read = await sandbox.run(["get", "a", "--endpoints", client]);
      assert.equal(read.stdout, "a\n1\n", read.stderr);
    }
    second.process.kill("SIGTERM");
    assert.equal(await second.process.exitCode(), 0);
  }));

test("the nodes of a dev that is killed end by themselves, on ports that it found as well", () =>
  withSandbox(async (sandbox) => {
    const dev = await sandbox.dev(["--data", join(sandbox.folder, "data")], 0);
    dev.process.kill("SIGKILL");
    await until("the end of all nodes", () => dev.nodes.every(({ pid }) => !isAlive(pid)));
  }));

test("a port that is taken is named when it was asked for", () =>
  withSandbox(async (sandbox) => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as { port: number };
    const { code, stderr } = await sandbox.run(["dev", "--port", `${Math.min(port, 65_529)}`]);
    await new Promise((resolve) => server.close(resolve));
    assert.equal(code, 1, stderr);
    assert.match(stderr, new RegExp(`something listens on 127\\.0\\.0\\.1:${port}`));
  }));
