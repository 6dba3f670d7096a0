/** `flaredb member`: what it shows, and the sentences for the mistakes that people make with it. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { EXIT_CODE, runCommandLine } from "../../src/cli/mod.ts";
import { commandForPeople } from "../../src/cli/runtime.ts";
import { EtcdServer } from "../../src/etcd/mod.ts";
import type { ClusterMember, ClusterMembership } from "../../src/etcd/mod.ts";
import { MembershipError, type MembershipErrorCode } from "../../src/node/mod.ts";
import { FakeTerminal } from "./fake_terminal.ts";

async function run(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const terminal = new FakeTerminal();
  const code = await runCommandLine(args, terminal);
  return { code, out: terminal.output, err: terminal.errors };
}

test("a wrong command line ends with exit code 2 and says what is wrong", async () => {
  const cases: [string[], RegExp][] = [
    [[], /arguments are missing/],
    [["join"], /must be list, add, promote, remove, replace, update: it is "join"/],
    [["list", "1"], /list takes no arguments: found 1/],
    [["add"], /add takes HOST:PORT: found nothing/],
    [["add", "4", "h:1"], /add takes HOST:PORT: found 4 h:1/],
    [["add", "h"], /must be HOST:PORT/],
    [["add", "h:0"], /must be from 1 to 65535/],
    [["add", "h:70000"], /must be an integer from 0 to 65535/],
    [["promote"], /promote takes ID: found nothing/],
    [["promote", "node-4"], /ID must be the id of a member.*it is "node-4"/],
    [["promote", "0"], /ID must be/],
    [["remove", "-1"], /'-1'|ID must be|unknown option/i],
    [["remove", "4", "5"], /remove takes ID: found 4 5/],
    [["remove", "4", "--learner"], /--learner is for add only/],
    [["add", "h:1", "--serializable"], /--serializable is for list only/],
    [["replace", "4"], /replace takes ID HOST:PORT: found 4/],
    [["replace", "h:1", "4"], /must be HOST:PORT/],
    [["update", "4"], /update takes ID HOST:PORT/],
    [["list", "--timeout-ms", "0"], /--timeout-ms must be an integer from 1/],
    [["add", "h:1", "--wait"], /--wait/],
  ];
  for (const [args, expected] of cases) {
    const { code, out, err } = await run("member", ...args);
    assert.deepEqual([code, out], [EXIT_CODE.usage, ""], args.join(" "));
    assert.match(err, expected, args.join(" "));
  }
});

/** Serves members that are never changed; what a change rejects with can be set. */
async function withMembers(
  action: (
    member: (...args: string[]) => ReturnType<typeof run>,
    refuseWith: (code: MembershipErrorCode) => void,
  ) => Promise<void>,
): Promise<void> {
  let code: MembershipErrorCode | undefined;
  const change = (): Promise<number> =>
    code === undefined
      ? Promise.resolve(4)
      : Promise.reject(new MembershipError(code, "why not", false));
  const membership: ClusterMembership = {
    add: change,
    promote: change,
    remove: change,
    update: change,
    refusePeer: (_scheme, address) =>
      address.startsWith("10.") ? "it is beyond this machine" : undefined,
  };
  const member = (nodeId: number, more: Partial<ClusterMember> = {}): ClusterMember => ({
    nodeId,
    name: `node-${nodeId}`,
    peerUrls: [`http://h${nodeId}:2380`],
    clientUrls: [`http://h${nodeId}:2379`],
    ...more,
  });
  const server = new EtcdServer({
    node: {
      propose: () => Promise.reject(new Error("unused")),
      read: () => Promise.resolve(),
      status: () => ({
        nodeId: 1,
        peerId: 1,
        leaderNodeId: 1,
        term: 2,
        commitIndex: 5,
        lastApplied: 5,
        learners: [3],
      }),
    },
    store: {
      revision: 1,
      range: () => {
        throw new Error("unused");
      },
      size: () => ({ bytes: 1, inUseBytes: 1 }),
    },
    clusterId: "shop",
    members: () => [
      member(1),
      member(2),
      member(3, { name: "", clientUrls: [], isLearner: true }),
    ],
    membership,
    listen: "127.0.0.1:0",
    tls: "insecure",
  });
  const address = await server.start();
  try {
    await action(
      (...args) => run("member", ...args, "--endpoints", address),
      (refusal) => code = refusal,
    );
  } finally {
    await server.close();
  }
}

