/**
 * What a simulation replicates: a state machine without promises, and the workload that clients run
 * against it. Both are given as factories, so that every run starts from nothing.
 *
 * @module
 */

import type { ApplyBatch } from "../node/mod.ts";
import type { Chance } from "./chance.ts";

/**
 * A deterministic state machine under simulation: the synchronous part of `StateMachine`. Those whose
 * `apply` returns its results directly can be wrapped in a few lines.
 *
 * @typeParam Result what applying one command yields: plain data.
 */
export interface SimStateMachine<Result = unknown> {
  /** Applies a batch atomically; one result a command, in order. */
  apply(batch: ApplyBatch): Result[];
  /** The index of the last applied entry; 0 at first. */
  lastApplied(): number;
  /** The whole state as bytes. */
  save(): Uint8Array;
  /** Replaces the whole state by what `save` of this or another replica returned. */
  load(bytes: Uint8Array, lastApplied: number): void;
  /** A 32-bit hash of the state: equal for equal states. Called after every batch, so it is cheap. */
  digest(): number;
}

/** What a client asks for. */
export interface Operation<Input = unknown> {
  /** A write goes through the log; a read asks for a linearizable read and then looks at the state. */
  readonly kind: "write" | "read";
  /** What is asked for. */
  readonly input: Input;
}

/** A sequential specification, for the check of linearizability. States are immutable. */
export interface Model<Input = unknown, Output = unknown, State = unknown> {
  /** Which independent part of the state an operation concerns. */
  partition(input: Input): string;
  /** The state of a part at first. */
  initial(): State;
  /** What follows from an operation, and what it answers. */
  step(state: State, input: Input): { readonly state: State; readonly output: Output };
  /** Whether an observed answer is the one that the model gives. */
  equal(observed: Output, expected: Output): boolean;
  /** Equal for equal states, and only for those. */
  stateKey(state: State): string | number;
}

/** What clients do, how it becomes commands, and what it must look like. */
export interface Workload<Input = unknown, Output = unknown, State = unknown> {
  /**
   * The next operation of a client. Some must be writes: a run ends with one, for which it asks until it
   * gets it, 10,000 times at most.
   */
  next(chance: Chance, client: number): Operation<Input>;
  /** The command of a write. Every call returns bytes of its own. */
  encode(input: Input): Uint8Array;
  /** The answer to a read from a replica's state. */
  read(machine: SimStateMachine, input: Input): Output;
  /** The answer to a write from the machine's result. */
  output(result: unknown, input: Input): Output;
  /** The specification; absent: linearizability is not checked. */
  readonly model?: Model<Input, Output, State>;
}
