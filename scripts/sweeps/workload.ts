/**
 * The scripted run of the sweeps: a fixed series of writes of every kind over two regions. Run on
 * memory it tells the state after each step; a disk that was cut off, damaged or failing must show
 * one of these, and never one from before what was acknowledged.
 *
 * @module
 */

import { createConfState, createEntry, type RaftLogEntry } from "../../src/raft/mod.ts";
import {
  MemoryNodeStorage,
  type NodeIdentity,
  type NodeStorage,
  type RaftStorage,
} from "../../src/storage/mod.ts";
import { SqliteNodeStorage, type SqliteStorageOptions } from "../../src/storage/sqlite/mod.ts";

/** Who the data of the run belongs to. */
export const IDENTITY: NodeIdentity = { clusterId: "sweep", nodeId: 1 };

/** Small limits, so that a short run has checkpoints and restarts of the write-ahead log. */
export const LIMITS: Omit<SqliteStorageOptions, "directory"> = {
  identity: IDENTITY,
  cacheBytesMax: 1024,
  checkpointBytes: 48 * 1024,
};

function entriesFrom(first: number, count: number, term: number, step: number): RaftLogEntry[] {
  const entries: RaftLogEntry[] = [];
  for (let index = first; index < first + count; index++) {
    // Some values are longer than a page.
    const bytes = step % 9 === 0 ? 6000 : step * 37 % 700;
    const command = new Uint8Array(bytes).fill(index + 3 * term);
    entries.push(createEntry({ index, term, command }));
  }
  return entries;
}

/** Does step `step`, from 0; every one is one transaction. */
export async function runStep(node: NodeStorage, step: number): Promise<void> {
  if (step === 0) return void await node.createRegion({ regionId: 1, peerId: 1 });
  if (step === 1) {
    const initial = { index: 5, term: 1, confState: createConfState({ voters: [4] }) };
    return void await node.createRegion({ regionId: 2, peerId: 4, initial });
  }
  const [one, two] = [1, 2].map((regionId) => node.region(regionId) as RaftStorage);
  const { currentTerm, votedFor, commitIndex } = one.initialState().hardState;
  const term = Math.max(currentTerm, 1 + Math.floor(step / 6));
  const last = one.lastIndex();
  switch (step % 8) {
    case 3:
      // Replaces what is not committed.
      return await one.append({ entries: entriesFrom(commitIndex + 1, 2, term, step) });
    case 4: {
      const entries = entriesFrom(two.lastIndex() + 1, 3, two.lastIndex() + step, step);
      const other = one.append({ entries: entriesFrom(last + 1, 2, term, step) });
      return void await Promise.all([other, two.append({ entries })]);
    }
    case 5:
      return await one.saveConfState(createConfState({ voters: [1, step] }), commitIndex);
    case 6:
      return await one.append({
        hardState: { currentTerm: term + 1, votedFor: step, commitIndex: last },
      });
    case 7: {
      if (step % 16 === 7) return await one.compact(Math.max(0, commitIndex - 2));
      const index = two.lastIndex() + 10;
      const confState = createConfState({ voters: [4, step] });
      const metadata = { index, term: index + step, confState };
      return await two.append({ snapshot: { metadata, data: new Uint8Array(900).fill(step) } });
    }
    default:
      return await one.append({
        entries: entriesFrom(last + 1, 1 + step % 4, term, step),
        hardState: {
          currentTerm: term,
          votedFor: term === currentTerm ? votedFor : 0,
          commitIndex: last,
        },
      });
  }
}

/** All that a node's storage says, as a text. */
export function stateOf(node: NodeStorage): string {
  const regions = node.regionIds().map((regionId) => {
    const region = node.region(regionId) as RaftStorage;
    const [first, last] = [region.firstIndex(), region.lastIndex()];
    const entries = first > last ? [] : region.entries(first, last + 1, Infinity);
    return {
      regionId,
      peerId: region.peerId,
      state: region.initialState(),
      confStateIndex: region.confStateIndex(),
      snapshot: region.snapshot(),
      before: [first - 1, region.term(first - 1)],
      entries,
    };
  });
  return JSON.stringify(
    regions,
    (_key, value) => value instanceof Uint8Array ? `${value.length} of ${value[0]}` : value,
  );
}

/** The states before the first and after each of `steps` steps. */
export async function expectedStates(steps: number): Promise<string[]> {
  const node = new MemoryNodeStorage(IDENTITY);
  const states = [stateOf(node)];
  for (let step = 0; step < steps; step++) {
    await runStep(node, step);
    states.push(stateOf(node));
  }
  return states;
}

/** The step that the storage in `directory` is in. @throws when it cannot be opened or is in none. */
export async function stepOf(directory: string, states: readonly string[]): Promise<number> {
  const node = await SqliteNodeStorage.open({ directory, ...LIMITS, writer: "direct" });
  try {
    const step = states.lastIndexOf(stateOf(node));
    if (step < 0) throw new Error(`${directory} holds a state that never was`);
    return step;
  } finally {
    await node.close();
  }
}
