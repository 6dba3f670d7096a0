/** How proposals and reads end when things go wrong, and what their errors promise. */

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  CancelledError,
  CommandTooLargeError,
  DroppedError,
  NotLeaderError,
  OverloadedError,
  type RequestError,
  StoppedError,
  TimedOutError,
  UnknownRegionError,
} from "../../src/node/mod.ts";
import { ConfigError } from "../../src/raft/mod.ts";
import { settle, TestCluster, withResource } from "./cluster.ts";
import { command } from "./machines.ts";

/** The error a promise rejects with, after as many ticks as that takes. */
async function failure(cluster: TestCluster, promise: Promise<unknown>): Promise<RequestError> {
  try {
    await cluster.complete(promise);
  } catch (error) {
    return error as RequestError;
  }
  throw new Error("it did not fail");
}

/** Makes node `old`, which leads, append a proposal that is never committed; others elect a leader. */
async function overwritten(cluster: TestCluster) {
  const old = await cluster.leader();
  await cluster.complete(cluster.node(old).propose(command("before")));
  cluster.isolate(old);
  const lost = cluster.node(old).propose<number>(command("lost"), { deadlineMs: 60_000 });
  lost.catch(() => {});
  await settle();
  const leader = await cluster.leader(cluster.others(old));
  await cluster.complete(cluster.node(leader).propose(command("new")));
  cluster.network.heal();
  return { old, lost };
}

test("an uncommitted proposal that was overwritten is proposed again and applied once", async () => {
  await withResource(await TestCluster.open(), async (cluster) => {
    const { old, lost } = await overwritten(cluster);
    const done = await cluster.complete(lost);
    assert.equal(done.result, 3);
    assert.deepEqual(cluster.machine(old).texts, ["before", "new", "lost"]);
    assert.equal(cluster.node(old).status().counters.proposalsRepeated, 1);
  });
});

test("without repetition it is rejected as dropped, and never takes effect", async () => {
  await withResource(
    await TestCluster.open({ node: { repeatDropped: false } }),
    async (cluster) => {
      const { lost } = await overwritten(cluster);
      const error = await failure(cluster, lost);
      assert.ok(error instanceof DroppedError);
      assert.equal(error.mayHaveTakenEffect, false);
      await cluster.ticks(30);
      for (const id of [1, 2, 3]) assert.deepEqual(cluster.machine(id).texts, ["before", "new"]);
    },
  );
});

test("a forwarded proposal that was lost on the way has an unknown outcome at its deadline", async () => {
  await withResource(await TestCluster.open(), async (cluster) => {
    const [follower] = cluster.others(await cluster.leader());
    cluster.network.setFate(({ item }) => item.message.type === "propose" ? [] : [0]);
    const pending = cluster.node(follower).propose(command("lost"), { deadlineMs: 500 });
    const error = await failure(cluster, pending);
    assert.ok(error instanceof TimedOutError);
    assert.equal(error.mayHaveTakenEffect, true);
    assert.equal(cluster.node(follower).status().pendingProposals, 0);
  });
});

test("a forwarded proposal that was lost on the way takes effect once the leader changes", async () => {
  await withResource(await TestCluster.open(), async (cluster) => {
    const [first, second] = cluster.others(await cluster.leader());
    cluster.network.setFate(({ item }) => item.message.type === "propose" ? [] : [0]);
    const pending = cluster.node(first).propose(command("lost"), { deadlineMs: 60_000 });
    await cluster.ticks(5);
    cluster.network.setFate(() => [0]);
    await cluster.complete(cluster.node(first).transferLeader(second));
    await cluster.complete(pending);
    assert.deepEqual(cluster.machine(first).texts, ["lost"]);
  });
});

test("proposals are applied once although the network repeats every message", async () => {
  await withResource(await TestCluster.open(), async (cluster) => {
    cluster.network.setFate(({ item }) => item.message.type === "propose" ? [0, 1, 7] : [0, 2]);
    const leader = await cluster.leader();
    const texts: string[] = [];
    for (let round = 0; round < 5; round++) {
      for (const id of [1, 2, 3]) {
        texts.push(`${round} ${id}`);
        await cluster.complete(cluster.node(id).propose(command(`${round} ${id}`)));
      }
    }
    await cluster.ticks(5);
    for (const id of [1, 2, 3]) assert.deepEqual(cluster.machine(id).texts, texts);
    assert.ok(cluster.node(leader).status().counters.messagesRefused >= 20);
    const logged = cluster.logger.lines.filter((line) => line.includes("was repeated"));
    assert.equal(logged.length, 1);
  });
});

