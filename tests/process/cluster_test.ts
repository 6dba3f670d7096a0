/**
 * Three real processes with real files: what was acknowledged survives the loss of the leader in the
 * middle of a load, and of all nodes at once.
 */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { EtcdClient } from "../../src/etcd/mod.ts";
import { type DevNode, killPid, until, within, withSandbox } from "./support.ts";

const RECORD_COUNT = 100_000;
const PAGE_KEYS = 10_000;
const READ_DEADLINE_MS = 30_000;

/** The words of Debian's wamerican, or as many made-up ones where it is not installed. */
function words(): string[] {
  for (const path of ["/usr/share/dict/american-english", "/usr/share/dict/words"]) {
    if (!existsSync(path)) continue;
    const found = readFileSync(path, "utf8").split("\n").filter((word) => word !== "");
    if (found.length >= RECORD_COUNT) return found.slice(0, RECORD_COUNT);
  }
  return Array.from({ length: RECORD_COUNT }, (_, index) => `word-${index.toString(36)}`);
}

const valueOf = (word: string) => `${word} means ${[...word].reverse().join("")}`;

/** The acknowledged records, as `flaredb load` wrote them down. */
function acknowledgedRecords(file: string): Map<string, string> {
  const lines = readFileSync(file, "utf8").split("\n").filter((line) => line !== "");
  return new Map(lines.map((line) => {
    const { key, value } = JSON.parse(line) as { key: string; value: string };
    return [key, value];
  }));
}

/** All keys and values of one member, read linearizably. */
async function readAll(endpoint: string): Promise<Map<string, string>> {
  const client = new EtcdClient({ endpoints: [endpoint], deadlineMs: READ_DEADLINE_MS });
  const found = new Map<string, string>();
  const text = (bytes: Uint8Array) => Buffer.from(bytes).toString("utf8");
  try {
    let from: Uint8Array = Uint8Array.of(0);
    for (;;) {
      const { kvs, more } = await client.get(from, {
        rangeEnd: Uint8Array.of(0),
        limit: PAGE_KEYS,
      });
      for (const { key, value } of kvs) found.set(text(key), text(value));
      if (!more) return found;
      from = Buffer.concat([kvs[kvs.length - 1].key, Uint8Array.of(0)]);
    }
  } finally {
    client.close();
  }
}

async function assertHolds(nodes: readonly DevNode[], records: Map<string, string>): Promise<void> {
  for (const { id, client } of nodes) {
    const found = await readAll(client);
    const lost = [...records].filter(([key, value]) => found.get(key) !== value);
    assert.deepEqual(lost.slice(0, 5), [], `node ${id} lost ${lost.length} acknowledged records`);
  }
}

/** The node that leads now, by what the nodes say of themselves. */
async function currentLeader(nodes: readonly DevNode[]): Promise<DevNode> {
  return await until("a node that says it leads", async () => {
    for (const node of nodes) {
      const client = new EtcdClient({ endpoints: [node.client], deadlineMs: 1000 });
      try {
        const { leader, header } = await client.status();
        if (leader !== 0n && leader === header.memberId) return node;
      } catch {
        // This one does not answer; another may lead.
      } finally {
        client.close();
      }
    }
    return undefined;
  });
}

function startArguments(node: DevNode, nodes: readonly DevNode[]): string[] {
  const members = nodes.map(({ id, peer, client }) => `${id}=${peer}/${client}`).join(",");
  const { id, data } = node;
  return ["start", "--id", `${id}`, "--cluster-id", "dev", "--data", data, "--members", members];
}

test("acknowledged keys survive the leader's loss during a load, and then that of all nodes", () =>
  withSandbox(async (sandbox) => {
    const data = join(sandbox.folder, "data");
    const input = join(sandbox.folder, "words.tsv");
    const acknowledgedFile = join(sandbox.folder, "acknowledged.jsonl");
    writeFileSync(input, words().map((word) => `${word}\t${valueOf(word)}\n`).join(""));
    const inputBytes = statSync(input).size;

    const dev = await sandbox.dev(["--data", data]);
    const endpoints = dev.nodes.map(({ client }) => client).join(",");
    const load = sandbox.flaredb([
      "load",
      input,
      "--endpoints",
      endpoints,
      "--acknowledged",
      acknowledgedFile,
      "--in-flight",
      "256",
      "--json",
    ]);
    await until(
      "a third of the load",
      () => existsSync(acknowledgedFile) && statSync(acknowledgedFile).size > inputBytes / 2,
      120_000,
    );
    const killed = await currentLeader(dev.nodes);
    assert.ok(load.isRunning, load.transcript());
    killPid(killed.pid);
    const inTheMiddle = acknowledgedRecords(acknowledgedFile).size;
    assert.ok(inTheMiddle > 0 && inTheMiddle < RECORD_COUNT, `${inTheMiddle} keys at the kill`);

    const code = await within("the end of the load", load.ended, 240_000);
    assert.equal(code, 0, load.transcript());
    assert.equal(JSON.parse(load.standardOutput).acknowledged, RECORD_COUNT);
    const records = acknowledgedRecords(acknowledgedFile);
    assert.equal(records.size, RECORD_COUNT);
    const living = dev.nodes.filter(({ id }) => id !== killed.id);
    await assertHolds(living, records);
    assert.notEqual((await currentLeader(living)).id, killed.id);

    const again = sandbox.flaredb(startArguments(killed, dev.nodes));
    await assertHolds([killed], records).catch((error) => {
      throw new Error(`${error.message}\n${again.transcript()}`);
    });

    killPid(again.pid);
    for (const { pid } of living) killPid(pid);
    assert.equal(await dev.process.exitCode(), 1, "dev ends when all its nodes are dead");

    const restarted = await sandbox.dev(["--data", data]);
    await assertHolds(restarted.nodes, records);
  }));
