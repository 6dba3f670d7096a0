/** Saving the state of a running member, and making a new cluster from it. */

import assert from "node:assert/strict";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { reservePorts } from "../../scripts/reserved_ports.ts";
import { runCommandLine } from "../../src/cli/command_line.ts";
import { type RunningServer, serve } from "../../src/cli/serve.ts";
import { EtcdClient } from "../../src/etcd/mod.ts";
import { commandOf, runProcess, straceMissing } from "../../scripts/sweeps/sweep.ts";
import { FakeTerminal } from "../cli/fake_terminal.ts";
import { hasProgram, withSandbox } from "./support.ts";

const LONG = { timeout: 120_000 };
process.env.ETCDCTL_API = "3";

interface Member {
  readonly nodeId: number;
  readonly peer: { host: string; port: number };
  readonly client: { host: string; port: number };
}

async function freeMembers(count: number): Promise<Member[]> {
  const ports = await reservePorts(2 * count);
  return Array.from({ length: count }, (_, at) => ({
    nodeId: at + 1,
    peer: { host: "127.0.0.1", port: ports[2 * at] },
    client: { host: "127.0.0.1", port: ports[2 * at + 1] },
  }));
}

function endpointOf({ client }: Member): string {
  return `127.0.0.1:${client.port}`;
}

function start(members: Member[], nodeId: number, clusterId: string, data: string) {
  const { peer, client } = members[nodeId - 1];
  return serve({
    nodeId,
    clusterId,
    data,
    members,
    join: false,
    insecurePeer: false,
    peerListen: `127.0.0.1:${peer.port}`,
    clientListen: `127.0.0.1:${client.port}`,
    tls: { peer: undefined, client: undefined, clientCertificates: false },
    storageWriter: "direct",
    tickMs: 20,
    electionTicks: 10,
    heartbeatTicks: 1,
  });
}

async function run(...args: string[]): Promise<{ code: number; output: string; errors: string }> {
  const terminal = new FakeTerminal();
  const code = await runCommandLine(args, terminal);
  return { code, output: terminal.output, errors: terminal.errors };
}

test("a saved snapshot makes a new cluster with the same keys and revisions", LONG, async () => {
  const directory = await mkdtemp(join(tmpdir(), "flaredb-snapshot-"));
  const running: RunningServer[] = [];
  try {
    const old = await freeMembers(1);
    running.push(await start(old, 1, "old", join(directory, "old")));
    const client = new EtcdClient({ endpoints: [endpointOf(old[0])], deadlineMs: 30_000 });
    for (let at = 0; at < 50; at++) await client.put(`key/${at % 20}`, `value ${at}`);
    const before = await client.get("key/", { prefix: true });
    client.close();
    const file = join(directory, "backup.db");
    const saved = await run("snapshot", "save", file, "--endpoints", endpointOf(old[0]));
    assert.equal(saved.code, 0, saved.errors);
    assert.match(saved.output, /^saved .* as of index \d+\n$/);
    const bytes = await readFile(file);
    assert.equal(bytes.length % 512, 32, "what etcdctl takes for a snapshot with a checksum");

    const members = await freeMembers(3);
    const list = members.map(({ nodeId, peer }) => `${nodeId}=127.0.0.1:${peer.port}`).join(",");
    const restore = (id: number, from = file, cluster = "new") =>
      run(
        "snapshot",
        "restore",
        from,
        "--data",
        join(directory, `new-${id}`),
        "--id",
        `${id}`,
        "--cluster-id",
        cluster,
        "--members",
        list,
      );
    // The third is not restored: it gets the state from the leader.
    for (const id of [1, 2]) assert.equal((await restore(id)).code, 0);
    assert.match((await restore(1)).errors, /holds data already/);
    assert.match((await restore(3, file, "old")).errors, /must not have the name of the old one/);
    for (const length of [3, 300]) {
      const cut = join(directory, `cut-${length}.db`);
      await writeFile(cut, bytes.subarray(0, length));
      assert.ok((await restore(3, cut)).errors.includes(`Cannot read ${cut} as it is cut short`));
    }
    bytes[bytes.length >> 1] ^= 1;
    await writeFile(join(directory, "damaged.db"), bytes);
    assert.match(
      (await restore(3, join(directory, "damaged.db"))).errors,
      /checksum does not hold/,
    );

    for (const { nodeId } of members) {
      running.push(await start(members, nodeId, "new", join(directory, `new-${nodeId}`)));
    }
    for (const member of members) {
      const reader = new EtcdClient({ endpoints: [endpointOf(member)], deadlineMs: 60_000 });
      const after = await reader.get("key/", { prefix: true });
      assert.deepEqual(after.kvs, before.kvs);
      assert.equal(after.header.revision, before.header.revision);
      const { members: listed } = await reader.memberList();
      assert.equal(listed.length, 3);
      reader.close();
    }
  } finally {
    for (const server of running) await server.stop();
    await rm(directory, { recursive: true, force: true });
  }
});

test(
  "snapshot save syncs the folder of its file, and fails when that fails",
  { ...LONG, skip: straceMissing() },
  async () => {
    const directory = await mkdtemp(join(tmpdir(), "flaredb-snapshot-"));
    const [member] = await freeMembers(1);
    const server = await start([member], 1, "old", join(directory, "node"));
    try {
      const backups = join(directory, "backups");
      await mkdir(backups);
      const file = join(backups, "backup.db");
      const save = ["snapshot", "save", file, "--endpoints", endpointOf(member)];
      // Only what is called on the folder itself fails.
      const strace = ["-f", "-qq", "-o", "/dev/null", "-P", backups, "-e", "trace=fsync"];
      const command = commandOf("../../src/cli/main.ts", save);
      const failed = await runProcess([
        "strace",
        ...strace,
        "-e",
        "inject=fsync:error=EIO",
        ...command,
      ]);
      assert.equal(failed.code, 1, failed.errors);
      assert.match(failed.errors, /backup\.db is whole, but a power cut may lose its name/);
      const saved = await runProcess(["strace", ...strace, ...command]);
      assert.equal(saved.code, 0, saved.errors);
    } finally {
      await server.stop();
      await rm(directory, { recursive: true, force: true });
    }
  },
);

test(
  "etcdctl saves a snapshot that flaredb restores",
  { ...LONG, skip: hasProgram("etcdctl") ? false : "etcdctl is not installed" },
  () =>
    withSandbox(async (sandbox) => {
      const directory = await mkdtemp(join(tmpdir(), "flaredb-snapshot-"));
      const members = await freeMembers(1);
      const server = await start(members, 1, "old", join(directory, "old"));
      try {
        const client = new EtcdClient({ endpoints: [endpointOf(members[0])], deadlineMs: 30_000 });
        await client.put("a", "1");
        client.close();
        const file = join(directory, "etcdctl.db");
        const endpoint = `--endpoints=${endpointOf(members[0])}`;
        const saved = await sandbox.runProgram("etcdctl", [endpoint, "snapshot", "save", file]);
        assert.equal(saved.code, 0, saved.stderr);
        const restored = await run(
          "snapshot",
          "restore",
          file,
          "--data",
          join(directory, "new"),
          "--id",
          "1",
          "--cluster-id",
          "new",
          "--members",
          "1=127.0.0.1:1",
        );
        assert.equal(restored.code, 0, restored.errors);
      } finally {
        await server.stop();
        await rm(directory, { recursive: true, force: true });
      }
    }),
);
