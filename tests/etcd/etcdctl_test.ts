import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { test } from "node:test";
import { type Served, withServer } from "./support.ts";

const installed = spawnSync("etcdctl", ["version"], { env: { ...process.env, ETCDCTL_API: "3" } })
  .status === 0;
const skip = installed ? false : "etcdctl not installed";

interface Outcome {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

function etcdctl(served: Served, ...args: string[]): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = spawn("etcdctl", [`--endpoints=${served.address}`, ...args], {
      env: { ...process.env, ETCDCTL_API: "3" },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let out = "", err = "";
    child.stdout.on("data", (data) => out += data);
    child.stderr.on("data", (data) => err += data);
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, out, err }));
  });
}

async function succeed(served: Served, ...args: string[]): Promise<string> {
  const outcome = await etcdctl(served, ...args);
  assert.equal(outcome.code, 0, `etcdctl ${args.join(" ")}: ${outcome.err}`);
  return outcome.out;
}

test("etcdctl puts, gets and deletes a key", { skip }, () =>
  withServer(async (served) => {
    assert.equal(await succeed(served, "put", "greeting", "hello"), "OK\n");
    assert.equal(await succeed(served, "get", "greeting"), "greeting\nhello\n");
    assert.equal(
      await succeed(served, "put", "--prev-kv", "greeting", "hi"),
      "OK\ngreeting\nhello\n",
    );
    assert.equal(await succeed(served, "put", "--ignore-value", "greeting"), "OK\n");
    assert.equal(await succeed(served, "del", "--prev-kv", "greeting"), "1\ngreeting\nhi\n");
    assert.equal(await succeed(served, "get", "greeting"), "");
    assert.equal(await succeed(served, "del", "greeting"), "0\n");
  }));

test("etcdctl reads by prefix, limit, order, keys only and from a key on", {
  skip,
}, () =>
  withServer(async (served) => {
    for (const key of ["a1", "a2", "b1"]) await served.client.put(key, `value of ${key}`);
    assert.equal(
      await succeed(served, "get", "a", "--prefix", "--print-value-only"),
      [
        "value of a1",
        "value of a2",
        "",
      ].join("\n"),
    );
    assert.equal(
      await succeed(served, "get", "", "--prefix", "--limit=2", "--keys-only"),
      "a1\n\na2\n\n",
    );
    assert.equal(
      await succeed(served, "get", "a", "--prefix", "--order=DESCEND", "--keys-only"),
      "a2\n\na1\n\n",
    );
    assert.match(
      await succeed(served, "get", "a", "--prefix", "--limit=1", "-w", "fields"),
      /"More" : true\n"Count" : 2/,
    );
    assert.equal(await succeed(served, "get", "a2", "--from-key", "--keys-only"), "a2\n\nb1\n\n");
    assert.equal(await succeed(served, "del", "a", "--prefix"), "2\n");
    assert.equal(await succeed(served, "get", "", "--prefix", "--keys-only"), "b1\n\n");
  }));

test(
  "etcdctl reads at a past revision, and is told of one to come",
  { skip },
  () =>
    withServer(async (served) => {
      await succeed(served, "put", "key", "old");
      await succeed(served, "put", "key", "new");
      assert.equal(await succeed(served, "get", "key", "--rev=2"), "key\nold\n");
      const future = await etcdctl(served, "get", "key", "--rev=9");
      assert.notEqual(future.code, 0);
      assert.match(future.err, /etcdserver: mvcc: required revision is a future revision/);
    }),
);

test(
  "etcdctl shows header, revisions and version of a key",
  { skip },
  () =>
    withServer(async (served) => {
      await succeed(served, "put", "key", "1");
      await succeed(served, "put", "key", "2");
      const response = JSON.parse(await succeed(served, "get", "key", "-w", "json"));
      assert.equal(response.header.revision, 3);
      assert.equal(response.header.member_id, 2);
      assert.equal(response.header.raft_term, 3);
      assert.deepEqual(
        [response.kvs[0].create_revision, response.kvs[0].mod_revision, response.kvs[0].version],
        [2, 3, 2],
      );
    }),
);

test("etcdctl runs a transaction", { skip }, () =>
  withServer(async (served) => {
    await succeed(served, "put", "key", "1");
    const child = await new Promise<string>((resolve, reject) => {
      const process_ = spawn("etcdctl", [`--endpoints=${served.address}`, "txn"], {
        env: { ...process.env, ETCDCTL_API: "3" },
        stdio: ["pipe", "pipe", "inherit"],
      });
      let out = "";
      process_.stdout.on("data", (data) => out += data);
      process_.on("error", reject);
      process_.on("close", () => resolve(out));
      process_.stdin.end('value("key") = "1"\n\nput key 2\nget key\n\nput key 3\n\n');
    });
    assert.match(child, /SUCCESS[\s\S]*OK[\s\S]*key\n2/);
  }));

test("etcdctl lists the members", { skip }, () =>
  withServer(async (served) => {
    const lines = (await succeed(served, "member", "list")).trim().split("\n");
    assert.equal(lines.length, 2);
    assert.match(lines[0]!, /^1, started, node-1, http:\/\/127\.0\.0\.1:10, /);
    assert.ok(lines[1]!.includes(`http://${served.address}`));
  }));

test(
  "etcdctl asks for the status and health of an endpoint",
  { skip },
  () =>
    withServer(async (served) => {
      await served.client.put("key", "value");
      const [status] = JSON.parse(await succeed(served, "endpoint", "status", "-w", "json"));
      assert.equal(status.Status.leader, 2);
      assert.equal(status.Status.header.member_id, 2);
      assert.equal(status.Status.raftTerm, 3);
      assert.equal(status.Status.raftAppliedIndex, 1);
      assert.ok(status.Status.dbSize > 0);
      // Version 3.4 writes this to standard error.
      const health = await etcdctl(served, "endpoint", "health");
      assert.equal(health.code, 0);
      assert.match(health.out + health.err, /is healthy/);
    }),
);

test("etcdctl is told what is not served yet", { skip }, () =>
  withServer(async (served) => {
    const lease = await etcdctl(served, "lease", "grant", "60");
    assert.notEqual(lease.code, 0);
    assert.match(lease.err, /Unimplemented.*flaredb does not serve/);
    const put = await etcdctl(served, "put", "key", "value", "--lease=1234abcd");
    assert.match(put.err, /etcdserver: requested lease not found/);
  }));
