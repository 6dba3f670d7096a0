/**
 * Reads configuration changes as traces write them: `v1 l2 r3 u4` makes 1 a voter, 2 a learner,
 * removes 3 and updates 4.
 *
 * @module
 */

import type { ConfChangeSingle, ConfChangeType } from "../../src/raft/mod.ts";
import { parseInteger } from "./arguments.ts";
import type { ByteString } from "./byte_string.ts";
import { TraceFormatError } from "./parser.ts";

const TYPES: ReadonlyMap<string, ConfChangeType> = new Map([
  ["v", "add-node"],
  ["l", "add-learner"],
  ["r", "remove-node"],
  ["u", "update-node"],
]);

/** Reads the input lines of a block; no lines are no changes. */
export function parseChanges(input: readonly ByteString[]): ConfChangeSingle[] {
  return input.flatMap((line) => line.split(/\s+/)).filter((word) => word !== "").map(parseChange);
}

function parseChange(word: ByteString): ConfChangeSingle {
  const type = TYPES.get(word.charAt(0));
  if (type === undefined) {
    throw new TraceFormatError(`a change must begin with v, l, r or u: found ${word}`);
  }
  return { type, peerId: parseInteger("the id of a change", word.slice(1)) };
}
