/**
 * Builds on the core: three replicas in one process, each a `RawNode` with a storage of its own, and
 * an array as their network. Everything that waits, sends or writes is the host's; the core decides.
 */
import { createConfState, type Message, type RaftLogEntry, RawNode } from "@flaredb/raft/raft";
import { MemoryStorage } from "@flaredb/raft/storage";

const ids = [1, 2, 3];
const initial = { index: 1, term: 1, confState: createConfState({ voters: ids }) };
const network: Message[] = [];

const replicas = ids.map((id) => {
  const storage = new MemoryStorage({ regionId: 1, peerId: id, initial });
  const random = (bound: number) => Math.floor(Math.random() * bound);
  return { id, storage, core: new RawNode({ id, storage, random }), applied: [] as string[] };
});

/** Carries out what a replica asks for, in the order that Raft needs. */
async function work({ core, storage, applied }: (typeof replicas)[number]): Promise<void> {
  while (core.hasReady()) {
    const ready = core.ready();
    // Real networks get these at once, without the votes among them, which wait for the append.
    network.push(...ready.messages);
    await storage.append(ready); // durable before what follows
    network.push(...ready.messagesAfterAppend);
    for (const entry of ready.committedEntries) apply(entry, applied);
    core.advance();
  }
}

function apply(entry: RaftLogEntry, applied: string[]): void {
  // A new leader's first entry is empty.
  if (entry.command.length > 0) applied.push(new TextDecoder().decode(entry.command));
}

/** Works and delivers until nothing is left to do. */
async function settle(): Promise<void> {
  do {
    for (const replica of replicas) await work(replica);
    for (const message of network.splice(0)) replicas[message.to - 1].core.step(message);
  } while (network.length > 0 || replicas.some(({ core }) => core.hasReady()));
}

replicas[0].core.campaign();
await settle();
replicas[0].core.propose(new TextEncoder().encode("hello"));
replicas[2].core.propose(new TextEncoder().encode("world")); // forwarded to the leader
await settle();

for (const { id, core, applied } of replicas) {
  console.log(`replica ${id} is ${core.basicStatus().softState.role}: ${applied.join(", ")}`);
}
