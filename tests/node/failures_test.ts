/** What a node does when its disk, its state machine or its peers misbehave. */

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type ApplyBatch,
  Node,
  RecoveryError,
  StateMachineError,
  StoppedError,
  StorageFailedError,
} from "../../src/node/mod.ts";
import { ConfigError, createEntry, createMessage } from "../../src/raft/mod.ts";
import { StorageError } from "../../src/storage/errors.ts";
import { MemoryDisk, MemoryNodeStorage } from "../../src/storage/memory.ts";
import { MemoryNetwork } from "../../src/transport/mod.ts";
import { settle, TestCluster, withResource } from "./cluster.ts";
import { Gate, gated } from "./gated_storage.ts";
import { command, emptyState, ListMachine } from "./machines.ts";

test("the first failed write stops the node, acknowledges nothing and says why", async () => {
  await withResource(await TestCluster.open(), async (cluster) => {
    const leader = await cluster.leader();
    const node = cluster.node(leader);
    const full = new StorageError("STORAGE_FULL", "no space left on the disk");
    cluster.disk(leader).failNextWrite = full;
    const sent = cluster.batches.length;
    const pending = node.propose(command("a"));
    await assert.rejects(pending, (error) => {
      assert.ok(error instanceof StoppedError);
      assert.equal(error.cause, full);
      assert.equal(error.mayHaveTakenEffect, true);
      return true;
    });
    assert.equal(await node.stopped, full);
    cluster.nodes.delete(leader);
    const after = cluster.batches.slice(sent).filter(({ from }) => from === leader);
    await cluster.ticks(3);
    const later = cluster.batches.slice(sent).filter(({ from }) => from === leader);
    assert.equal(later.length, after.length);
    await cluster.complete(cluster.node(await cluster.leader()).propose(command("b")));
    assert.ok(cluster.logger.lines.some((line) => line.includes("no space left on the disk")));
  });
});

test("a follower whose write fails acknowledges nothing of it", async () => {
  await withResource(await TestCluster.open(), async (cluster) => {
    const leader = await cluster.leader();
    const [follower] = cluster.others(leader);
    const node = cluster.node(follower);
    cluster.disk(follower).failNextWrite = new StorageError("STORAGE_IO", "input/output error");
    const matchBefore = cluster.node(leader).status().progress!.get(follower)!.matchIndex;
    await cluster.complete(cluster.node(leader).propose(command("a")));
    assert.equal((await node.stopped)?.code, "STORAGE_IO");
    cluster.nodes.delete(follower);
    const match = cluster.node(leader).status().progress!.get(follower)!.matchIndex;
    assert.equal(match, matchBefore);
  });
});

test("a failure that is not of this project is wrapped with its cause", async () => {
  const gate = new Gate();
  await withResource(
    await TestCluster.open({
      nodes: 1,
      storage: (storage) => gated(storage, gate),
    }),
    async (cluster) => {
      await cluster.leader();
      gate.failure = new Error("EIO");
      await assert.rejects(cluster.node(1).propose(command("a")), StoppedError);
      const reason = await cluster.node(1).stopped;
      assert.ok(reason instanceof StorageFailedError);
      assert.equal(reason.cause, gate.failure);
    },
  );
});

class FailingMachine extends ListMachine {
  fault: "throw" | "reject" | "short" | "astray" | undefined = undefined;
  override apply(batch: ApplyBatch): number[] | Promise<number[]> {
    if (batch.commands.length === 0 || this.fault === undefined) return super.apply(batch);
    if (this.fault === "throw") throw new Error("broken machine");
    if (this.fault === "reject") return Promise.reject(new Error("broken machine"));
    const results = super.apply(batch);
    if (this.fault === "short") return [];
    this.state.lastApplied--;
    return results;
  }
}

