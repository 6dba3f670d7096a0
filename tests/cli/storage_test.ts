import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { reservePorts } from "../../scripts/reserved_ports.ts";
import { runCommandLine } from "../../src/cli/mod.ts";
import { KvStore } from "../../src/kv/mod.ts";
import { FileSpool } from "../../src/node/snapshots/file_spool.ts";
import { createConfState, createEntry } from "../../src/raft/mod.ts";
import { SqliteNodeStorage } from "../../src/storage/sqlite/mod.ts";
import { FakeTerminal } from "./fake_terminal.ts";

async function run(...args: string[]): Promise<{ code: number; output: string; errors: string }> {
  const terminal = new FakeTerminal();
  const code = await runCommandLine(["storage", ...args], terminal);
  return { code, output: terminal.output, errors: terminal.errors };
}

/** Runs `work` with the folder of a node whose log has two entries and whose store applied `applied`. */
async function withData(applied: number, work: (data: string) => Promise<void>): Promise<void> {
  const parent = mkdtempSync(join(tmpdir(), "flaredb-cli-"));
  try {
    const directory = join(parent, "data");
    const identity = { clusterId: "tests", nodeId: 3 };
    const storage = await SqliteNodeStorage.open({ directory, identity });
    const region = await storage.createRegion({ regionId: 1, peerId: 3 });
    const command = new TextEncoder().encode('set "a"');
    const entries = [1, 2].map((index) => createEntry({ index, term: 1, command }));
    await region.append({ entries, hardState: { currentTerm: 4, votedFor: 3, commitIndex: 2 } });
    await storage.close();
    const store = KvStore.open({ directory });
    store.apply({ commands: [], lastApplied: applied, nodeState: [] });
    store.close();
    await work(directory);
  } finally {
    rmSync(parent, { recursive: true, force: true });
  }
}

test("storage verify says that data is sound, for people and as JSON", () =>
  withData(2, async (data) => {
    const { code, output, errors } = await run("verify", data);
    assert.equal(code, 0, output + errors);
    assert.match(output, /node 3 of cluster "tests", format 1/);
    assert.match(output, /REGION +PEER +TERM +VOTE +LOG .*APPLIED/);
    assert.match(output, /1 +3 +4 +3 +1\.\.2 +1 +2 +2 /);
    assert.match(output, /\nsound: everything holds\n$/);
    const report = JSON.parse((await run("verify", data, "--json")).output);
    assert.equal(report.sound, true);
    assert.deepEqual(report.problems, []);
    assert.equal(report.regions[0].appliedIndex, 2);
  }));

test("storage verify lists what is wrong and ends with exit code 1", () =>
  withData(9, async (data) => {
    const database = new DatabaseSync(join(data, "raft.db"));
    database.prepare("UPDATE raft_log SET term = 7 WHERE key & 255 = 1").run();
    database.close();
    const { code, output } = await run("verify", data);
    assert.equal(code, 1);
    assert.match(output, /^! .*region 1, index 1 in raft_log fails its checksum$/m);
    assert.match(output, /^! .*has applied index 9, but its log ends at 2$/m);
    assert.match(output, /not sound: 2 problems\n$/);
    const dumped = await run("dump", data);
    assert.equal(dumped.code, 1);
    assert.match(dumped.output, /DAMAGED row in raft_log: 1 7 0/);
    assert.match(dumped.errors, /^! .*region 1, index 1 in raft_log fails its checksum$/m);
    assert.match(dumped.errors, /^! .*has applied index 9, but its log ends at 2$/m);
  }));

/** Lets the log of the data begin after a snapshot of this index, as an installation does first. */
async function installInLog(data: string, index: number): Promise<void> {
  const database = new DatabaseSync(join(data, "raft.db"));
  const { conf_state: confState } = database.prepare("SELECT conf_state FROM raft_state").get()!;
  database.close();
  const storage = await SqliteNodeStorage.open({
    directory: data,
    identity: { clusterId: "tests", nodeId: 3 },
  });
  const metadata = { index, term: 1, confState: JSON.parse(confState as string) };
  await storage.region(1)!.append({ snapshot: { metadata, data: new Uint8Array(0) } });
  await storage.close();
}

