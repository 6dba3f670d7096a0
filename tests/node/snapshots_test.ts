/** Snapshots and compaction on nodes in one process: what is sent, when, and what a crash leaves. */

import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { LogWrite, NodeStorage } from "../../src/storage/contract.ts";
import { settle, TestCluster, withResource } from "./cluster.ts";
import { command, ListMachine } from "./machines.ts";
import { snapshotMessage } from "./snapshot_messages.ts";

const COMPACTION = { entriesMax: 20, keepEntries: 5, laggingEntriesMax: 30 };

async function write(cluster: TestCluster, nodeId: number, count: number): Promise<void> {
  const proposals = Array.from(
    { length: count },
    (_, at) => cluster.node(nodeId).propose(command(`value ${at} of ${count}`)),
  );
  await cluster.complete(Promise.all(proposals));
}

function isEmpty(directory: string): boolean {
  return readdirSync(directory).length === 0;
}

function same(cluster: TestCluster): boolean {
  const [first, ...others] = [...cluster.nodes.keys()].map((id) => cluster.machine(id).texts);
  return others.every((texts) => texts.join() === first.join());
}

test("a log is compacted by count, and keeps its newest entries", async () => {
  await withResource(
    await TestCluster.open({ node: { compaction: COMPACTION } }),
    async (cluster) => {
      const leader = await cluster.leader();
      for (let round = 0; round < 10; round++) await write(cluster, leader, 10);
      await cluster.until("all logs are short", () =>
        [1, 2, 3].every((id) => {
          const { firstIndex, lastApplied } = cluster.node(id).status();
          return lastApplied >= 100 && lastApplied - firstIndex < 30;
        }));
      const { firstIndex, lastApplied } = cluster.node(leader).status();
      assert.ok(lastApplied - firstIndex + 1 >= 5, "the newest five stay");
      assert.ok(same(cluster));
    },
  );
});

test("a log is compacted by bytes", async () => {
  const compaction = { bytesMax: 64 * 1024, keepBytes: 4 * 1024 };
  await withResource(
    await TestCluster.open({ nodes: 1, node: { compaction } }),
    async (cluster) => {
      await cluster.leader();
      const large = new Uint8Array(10 * 1024).fill(65);
      for (let at = 0; at < 20; at++) await cluster.complete(cluster.node(1).propose(large));
      await cluster.ticks(2);
      const { firstIndex, lastApplied } = cluster.node(1).status();
      assert.ok(lastApplied - firstIndex < 8, `found ${firstIndex} to ${lastApplied}`);
    },
  );
});

test("a log is never compacted past what the state machine has made durable", async () => {
  class Lazy extends ListMachine {
    durable = 7;
    flushes = 0;
    override durableIndex(): number {
      return this.durable;
    }
    flush(): void {
      this.flushes++;
    }
  }
  await withResource(
    await TestCluster.open({
      nodes: 1,
      node: { compaction: { ...COMPACTION, entriesMax: 16 } },
      machine: (state) => new Lazy(state),
    }),
    async (cluster) => {
      await cluster.leader();
      for (let round = 0; round < 6; round++) await write(cluster, 1, 10);
      const machine = cluster.machine(1) as Lazy;
      await cluster.ticks(3);
      assert.equal(cluster.node(1).status().firstIndex, 8);
      assert.equal(machine.flushes, 1, "it was asked once");
      machine.durable = machine.lastApplied();
      await cluster.ticks(3);
      assert.ok(cluster.node(1).status().firstIndex > 40);
    },
  );
});

