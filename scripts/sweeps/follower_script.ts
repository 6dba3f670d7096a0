/**
 * The scripted life of a follower, for the sweeps over everything that a node writes: what its leader
 * sends it, step by step, and what its log and its key-value store must hold after that. It appends
 * entries, replaces some that were not committed, changes the configuration, applies, compacts its
 * log, is started again, and installs two snapshots.
 *
 * @module
 */

import {
  type ConfState,
  createConfState,
  createEntry,
  encodeConfChange,
  type RaftLogEntry,
} from "../../src/raft/mod.ts";
import {
  deleteRangeRequest,
  encodeDeleteRangeCommand,
  encodePutCommand,
  putRequest,
} from "../../src/kv/mod.ts";

/** Something that happens to the follower. */
export type Step =
  | {
    readonly kind: "append";
    readonly first: number;
    readonly last: number;
    readonly term: number;
    readonly commit: number;
  }
  | { readonly kind: "snapshot"; readonly index: number; readonly term: number }
  | { readonly kind: "restart" };

function append(first: number, last: number, term: number, commit: number = last): Step {
  return { kind: "append", first, last, term, commit };
}

/** The script. Entries 9 and 10 of term 2 are replaced before they are committed. */
export const SCRIPT: readonly Step[] = [
  append(2, 4, 2),
  append(5, 6, 2),
  append(7, 8, 2),
  append(9, 10, 2, 8),
  append(9, 11, 3),
  append(12, 15, 3),
  { kind: "restart" },
  append(16, 17, 3),
  { kind: "snapshot", index: 30, term: 3 },
  append(31, 33, 3),
  { kind: "restart" },
  append(34, 40, 3),
  { kind: "snapshot", index: 50, term: 4 },
  append(51, 53, 4),
];

/** The indices of the snapshots of the script. */
export const SNAPSHOTS: readonly number[] = [30, 50];

/** The last index, committed in the end. */
export const LAST_INDEX = 53;

/** The entry that changes the configuration. */
const CONF_CHANGE_INDEX = 7;

/** Where a large state has its large values: within the first snapshot, and never in an entry. */
const LARGE = { first: 20, last: 29, bytes: 1024 * 1024 };

const KEYS = 7;
const utf8 = new TextEncoder();

/** The term of the committed entry with this index. */
export function termOf(index: number): number {
  return index === 1 ? 1 : index < 9 ? 2 : index <= 40 ? 3 : 4;
}

/** The configuration as of an index. */
export function confStateOf(index: number): ConfState {
  const learners = index < CONF_CHANGE_INDEX ? [] : [3];
  return createConfState({ voters: [1, 2], learners });
}

/** The entry of an index and a term, which need not be the committed one. */
export function entryOf(index: number, term: number = termOf(index)): RaftLogEntry {
  if (index === CONF_CHANGE_INDEX) {
    const change = { type: "add-learner", peerId: 3, context: undefined } as const;
    return createEntry({ index, term, type: "conf-change", command: encodeConfChange(change) });
  }
  return createEntry({ index, term, command: commandOf(index, term, false) });
}

/** The command of an index; none where the configuration changes. `large`: in a large state. */
export function commandOf(
  index: number,
  term: number = termOf(index),
  large: boolean = false,
): Uint8Array {
  const key = utf8.encode(keyOf(index));
  if (index % 5 === 0) return encodeDeleteRangeCommand(deleteRangeRequest({ key }));
  return encodePutCommand(putRequest({ key, value: valueOf(index, term, large) }));
}

/** Whether an entry of this index has a command for the store. */
export function hasCommand(index: number): boolean {
  return index > 1 && index !== CONF_CHANGE_INDEX;
}

function keyOf(index: number): string {
  return `key-${index * 3 % KEYS}`;
}

function valueOf(index: number, term: number, large: boolean): Uint8Array {
  const isLarge = large && index >= LARGE.first && index <= LARGE.last;
  const bytes = isLarge ? LARGE.bytes : index % 6 === 0 ? 6000 : index * 53 % 900;
  return new Uint8Array(bytes).fill(index + 64 * term);
}

/** A log: the index it begins after, and the terms from that index on. */
export interface ScriptedLog {
  readonly base: number;
  readonly terms: readonly number[];
}

/** The logs before the first and after each step. */
export function scriptedLogs(): ScriptedLog[] {
  let log: ScriptedLog = { base: 1, terms: [1] };
  return [
    log,
    ...SCRIPT.map((step) => {
      if (step.kind === "snapshot") log = { base: step.index, terms: [step.term] };
      if (step.kind === "append") {
        const kept = log.terms.slice(0, step.first - log.base);
        const added = Array.from({ length: step.last - step.first + 1 }, () => step.term);
        log = { base: log.base, terms: [...kept, ...added] };
      }
      return log;
    }),
  ];
}

/** A pair of the store, with its value as a length and what it is filled with. */
export type Pair = readonly [
  key: string,
  createRevision: number,
  modRevision: number,
  version: number,
  value: string,
];

/** What the store holds once it has applied everything up to `index`. */
export function storeAt(
  index: number,
  large: boolean,
): { readonly revision: number; readonly pairs: Pair[] } {
  const pairs = new Map<string, Pair>();
  let revision = 1;
  for (let at = 2; at <= index; at++) {
    if (!hasCommand(at)) continue;
    const key = keyOf(at);
    const before = pairs.get(key);
    if (at % 5 === 0) {
      if (pairs.delete(key)) revision++;
      continue;
    }
    revision++;
    const value = valueText(valueOf(at, termOf(at), large));
    pairs.set(key, [key, before?.[1] ?? revision, revision, (before?.[3] ?? 0) + 1, value]);
  }
  return { revision, pairs: [...pairs.values()].sort(([a], [b]) => a < b ? -1 : 1) };
}

/** A value as a text. */
export function valueText(value: Uint8Array): string {
  return value.every((byte) => byte === value[0]) ? `${value.length} of ${value[0]}` : "a mix";
}