/** What `flaredb start` ends with: these data are not to be started from. */
async function startOf(data: string): Promise<string> {
  const terminal = new FakeTerminal();
  const [peer, client] = await reservePorts(2);
  const code = await runCommandLine([
    "start",
    ...["--id", "3", "--cluster-id", "tests", "--data", data],
    ...["--members", `3=127.0.0.1:${peer}`, "--client-listen", `127.0.0.1:${client}`],
  ], terminal);
  assert.equal(code, 1);
  return terminal.errors;
}

test("storage verify knows an installation that the next start finishes", () =>
  withData(2, async (data) => {
    await installInLog(data, 9);
    const spool = new FileSpool(join(data, "snapshots"));
    const sealed = async (index: number, term: number): Promise<string> => {
      const writer = await spool.create(1, { index, term, confState: createConfState() });
      await writer.write(new Uint8Array(5000).fill(7));
      return (await writer.seal()).place;
    };
    const verified = async () => (await run("verify", data)).output;
    const gone = /^! .*applied index 2, but .* begins at 10/m;
    assert.match(await verified(), gone);
    // Of another index, and of another term.
    await sealed(8, 1);
    assert.match(await verified(), gone);
    rmSync(await sealed(9, 2));
    const path = await sealed(9, 1);
    const { code, output } = await run("verify", data);
    assert.equal(code, 0, output);
    const bytes = readFileSync(path);
    const damages = [
      ["", /its footer is damaged/],
      ["garbage", /its footer is damaged/],
      [bytes.subarray(0, -1), /its footer is damaged/],
      [Buffer.from(bytes).fill(8, 4000, 4001), /its checksum does not hold/],
    ] as const;
    for (const [content, found] of damages) {
      writeFileSync(path, content);
      const report = await verified();
      assert.match(report, gone);
      assert.match(report, found);
      assert.ok(report.includes(path), report);
    }
    const refused = await startOf(data);
    assert.ok(refused.includes(`index 9 (${path}): `), refused);
    assert.match(refused, /if it cannot either, replace this member by a new one/);
  }));

test("storage verify objects to a log that begins after what a missing or empty store lacks", () =>
  withData(2, async (data) => {
    assert.equal((await run("verify", data)).code, 0);
    for (const suffix of ["", "-wal", "-shm"]) {
      rmSync(join(data, `kv.db${suffix}`), { force: true });
    }
    // The log has it all.
    const { code, output } = await run("verify", data);
    assert.equal(code, 0, output);
    assert.match(output, /key-value store +there is none/);
    await installInLog(data, 100);
    const gone = /^! .*applied index 0, but .* begins at 101: the entries between are gone$/m;
    assert.match((await run("verify", data)).output, gone);
    assert.match((await run("dump", data)).errors, gone);
    for (const args of [["verify", data, "--log-only"], ["dump", data, "--log-only"]]) {
      assert.equal((await run(...args)).code, 0);
    }
    writeFileSync(join(data, "kv.db"), "");
    const empty = await run("verify", data);
    assert.match(empty.output, gone);
    assert.match(empty.output, /key-value store +has no tables yet/);
    assert.match(await startOf(data), /the log begins at 101: the entries between are gone/);
  }));

test("storage verify objects to a store without a log of its region", async () => {
  const data = mkdtempSync(join(tmpdir(), "flaredb-cli-"));
  try {
    const identity = { clusterId: "tests", nodeId: 3 };
    await (await SqliteNodeStorage.open({ directory: data, identity })).close();
    assert.equal((await run("verify", data)).code, 0, "a start that had just begun");
    const store = KvStore.open({ directory: data });
    store.apply({ commands: [], lastApplied: 7, nodeState: [] });
    store.close();
    const { code, output } = await run("verify", data);
    assert.equal(code, 1);
    assert.match(output, /^! The state machine of region 1 has applied index 7, but has no log$/m);
    assert.match(await startOf(data), /has applied index 7, but the log ends at 1/);
  } finally {
    rmSync(data, { recursive: true, force: true });
  }
});