for (const fault of ["throw", "reject", "short", "astray"] as const) {
  test(`a state machine that fails (${fault}) stops its node and says why`, async () => {
    await withResource(
      await TestCluster.open({
        machine: (state) => new FailingMachine(state),
      }),
      async (cluster) => {
        const leader = await cluster.leader();
        (cluster.machine(leader) as FailingMachine).fault = fault;
        await assert.rejects(cluster.node(leader).propose(command("a")), (error) => {
          assert.ok(error instanceof StoppedError);
          assert.ok(error.cause instanceof StateMachineError);
          assert.equal(error.mayHaveTakenEffect, true);
          return true;
        });
        const reason = await cluster.node(leader).stopped;
        assert.ok(reason instanceof StateMachineError);
        const said = fault === "short"
          ? /must return one result a command: expected 1, found 0/
          : fault === "astray"
          ? /lastApplied\(\) must be what the batch says, \d+: it is \d+/
          : /broken machine/;
        assert.match(reason.message, said);
        cluster.nodes.delete(leader);
        await cluster.leader();
      },
    );
  });
}

test("an asynchronous state machine is given one batch at a time, in order", async () => {
  let running = 0;
  class SlowMachine extends ListMachine {
    override async apply(batch: ApplyBatch): Promise<number[]> {
      assert.equal(running++, 0);
      await settle(3);
      running--;
      return await super.apply(batch);
    }
  }
  await withResource(
    await TestCluster.open({
      nodes: 1,
      machine: (state) => new SlowMachine(state),
    }),
    async (cluster) => {
      await cluster.leader();
      const texts = Array.from({ length: 30 }, (_, at) => `${at}`);
      const proposals: Promise<unknown>[] = [];
      for (const text of texts) {
        proposals.push(cluster.node(1).propose(command(text)));
        await settle(1);
      }
      await cluster.complete(Promise.all(proposals));
      assert.deepEqual(cluster.machine(1).texts, texts);
      assert.ok(cluster.machine(1).batches.length < 25);
    },
  );
});

test("a leader whose disk hangs gives leadership up, and rejoins when it answers again", async () => {
  const gates = [1, 2, 3].map(() => new Gate());
  await withResource(
    await TestCluster.open({
      storage: (storage, nodeId) => gated(storage, gates[nodeId - 1]),
    }),
    async (cluster) => {
      const old = await cluster.leader();
      const term = cluster.node(old).status().term;
      gates[old - 1].hang();
      const pending = cluster.node(old).propose<number>(command("a"), { deadlineMs: 60_000 });
      const others = cluster.others(old);
      const leader = await cluster.leader(others);
      assert.equal(cluster.node(old).status().diskHangs, true);
      assert.equal(cluster.node(old).status().counters.diskHangs, 1);
      await cluster.complete(cluster.node(leader).propose(command("b")));
      assert.ok(cluster.node(leader).status().term > term);
      assert.deepEqual(cluster.machine(old).texts, []);
      gates[old - 1].release();
      await cluster.complete(pending);
      await cluster.complete(cluster.node(old).read());
      assert.equal(cluster.node(old).status().diskHangs, false);
      assert.deepEqual(cluster.machine(old).texts, ["a", "b"]);
    },
  );
});

test("a leader whose disk hangs falls silent even when no one can take over at once", async () => {
  const gates = [1, 2, 3].map(() => new Gate());
  await withResource(
    await TestCluster.open({
      storage: (storage, nodeId) => gated(storage, gates[nodeId - 1]),
    }),
    async (cluster) => {
      const old = await cluster.leader();
      cluster.network.setFate(({ item }) => item.message.type === "timeout-now" ? [] : [0]);
      gates[old - 1].hang();
      cluster.node(old).propose(command("a")).catch(() => {});
      await cluster.ticks(12);
      cluster.batches = [];
      await cluster.ticks(3);
      assert.deepEqual(cluster.batches.filter(({ from }) => from === old), []);
      await cluster.leader(cluster.others(old));
    },
  );
});

test("a follower whose disk hangs does not disturb the others", async () => {
  const gates = [1, 2, 3].map(() => new Gate());
  await withResource(
    await TestCluster.open({
      storage: (storage, nodeId) => gated(storage, gates[nodeId - 1]),
    }),
    async (cluster) => {
      const leader = await cluster.leader();
      const [follower] = cluster.others(leader);
      gates[follower - 1].hang();
      await cluster.complete(cluster.node(leader).propose(command("a")));
      await cluster.ticks(60);
      assert.equal(await cluster.leader(cluster.others(follower)), leader);
      gates[follower - 1].release();
      await cluster.complete(cluster.node(follower).read());
      assert.deepEqual(cluster.machine(follower).texts, ["a"]);
    },
  );
});

