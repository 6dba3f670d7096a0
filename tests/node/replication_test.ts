/** Replication over three nodes: election, proposals, reads, restarts. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { settle, TestCluster, withResource } from "./cluster.ts";
import { command } from "./machines.ts";

test("three nodes elect one leader and apply a command everywhere", async () => {
  await withResource(await TestCluster.open(), async (cluster) => {
    const leader = await cluster.leader();
    const done = await cluster.complete(cluster.node(leader).propose<number>(command("a")));
    assert.equal(done.result, 1);
    const { term, lastApplied } = cluster.node(leader).status();
    assert.equal(done.term, term);
    assert.equal(done.index, lastApplied);
    await cluster.until(
      "all have applied it",
      () => [1, 2, 3].every((id) => cluster.machine(id).texts.length === 1),
    );
    for (const id of [1, 2, 3]) {
      assert.deepEqual(cluster.machine(id).state.applied, [{ index: done.index, term, text: "a" }]);
    }
  });
});

test("a follower forwards a proposal and answers with the result of its own state machine", async () => {
  await withResource(await TestCluster.open(), async (cluster) => {
    const [follower] = cluster.others(await cluster.leader());
    const done = await cluster.complete(cluster.node(follower).propose<number>(command("a")));
    assert.equal(done.result, 1);
    assert.equal(cluster.machine(follower).state.applied[0].index, done.index);
  });
});

test("a command of no bytes is applied, unlike the empty entry of a new leader", async () => {
  await withResource(await TestCluster.open(), async (cluster) => {
    const leader = await cluster.leader();
    await cluster.complete(cluster.node(leader).propose(new Uint8Array(0)));
    assert.deepEqual(cluster.machine(leader).texts, [""]);
  });
});

test("a proposal that is made before there is a leader waits for one", async () => {
  await withResource(await TestCluster.open(), async (cluster) => {
    const pending = cluster.node(2).propose<number>(command("early"));
    await settle();
    assert.equal(cluster.node(2).status().pendingProposals, 1);
    assert.equal((await cluster.complete(pending)).result, 1);
    assert.equal(cluster.node(2).status().pendingProposals, 0);
    assert.equal(cluster.node(2).status().pendingProposalBytes, 0);
  });
});

test("proposals that wait together become one message, one write and one batch", async () => {
  await withResource(await TestCluster.open(), async (cluster) => {
    for (const nodeId of [await cluster.leader(), cluster.others(await cluster.leader())[0]]) {
      const node = cluster.node(nodeId);
      const before = node.status().counters;
      const batches = cluster.machine(nodeId).batches.length;
      await cluster.complete(
        Promise.all(
          Array.from({ length: 100 }, (_, at) => node.propose(command(`${nodeId} ${at}`))),
        ),
      );
      const { counters } = node.status();
      assert.equal(counters.proposals - before.proposals, 100);
      assert.equal(counters.proposalMessages - before.proposalMessages, 1);
      assert.equal(counters.proposalEntries - before.proposalEntries, 100);
      const newBatches = cluster.machine(nodeId).batches.slice(batches);
      assert.deepEqual(newBatches.map((batch) => batch.commands.length).filter((n) => n > 0), [
        100,
      ]);
    }
  });
});

test("a write that only moves the commit index rides with the next one", async () => {
  await withResource(await TestCluster.open(), async (cluster) => {
    const leader = await cluster.leader();
    await cluster.ticks(3);
    const before = cluster.node(leader).status().counters.appends;
    const pending = cluster.node(leader).propose(command("a"));
    await settle();
    await pending;
    assert.equal(cluster.node(leader).status().counters.appends, before + 1);
    await cluster.ticks(3);
    assert.equal(cluster.node(leader).status().counters.appends, before + 2);
  });
});

test("a read on any member sees what was acknowledged before it, and reads share a round", async () => {
  await withResource(await TestCluster.open(), async (cluster) => {
    const leader = await cluster.leader();
    for (const id of [1, 2, 3]) {
      const written = await cluster.complete(cluster.node(leader).propose(command(`to ${id}`)));
      const before = cluster.node(id).status().counters;
      const reads = Array.from({ length: 50 }, () => cluster.node(id).read());
      const [read] = await cluster.complete(Promise.all(reads));
      assert.ok(read.index >= written.index);
      assert.ok(cluster.machine(id).texts.includes(`to ${id}`));
      const { counters } = cluster.node(id).status();
      assert.equal(counters.reads - before.reads, 50);
      assert.equal(counters.readRounds - before.readRounds, 1);
    }
  });
});

test("a read whose messages are lost is asked again", async () => {
  await withResource(await TestCluster.open(), async (cluster) => {
    const [follower] = cluster.others(await cluster.leader());
    let lost = 0;
    cluster.network.setFate(({ item }) =>
      item.message.type === "read-index" && lost++ === 0 ? [] : [0]
    );
    await cluster.complete(cluster.node(follower).read());
    assert.equal(lost, 2);
    assert.equal(cluster.node(follower).status().counters.readRoundsRepeated, 1);
  });
});

test("a leader cut off from the others answers no read", async () => {
  await withResource(await TestCluster.open(), async (cluster) => {
    const old = await cluster.leader();
    cluster.isolate(old);
    const stale = cluster.node(old).read({ deadlineMs: 60_000 });
    let answered = false;
    stale.then(() => answered = true);
    const leader = await cluster.leader(cluster.others(old));
    const written = await cluster.complete(cluster.node(leader).propose(command("new")));
    await cluster.ticks(10);
    assert.equal(answered, false);
    cluster.network.heal();
    assert.ok((await cluster.complete(stale)).index >= written.index);
  });
});

test("the others go on when the leader crashes, and it recovers from its disk", async () => {
  await withResource(await TestCluster.open(), async (cluster) => {
    const old = await cluster.leader();
    await cluster.complete(cluster.node(old).propose(command("a")));
    await cluster.crash(old);
    const leader = await cluster.leader();
    assert.notEqual(leader, old);
    await cluster.complete(cluster.node(leader).propose(command("b")));
    await cluster.start(old);
    await cluster.complete(cluster.node(old).read());
    assert.deepEqual(cluster.machine(old).texts, ["a", "b"]);
    await cluster.complete(cluster.node(old).propose(command("c")));
    assert.deepEqual(cluster.machine(old).texts, ["a", "b", "c"]);
  });
});

test("a follower that was away catches up in batches", async () => {
  await withResource(await TestCluster.open(), async (cluster) => {
    const leader = await cluster.leader();
    const [away] = cluster.others(leader);
    await cluster.crash(away);
    const texts = Array.from({ length: 500 }, (_, at) => `${at}`);
    for (const text of texts) {
      const pending = cluster.node(leader).propose(command(text));
      await settle(8);
      await pending;
    }
    await cluster.start(away);
    await cluster.until("it has caught up", () => cluster.machine(away).texts.length === 500);
    assert.deepEqual(cluster.machine(away).texts, texts);
    assert.ok(cluster.machine(away).batches.length < 50);
  });
});

for (const volatile of [false, true]) {
  const kind = volatile ? "lost" : "kept";
  test(`all nodes restart and apply each command exactly once, the machines' state ${kind}`, async () => {
    await withResource(await TestCluster.open({ volatile }), async (cluster) => {
      const texts: string[] = [];
      for (let round = 0; round < 3; round++) {
        const leader = await cluster.leader();
        for (let at = 0; at < 5; at++) {
          texts.push(`${round}.${at}`);
          await cluster.complete(cluster.node(leader).propose(command(texts[texts.length - 1])));
        }
        for (const id of [1, 2, 3]) await cluster.crash(id);
        for (const id of [1, 2, 3]) await cluster.start(id);
      }
      for (const id of [1, 2, 3]) {
        await cluster.complete(cluster.node(id).read());
        assert.deepEqual(cluster.machine(id).texts, texts);
      }
    });
  });
}

test("one node alone leads and serves", async () => {
  await withResource(await TestCluster.open({ nodes: 1 }), async (cluster) => {
    assert.equal(await cluster.leader(), 1);
    assert.equal((await cluster.complete(cluster.node(1).propose<number>(command("a")))).result, 1);
    await cluster.complete(cluster.node(1).read());
  });
});

test("leadership is transferred from any member", async () => {
  await withResource(await TestCluster.open(), async (cluster) => {
    const old = await cluster.leader();
    const [first, second] = cluster.others(old);
    await cluster.complete(cluster.node(first).transferLeader(second));
    assert.equal(await cluster.leader(), second);
    await cluster.complete(cluster.node(second).transferLeader(old));
    assert.equal(await cluster.leader(), old);
  });
});

test("a follower that campaigns with a full log becomes the leader", async () => {
  await withResource(
    await TestCluster.open({ node: { checkQuorum: false, preVote: false } }),
    async (cluster) => {
      const old = await cluster.leader();
      const [next] = cluster.others(old);
      await cluster.ticks(2);
      cluster.node(next).campaign();
      await cluster.until("it leads", () => cluster.node(next).status().role === "leader");
    },
  );
});

test("two regions on the same nodes share disk and stream and are independent", async () => {
  await withResource(await TestCluster.open({ regionIds: [1, 2] }), async (cluster) => {
    const leaders = [await cluster.leader(undefined, 1), await cluster.leader(undefined, 2)];
    await cluster.complete(Promise.all([
      cluster.node(leaders[0]).propose(command("one"), { regionId: 1 }),
      cluster.node(leaders[1]).propose(command("two"), { regionId: 2 }),
    ]));
    for (const id of [1, 2, 3]) {
      await cluster.complete(
        Promise.all([
          cluster.node(id).read({ regionId: 1 }),
          cluster.node(id).read({ regionId: 2 }),
        ]),
      );
      assert.deepEqual(cluster.machine(id, 1).texts, ["one"]);
      assert.deepEqual(cluster.machine(id, 2).texts, ["two"]);
    }
    if (leaders[0] !== leaders[1]) {
      await cluster.complete(cluster.node(1).transferLeader(leaders[0], { regionId: 2 }));
      await cluster.leader(undefined, 2);
    }
    cluster.batches = [];
    await cluster.ticks(1);
    const fromLeader = cluster.batches.filter(({ from }) => from === leaders[0]);
    assert.deepEqual(
      fromLeader.map(({ batch }) => batch.map(({ regionId }) => regionId)),
      [[1, 2], [1, 2]],
    );
  });
});
