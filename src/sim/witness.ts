/**
 * An order of operations that shows a history to be linearizable. The simulator knows at which place of
 * the log each operation took effect; where that order keeps to real time and to the model it proves
 * what a search would have to find, at the cost of one step an operation. Where it does not, it says
 * nothing, and the search decides.
 *
 * @module
 */

import type { HistoryOperation } from "./history.ts";
import type { Model } from "./machine.ts";

/** What is left of a part of the state, as far as the order has been followed. */
interface Part<State> {
  state: State;
  /** The last moment at which any operation of the part so far was called. */
  calledAt: number;
}

/**
 * Whether the operations, in this order, show that their history is linearizable: each answers what the
 * model does, and none returned before one that precedes it was called.
 */
export function isWitness<Input, Output, State>(
  ordered: readonly HistoryOperation<Input, Output>[],
  model: Model<Input, Output, State>,
): boolean {
  const parts = new Map<string, Part<State>>();
  for (const { call, return: returned, input, output } of ordered) {
    const partition = model.partition(input);
    let part = parts.get(partition);
    if (part === undefined) {
      part = { state: model.initial(), calledAt: -Infinity };
      parts.set(partition, part);
    }
    part.calledAt = Math.max(part.calledAt, call);
    const next = model.step(part.state, input);
    if (returned !== undefined) {
      if (returned < part.calledAt) return false;
      if (!model.equal(output as Output, next.output)) return false;
    }
    part.state = next.state;
  }
  return true;
}
