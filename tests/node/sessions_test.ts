/** Client sessions through whole nodes: a command takes effect once, whatever happens to its answers. */

import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { test } from "node:test";
import {
  type ClientSession,
  type Node,
  SESSION_TIMEOUT_MS_MAX,
  SESSION_WINDOW,
  SessionError,
  type SessionPosition,
  TimedOutError,
} from "../../src/node/mod.ts";
import { type ClusterOptions, settle, TestCluster, withResource } from "./cluster.ts";
import { command, ListMachine } from "./machines.ts";
import { SessionListMachine } from "./session_machine.ts";

const SESSIONS: ClusterOptions = {
  machine: (state) => new SessionListMachine(state) as unknown as ListMachine,
};

function withCluster(
  options: ClusterOptions,
  body: (cluster: TestCluster) => Promise<void>,
): Promise<void> {
  return TestCluster.open({ ...SESSIONS, ...options })
    .then((cluster) => withResource(cluster, body));
}

async function expectCode(promise: Promise<unknown>, code: string): Promise<SessionError> {
  try {
    await promise;
  } catch (error) {
    assert.ok(error instanceof SessionError, String(error));
    assert.equal(error.code, code);
    return error;
  }
  throw new Error(`resolved instead of ${code}`);
}

function at(id: string, sequence: number, acknowledged = 0): { session: SessionPosition } {
  return { session: { id, sequence, acknowledged } };
}

async function openId(cluster: TestCluster, node: Node): Promise<string> {
  return await cluster.complete(node.openSessionId());
}

test("a command that is repeated takes effect once, with the same result, on every member", () =>
  withCluster({}, async (cluster) => {
    const leader = await cluster.leader();
    const id = await openId(cluster, cluster.node(leader));
    const first = await cluster.complete(
      cluster.node(leader).propose<number>(command("a"), at(id, 1)),
    );
    assert.equal(first.result, 1);
    await cluster.complete(cluster.node(leader).propose(command("b")));
    for (const nodeId of cluster.nodes.keys()) {
      const again = await cluster.complete(
        cluster.node(nodeId).propose<number>(command("a"), at(id, 1)),
      );
      assert.deepEqual(again, first);
    }
    await cluster.ticks(2);
    for (const nodeId of cluster.nodes.keys()) {
      assert.deepEqual(cluster.machine(nodeId).texts, ["a", "b"]);
      assert.equal(cluster.node(nodeId).status().sessions, 1);
      assert.equal(cluster.node(nodeId).status().counters.sessionDuplicates, 3);
    }
  }));

test("duplicates that are proposed at once take effect once", () =>
  withCluster({ nodes: 1 }, async (cluster) => {
    await cluster.leader();
    const node = cluster.node(1);
    const id = await openId(cluster, node);
    const all = await cluster.complete(Promise.all([
      node.propose<number>(command("a"), at(id, 1)),
      node.propose<number>(command("a"), at(id, 1)),
      node.propose<number>(command("b"), at(id, 2)),
      node.propose<number>(command("a"), at(id, 1)),
    ]));
    assert.deepEqual(all.map(({ result }) => result), [1, 1, 2, 1]);
    assert.deepEqual(cluster.machine(1).texts, ["a", "b"]);
  }));

test("results outlive a restart of all members", () =>
  withCluster({}, async (cluster) => {
    const leader = await cluster.leader();
    const id = await openId(cluster, cluster.node(leader));
    await cluster.complete(cluster.node(leader).propose<number>(command("a"), at(id, 1)));
    await cluster.ticks(2);
    for (const nodeId of [1, 2, 3]) await cluster.crash(nodeId);
    for (const nodeId of [1, 2, 3]) await cluster.start(nodeId);
    const next = await cluster.leader();
    const again = await cluster.complete(
      cluster.node(next).propose<number>(command("a"), at(id, 1)),
    );
    assert.equal(again.result, 1);
    await cluster.ticks(2);
    for (const nodeId of [1, 2, 3]) assert.deepEqual(cluster.machine(nodeId).texts, ["a"]);
  }));

