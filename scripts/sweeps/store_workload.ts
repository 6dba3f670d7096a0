/**
 * A script for a key-value store alone: puts and deletions over few keys, some of values longer than a
 * page, and changes of the node's own state.
 *
 * @module
 */

import { crc32 } from "node:zlib";
import {
  deleteRangeRequest,
  encodeDeleteRangeCommand,
  encodePutCommand,
  type KvStore,
  putRequest,
  rangeRequest,
} from "../../src/kv/mod.ts";

const KEYS = 40;
const utf8 = new TextEncoder();
const text = new TextDecoder();

/** Applies the step of this number, which is the index of its command as well. */
export function runStep(store: KvStore, step: number): void {
  const key = utf8.encode(`key-${String(step * 17 % KEYS).padStart(3, "0")}-of-some-length`);
  // Some values are longer than a page.
  const value = new Uint8Array(step % 11 === 0 ? 6000 : step * 37 % 300).fill(step);
  const bytes = step % 7 === 0
    ? encodeDeleteRangeCommand(deleteRangeRequest({ key }))
    : encodePutCommand(putRequest({ key, value }));
  const nodeState: [string, Uint8Array][] = step % 5 === 0 ? [[`state-${step % 3}`, value]] : [];
  store.apply({ commands: [{ index: step, term: 1, bytes }], lastApplied: step, nodeState });
}

/** All that a store answers, of every kind, now and at past revisions, as a text. */
export function answersOf(store: KvStore): string {
  const all = { key: new Uint8Array([0]), rangeEnd: new Uint8Array([0]) };
  const reads = [{ ...all }, { ...all, keysOnly: true }, { ...all, countOnly: true }];
  const ranges = reads.map((read) => store.range(rangeRequest(read)));
  for (let revision = 1; revision < store.revision; revision += 6) {
    ranges.push(store.range(rangeRequest({ ...all, revision })));
  }
  for (let number = 0; number <= KEYS; number++) {
    const key = utf8.encode(`key-${String(number).padStart(3, "0")}-of-some-length`);
    ranges.push(store.range(rangeRequest({ key })));
  }
  const state = [...store.nodeState()].sort(([a], [b]) => a < b ? -1 : 1);
  return JSON.stringify([store.lastApplied(), state, ranges], textOf);
}

function textOf(_name: string, value: unknown): unknown {
  if (typeof value === "bigint") return String(value);
  if (!(value instanceof Uint8Array)) return value;
  return value.length < 40 ? text.decode(value) : `${value.length} ${crc32(value)}`;
}
