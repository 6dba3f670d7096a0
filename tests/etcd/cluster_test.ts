/** The calls that change the members: their bytes, what is refused, and what callers are told. */

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  type ClusterMember,
  type ClusterMembership,
  EtcdError,
  type Member,
  readMemberAddRequest,
  readMemberAddResponse,
  readMemberChangeResponse,
  readMemberIdRequest,
  readMemberUpdateRequest,
  writeMemberAddRequest,
  writeMemberAddResponse,
  writeMemberChangeResponse,
  writeMemberIdRequest,
  writeMemberUpdateRequest,
} from "../../src/etcd/mod.ts";
import { MembershipError, type MembershipErrorCode, TimedOutError } from "../../src/node/mod.ts";
import { checkCodec, record, someIds, someNumbers } from "../kv/reflection.ts";
import { type Served, withServer } from "./support.ts";

const strings = fc.array(fc.string({ unit: "grapheme" }), { maxLength: 3 });
const headers = record({
  clusterId: someIds,
  memberId: someIds,
  revision: someNumbers,
  raftTerm: someNumbers,
});
const members: fc.Arbitrary<Member> = record({
  id: someIds,
  name: fc.string({ unit: "grapheme" }),
  peerUrls: strings,
  clientUrls: strings,
  isLearner: fc.boolean(),
});

function memberToProto({ id, peerUrls, clientUrls, name, isLearner }: Member): unknown {
  return { ID: id, name, peerURLs: peerUrls, clientURLs: clientUrls, isLearner };
}

test("the messages that change members are encoded as the .proto says", () => {
  checkCodec({
    name: "etcdserverpb.MemberAddRequest",
    arbitrary: record({ peerUrls: strings, isLearner: fc.boolean(), replaces: someIds }),
    write: writeMemberAddRequest,
    read: readMemberAddRequest,
    toProto: ({ peerUrls, ...rest }) => ({ peerURLs: peerUrls, ...rest }),
  });
  checkCodec({
    name: "etcdserverpb.MemberAddResponse",
    arbitrary: record({
      header: headers,
      member: members,
      members: fc.array(members, { maxLength: 4 }),
    }),
    write: writeMemberAddResponse,
    read: readMemberAddResponse,
    toProto: ({ header, member, members }) => ({
      header,
      member: memberToProto(member),
      members: members.map(memberToProto),
    }),
  });
  checkCodec({
    name: "etcdserverpb.MemberUpdateRequest",
    arbitrary: record({ id: someIds, peerUrls: strings }),
    write: writeMemberUpdateRequest,
    read: readMemberUpdateRequest,
    toProto: ({ id, peerUrls }) => ({ ID: id, peerURLs: peerUrls }),
  });
  for (const name of ["Remove", "Promote"]) {
    checkCodec({
      name: `etcdserverpb.Member${name}Request`,
      arbitrary: record({ id: someIds }),
      write: writeMemberIdRequest,
      read: readMemberIdRequest,
      toProto: ({ id }) => ({ ID: id }),
    });
  }
  for (const name of ["Remove", "Promote", "Update"]) {
    checkCodec({
      name: `etcdserverpb.Member${name}Response`,
      arbitrary: record({ header: headers, members: fc.array(members, { maxLength: 4 }) }),
      write: writeMemberChangeResponse,
      read: readMemberChangeResponse,
      toProto: ({ header, members }) => ({ header, members: members.map(memberToProto) }),
    });
  }
});

/** Members that are changed at once, as a cluster of one would. */
class FakeMembership implements ClusterMembership {
  members: ClusterMember[] = [1, 2].map((nodeId) => ({
    nodeId,
    name: `node-${nodeId}`,
    peerUrls: [`http://127.0.0.1:${nodeId}0`],
    clientUrls: [`http://127.0.0.1:${nodeId}`],
  }));
  readonly calls: unknown[] = [];
  /** What the next calls reject with, one after another. */
  failures: Error[] = [];

  async add(...[member]: Parameters<ClusterMembership["add"]>): Promise<number> {
    await this.#take("add", member);
    const peerUrls = [`http://${member.peerAddress}`];
    this.members.push({ nodeId: 3, name: "", peerUrls, clientUrls: [], isLearner: true });
    return 3;
  }

  async promote(nodeId: number): Promise<void> {
    await this.#take("promote", nodeId);
  }

  async remove(nodeId: number): Promise<void> {
    await this.#take("remove", nodeId);
    this.members = this.members.filter((member) => member.nodeId !== nodeId);
  }

  async update(nodeId: number, address: string): Promise<void> {
    await this.#take("update", nodeId, address);
  }

  refusePeer(scheme: string): string | undefined {
    return scheme === "https" ? "peers speak http" : undefined;
  }

  #take(...call: unknown[]): Promise<void> {
    this.calls.push(call);
    const failure = this.failures.shift();
    return failure === undefined ? Promise.resolve() : Promise.reject(failure);
  }
}

function withMembership(
  action: (served: Served, membership: FakeMembership) => Promise<void>,
): Promise<void> {
  const membership = new FakeMembership();
  return withServer((served) => action(served, membership), {
    membership,
    members: () => membership.members,
  });
}

async function refused(call: Promise<unknown>): Promise<[string, string]> {
  const error = await call.then(() => undefined, (error) => error);
  assert.ok(error instanceof EtcdError, String(error));
  return [error.code, error.reason];
}