test("messages for nobody here are counted, logged once and dropped", async () => {
  await withResource(await TestCluster.open(), async (cluster) => {
    const leader = await cluster.leader();
    const network = cluster.network.transport(9);
    await network.start({ receive() {}, unreachable() {}, snapshotSent() {} });
    network.addNode(leader, "memory");
    const beat = createMessage({ type: "heartbeat", from: 2, to: leader, term: 1 });
    for (let time = 0; time < 3; time++) {
      network.send(leader, [
        { regionId: 7, message: beat },
        { regionId: 1, message: { ...beat, to: 8 } },
      ]);
    }
    await settle();
    await network.close();
    assert.equal(cluster.node(leader).status().nodeCounters.messagesMisrouted, 6);
    const logged = cluster.logger.lines.filter((line) => line.includes("does not host"));
    assert.equal(logged.length, 2);
    await cluster.complete(cluster.node(leader).propose(command("a")));
  });
});

test("a message that the core refuses is counted, reported, logged once and changes nothing", async () => {
  const refused: string[] = [];
  await withResource(
    await TestCluster.open({
      observer: { messageRefused: (_peer, error) => refused.push(error.code) },
    }),
    async (cluster) => {
      const leader = await cluster.leader();
      const network = cluster.network.transport(9);
      await network.start({ receive() {}, unreachable() {}, snapshotSent() {} });
      network.addNode(leader, "memory");
      const { term } = cluster.node(leader).status();
      const stranger = createMessage({
        type: "append-response",
        from: 9,
        to: leader,
        term,
        index: 5,
      });
      const propose = createMessage({
        type: "propose",
        from: 9,
        to: cluster.others(leader)[0],
        entries: [createEntry({ command: command("x") })],
      });
      network.addNode(propose.to, "memory");
      for (let time = 0; time < 2; time++) {
        network.send(leader, [{ regionId: 1, message: stranger }]);
        network.send(propose.to, [{ regionId: 1, message: propose }]);
      }
      await settle();
      await network.close();
      assert.deepEqual(refused.sort(), [
        "NOT_LEADING",
        "NOT_LEADING",
        "PEER_NOT_FOUND",
        "PEER_NOT_FOUND",
      ]);
      assert.equal(cluster.node(leader).status().counters.messagesRefused, 2);
      assert.equal(
        cluster.logger.lines.filter((line) => line.includes("refused a message")).length,
        2,
      );
      await cluster.complete(cluster.node(leader).propose(command("a")));
      assert.deepEqual(cluster.machine(leader).texts, ["a"]);
    },
  );
});

test("an observer is told of leaders, roles, batches and the end, and may throw", async () => {
  const told: string[] = [];
  await withResource(
    await TestCluster.open({
      nodes: 1,
      observer: {
        roleChanged: (peer, role, term) => told.push(`role ${peer.regionId} ${role} ${term}`),
        leaderChanged: (_peer, { leaderNodeId, term }) =>
          told.push(`leader ${leaderNodeId} ${term}`),
        applied: (_peer, { commands }) => {
          if (commands > 0) told.push(`applied ${commands}`);
          throw new Error("observer bug");
        },
        stopped: (nodeId, error) => told.push(`stopped ${nodeId} ${error}`),
      },
    }),
    async (cluster) => {
      await cluster.leader();
      await cluster.complete(cluster.node(1).propose(command("a")));
      await cluster.crash(1);
      assert.deepEqual(told, [
        "role 1 follower 1",
        "leader 0 1",
        "role 1 candidate 2",
        "role 1 leader 2",
        "leader 1 2",
        "applied 1",
        "stopped 1 undefined",
      ]);
      assert.ok(cluster.logger.lines.some((line) => line.includes("observer bug")));
    },
  );
});

