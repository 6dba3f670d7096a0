/**
 * A replicated counter: three nodes in one process, in memory. Each member answers with the value
 * that its own state machine came to. Run it with any of
 *
 *     deno run -A examples/counter/main.ts
 *     node examples/counter/main.ts
 *     bun examples/counter/main.ts
 *
 * @module
 */

import { type ApplyBatch, Node, type StateMachine } from "../../src/node/mod.ts";
import { MemoryNodeStorage } from "../../src/storage/mod.ts";
import { MemoryNetwork } from "../../src/transport/mod.ts";

/** Adds up the first byte of each command. */
export class Counter implements StateMachine<number> {
  value = 0;
  #lastApplied = 0;

  apply({ commands, lastApplied }: ApplyBatch): number[] {
    this.#lastApplied = lastApplied;
    return commands.map(({ bytes }) => this.value += bytes[0]);
  }
  lastApplied(): number {
    return this.#lastApplied;
  }
  durableIndex(): number {
    return 0; // Nothing is kept: after a restart the log is applied again.
  }
  nodeState(): ReadonlyMap<string, Uint8Array> {
    return new Map();
  }
  async *snapshot(): AsyncIterable<Uint8Array> {
    yield await Promise.resolve(new TextEncoder().encode(`${this.value}`));
  }
  async restore(chunks: AsyncIterable<Uint8Array>, lastApplied: number): Promise<void> {
    let text = "";
    for await (const chunk of chunks) text += new TextDecoder().decode(chunk);
    this.value = Number(text);
    this.#lastApplied = lastApplied;
  }
}

/** Opens three nodes, counts on each of them, and tells what they answer. */
export async function main(say: (line: string) => void = console.log): Promise<void> {
  const network = new MemoryNetwork();
  const members = [1, 2, 3].map((peerId) => ({ peerId, address: "memory" }));
  const nodes = await Promise.all(members.map(({ peerId: nodeId }) =>
    Node.open({
      nodeId,
      storage: new MemoryNodeStorage({ clusterId: "counter", nodeId }),
      transport: network.transport(nodeId),
      regions: [{ members, stateMachine: new Counter() }],
    })
  ));
  for (const node of nodes) {
    const { index, result } = await node.propose<number>(Uint8Array.of(node.nodeId));
    say(`node ${node.nodeId} added ${node.nodeId}: ${result} (log index ${index})`);
  }
  await Promise.all(nodes.map((node) => node.stop()));
}

if (import.meta.main) await main();
