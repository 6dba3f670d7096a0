/** The locks of `examples/lock_service` are safe whatever happens to their leader. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { FencedResource } from "../../examples/lock_service/fenced_resource.ts";
import { LockMachine } from "../../examples/lock_service/locks.ts";
import { main, openReplicas, type Replica, stopReplica } from "../../examples/lock_service/main.ts";
import { RequestError, StoppedError } from "../../src/node/mod.ts";
import { MemoryNetwork } from "../../src/transport/mod.ts";
import { until } from "../process/support.ts";

test("the story of the lock service ends well", async () => {
  const lines: string[] = [];
  await main((line) => lines.push(line));
  assert.deepEqual(lines, [
    "slow holds the lock: true",
    "fast gets it too: false",
    "the leader is gone",
    "fast holds the lock, with a higher token: true",
    "the ledger takes what fast writes: true",
    "the ledger takes what slow writes late: false",
  ]);
});

/** Applies one command at `index` and returns its result. */
function apply(machine: LockMachine, index: number, command: object): number {
  const bytes = new TextEncoder().encode(JSON.stringify({ name: "a", ...command }));
  const commands = [{ index, term: 1, bytes }];
  return machine.apply({ commands, lastApplied: index, nodeState: [] })[0]!;
}

test("a token is the index at which the lock was taken, and asking again gives the same", () => {
  const machine = new LockMachine();
  assert.equal(apply(machine, 5, { kind: "acquire", owner: "x", ttlMs: 1 }), 5);
  assert.equal(apply(machine, 6, { kind: "acquire", owner: "y", ttlMs: 1 }), 0);
  assert.equal(apply(machine, 7, { kind: "acquire", owner: "x", ttlMs: 1 }), 5);
  assert.equal(apply(machine, 8, { kind: "release", token: 4 }), 0);
  assert.equal(apply(machine, 9, { kind: "release", token: 5 }), 5);
  assert.equal(apply(machine, 10, { kind: "release", token: 5 }), 0);
  assert.equal(apply(machine, 11, { kind: "acquire", owner: "y", ttlMs: 1 }), 11);
  assert.equal(apply(machine, 12, { kind: "keepAlive", token: 5 }), 0);
});

test("a lock does not expire when its holder was heard of since that was proposed", () => {
  const machine = new LockMachine();
  apply(machine, 5, { kind: "acquire", owner: "x", ttlMs: 1 });
  assert.equal(apply(machine, 6, { kind: "keepAlive", token: 5 }), 5);
  assert.equal(apply(machine, 7, { kind: "expire", token: 5, heardAt: 5 }), 0);
  assert.equal(apply(machine, 8, { kind: "acquire", owner: "y", ttlMs: 1 }), 0);
  assert.equal(apply(machine, 9, { kind: "expire", token: 5, heardAt: 6 }), 5);
  assert.equal(apply(machine, 10, { kind: "acquire", owner: "y", ttlMs: 1 }), 10);
});

test("a snapshot of the locks restores them", async () => {
  const machine = new LockMachine();
  apply(machine, 5, { kind: "acquire", owner: "x", ttlMs: 1 });
  const nodeState = [["key", Uint8Array.of(1, 255)], ["gone", undefined]] as const;
  machine.apply({ commands: [], lastApplied: 6, nodeState });
  const restored = new LockMachine();
  await restored.restore(machine.snapshot(), machine.lastApplied());
  assert.deepEqual(restored.locks, machine.locks);
  assert.deepEqual(restored.nodeState(), machine.nodeState());
  assert.equal(restored.lastApplied(), 6);
});

/** A write that a resource has taken. */
interface TakenWrite {
  readonly token: number;
  readonly owner: string;
}

/**
 * Takes the lock again and again, writes, and now and then forgets to give it back or writes late,
 * after others; until `signal` is aborted.
 */
async function work(
  owner: string,
  replica: Replica,
  resource: FencedResource<string>,
  taken: TakenWrite[],
  signal: AbortSignal,
): Promise<void> {
  for (let turn = 1; !signal.aborted; turn++) {
    try {
      // Each turn is a new owner: one that has forgotten its lock does not get it back.
      const self = `${owner}/${turn}`;
      const token = await replica.locks.acquire("lock", self, 100);
      if (token === 0) continue;
      if (turn % 3 === 0) await replica.node.read();
      if (resource.write(token, self)) taken.push({ token, owner: self });
      if (turn % 4 !== 0) await replica.locks.release("lock", token);
    } catch (error) {
      if (error instanceof StoppedError) return;
      if (!(error instanceof RequestError)) throw error;
      // No leader for too long: whether the lock was taken does not matter to safety.
    }
  }
}

test("no two holders write with the same or a lower token while leaders are cut off and killed", async () => {
  const network = new MemoryNetwork();
  const replicas = await openReplicas(network);
  const resource = new FencedResource<string>();
  const taken: TakenWrite[] = [];
  const ended = new AbortController();
  const workers = replicas.map((replica, index) =>
    work(`owner ${index + 1}`, replica, resource, taken, ended.signal)
  );
  const leader = (among: readonly Replica[]): Promise<Replica> =>
    until("a leader", () => among.find(({ node }) => node.status().role === "leader"));
  const progress = async (): Promise<void> => {
    const before = taken.length;
    await until("more writes", () => taken.length >= before + 10);
  };
  try {
    await progress();
    const first = await leader(replicas);
    const others = replicas.filter((replica) => replica !== first);
    const stale = await until(
      "a lock at the leader",
      () => [...first.machine.locks.values()][0]?.token,
    );
    network.partition([first.node.nodeId], others.map(({ node }) => node.nodeId));
    await progress();
    assert.equal(resource.write(stale, "late"), false, "a holder from before is refused");
    network.heal();
    await progress();
    const second = await leader(others.concat(first));
    await stopReplica(second);
    await progress();
  } finally {
    ended.abort();
    await Promise.all(replicas.map(stopReplica));
    await Promise.all(workers);
  }
  const ownerOf = new Map<number, string>();
  for (const [index, { token, owner }] of taken.entries()) {
    assert.ok(index === 0 || token > taken[index - 1]!.token, `token ${token} after a higher one`);
    assert.equal(ownerOf.get(token) ?? owner, owner, `two owners of token ${token}`);
    ownerOf.set(token, owner);
  }
});
