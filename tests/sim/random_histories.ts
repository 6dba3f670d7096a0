/**
 * Histories drawn from a seed: clients at work on registers, of which each operation takes effect at some
 * moment between its call and its answer, or, when no answer comes, at any moment after its call or never.
 *
 * @module
 */

import { Random } from "../../src/node/mod.ts";
import type { HistoryOperation } from "../../src/sim/mod.ts";
import { REGISTER, type RegisterInput, type RegisterOutput } from "./histories.ts";

/** An operation on a register. */
export type RegisterOperation = HistoryOperation<RegisterInput, RegisterOutput>;

/** What a history is drawn from. */
export interface DrawnFrom {
  readonly seed: number;
  readonly operations: number;
  readonly clients: number;
  readonly keys: number;
  /** Operations of a hundred whose outcome stays unknown. */
  readonly unknownPercent: number;
}

/** An operation under way. */
interface Open {
  readonly client: number;
  readonly call: number;
  readonly input: RegisterInput;
  readonly isUnknown: boolean;
  hasTakenEffect: boolean;
  output: RegisterOutput;
}

/** A history that is linearizable, as each operation took effect at one moment. */
export function randomHistory(drawn: DrawnFrom): RegisterOperation[] {
  const random = new Random(drawn.seed);
  const state = new Map<string, number>();
  const open = new Map<number, Open>();
  const abandoned: Open[] = [];
  const history: RegisterOperation[] = [];
  let begun = 0;
  let moment = 0;
  const takeEffect = (operation: Open): void => {
    const { key } = operation.input;
    const next = REGISTER.step(state.get(key) ?? REGISTER.initial(), operation.input);
    state.set(key, next.state);
    operation.output = next.output;
    operation.hasTakenEffect = true;
  };
  while (history.length < drawn.operations) {
    moment++;
    if (abandoned.length > 0 && random.below(40) === 0) {
      takeEffect(abandoned.splice(random.below(abandoned.length), 1)[0]);
    }
    const client = random.below(drawn.clients);
    const operation = open.get(client);
    if (operation === undefined) {
      // All that takes effect is in the history: it ends when the last operation has.
      if (begun++ >= drawn.operations) continue;
      const key = `key ${random.below(drawn.keys)}`;
      const isUnknown = random.below(100) < drawn.unknownPercent;
      const input = randomInput(random, key, moment, state.get(key) ?? 0);
      const called = { client, call: moment, input, isUnknown };
      open.set(client, { ...called, hasTakenEffect: false, output: undefined });
    } else if (!operation.hasTakenEffect && !operation.isUnknown) {
      takeEffect(operation);
    } else {
      const { call, input, isUnknown, output } = operation;
      history.push(
        isUnknown
          ? { client, call, return: undefined, input, output: undefined }
          : { client, call, return: moment, input, output },
      );
      // Half of what is abandoned never happens.
      if (isUnknown && random.below(2) === 0) abandoned.push(operation);
      open.delete(client);
    }
  }
  return history;
}

/** A read, or a write of a value that nobody else writes: the moment at hand. */
function randomInput(random: Random, key: string, value: number, current: number): RegisterInput {
  const kind = random.below(10);
  if (kind < 4) return { key, type: "get", value: 0, expected: 0 };
  return { key, type: kind < 7 ? "put" : "cas", value, expected: kind < 7 ? 0 : current };
}

/**
 * The history with the answer to one read of its second half replaced by a value that was overwritten
 * before the read began: two puts that were answered, one after the other, lie before it. As values are
 * written once, no order explains that answer.
 */
export function withStaleRead(history: readonly RegisterOperation[]): RegisterOperation[] {
  const answered = history.filter((operation) => operation.return !== undefined);
  const puts = answered.filter(({ input }) => input.type === "put");
  const lastBefore = (call: number, key: string) =>
    puts.findLast((put) => put.input.key === key && put.return! < call);
  for (const read of answered.slice(answered.length / 2)) {
    if (read.input.type !== "get") continue;
    const second = lastBefore(read.call, read.input.key);
    const first = second && lastBefore(second.call, read.input.key);
    if (first === undefined) continue;
    const stale = { ...read, output: first.input.value };
    return history.map((operation) => operation === read ? stale : operation);
  }
  throw new Error("the history has no read after two puts of its key");
}