test("a member is added, promoted, updated and removed, and each answer lists the members", () =>
  withMembership(async ({ client, node }, membership) => {
    const added = await client.memberAdd("http://127.0.0.1:30", { isLearner: true });
    assert.deepEqual([added.member.id, added.member.isLearner, added.header.memberId], [
      3n,
      true,
      2n,
    ]);
    assert.deepEqual(added.members.map(({ id }) => id), [1n, 2n, 3n]);
    await client.memberPromote(3n);
    await client.memberUpdate(3n, "http://[::1]:31");
    const removed = await client.memberRemove(1n);
    assert.deepEqual(removed.members.map(({ id }) => id), [2n, 3n]);
    await client.memberAdd("http://h:2", { replaces: 2n });
    assert.deepEqual(membership.calls, [
      ["add", { peerAddress: "127.0.0.1:30", isLearner: true, replaces: undefined }],
      ["promote", 3],
      ["update", 3, "[::1]:31"],
      ["remove", 1],
      ["add", { peerAddress: "h:2", isLearner: false, replaces: 2 }],
    ]);
    assert.ok(node.reads >= 5, "no decision on an old list");
  }));

test("a member that removes itself is not in its answer", () =>
  withMembership(async ({ client }, membership) => {
    const kept = membership.members;
    membership.remove = () => Promise.resolve(void (membership.members = kept));
    const { members } = await client.memberRemove(2n);
    assert.deepEqual(members.map(({ id }) => id), [1n]);
  }));

test("URLs and ids that do not fit are refused with the texts of etcd, before anything is asked for", () =>
  withMembership(async ({ client }, membership) => {
    const urls = [
      "",
      "127.0.0.1:30",
      "http://h",
      "http://h:0",
      "http://h:70000",
      "ftp://h:1",
      "http://h:1/x",
    ];
    for (const url of [...urls, "https://h:1"]) {
      const [code, reason] = await refused(client.memberAdd(url));
      assert.equal(code, "INVALID_ARGUMENT", url);
      assert.match(reason, /^etcdserver: given member URLs are invalid/);
    }
    const notFound = ["NOT_FOUND", "etcdserver: member not found"];
    assert.deepEqual(await refused(client.memberRemove(9n)), notFound);
    assert.deepEqual(await refused(client.memberPromote(2n ** 64n - 1n)), notFound);
    assert.deepEqual(await refused(client.memberUpdate(9n, "http://h:1")), notFound);
    assert.deepEqual(await refused(client.memberAdd("http://h:1", { replaces: 9n })), notFound);
    const taken = ["FAILED_PRECONDITION", "etcdserver: Peer URLs already exists"];
    assert.deepEqual(await refused(client.memberAdd("http://127.0.0.1:10")), taken);
    assert.deepEqual(await refused(client.memberUpdate(1n, "http://127.0.0.1:20")), taken);
    assert.deepEqual(membership.calls, []);
    await client.memberUpdate(1n, "http://127.0.0.1:10");
    await client.memberAdd("http://127.0.0.1:20", { replaces: 2n });
  }));

test("what the node refuses is told with the texts of etcd", () =>
  withMembership(async ({ client }, membership) => {
    const cases: [MembershipErrorCode, string, string][] = [
      ["UNKNOWN_PEER", "NOT_FOUND", "etcdserver: member not found"],
      ["ALREADY_MEMBER", "FAILED_PRECONDITION", "etcdserver: member ID already exist"],
      ["PEER_ID_USED", "FAILED_PRECONDITION", "etcdserver: member ID already exist"],
      ["NOT_A_LEARNER", "FAILED_PRECONDITION", "etcdserver: can only promote a learner member"],
      [
        "NOT_CAUGHT_UP",
        "FAILED_PRECONDITION",
        "etcdserver: can only promote a learner member which is in sync with leader",
      ],
      [
        "QUORUM_AT_RISK",
        "FAILED_PRECONDITION",
        "etcdserver: re-configuration failed due to not enough started members",
      ],
      [
        "LAST_VOTER",
        "FAILED_PRECONDITION",
        "etcdserver: re-configuration failed due to not enough started members",
      ],
    ];
    for (const [code, status, text] of cases) {
      membership.failures = [new MembershipError(code, "why", false)];
      assert.deepEqual(await refused(client.memberPromote(1n)), [status, text], code);
    }
    membership.failures = [new TimedOutError("change of members", true)];
    const error = await client.memberPromote(1n).catch((error) => error);
    assert.deepEqual([error.reason, error.mayHaveTakenEffect], [
      "etcdserver: request timed out",
      true,
    ]);
  }));

test("while another change is under way a call waits for its turn, up to its deadline", () =>
  withMembership(async ({ client }, membership) => {
    const busy = () => new MembershipError("CHANGE_UNDER_WAY", "another one", false);
    membership.failures = [busy(), new MembershipError("NOT_TAKEN", "a transfer", false)];
    await client.memberPromote(1n);
    assert.equal(membership.calls.length, 3);
    membership.failures = Array.from({ length: 1_000 }, busy);
    const [code] = await refused(client.memberPromote(1n, { deadlineMs: 300 }));
    assert.ok(code === "UNAVAILABLE" || code === "DEADLINE_EXCEEDED", code);
  }));
