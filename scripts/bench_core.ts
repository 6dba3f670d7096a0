/**
 * `deno task bench:core`: what the core alone costs. Three replicas in one process, no disk, no
 * network: proposals go through the leader, are appended, acknowledged, committed and applied on all
 * three. Prints microseconds a proposal, alone and when many share a message.
 *
 * @module
 */

import { performance } from "node:perf_hooks";
import { createConfState, type Message, RawNode } from "../src/raft/mod.ts";
import { MemoryStorage } from "../src/storage/mod.ts";

const VOTERS = [1, 2, 3];
const PROPOSALS = 200_000;
const COMMAND = new Uint8Array(256);

interface Member {
  readonly node: RawNode;
  readonly storage: MemoryStorage;
}

function createMembers(): Map<number, Member> {
  const confState = createConfState({ voters: VOTERS });
  const members = new Map<number, Member>();
  for (const id of VOTERS) {
    const initial = { index: 1, term: 1, confState };
    const storage = new MemoryStorage({ regionId: 1, peerId: id, initial });
    members.set(id, { storage, node: new RawNode({ id, storage, random: (bound) => bound - 1 }) });
  }
  return members;
}

/** Carries out everything until nobody has work; returns how many entries member 1 applied. */
function settle(members: Map<number, Member>): number {
  let applied = 0;
  for (let busy = true; busy;) {
    busy = false;
    for (const [id, { node, storage }] of members) {
      if (!node.hasReady()) continue;
      busy = true;
      const ready = node.ready();
      void storage.append(ready);
      if (id === 1) applied += ready.committedEntries.length;
      deliver(members, ready.messages);
      deliver(members, ready.messagesAfterAppend);
      node.advance();
    }
  }
  return applied;
}

function deliver(members: Map<number, Member>, messages: readonly Message[]): void {
  for (const message of messages) members.get(message.to)?.node.step(message);
}

async function compactAll(members: Map<number, Member>): Promise<void> {
  for (const { node, storage } of members.values()) {
    await storage.compact(node.basicStatus().applied);
  }
}

async function measure(batch: number): Promise<number> {
  const members = createMembers();
  const leader = members.get(1)!.node;
  leader.campaign();
  settle(members);
  const proposals = Array.from({ length: batch }, () => ({ command: COMMAND }));
  let applied = 0;
  let rounds = 0;
  const start = performance.now();
  while (applied < PROPOSALS) {
    leader.proposeBatch(proposals);
    applied += settle(members);
    if (++rounds % 500 === 0) await compactAll(members);
  }
  return (performance.now() - start) * 1000 / applied;
}

for (const batch of [1, 64]) {
  await measure(batch); // warms up
  const micros = await measure(batch);
  console.log(`${batch} a message: ${micros.toFixed(2)} microseconds a proposal, three replicas`);
}