test("storage verify and dump look into the key-value store too", () =>
  withData(2, async (data) => {
    assert.match(
      (await run("verify", data)).output,
      /key-value store +revision 1, 0 keys in 0 ver/,
    );
    const database = new DatabaseSync(join(data, "kv.db"));
    database.prepare("UPDATE meta SET revision = 5").run();
    database.close();
    const { code, output } = await run("verify", data);
    assert.equal(code, 1);
    assert.match(output, /^! In .*kv\.db, the row of meta is missing or fails its checksum$/m);
    const dumped = await run("dump", data);
    assert.equal(dumped.code, 1);
    assert.match(dumped.errors, /row of meta is missing/);
    assert.equal(JSON.parse((await run("verify", data, "--json")).output).store.layout, 2);
  }));

test("storage dump of a damaged write-ahead log warns, names the frame, and ends with exit code 1", () =>
  withData(2, async (data) => {
    const crashed = join(data, "crashed");
    const log = join(crashed, "raft.db-wal");
    const storage = await SqliteNodeStorage.open({
      directory: data,
      identity: { clusterId: "tests", nodeId: 3 },
    });
    const region = storage.region(1)!;
    for (const index of [3, 4, 5]) {
      await region.append({
        entries: [createEntry({ index, term: 1, command: new Uint8Array(9) })],
      });
    }
    mkdirSync(crashed);
    for (const name of ["raft.db", "raft.db-wal"]) {
      copyFileSync(join(data, name), join(crashed, name));
    }
    await storage.close();
    assert.equal((await run("dump", crashed)).code, 0);
    const wal = readFileSync(log);
    wal[32 + 24 + 100] ^= 1;
    writeFileSync(log, wal);
    const { code, output, errors } = await run("dump", crashed);
    assert.equal(code, 1);
    assert.match(errors, /^warning: this data is not sound/);
    assert.match(errors, /^! Frame 1 of the write-ahead log .* is damaged .*frame \d+ after/m);
    // What SQLite kept is shown: what was in the database before the log.
    assert.match(output, /log 1\.\.2,/);
    const json = await run("dump", crashed, "--json");
    assert.equal(json.code, 1);
    const [problem, node] = json.output.split("\n").map((line) => line && JSON.parse(line));
    assert.equal(problem.kind, "problem");
    assert.match(problem.problem, /^Frame 1 of the write-ahead log/);
    assert.equal(node.kind, "node");
    assert.match(json.errors, /^! Frame 1 /m);
  }));

test("storage dump writes states and entries, for people and as JSON", () =>
  withData(2, async (data) => {
    const { code, output } = await run("dump", data);
    assert.equal(code, 0);
    const lines = output.trimEnd().split("\n");
    assert.equal(lines.length, 4);
    assert.match(lines[1], /^region 1: peer 3, term 4, vote 3, commit 2, log 1\.\.2/);
    assert.equal(lines[3], '  2 term 1 "set \\x22a\\x22" (7 B)');
    const json = (await run("dump", data, "--json", "--from", "2", "--limit", "5")).output;
    const records = json.trimEnd().split("\n").map((line) => JSON.parse(line));
    assert.deepEqual(records.map((record) => record.kind), ["node", "region", "entry"]);
    assert.equal(atob(records[2].commandBase64), 'set "a"');
    assert.equal((await run("dump", data, "--region", "8")).output.split("\n").length, 2);
  }));

test("storage refuses a wrong action, an option of the other action, and an empty folder", () =>
  withData(2, async (data) => {
    assert.equal((await run("repair", data)).code, 2);
    assert.equal((await run("verify", data, "--limit", "3")).code, 2);
    assert.equal((await run("dump", data, "--from", "x")).code, 2);
    assert.equal((await run("verify")).code, 2);
    const { code, errors } = await run("verify", join(data, "nothing"));
    assert.equal(code, 1);
    assert.match(errors, /There is no storage in /);
  }));
