/**
 * State machines for the node's tests.
 *
 * @module
 */

import type { ApplyBatch, StateMachine } from "../../src/node/mod.ts";

const decoder = new TextDecoder();
const encoder = new TextEncoder();

/** Encodes a text as a command. */
export function command(text: string): Uint8Array {
  return encoder.encode(text);
}

/** What a machine keeps across restarts when it is handed on. */
export interface ListState {
  lastApplied: number;
  readonly applied: { readonly index: number; readonly term: number; readonly text: string }[];
}

/** An empty state. */
export function emptyState(): ListState {
  return { lastApplied: 0, applied: [] };
}

/** Cut small, so that a transfer has many steps. */
async function* piecesOf(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < bytes.length; start += 100) {
    yield await Promise.resolve(bytes.slice(start, start + 100));
  }
}

/** Appends each command to a list; the result is the length of the list. */
export class ListMachine implements StateMachine<number> {
  readonly state: ListState;
  /** The batches as they came, in this machine's life. */
  readonly batches: ApplyBatch[] = [];
  closed = false;

  constructor(state: ListState = emptyState()) {
    this.state = state;
  }

  get texts(): string[] {
    return this.state.applied.map(({ text }) => text);
  }

  apply(batch: ApplyBatch): number[] | Promise<number[]> {
    this.batches.push(batch);
    const results = batch.commands.map(({ index, term, bytes }) => {
      if (index <= this.state.lastApplied) throw new Error(`index ${index} is applied twice`);
      return this.state.applied.push({ index, term, text: decoder.decode(bytes) });
    });
    this.state.lastApplied = batch.lastApplied;
    return results;
  }

  lastApplied(): number {
    return this.state.lastApplied;
  }

  durableIndex(): number {
    return this.state.lastApplied;
  }

  nodeState(): ReadonlyMap<string, Uint8Array> {
    return new Map();
  }

  snapshot(): AsyncIterable<Uint8Array> {
    return piecesOf(encoder.encode(JSON.stringify(this.state)));
  }

  async restore(chunks: AsyncIterable<Uint8Array>, lastApplied: number): Promise<void> {
    const parts: number[] = [];
    for await (const chunk of chunks) parts.push(...chunk);
    const state: ListState = JSON.parse(decoder.decode(Uint8Array.from(parts)));
    if (state.lastApplied !== lastApplied) throw new Error(`a snapshot of ${state.lastApplied}`);
    this.state.lastApplied = state.lastApplied;
    this.state.applied.splice(0, this.state.applied.length, ...state.applied);
  }

  close(): void {
    this.closed = true;
  }
}
