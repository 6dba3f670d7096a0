/**
 * The simulator's own key-value store: its operations, and their sequential specification. An
 * operation is a transaction on one key in the manner of etcd: compare a field, then do one thing or
 * another. So that each key stands alone, revisions count the changes of their key.
 *
 * @module
 */

import type { Model } from "./machine.ts";

/** What is compared: the value, or a counter of the key. 0 stands for a key that does not exist. */
export type KvField = "value" | "version" | "create" | "modify";

/** A comparison of a field with a number. */
export interface KvCompare {
  /** What is compared. */
  readonly field: KvField;
  /** How. */
  readonly operator: "=" | "!=" | "<" | ">";
  /** With what. */
  readonly operand: number;
}

/** What is done: put a value (an integer from 1), delete, or get. */
export type KvAction =
  | { readonly type: "put"; readonly value: number }
  | { readonly type: "delete" }
  | { readonly type: "get" };

/** An operation on one key. Without a comparison `then` is done. */
export interface KvInput {
  /** The key. */
  readonly key: number;
  /** The condition, if there is one. */
  readonly compare: KvCompare | undefined;
  /** What is done when it holds, or there is none. */
  readonly then: KvAction;
  /** What is done otherwise. */
  readonly else: KvAction;
}

/** The state of one key. */
export interface KvState {
  /** Its value; 0 when it does not exist. */
  readonly value: number;
  /** Puts since it was created; 0 when it does not exist. */
  readonly version: number;
  /** The change that created it; 0 when it does not exist. */
  readonly create: number;
  /** Changes to the key so far, deletions included. */
  readonly modify: number;
}

/** What an operation answers: whether the comparison held, and the key before it was changed. */
export interface KvOutput extends KvState {
  /** Whether the condition held. */
  readonly succeeded: boolean;
}

/** A key that never existed. */
export const KV_ABSENT: KvState = Object.freeze({ value: 0, version: 0, create: 0, modify: 0 });

/** Whether a comparison holds in a state. */
export function kvCompare(state: KvState, compare: KvCompare | undefined): boolean {
  if (compare === undefined) return true;
  const found = state[compare.field];
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

/** The sequential specification of one key. */
export const KV_MODEL: Model<KvInput, KvOutput, KvState> = {
  partition: (input) => String(input.key),
  initial: () => KV_ABSENT,
  step(state, input) {
    const succeeded = kvCompare(state, input.compare);
    const action = succeeded ? input.then : input.else;
    return { state: after(state, action), output: { succeeded, ...state } };
  },
  equal: (a, b) =>
    a.succeeded === b.succeeded && a.value === b.value && a.version === b.version &&
    a.create === b.create && a.modify === b.modify,
  stateKey: (state) => `${state.value}/${state.version}/${state.create}/${state.modify}`,
};

function after(state: KvState, action: KvAction): KvState {
  if (action.type === "get") return state;
  if (action.type === "delete") {
    return state.value === 0 ? state : { ...KV_ABSENT, modify: state.modify + 1 };
  }
  const modify = state.modify + 1;
  const create = state.value === 0 ? modify : state.create;
  return { value: action.value, version: state.version + 1, create, modify };
}
