/**
 * The simulator's own key-value store: its operations, and their sequential specification. It has the
 * rules of etcd: one revision for the whole store, transactions over several keys that compare, and
 * then do one thing or another, and reads of the past. What is older than `KV_HISTORY_REVISIONS`
 * revisions is compacted, so that snapshots stay small.
 *
 * @module
 */

import type { Model } from "./machine.ts";

/** What is compared: the value, or a counter of the key. */
export type KvField = "value" | "version" | "create" | "modify";

/**
 * A comparison of a key's field with a number. The counters of an absent key are 0; a comparison of
 * its value never holds.
 */
export interface KvCompare {
  /** The key. */
  readonly key: number;
  /** What is compared. */
  readonly field: KvField;
  /** How. */
  readonly operator: "=" | "!=" | "<" | ">";
  /** With what. */
  readonly operand: number;
}

/** What is done: put a value (an integer from 1), delete keys, or read them. */
export type KvOperation =
  | { readonly type: "put"; readonly key: number; readonly value: number }
  /** The keys from `key` up to but without `end`. */
  | { readonly type: "delete"; readonly key: number; readonly end: number }
  /** The same, as of a revision; 0 for the newest. */
  | {
    readonly type: "range";
    readonly key: number;
    readonly end: number;
    readonly revision: number;
  };

/** A transaction: when all comparisons hold `then` is done, otherwise `else`. */
export interface KvInput {
  /** The conditions; none: they hold. */
  readonly compare: readonly KvCompare[];
  /** What is done when they hold. */
  readonly then: readonly KvOperation[];
  /** What is done otherwise. */
  readonly else: readonly KvOperation[];
}

/** A key that exists. */
export interface KvPair {
  /** The key. */
  readonly key: number;
  /** Its value. */
  readonly value: number;
  /** Puts since it was created. */
  readonly version: number;
  /** The revision that created it. */
  readonly create: number;
  /** The revision that put this value. */
  readonly modify: number;
}

/** What a transaction answers. */
export interface KvOutput {
  /** The revision of the store after it. */
  readonly revision: number;
  /** Whether the conditions held. */
  readonly succeeded: boolean;
  /** Why nothing was done, when a read asks for what is compacted, or for the future. */
  readonly failure: "compacted" | "future-revision" | undefined;
  /** For each operation: the pairs that were put over, deleted or read, as they were. */
  readonly results: readonly (readonly KvPair[])[];
}

/** How many revisions of the past can be read. */
export const KV_HISTORY_REVISIONS = 16;

/** The whole store. Equal states of one model are the same object. */
export interface KvState {
  /** Tells the states of one model apart. */
  readonly id: number;
  /** How many transactions have changed something. */
  readonly revision: number;
  /** The keys that exist, by key. */
  readonly pairs: readonly (KvPair | undefined)[];
  /** The state of the revision before. */
  readonly before: KvState | undefined;
}

/**
 * The sequential specification. As one revision counts for all keys, no part of the state is
 * independent of another.
 */
export class KvModel implements Model<KvInput, KvOutput, KvState> {
  readonly #initial: KvState = { id: 0, revision: 0, pairs: [], before: undefined };
  readonly #states = new Map<string, KvState>();

  /** There is one part: the store. */
  partition(): string {
    return "store";
  }

  /** An empty store. */
  initial(): KvState {
    return this.#initial;
  }

  /** Carries a transaction out. */
  step(state: KvState, input: KvInput): { readonly state: KvState; readonly output: KvOutput } {
    const succeeded = input.compare.every((compare) =>
      kvCompare(state.pairs[compare.key], compare)
    );
    const operations = succeeded ? input.then : input.else;
    const failure = firstFailure(state.revision, operations);
    if (failure !== undefined) {
      const output = { revision: state.revision, succeeded, failure, results: [] };
      return { state, output };
    }
    const run = new Run(state);
    const results = operations.map((operation) => run.carryOut(operation));
    const after = run.changes.length === 0 ? state : this.#after(state, run);
    return {
      state: after,
      output: { revision: after.revision, succeeded, failure: undefined, results },
    };
  }

  /** Whether two answers are equal. */
  equal(a: KvOutput, b: KvOutput): boolean {
    return a.revision === b.revision && a.succeeded === b.succeeded && a.failure === b.failure &&
      a.results.length === b.results.length &&
      a.results.every((pairs, position) => samePairs(pairs, b.results[position]));
  }

  /** Names a state. */
  stateKey(state: KvState): number {
    return state.id;
  }

  #after(state: KvState, { pairs, changes }: Run): KvState {
    const key = `${state.id} ${changes.join(" ")}`;
    let after = this.#states.get(key);
    if (after === undefined) {
      const id = this.#states.size + 1;
      after = { id, revision: state.revision + 1, pairs, before: state };
      this.#states.set(key, after);
    }
    return after;
  }
}

/** A branch of a transaction on its way. */
class Run {
  readonly pairs: (KvPair | undefined)[];
  /** What was changed, in words that differ for different changes. */
  readonly changes: string[] = [];
  readonly #state: KvState;

  constructor(state: KvState) {
    this.#state = state;
    this.pairs = state.pairs.slice();
  }

  carryOut(operation: KvOperation): KvPair[] {
    if (operation.type === "put") return this.#put(operation.key, operation.value);
    if (operation.type === "delete") return this.#delete(operation.key, operation.end);
    const { key, end, revision } = operation;
    return existing(this.#pairsAt(revision), key, end);
  }

  #put(key: number, value: number): KvPair[] {
    const before = this.pairs[key];
    const modify = this.#state.revision + 1;
    const version = (before?.version ?? 0) + 1;
    this.pairs[key] = { key, value, version, create: before?.create ?? modify, modify };
    this.changes.push(`${key}=${value}`);
    return before === undefined ? [] : [before];
  }

  #delete(first: number, end: number): KvPair[] {
    const deleted = existing(this.pairs, first, end);
    for (const { key } of deleted) {
      this.pairs[key] = undefined;
      this.changes.push(`${key}!`);
    }
    return deleted;
  }

  #pairsAt(revision: number): readonly (KvPair | undefined)[] {
    if (revision === 0 || revision > this.#state.revision) return this.pairs;
    let state = this.#state;
    while (state.revision > revision) state = state.before!;
    return state.pairs;
  }
}

/** Whether a comparison holds for a key. */
export function kvCompare(pair: KvPair | undefined, compare: KvCompare): boolean {
  if (pair === undefined && compare.field === "value") return false;
  const found = pair === undefined ? 0 : pair[compare.field];
  switch (compare.operator) {
    case "=":
      return found === compare.operand;
    case "!=":
      return found !== compare.operand;
    case "<":
      return found < compare.operand;
    case ">":
      return found > compare.operand;
  }
}

function firstFailure(
  revision: number,
  operations: readonly KvOperation[],
): KvOutput["failure"] {
  for (const operation of operations) {
    if (operation.type !== "range" || operation.revision === 0) continue;
    if (operation.revision > revision) return "future-revision";
    if (operation.revision < revision - KV_HISTORY_REVISIONS) return "compacted";
  }
  return undefined;
}

function existing(pairs: readonly (KvPair | undefined)[], first: number, end: number): KvPair[] {
  return pairs.slice(first, end).filter((pair) => pair !== undefined);
}

function samePairs(a: readonly KvPair[], b: readonly KvPair[]): boolean {
  return a.length === b.length && a.every((pair, position) => samePair(pair, b[position]));
}

function samePair(a: KvPair, b: KvPair): boolean {
  return a.key === b.key && a.value === b.value && a.version === b.version &&
    a.create === b.create && a.modify === b.modify;
}
