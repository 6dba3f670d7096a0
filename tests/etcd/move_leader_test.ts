import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  type EtcdError,
  readMemberChangeResponse,
  readMemberIdRequest,
  type ReplicatedNode,
  writeMemberChangeResponse,
  writeMemberIdRequest,
} from "../../src/etcd/mod.ts";
import { TimedOutError } from "../../src/node/mod.ts";
import { checkCodec, record, someIds, someNumbers } from "../kv/reflection.ts";
import { type Served, withServer } from "./support.ts";

const headers = record({
  clusterId: someIds,
  memberId: someIds,
  revision: someNumbers,
  raftTerm: someNumbers,
});

/** Records who is to lead, and fails with `failure` when there is one. */
function takeTransfers({ node }: Served, failure?: Error): number[] {
  const targets: number[] = [];
  (node as ReplicatedNode).transferLeader = (target) => {
    targets.push(target);
    return failure === undefined ? Promise.resolve() : Promise.reject(failure);
  };
  return targets;
}

test("a request to move the leader and its response are encoded as the .proto says", () => {
  checkCodec({
    name: "etcdserverpb.MoveLeaderRequest",
    arbitrary: record({ id: someIds }),
    write: writeMemberIdRequest,
    read: readMemberIdRequest,
    toProto: ({ id }) => ({ targetID: id }),
  });
  checkCodec({
    name: "etcdserverpb.MoveLeaderResponse",
    arbitrary: record({ header: headers, members: fc.constant([]) }),
    write: writeMemberChangeResponse,
    read: readMemberChangeResponse,
    toProto: ({ header }) => ({ header }),
  });
});

test("leadership is handed to the member that is named", () =>
  withServer(async (served) => {
    const targets = takeTransfers(served);
    await served.client.moveLeader(1n);
    assert.deepEqual(targets, [1]);
  }));

test("leadership is not handed to a stranger", () =>
  withServer(async (served) => {
    const targets = takeTransfers(served);
    await assert.rejects(served.client.moveLeader(9n), {
      code: "FAILED_PRECONDITION",
      reason: "etcdserver: bad leader transferee",
    });
    assert.deepEqual(targets, []);
  }));

test("a transfer of leadership that took too long may happen yet", () =>
  withServer(async (served) => {
    takeTransfers(served, new TimedOutError("transfer", true));
    await assert.rejects(served.client.moveLeader(1n), (error: EtcdError) => {
      assert.equal(error.reason, "etcdserver: request timed out");
      assert.equal(error.mayHaveTakenEffect, true);
      return true;
    });
  }));

test("a node that cannot hand leadership over says so", () =>
  withServer(async ({ client }) => {
    await assert.rejects(client.moveLeader(1n), { code: "UNIMPLEMENTED" });
  }));