test("state machines that lost everything in a crash have the same sessions again", () =>
  withCluster({ volatile: true }, async (cluster) => {
    const leader = await cluster.leader();
    const id = await openId(cluster, cluster.node(leader));
    await cluster.complete(cluster.node(leader).propose<number>(command("a"), at(id, 1)));
    await cluster.complete(cluster.node(leader).propose<number>(command("a"), at(id, 1)));
    for (const nodeId of [1, 2, 3]) await cluster.crash(nodeId);
    for (const nodeId of [1, 2, 3]) await cluster.start(nodeId);
    const next = await cluster.leader();
    await cluster.complete(cluster.node(next).propose<number>(command("a"), at(id, 1)));
    assert.deepEqual(cluster.machine(next).texts, ["a"]);
  }));

test("a snapshot carries the sessions: its receiver answers duplicates", () =>
  withCluster(
    { node: { compaction: { entriesMax: 20, keepEntries: 0, laggingEntriesMax: 20 } } },
    async (cluster) => {
      const leader = await cluster.leader();
      const id = await openId(cluster, cluster.node(leader));
      const behind = cluster.others(leader)[0];
      cluster.isolate(behind);
      await cluster.complete(cluster.node(leader).propose<number>(command("a"), at(id, 1)));
      for (let count = 0; count < 60; count++) {
        await cluster.complete(cluster.node(leader).propose(command(`${count}`)));
      }
      await cluster.until(
        "the log is compacted",
        () => cluster.node(leader).status().firstIndex > 30,
      );
      cluster.network.heal();
      await cluster.until(
        "the member behind has caught up",
        () =>
          cluster.node(behind).status().lastApplied >= cluster.node(leader).status().commitIndex,
      );
      assert.ok(cluster.node(behind).status().firstIndex > 30, "no snapshot was installed");
      assert.equal(cluster.node(behind).status().sessions, 1);
      const again = await cluster.complete(
        cluster.node(behind).propose<number>(command("a"), at(id, 1)),
      );
      assert.equal(again.result, 1);
      assert.equal(cluster.machine(behind).texts.filter((text) => text === "a").length, 1);
    },
  ));

test("a session tries again at another leader what the first one took and could not answer", () =>
  withCluster({}, async (cluster) => {
    const leader = await cluster.leader();
    const other = cluster.others(leader)[0];
    const session = await cluster.complete(cluster.node(other).openSession({ attemptMs: 500 }));
    await cluster.complete(session.propose(command("before")));
    // The request reaches the leader, which is cut off at once: what it appends is lost.
    const proposed = session.propose<number>(command("a"), { deadlineMs: 20_000 });
    await settle(1);
    cluster.isolate(leader);
    const { result } = await cluster.complete(proposed);
    assert.equal(result, 2);
    cluster.network.heal();
    await cluster.leader();
    await cluster.ticks(5);
    for (const nodeId of cluster.nodes.keys()) {
      assert.deepEqual(cluster.machine(nodeId).texts, ["before", "a"]);
    }
  }));

test("an answer that was lost with the member that proposed is had from another", () =>
  withCluster({}, async (cluster) => {
    const leader = await cluster.leader();
    const [proposer, other] = cluster.others(leader);
    const id = await openId(cluster, cluster.node(proposer));
    const lost = cluster.node(proposer).propose(command("a"), at(id, 1));
    lost.catch(() => {});
    await cluster.until("it is committed", () => cluster.machine(leader).texts.length === 1);
    await cluster.crash(proposer);
    const again = await cluster.complete(
      cluster.node(other).propose<number>(command("a"), at(id, 1)),
    );
    assert.equal(again.result, 1);
    assert.deepEqual(cluster.machine(leader).texts, ["a"]);
  }));

test("what is acknowledged is forgotten, and an attempt of it that comes late has no effect", () =>
  withCluster({ nodes: 1 }, async (cluster) => {
    await cluster.leader();
    const node = cluster.node(1);
    const id = await openId(cluster, node);
    await cluster.complete(node.propose(command("a"), at(id, 1)));
    assert.equal(node.status().sessionResultBytes, 1);
    await cluster.complete(node.propose(command("c"), at(id, 3, 2)));
    assert.equal(node.status().sessionResultBytes, 1);
    for (const sequence of [1, 2]) {
      const error = await expectCode(
        cluster.complete(node.propose(command("late"), at(id, sequence))),
        "SEQUENCE_PASSED",
      );
      assert.equal(error.mayHaveTakenEffect, true);
    }
    assert.deepEqual(cluster.machine(1).texts, ["a", "c"]);
  }));