test("what a follower that is alive lacks is kept up to the limit; beyond it gets a snapshot", async () => {
  const compaction = { ...COMPACTION, laggingEntriesMax: 60 };
  await withResource(await TestCluster.open({ node: { compaction } }), async (cluster) => {
    const leader = await cluster.leader();
    const [behind] = cluster.others(leader);
    cluster.network.setFate(({ toNodeId, item }) =>
      toNodeId === behind && item.message.type === "append" ? [] : [0]
    );
    for (let round = 0; round < 4; round++) await write(cluster, leader, 10);
    await cluster.ticks(3);
    const { firstIndex, progress } = cluster.node(leader).status();
    const { matchIndex } = progress!.get(behind)!;
    assert.ok(firstIndex <= matchIndex + 1, `${firstIndex} is beyond ${matchIndex}`);
    for (let round = 0; round < 8; round++) await write(cluster, leader, 10);
    await cluster.until(
      "the limit is passed",
      () => cluster.node(leader).status().firstIndex > matchIndex + 1,
    );
    const { lastApplied } = cluster.node(leader).status();
    assert.ok(cluster.node(leader).status().firstIndex <= lastApplied - 30);
    cluster.network.setFate(() => [0]);
    await cluster.until(
      "it has caught up",
      () => cluster.node(behind).status().lastApplied >= lastApplied,
    );
    assert.ok(same(cluster));
    assert.ok(
      cluster.logger.lines.some((line) => line.includes("has arrived")),
      "a snapshot was sent",
    );
    await write(cluster, behind, 5);
    await cluster.until("all are the same", () => same(cluster));
  });
});

test("a snapshot holds what is applied when its turn comes, and reads stay linearizable", async () => {
  await withResource(
    await TestCluster.open({ node: { compaction: COMPACTION, snapshotSendsMax: 1 } }),
    async (cluster) => {
      const leader = await cluster.leader();
      const [behind] = cluster.others(leader);
      cluster.isolate(behind);
      for (let round = 0; round < 8; round++) await write(cluster, leader, 10);
      await cluster.until(
        "its entries are gone",
        () =>
          cluster.node(leader).status().firstIndex > cluster.node(behind).status().lastIndex + 1,
      );
      cluster.network.heal();
      const read = cluster.node(behind).read({ deadlineMs: 60_000 });
      const { index } = await cluster.complete(read);
      assert.ok(cluster.machine(behind).lastApplied() >= index);
      assert.ok(cluster.machine(behind).texts.length >= 80);
    },
  );
});

/** Cuts an isolated follower so far off that only a snapshot helps, and returns it. */
async function leaveBehind(cluster: TestCluster): Promise<{ leader: number; behind: number }> {
  const leader = await cluster.leader();
  const [behind] = cluster.others(leader);
  await write(cluster, leader, 3);
  await cluster.until("all have it", () => same(cluster));
  cluster.isolate(behind);
  for (let round = 0; round < 6; round++) await write(cluster, leader, 10);
  await cluster.until(
    "its entries are gone",
    () => cluster.node(leader).status().firstIndex > cluster.node(behind).status().lastIndex + 1,
  );
  return { leader, behind };
}

test("a transfer that is cut off is tried again, and nothing of it is left", async () => {
  const directory = await mkdtemp(join(tmpdir(), "flaredb-spool-"));
  await withResource(
    await TestCluster.open({ node: { compaction: COMPACTION, directory } }),
    async (cluster) => {
      const { behind } = await leaveBehind(cluster);
      for (let times = 0; times < 3; times++) {
        cluster.network.heal();
        await cluster.until(
          "some has arrived",
          () =>
            (cluster.node(behind).status().arrivingSnapshot?.receivedBytes ?? 0) > 0 ||
            cluster.node(behind).status().lastApplied > 40,
        );
        cluster.isolate(behind);
        await cluster.ticks(2);
      }
      cluster.network.heal();
      await cluster.until("it has caught up", () => same(cluster));
      await cluster.until("nothing is left", () => isEmpty(join(directory, "snapshots")));
    },
  );
  await rm(directory, { recursive: true });
});

