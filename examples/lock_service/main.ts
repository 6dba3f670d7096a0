/**
 * Shows the locks: three nodes in one process, the loss of the leader, and a holder that wakes too
 * late. Run it with any of
 *
 *     deno run -A examples/lock_service/main.ts
 *     node examples/lock_service/main.ts
 *     bun examples/lock_service/main.ts
 *
 * @module
 */

import { Node } from "../../src/node/mod.ts";
import { MemoryNodeStorage } from "../../src/storage/mod.ts";
import { MemoryNetwork } from "../../src/transport/mod.ts";
import { FencedResource } from "./fenced_resource.ts";
import { LockMachine, LockService } from "./locks.ts";

/** One node of the service. */
export interface Replica {
  readonly node: Node;
  readonly machine: LockMachine;
  readonly locks: LockService;
}

/** Opens three nodes on a network in memory. */
export function openReplicas(network: MemoryNetwork, tickMs = 20): Promise<Replica[]> {
  const members = [1, 2, 3].map((peerId) => ({ peerId, address: "memory" }));
  return Promise.all(members.map(async ({ peerId: nodeId }) => {
    const machine = new LockMachine();
    const node = await Node.open({
      nodeId,
      storage: new MemoryNodeStorage({ clusterId: "locks", nodeId }),
      transport: network.transport(nodeId),
      regions: [{ members, stateMachine: machine }],
      tickMs,
    });
    return { node, machine, locks: new LockService(node, machine) };
  }));
}

/** Stops a node; what it had not replicated is lost. */
export async function stopReplica({ node, locks }: Replica): Promise<void> {
  locks.close();
  await node.stop();
}

/** Tells the story, one line a step. */
export async function main(say: (line: string) => void = console.log): Promise<void> {
  const replicas = await openReplicas(new MemoryNetwork());
  const ledger = new FencedResource<string>();
  const slow = await replicas[0].locks.acquire("ledger", "slow", 300);
  say(`slow holds the lock: ${slow > 0}`);
  say(`fast gets it too: ${await replicas[1].locks.acquire("ledger", "fast", 300) > 0}`);
  const leaderId = replicas[0].node.status().leaderNodeId;
  const survivors = replicas.filter(({ node }) => node.nodeId !== leaderId);
  await stopReplica(replicas[leaderId - 1]);
  say("the leader is gone");
  let fast = 0;
  while (fast === 0) fast = await survivors[0].locks.acquire("ledger", "fast", 300);
  say(`fast holds the lock, with a higher token: ${fast > slow}`);
  say(`the ledger takes what fast writes: ${ledger.write(fast, "by fast")}`);
  say(`the ledger takes what slow writes late: ${ledger.write(slow, "by slow")}`);
  await Promise.all(survivors.map(stopReplica));
}

if (import.meta.main) await main();