test("a number too far ahead of what is acknowledged has no effect", () =>
  withCluster({ nodes: 1 }, async (cluster) => {
    await cluster.leader();
    const node = cluster.node(1);
    const id = await openId(cluster, node);
    const error = await expectCode(
      cluster.complete(node.propose(command("a"), at(id, SESSION_WINDOW + 1))),
      "SEQUENCE_AHEAD",
    );
    assert.equal(error.mayHaveTakenEffect, false);
    await cluster.complete(node.propose(command("b"), at(id, SESSION_WINDOW)));
    assert.deepEqual(cluster.machine(1).texts, ["b"]);
  }));

test("a session that is not used expires on all members by the leader's clock", () =>
  withCluster({ node: { sessionClockMs: 500 } }, async (cluster) => {
    const leader = await cluster.leader();
    const node = cluster.node(leader);
    const used = await cluster.complete(node.openSession({ timeoutMs: 2_000 }));
    const unused = await cluster.complete(node.openSessionId({ timeoutMs: 2_000 }));
    await cluster.ticks(60);
    for (const nodeId of cluster.nodes.keys()) {
      assert.equal(cluster.node(nodeId).status().sessions, 1);
      assert.equal(cluster.node(nodeId).status().counters.sessionsExpired, 1);
    }
    const error = await expectCode(
      cluster.complete(node.propose(command("a"), at(unused, 1))),
      "SESSION_EXPIRED",
    );
    assert.equal(error.mayHaveTakenEffect, true);
    const { result } = await cluster.complete(used.propose<number>(command("b")));
    assert.equal(result, 1);
    await cluster.complete(used.close());
    await cluster.ticks(2);
    assert.equal(node.status().sessions, 0);
    const entries = node.status().lastIndex;
    await cluster.ticks(30);
    assert.equal(node.status().lastIndex, entries, "a clock without sessions goes on");
  }));

test("a session that has expired says so, that nothing took effect, and stays ended", () =>
  withCluster({ nodes: 1, node: { sessionClockMs: 200 } }, async (cluster) => {
    await cluster.leader();
    const session = await cluster.complete(
      cluster.node(1).openSession({ timeoutMs: 1_000, keepsAlive: false }),
    );
    await cluster.ticks(20);
    for (let call = 0; call < 2; call++) {
      const error = await expectCode(
        cluster.complete(session.propose(command("a"))),
        "SESSION_EXPIRED",
      );
      assert.equal(error.mayHaveTakenEffect, false);
      assert.equal(session.isEnded, true);
    }
    assert.deepEqual(cluster.machine(1).texts, []);
  }));

test("a session that is closed takes no command, and closing again does nothing", () =>
  withCluster({ nodes: 1 }, async (cluster) => {
    await cluster.leader();
    const node = cluster.node(1);
    const session = await cluster.complete(node.openSession());
    await cluster.complete(session.propose(command("a")));
    await cluster.complete(session.close());
    await session.close();
    await cluster.complete(node.closeSessionId(session.id));
    await expectCode(session.propose(command("b")), "SESSION_EXPIRED");
    await expectCode(
      cluster.complete(node.propose(command("b"), at(session.id, 2))),
      "SESSION_EXPIRED",
    );
    assert.deepEqual(cluster.machine(1).texts, ["a"]);
    assert.equal(node.status().sessions, 0);
  }));

test("a session of another cluster is unknown, even at the same index of the log", () =>
  withCluster({ nodes: 1 }, async (cluster) => {
    await cluster.leader();
    const node = cluster.node(1);
    const id = await openId(cluster, node);
    const [index] = id.split("-");
    const other = `${index}-1`;
    assert.notEqual(other, id);
    await expectCode(
      cluster.complete(node.propose(command("a"), at(other, 1))),
      "SESSION_EXPIRED",
    );
  }));

