/** Members change on the real parts: SQLite files, gRPC streams, the machine's clock. */

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import {
  digest,
  fill,
  put,
  type RunningMember,
  startMember,
} from "../../scripts/snapshot_large/member.ts";
import { reservePorts } from "../../scripts/reserved_ports.ts";
import type { MemberStatus } from "../../src/node/mod.ts";

const DEADLINE_MS = 60_000;

async function until(what: string, condition: () => boolean): Promise<void> {
  const end = performance.now() + DEADLINE_MS;
  while (!condition()) {
    if (performance.now() > end) throw new Error(`after ${DEADLINE_MS} ms still not: ${what}`);
    await new Promise((done) => setTimeout(done, 10));
  }
}

class RealCluster {
  readonly running = new Map<number, RunningMember>();
  readonly #directory: string;
  readonly #ports: readonly number[];

  constructor(directory: string, ports: readonly number[]) {
    this.#directory = directory;
    this.#ports = ports;
  }

  member(peerId: number) {
    return { peerId, address: `127.0.0.1:${this.#ports[peerId - 1]}` };
  }

  async start(peerId: number, joins = false): Promise<void> {
    const member = await startMember({
      nodeId: peerId,
      directory: join(this.#directory, `${peerId}`),
      members: [1, 2, 3].map((id) => this.member(id)),
      join: joins,
      listen: this.member(peerId).address,
    });
    this.running.set(peerId, member);
  }

  async stop(peerId: number): Promise<void> {
    await this.running.get(peerId)?.node.stop();
    this.running.delete(peerId);
  }

  /** The leader that all of those that run agree on. */
  async leader(): Promise<{ id: number; node: RunningMember["node"] }> {
    let id = 0;
    await until("a leader", () => {
      const seen = [...this.running.values()].map(({ node }) => node.status().leaderNodeId);
      id = seen[0];
      return this.running.has(id) && seen.every((one) => one === id) &&
        this.running.get(id)!.node.status().role === "leader";
    });
    return { id, node: this.running.get(id)!.node };
  }

  async equal(): Promise<void> {
    const { node } = await this.leader();
    const { index } = await node.read({ deadlineMs: DEADLINE_MS });
    await until(
      "all have it",
      () => [...this.running.values()].every(({ store }) => store.lastApplied() >= index),
    );
    const digests = new Set([...this.running.values()].map(({ store }) => digest(store)));
    assert.equal(digests.size, 1, "all members hold the same");
  }
}

function ids(members: readonly MemberStatus[]): string {
  return members.map(({ peerId, voter }) => `${peerId}${voter ? "" : "?"}`).join(" ");
}

test(
  "members are added by a snapshot, promoted, removed and replaced, and all of it survives a restart",
  { timeout: 300_000 },
  async () => {
    const directory = await mkdtemp(join(tmpdir(), "flaredb-members-"));
    const cluster = new RealCluster(directory, await reservePorts(5));
    try {
      for (const peerId of [1, 2, 3]) await cluster.start(peerId);
      let leader = await cluster.leader();
      await fill(leader.node, 2 * 1024 * 1024, 8 * 1024);

      const options = { deadlineMs: DEADLINE_MS };
      await leader.node.addLearner(cluster.member(4), options);
      await cluster.start(4, true);
      const fourth = cluster.running.get(4)!;
      await until("the fourth has caught up", () => fourth.store.lastApplied() > 256);
      assert.ok(fourth.node.status().firstIndex > 256, "by a snapshot");
      assert.equal(ids(fourth.node.members()), "1 2 3 4?");
      await until("it is known to have", () => {
        const replica = leader.node.status().progress?.get(4);
        return replica?.state === "replicate";
      });
      await leader.node.promote(4, options);

      const [removed, replaced] = [1, 2, 3].filter((id) => id !== leader.id);
      await leader.node.remove(removed, options);
      await cluster.stop(removed);
      await cluster.start(5, true);
      await leader.node.replace(replaced, cluster.member(5), options);
      await cluster.stop(replaced);
      await fill(leader.node, 64 * 1024, 1024);
      await cluster.equal();

      const kept = [...cluster.running.keys()];
      for (const peerId of kept) await cluster.stop(peerId);
      for (const peerId of kept) await cluster.start(peerId, peerId > 3);
      leader = await cluster.leader();
      await put(leader.node, "large/after", Uint8Array.of(1));
      await cluster.equal();
      const expected = kept.sort((a, b) => a - b).join(" ");
      for (const { node } of cluster.running.values()) assert.equal(ids(node.members()), expected);
      await assert.rejects(leader.node.addLearner(cluster.member(removed)), {
        code: "PEER_ID_USED",
      });
    } finally {
      for (const peerId of [...cluster.running.keys()]) await cluster.stop(peerId);
      await rm(directory, { recursive: true, force: true });
    }
  },
);