test("acknowledged proposals survive a network that loses a fifth of all messages", async () => {
  await withResource(await TestCluster.open(), async (cluster) => {
    let count = 0;
    cluster.network.setFate(() => count++ % 5 === 0 ? [] : [count % 3]);
    const proposals: Promise<string>[] = [];
    for (let at = 0; at < 60; at++) {
      const node = cluster.node(at % 3 + 1);
      const text = `${at}`;
      const acknowledged = node.propose(command(text), { deadlineMs: 20_000 });
      proposals.push(acknowledged.then(() => text, () => ""));
      await cluster.ticks(1);
    }
    const acknowledged = (await cluster.complete(Promise.all(proposals))).filter((text) => text);
    cluster.network.setFate(() => [0]);
    for (const id of [1, 2, 3]) {
      await cluster.complete(cluster.node(id).read());
      const { texts } = cluster.machine(id);
      assert.equal(new Set(texts).size, texts.length);
      for (const text of acknowledged) assert.ok(texts.includes(text));
    }
    assert.ok(acknowledged.length > 30);
  });
});

test("a proposal that finds no leader times out without effect", async () => {
  await withResource(await TestCluster.open(), async (cluster) => {
    const old = await cluster.leader();
    const [node, other] = cluster.others(old);
    await cluster.crash(old);
    await cluster.crash(other);
    await cluster.until("it knows no leader", () => cluster.node(node).status().leaderNodeId === 0);
    const error = await failure(
      cluster,
      cluster.node(node).propose(command("a"), { deadlineMs: 300 }),
    );
    assert.ok(error instanceof TimedOutError);
    assert.equal(error.mayHaveTakenEffect, false);
    const readError = await failure(cluster, cluster.node(node).read({ deadlineMs: 300 }));
    assert.ok(readError instanceof TimedOutError);
    assert.equal(readError.mayHaveTakenEffect, false);
    assert.equal(cluster.node(node).status().pendingReads, 0);
  });
});

test("a leader without a quorum leaves the outcome of a proposal unknown", async () => {
  await withResource(await TestCluster.open(), async (cluster) => {
    const leader = await cluster.leader();
    cluster.isolate(leader);
    const pending = cluster.node(leader).propose(command("a"), { deadlineMs: 300 });
    const error = await failure(cluster, pending);
    assert.ok(error instanceof TimedOutError);
    assert.equal(error.mayHaveTakenEffect, true);
  });
});

test("too many proposals at once are refused and none of the others is harmed", async () => {
  await withResource(
    await TestCluster.open({
      node: { limits: { pendingProposalsMax: 10, pendingProposalBytesMax: 100 } },
    }),
    async (cluster) => {
      const leader = await cluster.leader();
      const node = cluster.node(leader);
      const attempt = async (bytes: number, count: number) => {
        const outcomes = Array.from({ length: count }, () => node.propose(new Uint8Array(bytes)));
        return await cluster.complete(Promise.allSettled(outcomes));
      };
      for (const [bytes, count, taken] of [[1, 25, 10], [30, 5, 3], [99, 2, 1]]) {
        const outcomes = await attempt(bytes, count);
        const refused = outcomes.filter((outcome) => outcome.status === "rejected");
        assert.equal(refused.length, count - taken);
        for (const { reason } of refused) {
          assert.ok(reason instanceof OverloadedError);
          assert.equal(reason.mayHaveTakenEffect, false);
        }
      }
      assert.equal(cluster.machine(leader).texts.length, 14);
      assert.equal(node.status().pendingProposalBytes, 0);
    },
  );
});

test("too many reads at once are refused", async () => {
  await withResource(
    await TestCluster.open({ node: { limits: { pendingReadsMax: 4 } } }),
    async (cluster) => {
      const node = cluster.node(await cluster.leader());
      const outcomes = await cluster.complete(
        Promise.allSettled(Array.from({ length: 6 }, () => node.read())),
      );
      const statuses = outcomes.map(({ status }) => status);
      assert.deepEqual(statuses.sort(), [
        ...Array(4).fill("fulfilled"),
        ...Array(2).fill("rejected"),
      ]);
    },
  );
});

test("a command beyond the limit is refused", async () => {
  await withResource(
    await TestCluster.open({ node: { limits: { commandBytesMax: 10 } } }),
    async (cluster) => {
      const node = cluster.node(await cluster.leader());
      const error = await failure(cluster, node.propose(new Uint8Array(11)));
      assert.ok(error instanceof CommandTooLargeError);
      await cluster.complete(node.propose(new Uint8Array(10)));
    },
  );
});

test("proposals beyond the size of one message leave in several", async () => {
  await withResource(
    await TestCluster.open({
      node: { limits: { proposalEntriesMax: 10, proposalBytesMax: 64 } },
    }),
    async (cluster) => {
      const leader = await cluster.leader();
      const [follower] = cluster.others(leader);
      const sizes = [60, 60, 3, 3, 100, ...Array(25).fill(1)];
      await cluster.complete(
        Promise.all(sizes.map((size) => cluster.node(follower).propose(new Uint8Array(size)))),
      );
      assert.equal(cluster.node(follower).status().counters.proposalMessages, 7);
      assert.deepEqual(cluster.machine(follower).texts.map((text) => text.length), sizes);
    },
  );
});