/** Opens node 1 of one on a disk that has seen three commands, with another state machine. */
async function reopen(state: { lastApplied: number }, peerId = 1): Promise<Node> {
  const cluster = await TestCluster.open({ nodes: 1 });
  await cluster.leader();
  for (const text of ["a", "b", "c"]) {
    await cluster.complete(cluster.node(1).propose(command(text)));
  }
  await cluster.crash(1);
  return await Node.open({
    nodeId: 1,
    storage: new MemoryNodeStorage({ clusterId: "test", nodeId: 1 }, cluster.disk(1)),
    transport: new MemoryNetwork().transport(1),
    regions: [{
      members: [{ peerId, nodeId: 1 }],
      stateMachine: new ListMachine({ ...emptyState(), ...state }),
    }],
    clock: cluster.clock,
  });
}

test("a node does not start when its state machine is ahead of the log", async () => {
  await assert.rejects(reopen({ lastApplied: 100 }), (error) => {
    assert.ok(error instanceof RecoveryError);
    assert.match(error.message, /applied index 100, but the log ends at 5/);
    return true;
  });
});

test("a node does not start when the log no longer holds what its state machine lacks", async () => {
  const disk = new MemoryNodeStorage({ clusterId: "test", nodeId: 1 });
  const initial = {
    index: 50,
    term: 2,
    confState: {
      voters: [1],
      learners: [],
      votersOutgoing: [],
      learnersNext: [],
      autoLeave: false,
    },
  };
  await disk.createRegion({ regionId: 1, peerId: 1, initial });
  const opening = Node.open({
    nodeId: 1,
    storage: disk,
    transport: new MemoryNetwork().transport(1),
    regions: [{ members: [{ peerId: 1 }], stateMachine: new ListMachine() }],
  });
  await assert.rejects(opening, /applied index 1, but the log begins at 51/);
});

test("a node does not start with another peer's region", async () => {
  await assert.rejects(reopen({ lastApplied: 0 }, 4), /belongs to peer 1, not to 4/);
});

test("options that make no sense are refused and everything is closed", async () => {
  const attempts: [string, object][] = [
    ["nodeId must be 1", { nodeId: 2 }],
    ["clusterId must be", { clusterId: "other" }],
    ["at least one region", { regions: [] }],
    ["tickMs must be", { tickMs: 0 }],
    ["electionTick must be", { electionTick: 1 }],
    ["pendingProposalsMax must be", { limits: { pendingProposalsMax: 0 } }],
    ["seed must be", { seed: 0.5 }],
  ];
  for (const [text, change] of attempts) {
    const machine = new ListMachine();
    const disk = new MemoryDisk();
    const opening = Node.open({
      nodeId: 1,
      storage: new MemoryNodeStorage({ clusterId: "test", nodeId: 1 }, disk),
      transport: new MemoryNetwork().transport(1),
      regions: [{ members: [{ peerId: 1 }], stateMachine: machine }],
      ...change,
    });
    await assert.rejects(opening, (error) => {
      assert.ok(error instanceof ConfigError);
      assert.ok(error.message.includes(text), error.message);
      return true;
    });
    assert.equal(machine.closed, !("regions" in change));
    assert.equal(disk.locked, false);
  }
});

test("a lost commit index is recovered from what the state machine has applied", async () => {
  const disk = new MemoryNodeStorage({ clusterId: "test", nodeId: 1 });
  const confState = {
    voters: [1, 2, 3],
    learners: [],
    votersOutgoing: [],
    learnersNext: [],
    autoLeave: false,
  };
  const region = await disk.createRegion({
    regionId: 1,
    peerId: 1,
    initial: { index: 1, term: 1, confState },
  });
  await region.append({
    entries: [2, 3, 4].map((index) => createEntry({ index, term: 1, command: command("x") })),
    hardState: { currentTerm: 1, votedFor: 0, commitIndex: 1 },
  });
  await withResource(
    await Node.open({
      nodeId: 1,
      storage: disk,
      transport: new MemoryNetwork().transport(1),
      regions: [{
        members: [{ peerId: 1 }, { peerId: 2 }, { peerId: 3 }],
        stateMachine: new ListMachine({ lastApplied: 3, applied: [] }),
      }],
    }),
    (node) => {
      const { commitIndex, lastApplied, lastIndex } = node.status();
      assert.deepEqual({ commitIndex, lastApplied, lastIndex }, {
        commitIndex: 3,
        lastApplied: 3,
        lastIndex: 4,
      });
    },
  );
});
