/**
 * What the browser runs: three replicas over a storage of arrays, an election, a proposal. The result
 * is left in the page as JSON.
 */
import {
  type ConfState,
  createConfState,
  EMPTY_HARD_STATE,
  type HardState,
  type LogStorage,
  type Message,
  type RaftLogEntry,
  RawNode,
  type Snapshot,
} from "../../src/raft/mod.ts";

/** A log from index 1 that is never compacted. */
class ArrayStorage implements LogStorage {
  readonly #log: RaftLogEntry[] = [];
  readonly #confState: ConfState;
  hardState: HardState = EMPTY_HARD_STATE;

  constructor(confState: ConfState) {
    this.#confState = confState;
  }

  initialState(): { hardState: HardState; confState: ConfState } {
    return { hardState: this.hardState, confState: this.#confState };
  }

  entries(low: number, high: number): RaftLogEntry[] {
    return this.#log.slice(low - 1, high - 1);
  }

  term(index: number): number {
    return index === 0 ? 0 : this.#log[index - 1].term;
  }

  firstIndex(): number {
    return 1;
  }

  lastIndex(): number {
    return this.#log.length;
  }

  snapshot(): Snapshot {
    const metadata = { index: 0, term: 0, confState: this.#confState };
    return { metadata, data: new Uint8Array(0) };
  }

  append(entries: readonly RaftLogEntry[]): void {
    for (const entry of entries) {
      this.#log.length = entry.index - 1;
      this.#log.push(entry);
    }
  }
}

function run(): unknown {
  const confState = createConfState({ voters: [1, 2, 3] });
  const applied: string[][] = [[], [], []];
  const peers = [1, 2, 3].map((id) => {
    const storage = new ArrayStorage(confState);
    return { storage, node: new RawNode({ id, storage, random: (bound) => (id * 3) % bound }) };
  });
  const wire: Message[] = [];
  const settle = () => {
    for (let busy = true; busy;) {
      busy = false;
      for (const [i, { node, storage }] of peers.entries()) {
        while (node.hasReady()) {
          busy = true;
          const ready = node.ready();
          wire.push(...ready.messages);
          storage.append(ready.entries);
          if (ready.hardState !== undefined) storage.hardState = ready.hardState;
          wire.push(...ready.messagesAfterAppend);
          for (const { command } of ready.committedEntries) {
            if (command.length > 0) applied[i].push(new TextDecoder().decode(command));
          }
          node.advance();
        }
      }
      for (const message of wire.splice(0)) peers[message.to - 1].node.step(message);
    }
  };
  for (let ticks = 0; ticks < 30; ticks++) {
    for (const { node } of peers) node.tick();
    settle();
  }
  const leaders = peers.filter(({ node }) => node.basicStatus().softState.role === "leader");
  leaders[0].node.propose(new TextEncoder().encode("hello from a browser"));
  settle();
  for (const { node } of peers) node.tick();
  settle();
  return {
    leaders: leaders.map(({ node }) => node.id),
    followed: peers.map(({ node }) => node.basicStatus().softState.leader),
    applied,
  };
}

const { document } = globalThis as unknown as { document: { body: { textContent: string } } };
document.body.textContent = `result:${JSON.stringify(run())}:end`;
