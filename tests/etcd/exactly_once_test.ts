import assert from "node:assert/strict";
import { test } from "node:test";
import { EtcdError, EtcdSession } from "../../src/etcd/mod.ts";
import { attemptOnce } from "../../src/etcd/exactly_once.ts";
import { GrpcStatus } from "../../src/etcd/grpc_status.ts";

const LATE = new EtcdError({
  status: GrpcStatus.DEADLINE_EXCEEDED,
  reason: "late",
  endpoint: "127.0.0.1:1",
  mayHaveTakenEffect: false,
  retryable: false,
});

test("a write whose time is over calls with the shortest deadline there is, and fails as late", async () => {
  const deadlines: number[] = [];
  const late = (deadlineMs: number): Promise<never> => {
    deadlines.push(deadlineMs);
    return Promise.reject(LATE);
  };
  const calls = { open: late, plain: late, attempt: () => Promise.reject(LATE), moveOn: () => {} };
  const over = Date.now() - 1_000;
  const isLate = (error: unknown): boolean => error instanceof EtcdError && error.reason === "late";
  await assert.rejects(attemptOnce(await new EtcdSession().begin(), over, calls), isLate);

  const withoutSessions = {
    ...calls,
    open: () => Promise.reject(new EtcdError({ ...LATE, status: GrpcStatus.UNIMPLEMENTED })),
  };
  const write = await new EtcdSession().begin();
  await assert.rejects(attemptOnce(write, over, withoutSessions), isLate);
  assert.deepEqual(deadlines, [1, 1]);
});