test("a command that ran out of time is in doubt, and cannot take effect after a later one has", () =>
  withCluster({}, async (cluster) => {
    const leader = await cluster.leader();
    const other = cluster.others(leader)[0];
    const session = await cluster.complete(cluster.node(other).openSession({ attemptMs: 300 }));
    cluster.isolate(other);
    const proposed = session.propose(command("a"), { deadlineMs: 1_000 });
    await assert.rejects(cluster.complete(proposed), (error: TimedOutError) => {
      assert.ok(error instanceof TimedOutError);
      return error.mayHaveTakenEffect;
    });
    cluster.network.heal();
    const { result } = await cluster.complete(
      session.propose<number>(command("b"), { deadlineMs: 20_000 }),
    );
    assert.equal(result, cluster.machine(other).texts.length);
    await cluster.ticks(30);
    assert.equal(cluster.machine(other).texts.at(-1), "b");
  }));

test("many commands of one session are under way at once, each once, on a network that loses", () =>
  withCluster({}, async (cluster) => {
    await cluster.leader();
    const sessions: ClientSession[] = [];
    for (const nodeId of cluster.nodes.keys()) {
      sessions.push(
        await cluster.complete(cluster.node(nodeId).openSession({ attemptMs: 400 })),
      );
    }
    const wanted: string[] = [];
    const all: Promise<unknown>[] = [];
    for (let round = 0; round < 20; round++) {
      for (const [at, session] of sessions.entries()) {
        wanted.push(`${at}/${round}`);
        all.push(session.propose(command(`${at}/${round}`), { deadlineMs: 60_000 }));
      }
      if (round % 7 === 3) cluster.isolate(await cluster.leader());
      await cluster.ticks(round % 7 === 3 ? 25 : 2);
      cluster.network.heal();
    }
    await cluster.complete(Promise.all(all));
    await cluster.leader();
    await cluster.ticks(10);
    for (const nodeId of cluster.nodes.keys()) {
      assert.deepEqual([...cluster.machine(nodeId).texts].sort(), [...wanted].sort());
      assert.deepEqual(cluster.machine(nodeId).texts, cluster.machine(1).texts);
    }
  }));

test("a state machine without a codec of results refuses sessions and nothing else", () =>
  withCluster({ nodes: 1, machine: (state) => new ListMachine(state) }, async (cluster) => {
    await cluster.leader();
    const node = cluster.node(1);
    const error = await expectCode(
      cluster.complete(node.openSession()),
      "SESSIONS_UNSUPPORTED",
    );
    assert.equal(error.mayHaveTakenEffect, false);
    await cluster.complete(node.propose(command("a")));
  }));

test("a state machine that does not commit the sessions' changes ends the node", () => {
  class Forgetful extends ListMachine {
    readonly resultCodec = { encode: () => Buffer.alloc(0), decode: () => 0 };
  }
  return withCluster(
    { nodes: 1, machine: (state) => new Forgetful(state) },
    async (cluster) => {
      await cluster.leader();
      const node = cluster.node(1);
      await assert.rejects(cluster.complete(node.openSession()), { code: "STOPPED" });
      assert.equal((await node.stopped)?.code, "STATE_MACHINE");
    },
  );
});

test("malformed places in a session are refused with what they must be", () =>
  withCluster({ nodes: 1 }, async (cluster) => {
    await cluster.leader();
    const node = cluster.node(1);
    const id = await openId(cluster, node);
    for (
      const session of [
        { id: "", sequence: 1, acknowledged: 0 },
        { id: "0-1", sequence: 1, acknowledged: 0 },
        { id: 7 as unknown as string, sequence: 1, acknowledged: 0 },
        { id, sequence: 0, acknowledged: 0 },
        { id, sequence: 1.5, acknowledged: 0 },
        { id, sequence: 2 ** 48, acknowledged: 0 },
        { id, sequence: 3, acknowledged: 3 },
        { id, sequence: 3, acknowledged: -1 },
      ]
    ) {
      await assert.rejects(node.propose(command("a"), { session }), { code: "INVALID_CONFIG" });
    }
    await assert.rejects(node.openSession({ timeoutMs: 0 }), { code: "INVALID_CONFIG" });
    const timeoutMs = SESSION_TIMEOUT_MS_MAX;
    await assert.rejects(node.openSession({ timeoutMs: timeoutMs + 1 }), {
      code: "INVALID_CONFIG",
    });
    await cluster.complete(node.openSession({ timeoutMs }));
  }));
