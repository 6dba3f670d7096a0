/**
 * One cluster on three runtimes: a node on Deno, one on Node, one on Bun. Each in turn is killed and
 * started again, while the other two go on.
 */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { join } from "node:path";
import { test } from "node:test";
import { PROJECT_ROOT } from "../../scripts/project_files.ts";
import {
  findRuntime,
  runArguments,
  type Runtime,
  RUNTIMES,
} from "../../scripts/package/runtimes.ts";
import { reservePorts } from "../../scripts/reserved_ports.ts";
import { EtcdClient } from "../../src/etcd/mod.ts";
import { type Sandbox, type TestProcess, until, withSandbox } from "./support.ts";

const LONG = { timeout: 300_000 };
const WRITES = 20;
const MIX: readonly Runtime[] = [RUNTIMES.deno, RUNTIMES.node24, RUNTIMES.bun];
const MAIN = join(PROJECT_ROOT, "src/cli/main.ts");

/** The programs, in the order of the nodes' ids, or why there are none. */
function findPrograms(): { programs: string[] } | { why: string } {
  const found = MIX.map((runtime) => findRuntime(runtime));
  const missing = found.flatMap((one) => "missing" in one ? [one.missing] : []);
  if (missing.length > 0) return { why: `npm has no ${missing.join(", and no ")}` };
  return { programs: found.flatMap((one) => "path" in one ? [one.path] : []) };
}

class MixedCluster {
  readonly endpoints: readonly string[];
  readonly #sandbox: Sandbox;
  readonly #programs: readonly string[];
  readonly #members: string;
  readonly #running = new Map<number, TestProcess>();
  #written = 0;

  constructor(sandbox: Sandbox, programs: readonly string[], ports: readonly number[]) {
    this.#sandbox = sandbox;
    this.#programs = programs;
    this.endpoints = [1, 3, 5].map((at) => `127.0.0.1:${ports[at]}`);
    this.#members = this.endpoints
      .map((client, at) => `${at + 1}=127.0.0.1:${ports[2 * at]}/${client}`).join(",");
  }

  start(id: number): void {
    const { name } = MIX[id - 1];
    const data = join(this.#sandbox.folder, `node-${id}`);
    const started = this.#sandbox.spawn(this.#programs[id - 1], [
      ...runArguments(name, MAIN),
      ...["start", "--id", `${id}`, "--cluster-id", "mixed", "--data", data],
      ...["--members", this.#members, "--tick-ms", "50"],
    ]);
    this.#running.set(id, started);
  }

  async kill(id: number): Promise<void> {
    const process = this.#running.get(id)!;
    process.kill("SIGKILL");
    await process.exitCode();
    this.#running.delete(id);
  }

  /** Writes some keys, each through the next of the nodes that run. */
  async write(): Promise<void> {
    const ids = [...this.#running.keys()];
    for (let count = 0; count < WRITES; count++) {
      const key = `key-${this.#written++}`;
      await this.#with(ids[count % ids.length], (client) => client.put(key, `value of ${key}`));
    }
  }

  /** Every node that runs has everything that was written, read linearizably. */
  async assertComplete(): Promise<void> {
    for (const id of this.#running.keys()) {
      const { kvs } = await this.#with(id, (client) => client.get("key-", { prefix: true }));
      const found = new Map(kvs.map(({ key, value }) => [text(key), text(value)]));
      assert.equal(found.size, this.#written, `node ${id}, on ${MIX[id - 1].name}`);
      for (const [key, value] of found) assert.equal(value, `value of ${key}`);
    }
  }

  /** The node that leads, by what the running nodes say, once they agree. */
  leader(): Promise<number> {
    return until(`a leader\n${this.transcripts()}`, async () => {
      const seen = await Promise.all(
        [...this.#running.keys()].map((id) =>
          this.#with(id, (client) => client.status()).catch(() => undefined)
        ),
      );
      const [first, ...rest] = seen.map((status) => Number(status?.leader ?? 0));
      return this.#running.has(first) && rest.every((one) => one === first) ? first : undefined;
    });
  }

  transcripts(): string {
    return [...this.#running.values()].map((one) => one.transcript()).join("\n");
  }

  async #with<T>(id: number, body: (client: EtcdClient) => Promise<T>): Promise<T> {
    const client = new EtcdClient({ endpoints: [this.endpoints[id - 1]], deadlineMs: 30_000 });
    try {
      return await body(client);
    } finally {
      client.close();
    }
  }
}

const text = (bytes: Uint8Array) => Buffer.from(bytes).toString("utf8");
const found = findPrograms();

test("nodes on Deno, Node and Bun replicate, fail over and restart as one cluster", {
  ...LONG,
  skip: "why" in found ? found.why : false,
}, () =>
  withSandbox(async (sandbox) => {
    const { programs } = found as { programs: string[] };
    const cluster = new MixedCluster(sandbox, programs, await reservePorts(6));
    for (const id of [1, 2, 3]) cluster.start(id);
    await cluster.leader();
    await cluster.write();
    await cluster.assertComplete();
    // The leader first, then the others, so that leadership moves and each runtime restarts.
    const first = await cluster.leader();
    for (const id of [first, ...[1, 2, 3].filter((one) => one !== first)]) {
      await cluster.kill(id);
      assert.notEqual(await cluster.leader(), id);
      await cluster.write();
      cluster.start(id);
      await cluster.leader();
      await cluster.write();
      await cluster.assertComplete();
    }
  }));