test("an older or a repeated snapshot is refused, and a newer one takes the place of one on its way", async () => {
  await withResource(
    await TestCluster.open({ node: { compaction: COMPACTION } }),
    async (cluster) => {
      const { leader, behind } = await leaveBehind(cluster);
      const sender = cluster.network.transport(9);
      await sender.start({ receive() {}, unreachable() {}, snapshotSent() {} });
      sender.addNode(behind, "memory");
      const status = cluster.node(behind).status();
      const never = {
        async *[Symbol.asyncIterator]() {
          yield new Uint8Array(1);
          await new Promise(() => {});
        },
      };
      const send = (index: number, term: number) =>
        sender.sendSnapshot(behind, {
          regionId: 1,
          message: snapshotMessage({ from: leader, to: behind, index, term }),
          chunks: never,
        });
      const first = send(30, status.term);
      await settle();
      assert.equal(cluster.node(behind).status().arrivingSnapshot?.index, 30);
      assert.match(reasonOf(await send(30, status.term).done), /another snapshot is on its way/);
      assert.match(reasonOf(await send(29, status.term).done), /another snapshot is on its way/);
      const newer = send(31, status.term);
      await settle();
      assert.equal(cluster.node(behind).status().arrivingSnapshot?.index, 31);
      const stale = await send(status.commitIndex, status.term).done;
      assert.match(reasonOf(stale), /is here already/);
      first.abort("enough");
      newer.abort("enough");
      await settle();
      assert.equal(cluster.node(behind).status().arrivingSnapshot, undefined);
      cluster.network.heal();
      await cluster.until("it has caught up", () => same(cluster));
      await sender.close();
    },
  );
});

function reasonOf(outcome: { ok: boolean; reason?: string }): string {
  assert.equal(outcome.ok, false);
  return outcome.reason!;
}

/** Where the process "dies" while a snapshot is installed. */
const STEPS = [
  "before the log is written",
  "before the state is restored",
  "in the middle of restoring",
  "after restoring",
] as const;

for (const step of STEPS) {
  test(`a crash ${step} leaves the old or the new state`, async () => {
    const directory = await mkdtemp(join(tmpdir(), "flaredb-spool-"));
    let dies: typeof STEPS[number] | undefined = step;
    let died = 0;
    const die = (): Promise<never> => {
      dies = undefined;
      died++;
      return Promise.reject(new Error("the process dies here"));
    };
    const storage = (inner: NodeStorage): NodeStorage => {
      const region = inner.region.bind(inner);
      inner.region = (regionId) => {
        const found = region(regionId);
        if (found === undefined || "wrapped" in found) return found;
        const append = found.append.bind(found);
        found.append = (work: LogWrite) =>
          dies === STEPS[0] && work.snapshot !== undefined ? die() : append(work);
        return Object.assign(found, { wrapped: true });
      };
      return inner;
    };
    class Mortal extends ListMachine {
      override async restore(chunks: AsyncIterable<Uint8Array>, lastApplied: number) {
        if (dies === STEPS[1]) await die();
        if (dies === STEPS[2]) {
          for await (const _ of chunks) break;
          await die();
        }
        await super.restore(chunks, lastApplied);
        if (dies === STEPS[3]) await die();
      }
    }
    await withResource(
      await TestCluster.open({
        node: { compaction: COMPACTION, directory },
        storage,
        machine: (state) => new Mortal(state),
      }),
      async (cluster) => {
        const { behind } = await leaveBehind(cluster);
        // The storages of nodes that were created, not opened, are wrapped from their next start on.
        await cluster.crash(behind);
        await cluster.start(behind);
        const before = cluster.machine(behind).texts.join();
        cluster.network.heal();
        let stopped: unknown;
        void cluster.node(behind).stopped.then((error) => stopped = error);
        await cluster.until("it dies", () => stopped !== undefined);
        assert.equal(died, 1);
        const after = cluster.machine(behind).texts.join();
        const newest = cluster.machine(cluster.others(behind)[0]).texts.join();
        assert.ok(after === before || after === newest, "not a mix of both");
        cluster.nodes.delete(behind);
        await cluster.start(behind);
        if (step !== STEPS[0]) {
          assert.equal(
            cluster.machine(behind).texts.join(),
            newest,
            "the installation is finished",
          );
        }
        await cluster.until("it has caught up", () => same(cluster));
        await cluster.until("nothing is left", () => isEmpty(join(directory, "snapshots")));
      },
    );
    await rm(directory, { recursive: true });
  });
}
