/**
 * A state machine that supports client sessions: the list of `machines.ts` with the node's own state
 * beside it, both in one object, so that they last or are lost together.
 *
 * @module
 */

import {
  type ApplyBatch,
  nodeStateOf,
  type ResultCodec,
  type StateMachine,
} from "../../src/node/mod.ts";
import type { ListState } from "./machines.ts";

const decoder = new TextDecoder();
const encoder = new TextEncoder();

/** Numbers as text. */
export const NUMBER_CODEC: ResultCodec<number> = {
  encode: (result) => encoder.encode(String(result)),
  decode: (bytes) => Number(decoder.decode(bytes)),
};

/** What the machine keeps. */
export interface SessionListState extends ListState {
  nodeState?: Map<string, Uint8Array>;
}

/** Appends each command to a list; the result is the length of the list. */
export class SessionListMachine implements StateMachine<number> {
  readonly state: SessionListState;
  readonly resultCodec: ResultCodec<number> | undefined;
  /** Batches that carried commands. */
  readonly batches: ApplyBatch[] = [];

  constructor(state: SessionListState, resultCodec: ResultCodec<number> = NUMBER_CODEC) {
    this.state = state;
    this.state.nodeState ??= new Map();
    this.resultCodec = resultCodec;
  }

  get texts(): string[] {
    return this.state.applied.map(({ text }) => text);
  }

  apply(batch: ApplyBatch): number[] {
    if (batch.commands.length > 0) this.batches.push(batch);
    const results = batch.commands.map(({ index, term, bytes }) =>
      this.state.applied.push({ index, term, text: decoder.decode(bytes) })
    );
    for (const [key, value] of nodeStateOf(batch, results)) {
      if (value === undefined) this.state.nodeState!.delete(key);
      else this.state.nodeState!.set(key, value);
    }
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
    return this.state.nodeState!;
  }

  async *snapshot(): AsyncIterable<Uint8Array> {
    const { lastApplied, applied, nodeState } = this.state;
    const rows = [...nodeState!].map(([key, value]) => [key, [...value]]);
    yield await Promise.resolve(encoder.encode(JSON.stringify({ lastApplied, applied, rows })));
  }

  async restore(chunks: AsyncIterable<Uint8Array>, lastApplied: number): Promise<void> {
    const parts: Uint8Array[] = [];
    for await (const chunk of chunks) parts.push(chunk);
    const saved = JSON.parse(Buffer.concat(parts).toString());
    this.state.applied.splice(0, this.state.applied.length, ...saved.applied);
    this.state.nodeState = new Map(
      saved.rows.map(([key, value]: [string, number[]]) => [key, Uint8Array.from(value)]),
    );
    this.state.lastApplied = lastApplied;
  }
}
