/**
 * Real nodes over TLS, on Deno with the least permissions: who may join, who may write, and
 * certificates that are renewed while the nodes run.
 */
import assert from "node:assert/strict";
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { reservePorts } from "../../scripts/reserved_ports.ts";
import { runCommandLine } from "../../src/cli/mod.ts";
import { ownCommand } from "../../src/cli/runtime.ts";
import { CertificateAuthority } from "../../src/tls/authority.ts";
import { GrpcTransport, type GrpcTransportOptions } from "../../src/transport/grpc/mod.ts";
import { FakeTerminal } from "../cli/fake_terminal.ts";
import { issue, newAuthority, trusting, yesterday } from "../tls/support.ts";
import { heartbeat, Recorder } from "../transport/support.ts";
import {
  hasProgram,
  type Outcome,
  type Sandbox,
  type TestProcess,
  until,
  withSandbox,
} from "./support.ts";

const CLUSTER = "shop";

/** Runs a client command without a process of its own, which is quicker. */
async function run(...args: string[]): Promise<Outcome> {
  const terminal = new FakeTerminal();
  const code = await runCommandLine(args, terminal);
  return { code, stdout: terminal.output, stderr: terminal.errors };
}

/** Runs a command that must succeed. */
async function succeed(...args: string[]): Promise<void> {
  const { code, stderr } = await run(...args);
  assert.equal(code, 0, `${args.join(" ")}: ${stderr}`);
}

/** Nodes with certificates of an authority in the sandbox, and how to reach them. */
class SecureCluster {
  readonly certificates: string;
  readonly processes: TestProcess[] = [];
  private readonly sandbox: Sandbox;
  private readonly peers: readonly string[];
  readonly clients: readonly string[];

  private constructor(sandbox: Sandbox, addresses: readonly string[]) {
    this.sandbox = sandbox;
    this.certificates = join(sandbox.folder, "certs");
    this.peers = addresses.slice(0, addresses.length / 2);
    this.clients = addresses.slice(addresses.length / 2);
  }

  /** Makes the certificates and starts the nodes. */
  static async start(sandbox: Sandbox, count: number): Promise<SecureCluster> {
    const ports = await reservePorts(2 * count);
    const cluster = new SecureCluster(sandbox, ports.map((port) => `127.0.0.1:${port}`));
    const dir = ["--dir", cluster.certificates];
    await succeed("cert", "ca", ...dir);
    await succeed("cert", "client", ...dir);
    for (let id = 1; id <= count; id++) {
      await succeed("cert", "node", "--id", `${id}`, "--cluster-id", CLUSTER, ...dir);
      cluster.startNode(id);
    }
    return cluster;
  }

  file(name: string): string {
    return join(this.certificates, name);
  }

  /** The options of a client that is known here. */
  get client(): string[] {
    const file = (name: string) => this.file(name);
    return ["--cacert", file("ca.pem"), "--cert", file("client.pem"), "--key", file("client.key")];
  }

  get endpoints(): string[] {
    return ["--endpoints", this.clients.join(",")];
  }

  peerOf(id: number): string {
    return this.peers[id - 1];
  }

  /** Starts a node, on Deno with no more permissions than it needs. */
  startNode(id: number): void {
    const data = join(this.sandbox.folder, `node-${id}`);
    const members = this.peers.map((peer, index) => `${index + 1}=${peer}/${this.clients[index]}`);
    const [own, key, ca] = [`node-${id}.pem`, `node-${id}.key`, "ca.pem"].map((name) =>
      this.file(name)
    );
    const args = ["start", "--id", `${id}`, "--cluster-id", CLUSTER, "--data", data];
    args.push("--members", members.join(","), "--tick-ms", "50");
    args.push("--storage-writer", id === 1 ? "worker" : "direct");
    args.push("--peer-trusted-ca-file", ca, "--peer-cert-file", own, "--peer-key-file", key);
    args.push("--trusted-ca-file", ca, "--cert-file", own, "--key-file", key, "--client-cert-auth");
    const [program, programArguments] = ownCommand(args, {
      net: [...this.peers, this.clients[id - 1]],
      folders: [data],
      files: [own, key, ca],
    });
    this.processes[id - 1] = this.sandbox.spawn(program, programArguments);
  }

  /** Writes a key through any node, as a client that is known. */
  async put(key: string): Promise<void> {
    const { code, stderr } = await run(
      ...["put", key, "1", "--timeout-ms", "30000", ...this.client, ...this.endpoints],
    );
    const logs = this.processes.map((one) => one.transcript()).join("\n");
    assert.equal(code, 0, `${stderr}\n${logs}`);
  }
}

/** Tries to send to node 1 as node 2, and waits until that has failed for good reason. */
async function intrude(
  cluster: SecureCluster,
  peer: string,
  options: Partial<GrpcTransportOptions>,
): Promise<void> {
  const intruder = new GrpcTransport({
    clusterId: CLUSTER,
    nodeId: 2,
    listen: "127.0.0.1:0",
    ...options,
  });
  const recorder = new Recorder();
  await intruder.start(recorder);
  try {
    intruder.addNode(1, peer);
    intruder.send(1, [heartbeat(1)]);
    await until("the refusal", () => recorder.unreachableNodes.length > 0);
    assert.equal(intruder.counters().connectionsOpened, 0);
  } finally {
    await intruder.close();
  }
  assert.ok(cluster.processes.every((node) => node.isRunning));
}

