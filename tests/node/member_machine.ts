/** Nodes that join: their state machine keeps the node's own state, and carries it in snapshots. */

import type { Member, Node, Observer } from "../../src/node/mod.ts";
import type { TestCluster } from "./cluster.ts";
import { emptyState, ListMachine } from "./machines.ts";

/** Keeps the node's own state too, and carries it in snapshots. */
export class MemberMachine extends ListMachine {
  readonly #nodeState: Map<string, Uint8Array>;

  constructor(state: ReturnType<typeof emptyState>) {
    super(state);
    const kept = state as { nodeState?: Map<string, Uint8Array> };
    this.#nodeState = kept.nodeState ??= new Map();
  }

  override apply(batch: Parameters<ListMachine["apply"]>[0]) {
    for (const [key, value] of batch.nodeState) {
      if (value === undefined) this.#nodeState.delete(key);
      else this.#nodeState.set(key, value);
    }
    return super.apply(batch);
  }

  override nodeState(): ReadonlyMap<string, Uint8Array> {
    return this.#nodeState;
  }

  override async *snapshot(): AsyncIterable<Uint8Array> {
    const own = [...this.#nodeState].map(([key, value]) => [key, [...value]]);
    const { lastApplied, applied } = this.state;
    yield await Promise.resolve(
      new TextEncoder().encode(JSON.stringify({ own, lastApplied, applied })),
    );
  }

  override async restore(chunks: AsyncIterable<Uint8Array>, lastApplied: number) {
    const parts: Uint8Array[] = [];
    for await (const chunk of chunks) parts.push(chunk);
    const { own } = JSON.parse(await new Blob(parts as BlobPart[]).text());
    this.#nodeState.clear();
    for (const [key, value] of own) this.#nodeState.set(key, Uint8Array.from(value));
    async function* again() {
      yield* parts;
    }
    await super.restore(again(), lastApplied);
  }
}

/** What the machines of those that joined have kept, by key. */
export const machines = new Map<string, ReturnType<typeof emptyState>>();

/** Starts a node that joins; its state survives restarts under `key`. */
export function join(
  cluster: TestCluster,
  member: Member,
  key: string,
  more: { members?: readonly Member[]; observer?: Observer } = {},
): Promise<Node> {
  const state = machines.get(key) ?? emptyState();
  machines.set(key, state);
  const { peerId, nodeId = peerId } = member;
  return cluster.start(nodeId, {
    regions: [{
      peerId,
      join: true,
      members: more.members ?? cluster.members,
      stateMachine: new MemberMachine(state),
    }],
    observer: more.observer,
  });
}
