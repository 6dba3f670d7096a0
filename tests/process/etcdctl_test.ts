/** Unmodified etcdctl works against each member while one of three is down. */
import assert from "node:assert/strict";
import process from "node:process";
import { test } from "node:test";
import { hasProgram, killPid, type Outcome, until, withSandbox } from "./support.ts";

const skip = hasProgram("etcdctl") ? false : "etcdctl is not installed (Debian: etcd-client)";
process.env.ETCDCTL_API = "3";

test(
  "etcdctl puts, gets, deletes, lists and asks for status while a member is down",
  { skip },
  () =>
    withSandbox(async (sandbox) => {
      const dev = await sandbox.dev();
      const down = dev.nodes.find(({ id }) => id !== dev.leader)!;
      killPid(down.pid);
      for (const { id, client } of dev.nodes.filter((node) => node !== down)) {
        const etcdctl = async (...args: string[]): Promise<Outcome> => {
          const outcome = await sandbox.runProgram("etcdctl", [`--endpoints=${client}`, ...args]);
          assert.equal(outcome.code, 0, `etcdctl ${args.join(" ")}: ${outcome.stderr}`);
          return outcome;
        };
        const prefix = `node-${id}/`;
        assert.equal((await etcdctl("put", `${prefix}a`, "1")).stdout, "OK\n");
        await etcdctl("put", `${prefix}b`, "2");
        assert.equal(
          (await etcdctl("put", "--prev-kv", `${prefix}b`, "3")).stdout,
          `OK\n${prefix}b\n2\n`,
        );
        assert.equal(
          (await etcdctl("get", "--prefix", prefix)).stdout,
          `${prefix}a\n1\n${prefix}b\n3\n`,
        );
        assert.equal(
          (await etcdctl("get", `${prefix}a`, "--consistency=s")).stdout,
          `${prefix}a\n1\n`,
        );
        assert.equal((await etcdctl("del", "--prefix", prefix)).stdout, "2\n");
        assert.equal((await etcdctl("get", "--prefix", prefix)).stdout, "");

        const members = JSON.parse((await etcdctl("member", "list", "-w", "json")).stdout).members;
        const clientUrls = members.map((member: { clientURLs: string[] }) => member.clientURLs[0]);
        assert.deepEqual(clientUrls, dev.nodes.map((node) => `http://${node.client}`));
        const [status] = JSON.parse((await etcdctl("endpoint", "status", "-w", "json")).stdout);
        assert.equal(status.Endpoint, client);
        const { header, leader, raftTerm, raftIndex } = status.Status;
        assert.equal(leader === header.member_id, id === dev.leader);
        assert.ok(raftTerm > 0 && raftIndex > 0);
        await etcdctl("endpoint", "health");
      }
    }),
);

test("etcdctl moves the leader", { skip }, () =>
  withSandbox(async (sandbox) => {
    const dev = await sandbox.dev();
    const all = `--endpoints=${dev.nodes.map(({ client }) => client).join(",")}`;
    const target = dev.nodes.find(({ id }) => id !== dev.leader)!;
    const moved = await sandbox.runProgram("etcdctl", [all, "move-leader", `${target.id}`]);
    assert.equal(moved.code, 0, moved.stderr);
    assert.match(
      moved.stdout,
      new RegExp(`Leadership transferred from ${dev.leader} to ${target.id}`),
    );
    await until("the leader that was named", async () => {
      const args = [`--endpoints=${target.client}`, "endpoint", "status", "-w", "json"];
      const [{ Status }] = JSON.parse((await sandbox.runProgram("etcdctl", args)).stdout);
      return Status.leader === target.id;
    });
  }));