test("a cancelled proposal says whether it may take effect", async () => {
  await withResource(await TestCluster.open(), async (cluster) => {
    const node = cluster.node(1);
    const early = new AbortController();
    const waiting = node.propose(command("a"), { signal: early.signal });
    await settle();
    early.abort(new Error("changed my mind"));
    const noEffect = await failure(cluster, waiting);
    assert.ok(noEffect instanceof CancelledError);
    assert.equal(noEffect.mayHaveTakenEffect, false);
    assert.equal((noEffect.cause as Error).message, "changed my mind");

    const leader = await cluster.leader();
    cluster.isolate(leader);
    const late = new AbortController();
    const handedOut = cluster.node(leader).propose(command("b"), { signal: late.signal });
    await settle();
    late.abort();
    const unknown = await failure(cluster, handedOut);
    assert.ok(unknown instanceof CancelledError);
    assert.equal(unknown.mayHaveTakenEffect, true);

    const reading = new AbortController();
    const read = cluster.node(leader).read({ signal: reading.signal });
    await settle();
    reading.abort();
    assert.ok(await failure(cluster, read) instanceof CancelledError);
    const { pendingProposals, pendingReads } = cluster.node(leader).status();
    assert.deepEqual([pendingProposals, pendingReads], [0, 0]);

    const aborted = AbortSignal.abort();
    const never = await failure(cluster, node.propose(command("c"), { signal: aborted }));
    assert.ok(never instanceof CancelledError);
    assert.equal(never.mayHaveTakenEffect, false);
  });
});

test("cancelling in the same turn as asking is not lost", async () => {
  await withResource(await TestCluster.open(), async (cluster) => {
    const node = cluster.node(1);
    const controller = new AbortController();
    const outcomes = [
      node.propose(command("a"), { signal: controller.signal }),
      node.read({ signal: controller.signal }),
    ];
    const errors = outcomes.map((outcome) => failure(cluster, outcome));
    controller.abort();
    for (const error of await Promise.all(errors)) assert.ok(error instanceof CancelledError);
  });
});

test("with forwarding off a follower rejects with a hint at the leader", async () => {
  await withResource(
    await TestCluster.open({ node: { forwardProposals: false } }),
    async (cluster) => {
      const leader = await cluster.leader();
      const [follower] = cluster.others(leader);
      const error = await failure(cluster, cluster.node(follower).propose(command("a")));
      assert.ok(error instanceof NotLeaderError);
      assert.equal(error.leaderNodeId, leader);
      assert.equal(error.leaderPeerId, leader);
      assert.equal(error.mayHaveTakenEffect, false);
      await cluster.complete(cluster.node(leader).propose(command("a")));
    },
  );
});

test("stopping rejects what is pending and what comes later", async () => {
  await withResource(await TestCluster.open(), async (cluster) => {
    const waiting = cluster.node(1).propose(command("a"));
    const reading = cluster.node(1).read();
    const node = cluster.node(1);
    const waitingError = failure(cluster, waiting);
    const readingError = failure(cluster, reading);
    await cluster.crash(1);
    assert.equal(await node.stopped, undefined);
    for (const error of [await waitingError, await readingError]) {
      assert.ok(error instanceof StoppedError);
      assert.equal(error.mayHaveTakenEffect, false);
    }
    const late = [node.propose(command("b")), node.read(), node.transferLeader(2)];
    for (const error of await Promise.all(late.map((promise) => failure(cluster, promise)))) {
      assert.ok(error instanceof StoppedError);
    }
    assert.equal(cluster.machine(1).closed, true);
    assert.throws(() => node.status(), StoppedError);
    await node.stop();
  });
});

test("stopping a leader that has handed a proposal out says its outcome is unknown", async () => {
  await withResource(await TestCluster.open(), async (cluster) => {
    const leader = await cluster.leader();
    cluster.isolate(leader);
    const error = failure(cluster, cluster.node(leader).propose(command("a")));
    await settle();
    await cluster.crash(leader);
    assert.equal((await error).mayHaveTakenEffect, true);
  });
});

test("calls that make no sense are refused", async () => {
  await withResource(await TestCluster.open(), async (cluster) => {
    const node = cluster.node(1);
    assert.ok(await failure(cluster, node.read({ regionId: 9 })) instanceof UnknownRegionError);
    assert.throws(() => node.status(9), UnknownRegionError);
    const text = "a text" as unknown as Uint8Array;
    await assert.rejects(node.propose(text), /command must be a Uint8Array/);
    assert.throws(() => node.propose(command("a"), { deadlineMs: -1 }), ConfigError);
  });
});

test("a transfer to a peer that does not exist times out and the leader goes on", async () => {
  await withResource(await TestCluster.open(), async (cluster) => {
    const leader = await cluster.leader();
    const transfer = cluster.node(leader).transferLeader(9, { deadlineMs: 500 });
    assert.ok(await failure(cluster, transfer) instanceof TimedOutError);
    await cluster.complete(cluster.node(leader).propose(command("a")));
  });
});
