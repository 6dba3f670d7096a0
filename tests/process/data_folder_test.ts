/** A node's data folder: one process at a time, one node, one cluster. */
import assert from "node:assert/strict";
import { closeSync, existsSync, openSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { reservePorts } from "../../scripts/reserved_ports.ts";
import { EtcdClient } from "../../src/etcd/mod.ts";
import { type Sandbox, type TestProcess, until, withSandbox } from "./support.ts";

interface OneNode {
  readonly client: string;
  readonly data: string;
  /** The arguments of `flaredb start`, with some replaced. */
  arguments(replaced?: Readonly<Record<string, string>>): string[];
}

async function oneNode(sandbox: Sandbox): Promise<OneNode> {
  const [peerPort, clientPort] = await reservePorts(2);
  const client = `127.0.0.1:${clientPort}`;
  const data = join(sandbox.folder, "data");
  const options: Record<string, string> = {
    id: "1",
    "cluster-id": "shop",
    data,
    members: `1=127.0.0.1:${peerPort}/${client}`,
    "tick-ms": "10",
  };
  return {
    client,
    data,
    arguments: (replaced = {}) => [
      "start",
      ...Object.entries({ ...options, ...replaced }).flatMap((
        [name, value],
      ) => [`--${name}`, value]),
    ],
  };
}

/** Waits until the node has taken a write. */
async function untilItServes(sandbox: Sandbox, node: OneNode, started: TestProcess): Promise<void> {
  const put = await sandbox.run(["put", "a", "1", "--endpoints", node.client]);
  assert.equal(put.code, 0, put.stderr + started.transcript());
}

async function stopCleanly(started: TestProcess): Promise<void> {
  started.kill("SIGTERM");
  assert.equal(await started.exitCode(), 0, started.transcript());
}

test("a second process on a data folder is refused and the first goes on", () =>
  withSandbox(async (sandbox) => {
    const node = await oneNode(sandbox);
    const first = sandbox.flaredb(node.arguments());
    await untilItServes(sandbox, node, first);
    const [peerPort, clientPort] = await reservePorts(2);
    const elsewhere = { members: `1=127.0.0.1:${peerPort}/127.0.0.1:${clientPort}` };
    const second = await sandbox.run(node.arguments(elsewhere));
    assert.equal(second.code, 1, second.stderr);
    assert.match(
      second.stderr,
      /flaredb start: cannot start: .*is open already, in this process or another/,
    );
    assert.ok(second.stderr.includes(node.data), "the folder is named");
    const get = await sandbox.run(["get", "a", "--endpoints", node.client]);
    assert.equal(get.stdout, "a\n1\n", get.stderr);
    await stopCleanly(first);
  }));

test("the data of another cluster, or of another node, is refused and not altered", () =>
  withSandbox(async (sandbox) => {
    const node = await oneNode(sandbox);
    const first = sandbox.flaredb(node.arguments());
    await untilItServes(sandbox, node, first);
    await stopCleanly(first);

    const otherCluster = await sandbox.run(node.arguments({ "cluster-id": "bank" }));
    assert.equal(otherCluster.code, 1, otherCluster.stderr);
    assert.match(otherCluster.stderr, /cannot start: .*shop/);
    assert.match(otherCluster.stderr, /cannot start: .*bank/);
    const [peerPort] = await reservePorts(1);
    const otherNode = await sandbox.run(
      node.arguments({ id: "2", members: `2=127.0.0.1:${peerPort}/${node.client}` }),
    );
    assert.equal(otherNode.code, 1, otherNode.stderr);
    assert.match(otherNode.stderr, /cannot start: .*\b1\b.*\b2\b|cannot start: .*\b2\b.*\b1\b/);

    const again = sandbox.flaredb(node.arguments());
    const get = await until("the node with its data", async () => {
      const one = await sandbox.run(["get", "a", "--endpoints", node.client]);
      return one.code === 0 && one;
    });
    assert.equal(get.stdout, "a\n1\n");
    await stopCleanly(again);
  }));

test("a node ends cleanly on Ctrl-C and on the end of its parent, and keeps its three files", () =>
  withSandbox(async (sandbox) => {
    const node = await oneNode(sandbox);
    const first = sandbox.flaredb(node.arguments());
    await untilItServes(sandbox, node, first);
    first.kill("SIGINT");
    assert.equal(await first.exitCode(), 0, first.transcript());
    for (const name of ["raft.db", "lock.db", "kv.db"]) {
      assert.ok(existsSync(join(node.data, name)), name);
    }
    const second = sandbox.flaredb([...node.arguments(), "--stop-with-stdin"], "");
    assert.equal(await second.exitCode(), 0, second.transcript());
    assert.match(second.standardError, /standard input has ended/);
  }));

test("an address that is taken is named", () =>
  withSandbox(async (sandbox) => {
    const node = await oneNode(sandbox);
    const first = sandbox.flaredb(node.arguments());
    await untilItServes(sandbox, node, first);
    const second = await sandbox.run(node.arguments({ data: join(sandbox.folder, "other") }));
    assert.equal(second.code, 1, second.stderr);
    assert.match(second.stderr, /cannot start: .*127\.0\.0\.1:\d+/);
    await stopCleanly(first);
  }));

test("a damaged value is not served: the node stops, says why, and does not start", () =>
  withSandbox(async (sandbox) => {
    const node = await oneNode(sandbox);
    const first = sandbox.flaredb(node.arguments());
    await untilItServes(sandbox, node, first);
    // Of a length that takes pages of its own, which nothing but a read of it looks at.
    const value = "x".repeat(10_000);
    const put = await sandbox.run(["put", "b", value, "--endpoints", node.client]);
    assert.equal(put.code, 0, put.stderr);
    await stopCleanly(first);
    const second = sandbox.flaredb(node.arguments());
    await untilItServes(sandbox, node, second);
    const path = join(node.data, "kv.db");
    const content = readFileSync(path);
    const file = openSync(path, "r+");
    let damaged = 0;
    for (let page = 0; page < content.length; page += 4096) {
      const at = content.subarray(page, page + 4096).indexOf("x".repeat(1000));
      if (at >= 0) damaged += writeSync(file, new Uint8Array([65]), 0, 1, page + at);
    }
    closeSync(file);
    assert.ok(damaged > 0);
    const get = await sandbox.run(["get", "b", "--endpoints", node.client]);
    assert.equal(get.code, 1, get.stdout.slice(0, 100));
    assert.equal(get.stdout, "");
    assert.equal(await second.exitCode(), 1, second.transcript());
    assert.match(second.transcript(), /has stopped: .*kv\.db, .* fails its checksum/);
    const third = await sandbox.run(node.arguments());
    assert.equal(third.code, 1, third.stderr);
    assert.match(third.stderr, /kv\.db, row \d+ of history fails its checksum/);
  }));

test("a node compacts its log as its options say, and refuses those that do not fit", () =>
  withSandbox(async (sandbox) => {
    const node = await oneNode(sandbox);
    const refused = await sandbox.run(node.arguments({ "compact-entries": "0" }));
    assert.equal(refused.code, 2, refused.stderr);
    assert.match(refused.stderr, /--compact-entries must be an integer from 1/);

    const often = { "compact-entries": "20", "compact-keep": "5", "compact-keep-lagging": "10" };
    const started = sandbox.flaredb(node.arguments({ ...often, "log-level": "debug" }));
    await untilItServes(sandbox, node, started);
    const client = new EtcdClient({ endpoints: [node.client] });
    try {
      for (let count = 0; count < 100; count++) await client.put("a", String(count));
    } finally {
      client.close();
    }
    await until("most of the log is gone", () => {
      const lines = started.standardError.matchAll(
        /the log was compacted up to .*, (\d+) entries/g,
      );
      return [...lines].reduce((sum, [, entries]) => sum + Number(entries), 0) >= 80;
    });
    await stopCleanly(started);
    const verified = await sandbox.run(["storage", "verify", node.data, "--json"]);
    assert.equal(verified.code, 0, verified.stdout + verified.stderr);
    const [{ firstIndex, lastIndex }] = JSON.parse(verified.stdout).regions;
    assert.ok(lastIndex >= 100, `last index ${lastIndex}`);
    assert.ok(lastIndex - firstIndex < 30, `the log holds ${firstIndex} to ${lastIndex}`);
  }));