test("the members are listed as a table and as JSON", () =>
  withMembers(async (member) => {
    const { code, out } = await member("list");
    assert.equal(code, EXIT_CODE.ok);
    assert.equal(
      out,
      "ID  NAME         ROLE     PEERS           CLIENTS\n" +
        "1   node-1       leader   http://h1:2380  http://h1:2379\n" +
        "2   node-2       voter    http://h2:2380  http://h2:2379\n" +
        "3   not started  learner  http://h3:2380  -\n",
    );
    assert.equal((await member("list", "--serializable")).out, out);
    const json = JSON.parse((await member("list", "--json")).out);
    assert.deepEqual([json.leader, json.members.length], ["1", 3]);
    assert.deepEqual(json.members[2], {
      id: "3",
      name: "",
      isLearner: true,
      peerUrls: ["http://h3:2380"],
      clientUrls: [],
    });
  }));

test("an added member's start is written out, with all that is known", () =>
  withMembers(async (member) => {
    const added = await member("add", "h4:2380");
    assert.equal(added.code, EXIT_CODE.ok, added.err);
    assert.match(added.out, /^Member 4 is added\. It becomes a voter once it has caught up\./);
    assert.match(added.out, /start --join --id 4 --cluster-id NAME --data DIR/);
    assert.match(
      added.out,
      /--members 1=h1:2380\/h1:2379,2=h2:2380\/h2:2379,3=h3:2380,4=h4:2380\n$/,
    );
    const learner = await member("add", "h4:2380", "--learner");
    assert.match(learner.out, /It is a learner until `flaredb member promote 4`/);
    const replaced = await member("replace", "2", "h4:2380");
    assert.match(replaced.out, /It takes the place of member 2 once it has caught up/);
    assert.match(replaced.out, /--members 1=h1:2380\/h1:2379,3=h3:2380,4=h4:2380\n$/);
    assert.equal(JSON.parse((await member("replace", "2", "h4:1", "--json")).out).id, "4");
  }));

test("what cannot be is refused with a sentence that says what to do", () =>
  withMembers(async (member, refuseWith) => {
    const fails = async (expected: RegExp, ...args: string[]): Promise<void> => {
      const { code, out, err } = await member(...args);
      assert.deepEqual([code, out], [EXIT_CODE.failed, ""], `${args}: ${err}`);
      assert.match(err, expected);
    };
    await fails(/there is no member 9: the members are 1, 2, 3/, "remove", "9");
    await fails(/there is no member 9/, "promote", "9");
    await fails(/there is no member 9/, "replace", "9", "h4:1");
    await fails(/there is no member 9/, "update", "9", "h4:1");
    await fails(/h2:2380 is the address of member 2 already.*replace/, "add", "h2:2380");
    await fails(/h2:2380 is the address of member 2 already/, "update", "1", "h2:2380");
    await fails(/member 3 is a learner.*remove it and add another/, "replace", "3", "h4:1");
    await fails(/10\.0\.0\.1:1 cannot be the address .*beyond this machine/, "add", "10.0.0.1:1");
    refuseWith("NOT_CAUGHT_UP");
    await fails(/member 3 has not caught up, as it never started: start it/, "promote", "3");
    refuseWith("NOT_A_LEARNER");
    await fails(/member 2 is a voter already/, "promote", "2");
    refuseWith("QUORUM_AT_RISK");
    await fails(/without member 2 too few .* majority/, "remove", "2");
    refuseWith("CHANGE_UNDER_WAY");
    const { code, err } = await member("remove", "2", "--timeout-ms", "400");
    assert.ok(code === EXIT_CODE.failed || code === EXIT_CODE.unavailable, err);
  }));

test("a cluster that cannot be reached is exit code 3", async () => {
  const { code, err } = await run(
    "member",
    "list",
    "--endpoints",
    "127.0.0.1:1",
    "--timeout-ms",
    "200",
  );
  assert.equal(code, EXIT_CODE.unavailable);
  assert.match(err, /cannot connect to 127\.0\.0\.1:1/);
});

test("hints name the command as people run it: from the package, or from the sources", () => {
  assert.equal(commandForPeople("file:///npm/esm/cli/runtime.js"), "npx flaredb");
  assert.equal(commandForPeople("file:///src/cli/runtime.ts"), "npx --yes deno@2.9.3 task flaredb");
});
