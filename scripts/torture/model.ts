/**
 * What one key of an etcd does, as the specification that a history is checked against. Revisions are
 * the server's choice, so a revision is named here by the value that it wrote, which is unique; that
 * the revisions themselves make sense is checked apart, in `revisions.ts`.
 *
 * @module
 */

import type { HistoryOperation, Model } from "../../src/sim/mod.ts";

/** What is compared. */
export type KeyField = "value" | "version" | "modRevision" | "createRevision";

/** A comparison of the key with what a client knows of it. */
export interface KeyCompare {
  readonly field: KeyField;
  /** Of revisions and values, only whether they are the same. */
  readonly operator: "=" | "!=" | "<" | ">";
  /** A version; or the value, or that which the revision wrote: 0 for a key that does not exist. */
  readonly operand: number;
  /** The revision that was sent, when that is compared. */
  readonly revision?: number;
}

/** What is done to the key. */
export type KeyAction =
  | { readonly type: "get" }
  | { readonly type: "put"; readonly value: number }
  | { readonly type: "delete" };

/** An operation: when the comparison holds, or there is none, `then`; otherwise `else`. */
export interface KeyInput {
  readonly key: string;
  readonly compare?: KeyCompare;
  readonly then: KeyAction;
  readonly else: KeyAction;
}

/** What was answered: whether the comparison held, and the key as it was before. */
export interface KeyOutput {
  readonly succeeded: boolean;
  /** 0 when the key did not exist. */
  readonly value: number;
  /** 0 when the key did not exist. */
  readonly version: number;
}

/** The state of a key. */
export interface KeyState {
  readonly value: number;
  readonly version: number;
  /** The value that the key was created with. */
  readonly creator: number;
}

/** An operation of a history of keys. */
export type KeyOperation = HistoryOperation<KeyInput, KeyOutput>;

const ABSENT: KeyState = { value: 0, version: 0, creator: 0 };

/** Gets the key. */
export const GET: KeyAction = { type: "get" };

/** The specification. An answer that is not known is accepted. */
export const KEY_MODEL: Model<KeyInput, KeyOutput, KeyState> = {
  partition: ({ key }) => key,
  initial: () => ABSENT,
  step(state, input) {
    const succeeded = holds(state, input.compare);
    const { value, version } = state;
    return {
      state: after(state, succeeded ? input.then : input.else),
      output: { succeeded, value, version },
    };
  },
  equal: (observed: KeyOutput | undefined, expected) =>
    observed === undefined ||
    (observed.succeeded === expected.succeeded && observed.value === expected.value &&
      observed.version === expected.version),
  stateKey: ({ value, version, creator }) => `${value}/${version}/${creator}`,
};

function holds(state: KeyState, compare: KeyCompare | undefined): boolean {
  if (compare === undefined) return true;
  const { field, operator, operand } = compare;
  // The value of a key that does not exist neither equals nor differs from any.
  if (field === "value" && state.value === 0) return false;
  const found = fieldOf(state, field);
  switch (operator) {
    case "=":
      return found === operand;
    case "!=":
      return found !== operand;
    case "<":
      return found < operand;
    case ">":
      return found > operand;
  }
}

function fieldOf(state: KeyState, field: KeyField): number {
  if (field === "version") return state.version;
  return field === "createRevision" ? state.creator : state.value;
}

function after(state: KeyState, action: KeyAction): KeyState {
  if (action.type === "get") return state;
  if (action.type === "delete") return ABSENT;
  const { value } = action;
  const creator = state.value === 0 ? value : state.creator;
  return { value, version: state.version + 1, creator };
}

/** The values an operation may write. */
export function writtenValues(input: KeyInput): number[] {
  return [input.then, input.else].flatMap((action) => action.type === "put" ? [action.value] : []);
}
