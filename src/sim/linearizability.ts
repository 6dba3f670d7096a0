/**
 * A checker of linearizability in the way of Wing, Gong and Lowe ("Testing for linearizability",
 * 2017): it looks for an order of the operations that respects real time and that the sequential
 * model accepts. Parts of the state that are independent are checked one by one. What was tried is
 * remembered as (set of operations done, state), so that no such pair is tried twice.
 *
 * An operation of unknown outcome may take effect at any time after its call, with whatever answer,
 * or never. Operations of which one returns at the moment at which another is called overlap.
 *
 * @module
 */

import type { HistoryOperation } from "./history.ts";
import type { Model } from "./machine.ts";

/** What a check found. */
export interface LinearizabilityResult {
  /** `unknown`: given up after `stepsMax` steps. */
  readonly verdict: "linearizable" | "not linearizable" | "unknown";
  /** The part that is not linearizable, or was given up on. */
  readonly partition: string | undefined;
  /** Steps of the search, over all parts. */
  readonly steps: number;
}

/** Most steps of one check, by default. */
export const LINEARIZABILITY_STEPS_MAX = 2_000_000;

/** Checks a history against a model. */
export function checkLinearizability<Input, Output, State>(
  history: readonly HistoryOperation<Input, Output>[],
  model: Model<Input, Output, State>,
  stepsMax: number = LINEARIZABILITY_STEPS_MAX,
): LinearizabilityResult {
  const partitions = new Map<string, HistoryOperation<Input, Output>[]>();
  for (const operation of history) {
    const key = model.partition(operation.input);
    const part = partitions.get(key);
    if (part === undefined) partitions.set(key, [operation]);
    else part.push(operation);
  }
  let steps = 0;
  for (const [partition, operations] of partitions) {
    const search = new Search(operations, model, stepsMax - steps);
    const verdict = search.run();
    steps += search.steps;
    if (verdict !== "linearizable") return { verdict, partition, steps };
  }
  return { verdict: "linearizable", partition: undefined, steps };
}

/** A call or a return in the list of what is not yet placed. */
interface ListEntry<Input, Output> {
  readonly operation: HistoryOperation<Input, Output>;
  readonly id: number;
  /** Of a call: its return. */
  readonly match: ListEntry<Input, Output> | undefined;
  previous: ListEntry<Input, Output>;
  next: ListEntry<Input, Output> | undefined;
}

class Search<Input, Output, State> {
  steps = 0;
  readonly #model: Model<Input, Output, State>;
  readonly #stepsMax: number;
  readonly #head: ListEntry<Input, Output>;
  readonly #done: Uint32Array;
  readonly #seen = new Set<string>();
  /** Operations with a known outcome that are not placed yet. */
  #left: number;

  constructor(
    operations: readonly HistoryOperation<Input, Output>[],
    model: Model<Input, Output, State>,
    stepsMax: number,
  ) {
    this.#model = model;
    this.#stepsMax = stepsMax;
    this.#head = createList([...operations].sort((a, b) => a.call - b.call));
    this.#done = new Uint32Array((operations.length + 31) >>> 5);
    this.#left = operations.filter((operation) => operation.return !== undefined).length;
  }

  run(): LinearizabilityResult["verdict"] {
    const path: { entry: ListEntry<Input, Output>; state: State }[] = [];
    let state = this.#model.initial();
    let entry = this.#head.next;
    while (this.#left > 0) {
      if (this.steps++ > this.#stepsMax) return "unknown";
      if (entry !== undefined && !isReturn(entry)) {
        const next = this.#place(entry, state);
        if (next !== undefined) {
          path.push({ entry, state });
          state = next.state;
          lift(entry);
          if (entry.operation.return !== undefined) this.#left--;
          entry = this.#head.next;
        } else {
          entry = entry.next;
        }
        continue;
      }
      // A return is reached: one of the calls before it had to be placed. Take the last one back.
      const last = path.pop();
      if (last === undefined) return "not linearizable";
      state = last.state;
      this.#done[last.entry.id >>> 5] &= ~(1 << (last.entry.id & 31));
      unlift(last.entry);
      if (last.entry.operation.return !== undefined) this.#left++;
      entry = last.entry.next;
    }
    return "linearizable";
  }

  /** The state after the operation, when the model accepts it there and it was not tried before. */
  #place(entry: ListEntry<Input, Output>, state: State): { readonly state: State } | undefined {
    const { operation, id } = entry;
    const next = this.#model.step(state, operation.input);
    if (
      operation.return !== undefined &&
      !this.#model.equal(operation.output as Output, next.output)
    ) return undefined;
    this.#done[id >>> 5] |= 1 << (id & 31);
    const key = `${this.#doneKey()}:${this.#model.stateKey(next.state)}`;
    if (this.#seen.has(key)) {
      this.#done[id >>> 5] &= ~(1 << (id & 31));
      return undefined;
    }
    this.#seen.add(key);
    return next;
  }

  /** The set of operations done as text, without full words at its start and empty ones at its end. */
  #doneKey(): string {
    const done = this.#done;
    let start = 0;
    let end = done.length;
    while (start < end && done[start] === 0xffff_ffff) start++;
    while (end > start && done[end - 1] === 0) end--;
    let key = String(start);
    for (let word = start; word < end; word++) key += `,${done[word]}`;
    return key;
  }
}

/** When a call or a return happens. */
interface ListEvent<Input, Output> {
  readonly at: number;
  readonly entry: ListEntry<Input, Output>;
}

/** By time; of one moment the calls first, as operations that only touch may have overlapped. */
function inOrder<Input, Output>(
  a: ListEvent<Input, Output>,
  b: ListEvent<Input, Output>,
): number {
  if (a.at !== b.at) return a.at - b.at;
  return Number(isReturn(a.entry)) - Number(isReturn(b.entry)) || a.entry.id - b.entry.id;
}

function isReturn<Input, Output>(entry: ListEntry<Input, Output>): boolean {
  return entry.match === undefined;
}

function createList<Input, Output>(
  operations: readonly HistoryOperation<Input, Output>[],
): ListEntry<Input, Output> {
  const events: ListEvent<Input, Output>[] = [];
  const nowhere = undefined as unknown as ListEntry<Input, Output>;
  for (let id = 0; id < operations.length; id++) {
    const operation = operations[id];
    const returned = { operation, id, match: undefined, previous: nowhere, next: undefined };
    const call = { operation, id, match: returned, previous: nowhere, next: undefined };
    events.push({ at: operation.call, entry: call });
    events.push({ at: operation.return ?? Infinity, entry: returned });
  }
  events.sort(inOrder);
  const head = { id: -1, match: undefined, next: undefined } as unknown as ListEntry<Input, Output>;
  let last = head;
  for (const { entry } of events) {
    last.next = entry;
    entry.previous = last;
    last = entry;
  }
  return head;
}

/** Takes a call and its return out of the list. */
function lift<Input, Output>(call: ListEntry<Input, Output>): void {
  const returned = call.match!;
  unlink(call);
  unlink(returned);
}

/** Puts them back. */
function unlift<Input, Output>(call: ListEntry<Input, Output>): void {
  const returned = call.match!;
  link(returned);
  link(call);
}

function unlink<Input, Output>(entry: ListEntry<Input, Output>): void {
  entry.previous.next = entry.next;
  if (entry.next !== undefined) entry.next.previous = entry.previous;
}

function link<Input, Output>(entry: ListEntry<Input, Output>): void {
  entry.previous.next = entry;
  if (entry.next !== undefined) entry.next.previous = entry;
}
