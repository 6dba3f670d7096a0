/**
 * The contract of a replicated state machine: what an application brings to be replicated.
 *
 * @module
 */

import type { SnapshotChunks } from "../transport/contract.ts";

export type { SnapshotChunks } from "../transport/contract.ts";

/** One committed command, to be applied exactly once, in the order of its index. */
export interface Command {
  /** The index of its log entry. Gaps are entries that carry no command. */
  readonly index: number;
  /** The term of its log entry. */
  readonly term: number;
  /** The bytes that were proposed. */
  readonly bytes: Uint8Array;
}

/**
 * A change of the node's own replicated state (client sessions, member addresses, …): keys and
 * values that the state machine stores without reading them; `undefined` deletes the key.
 */
export type NodeStateDelta = readonly (readonly [key: string, value: Uint8Array | undefined])[];

/** What is applied at once: the machine commits all of it in one transaction, or none of it. */
export interface ApplyBatch {
  /** The commands, in the order of the log; none when only the node's own state changes. */
  readonly commands: readonly Command[];
  /** The new value of `lastApplied`; at least the index of the last command. */
  readonly lastApplied: number;
  /** Changes of the node's own state to commit with it. */
  readonly nodeState: NodeStateDelta;
  /**
   * Present when client sessions change with the batch, for machines with a `resultCodec`: takes the
   * results of all commands and returns further changes of the node's own state, the results that are
   * kept among them. To be called once, in the transaction that they are committed in; see `nodeStateOf`.
   */
  readonly sessionState?: (results: readonly unknown[]) => NodeStateDelta;
}

/**
 * All changes of the node's own state that are to be committed with a batch. A state machine that
 * supports client sessions calls it once for each batch, when it knows the results.
 *
 * @param results what `apply` is about to return.
 */
export function nodeStateOf(batch: ApplyBatch, results: readonly unknown[]): NodeStateDelta {
  const { nodeState, sessionState } = batch;
  return sessionState === undefined ? nodeState : [...nodeState, ...sessionState(results)];
}

/** How results of commands become bytes that are kept for whoever asks for them again. */
export interface ResultCodec<Result = unknown> {
  /** Encodes a result; equal results must give equal bytes. The bytes must not change afterwards. */
  encode(result: Result): Uint8Array;
  /** Decodes what `encode` made, in this version or an earlier one. */
  decode(bytes: Uint8Array): Result;
}

/**
 * A deterministic state machine (Raft §2). The same commands in the same order must give the same
 * state and results on every member, so `apply` reads no clock, no randomness, nothing but its state.
 *
 * @typeParam Result what applying one command yields; returned to whoever proposed it.
 */
export interface StateMachine<Result = unknown> {
  /**
   * Applies a batch and records `lastApplied` and the node's state with it, atomically. It need not
   * be durable when it returns: what is lost in a crash is applied again from the log, from
   * `lastApplied()` on. Returns one result a command, in order. A command that the application
   * refuses is a result, not an exception: an exception, another number of results, or a
   * `lastApplied()` other than the batch's afterwards stops the node.
   */
  apply(batch: ApplyBatch): Result[] | Promise<Result[]>;
  /** The index of the last applied entry; 0 at first. */
  lastApplied(): number;
  /** The index up to which the state would survive a crash now; log compaction never passes it. */
  durableIndex(): number;
  /**
   * Makes what is applied durable, as far as it can at once, so that the log can be compacted; called
   * at most every few seconds, when `durableIndex()` is far behind.
   */
  flush?(): void;
  /** The node's own state, as the applied batches left it. */
  nodeState(): ReadonlyMap<string, Uint8Array>;
  /**
   * The whole state as of `lastApplied()` at the call, the node's own included, as a stream of chunks
   * of any size, which must not change afterwards. It is read while batches are applied, and closed
   * (`return`) when it is not wanted any more.
   */
  snapshot(): SnapshotChunks;
  /**
   * Replaces the whole state by what `snapshot()` of another member produced, durable when it
   * resolves; on failure or a crash the old state remains.
   */
  restore(chunks: SnapshotChunks, lastApplied: number): Promise<void>;
  /**
   * How its results are kept for client sessions. With it the machine supports sessions: it commits
   * `nodeStateOf(batch, results)` with every batch. Without it sessions are refused.
   */
  readonly resultCodec?: ResultCodec<Result>;
  /** Releases what it holds. */
  close?(): void | Promise<void>;
}
