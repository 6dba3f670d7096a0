/**
 * The history of a run as its clients saw it, and its form as JSON.
 *
 * The JSON is `{"version": 1, "operations": [...]}`. Each operation has `client` (a number), `call`
 * and `return` (positions in the order of all calls and returns; `return` is absent when the outcome
 * is unknown: the operation may have taken effect at any time after `call`, or never), `input`, and
 * `output` when it returned. Operations that certainly had no effect are left out. For porcupine, map
 * each to an `Operation{ClientId, Input, Call, Output, Return}` with `Return` the largest integer
 * when absent, and let the model accept every output of those.
 *
 * @module
 */

import { InvariantViolation } from "./errors.ts";

/** One operation of a client. */
export interface HistoryOperation<Input = unknown, Output = unknown> {
  /** Who asked. */
  readonly client: number;
  /** When it was called: a position in the order of all calls and returns. */
  readonly call: number;
  /** When it returned; undefined when its outcome is unknown. */
  readonly return: number | undefined;
  /** What was asked for. */
  readonly input: Input;
  /** What it answered; undefined when its outcome is unknown. */
  readonly output: Output | undefined;
}

/** Writes a history as JSON. */
export function historyToJson(operations: readonly HistoryOperation[]): string {
  const lines = operations.map((operation) => `  ${JSON.stringify(operation)}`);
  return `{"version": 1, "operations": [\n${lines.join(",\n")}\n]}\n`;
}

/**
 * Reads a history from JSON.
 *
 * @throws InvariantViolation when it is not of this form.
 */
export function historyFromJson(text: string): HistoryOperation[] {
  const parsed = JSON.parse(text) as { version?: unknown; operations?: unknown };
  if (parsed.version !== 1 || !Array.isArray(parsed.operations)) {
    throw new InvariantViolation(
      "linearizability",
      `a history must be of version 1 with a list of operations: found version ${parsed.version}`,
    );
  }
  return parsed.operations.map((operation, position) => checked(operation, position));
}

function checked(value: unknown, position: number): HistoryOperation {
  const { client, call, return: returned, input, output } = value as HistoryOperation;
  const isOrdered = returned === undefined || (Number.isSafeInteger(returned) && returned > call);
  if (!Number.isSafeInteger(client) || !Number.isSafeInteger(call) || !isOrdered) {
    throw new InvariantViolation(
      "linearizability",
      `operation ${position} must have a client, a call and a later return: found ` +
        `${client}, ${call}, ${returned}`,
    );
  }
  return { client, call, return: returned, input, output };
}
