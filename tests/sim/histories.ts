/**
 * Histories made by hand, in a notation of one line an operation on one register:
 * `client call-return what`, where `what` is `put v`, `get v` (the answer), `cas a b yes|no` or
 * `del`; a return of `?` is an unknown outcome. Several keys: `x:put 1`.
 *
 * @module
 */

import type { HistoryOperation, Model } from "../../src/sim/mod.ts";

/** An operation on a register. */
export interface RegisterInput {
  readonly key: string;
  readonly type: "put" | "get" | "cas" | "del";
  readonly value: number;
  readonly expected: number;
}

/** The value read, or whether a comparison held. */
export type RegisterOutput = number | boolean | undefined;

/** Registers that hold 0 at first. */
export const REGISTER: Model<RegisterInput, RegisterOutput, number> = {
  partition: (input) => input.key,
  initial: () => 0,
  step(state, { type, value, expected }) {
    switch (type) {
      case "put":
        return { state: value, output: undefined };
      case "del":
        return { state: 0, output: undefined };
      case "get":
        return { state, output: state };
      case "cas":
        return state === expected ? { state: value, output: true } : { state, output: false };
    }
  },
  equal: (observed, expected) => observed === expected,
  stateKey: (state) => state,
};

/** Reads a history in the notation above. */
export function history(text: string): HistoryOperation<RegisterInput, RegisterOutput>[] {
  return text.trim().split("\n").map((line) => operation(line.trim()));
}

function operation(line: string): HistoryOperation<RegisterInput, RegisterOutput> {
  const [client, times, what, ...words] = line.split(/\s+/);
  const [call, returned] = times.split("-");
  const [key, type] = what.includes(":") ? what.split(":") : ["k", what];
  const numbers = words.filter((word) => /^\d+$/.test(word)).map(Number);
  const isCas = type === "cas";
  const input: RegisterInput = {
    key,
    type: type as RegisterInput["type"],
    value: isCas ? numbers[1] : type === "put" ? numbers[0] : 0,
    expected: isCas ? numbers[0] : 0,
  };
  const isUnknown = returned === "?";
  const output = type === "get" ? numbers[0] : isCas ? words[2] === "yes" : undefined;
  return {
    client: Number(client),
    call: Number(call),
    return: isUnknown ? undefined : Number(returned),
    input,
    output: isUnknown ? undefined : output,
  };
}