test("three nodes over TLS refuse peers and clients that are not known, and the cluster goes on", () =>
  withSandbox(async (sandbox) => {
    const cluster = await SecureCluster.start(sandbox, 3);
    await cluster.put("before");
    const ours = await ownAuthority(cluster);
    const theirs = await newAuthority();
    const peer = cluster.peerOf(1);
    const name = `node-2.${CLUSTER}.flaredb`;
    const third = await issue(ours, [`node-3.${CLUSTER}.flaredb`]);
    const peerName = (nodeId: number) => `node-${nodeId === 2 ? 3 : nodeId}.${CLUSTER}.flaredb`;
    const foreign = { ...await issue(theirs, [name]), ca: ours.keyPair.certificate };
    const expired = trusting(ours, await issue(ours, [name], yesterday()));
    await intrude(cluster, peer, { insecure: true });
    await intrude(cluster, peer, { tls: { certificates: foreign } });
    await intrude(cluster, peer, { tls: { certificates: expired } });
    await intrude(cluster, peer, { tls: { certificates: trusting(ours, third), peerName } });
    assert.match(cluster.processes[0].standardError, /must carry the name node-2\.shop\.flaredb/);

    const [first] = cluster.clients;
    const get = ["get", "before", "--endpoints"];
    const patient = ["--timeout-ms", "30000"];
    const soon = ["--timeout-ms", "2000"];
    const cacert = ["--cacert", cluster.file("ca.pem")];
    const unknown = await run(...get, first, ...cacert, ...soon);
    assert.equal(unknown.code, 3, unknown.stderr);
    const plaintext = await run(...get, first, ...soon);
    assert.equal(plaintext.code, 3, plaintext.stderr);
    for (const client of cluster.clients) {
      const known = await run(...get, client, ...cluster.client, ...patient);
      assert.deepEqual([known.code, known.stdout], [0, "before\n1\n"], known.stderr);
    }
    await cluster.put("after");
    for (const node of cluster.processes) node.kill("SIGTERM");
    for (const node of cluster.processes) {
      assert.equal(await node.exitCode(), 0, node.transcript());
    }
  }));

/** The authority of a cluster, as whoever has its key can use it. */
function ownAuthority(cluster: SecureCluster): Promise<CertificateAuthority> {
  return CertificateAuthority.open({
    certificate: readFileSync(cluster.file("ca.pem"), "utf8"),
    privateKey: readFileSync(cluster.file("ca.key"), "utf8"),
  });
}

test("a running node takes renewed certificates, and keeps the old while a file is half written", () =>
  withSandbox(async (sandbox) => {
    const cluster = await SecureCluster.start(sandbox, 1);
    await cluster.put("before");
    const [node] = cluster.processes;
    const renewed = await issue(await ownAuthority(cluster), [
      `node-1.${CLUSTER}.flaredb`,
      "renewed",
    ], {
      ipAddresses: ["127.0.0.1"],
    });
    const port = cluster.clients[0].split(":")[1];
    const byName = (timeoutMs: number): Promise<Outcome> =>
      run(
        ...["get", "before", "--timeout-ms", `${timeoutMs}`, "--endpoints", `localhost:${port}`],
        ...cluster.client,
      );
    assert.equal((await byName(30_000)).code, 0);
    const key = cluster.file("node-1.key");
    writeFileSync(key, renewed.privateKey.slice(0, 100));
    await until("the warning", () => node.standardError.includes("Keeping the old certificates"));
    await cluster.put("meanwhile");
    writeFileSync(key, renewed.privateKey);
    writeFileSync(cluster.file("new.pem"), renewed.certificate);
    renameSync(cluster.file("new.pem"), cluster.file("node-1.pem"));
    const taken = /Using the new certificates/g;
    await until("the renewal", () => (node.standardError.match(taken) ?? []).length === 2);
    await cluster.put("after");
    assert.equal((await byName(2_000)).code, 3, "the old name is gone");
  }));

const skip = hasProgram("etcdctl") ? false : "etcdctl is not installed (Debian: etcd-client)";

test(
  "etcdctl speaks TLS with its own options, and is refused without a certificate",
  { skip },
  () =>
    withSandbox(async (sandbox) => {
      const cluster = await SecureCluster.start(sandbox, 1);
      await cluster.put("a");
      const etcdctl = (...args: string[]): Promise<Outcome> =>
        sandbox.runProgram("env", [
          "ETCDCTL_API=3",
          "etcdctl",
          `--endpoints=https://${cluster.clients[0]}`,
          `--cacert=${cluster.file("ca.pem")}`,
          "--command-timeout=20s",
          ...args,
        ]);
      const own = [`--cert=${cluster.file("client.pem")}`, `--key=${cluster.file("client.key")}`];
      const known = await etcdctl(...own, "get", "a");
      assert.deepEqual([known.code, known.stdout], [0, "a\n1\n"], known.stderr);
      const members = JSON.parse((await etcdctl(...own, "member", "list", "-w", "json")).stdout);
      assert.deepEqual(members.members[0].clientURLs, [`https://${cluster.clients[0]}`]);
      const unknown = await etcdctl("--command-timeout=3s", "get", "a");
      assert.notEqual(unknown.code, 0);
    }),
);
