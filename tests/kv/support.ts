/**
 * What the tests of the store share: temporary stores, and a plain model of etcd's semantics that
 * keeps every state of every revision in memory.
 */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type DeleteRangeRequest,
  deleteRangeRequest,
  encodeDeleteRangeCommand,
  encodePutCommand,
  type KeyValue,
  type KvResult,
  KvStore,
  type KvStoreOptions,
  type PutRequest,
  putRequest,
  type RangeRequest,
  type RangeResult,
} from "../../src/kv/mod.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Text as bytes. */
export function bytes(text: string): Uint8Array {
  return encoder.encode(text);
}

/** Bytes as text. */
export function text(value: Uint8Array): string {
  return decoder.decode(value);
}

/** Runs `action` with a folder that is removed afterwards. */
export async function withDirectory<T>(action: (directory: string) => T | Promise<T>): Promise<T> {
  const directory = mkdtempSync(join(tmpdir(), "flaredb-kv-"));
  try {
    return await action(directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Runs `action` with a store that is closed and removed afterwards. */
export function withStore<T>(
  action: (store: KvStore) => T | Promise<T>,
  options: Partial<KvStoreOptions> = {},
): Promise<T> {
  return withDirectory(async (directory) => {
    const store = KvStore.open({ directory, ...options });
    try {
      return await action(store);
    } finally {
      store.close();
    }
  });
}

/** Applies encoded commands as one batch after what is applied. */
export function applyAll(store: KvStore, ...commands: Uint8Array[]): KvResult[] {
  const before = store.lastApplied();
  return store.apply({
    commands: commands.map((command, i) => ({ index: before + 1 + i, term: 1, bytes: command })),
    lastApplied: before + Math.max(commands.length, 1),
    nodeState: [],
  });
}

/** Puts one key. */
export function put(
  store: KvStore,
  key: string,
  value: string,
  options: Partial<PutRequest> = {},
): KvResult {
  const request = putRequest({ ...options, key: bytes(key), value: bytes(value) });
  return applyAll(store, encodePutCommand(request))[0]!;
}

/** Deletes a key or a range. */
export function remove(
  store: KvStore,
  key: string,
  options: Partial<DeleteRangeRequest> = {},
): KvResult {
  const request = deleteRangeRequest({ ...options, key: bytes(key) });
  return applyAll(store, encodeDeleteRangeCommand(request))[0]!;
}

/** Collects a stream. */
export async function collect(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array[]> {
  const collected: Uint8Array[] = [];
  for await (const chunk of chunks) collected.push(chunk.slice());
  return collected;
}

/** A stream of given chunks. */
export async function* streamOf(chunks: Iterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for (const chunk of chunks) yield await Promise.resolve(chunk);
}

interface ModelPair {
  createRevision: number;
  modRevision: number;
  version: number;
  value: string;
}

/** The store as a list of maps, one a revision: slow, and hard to get wrong. Keys are ASCII. */
export class Model {
  /** `states[r]` is the state as of revision `r`. */
  readonly states: Map<string, ModelPair>[] = [new Map(), new Map()];

  get revision(): number {
    return this.states.length - 1;
  }

  put(request: PutRequest): KvResult {
    const key = text(request.key);
    const state = new Map(this.states[this.revision]);
    const before = state.get(key);
    if (request.ignoreValue && before === undefined) {
      return failure(this.revision, "key-not-found");
    }
    const revision = this.revision + 1;
    state.set(key, {
      createRevision: before?.createRevision ?? revision,
      modRevision: revision,
      version: (before?.version ?? 0) + 1,
      value: request.ignoreValue ? before!.value : text(request.value),
    });
    this.states.push(state);
    const previous = request.prevKv && before !== undefined ? toPair(key, before) : undefined;
    return { kind: "put", revision, previous };
  }

  deleteRange(request: DeleteRangeRequest): KvResult {
    const state = new Map(this.states[this.revision]);
    const keys = keysIn(state, request.key, request.rangeEnd);
    const previous = request.prevKv ? keys.map((key) => toPair(key, state.get(key)!)) : [];
    for (const key of keys) state.delete(key);
    if (keys.length > 0) this.states.push(state);
    return { kind: "delete-range", revision: this.revision, deleted: keys.length, previous };
  }

  range(request: RangeRequest): RangeResult {
    const state = this.states[request.revision > 0 ? request.revision : this.revision]!;
    const keys = keysIn(state, request.key, request.rangeEnd);
    const empty = { kind: "range", revision: this.revision, count: keys.length } as const;
    if (request.countOnly) return { ...empty, pairs: [], more: false };
    const pairs = keys.map((key) => toPair(key, state.get(key)!)).filter((pair) =>
      pair.modRevision >= request.minModRevision &&
      (request.maxModRevision === 0 || pair.modRevision <= request.maxModRevision) &&
      pair.createRevision >= request.minCreateRevision &&
      (request.maxCreateRevision === 0 || pair.createRevision <= request.maxCreateRevision)
    );
    const columns = [
      (pair: KeyValue) => text(pair.key),
      (pair: KeyValue) => pair.version,
      (pair: KeyValue) => pair.createRevision,
      (pair: KeyValue) => pair.modRevision,
      (pair: KeyValue) => text(pair.value),
    ];
    const column = columns[request.sortTarget]!;
    const sign = request.sortOrder === 2 ? -1 : 1;
    pairs.sort((a, b) => {
      const [x, y] = [column(a), column(b)];
      return x < y ? -sign : x > y ? sign : text(a.key) < text(b.key) ? -1 : 1;
    });
    const cut = request.limit > 0 ? pairs.slice(0, request.limit) : pairs;
    return {
      ...empty,
      pairs: request.keysOnly ? cut.map((pair) => ({ ...pair, value: bytes("") })) : cut,
      more: cut.length < pairs.length,
    };
  }
}

function keysIn(state: Map<string, ModelPair>, key: Uint8Array, rangeEnd: Uint8Array): string[] {
  const from = text(key), end = text(rangeEnd);
  return [...state.keys()].filter((candidate) => {
    if (end === "") return candidate === from;
    return candidate >= from && (end === "\0" || candidate < end);
  }).sort();
}

function toPair(key: string, pair: ModelPair): KeyValue {
  const { createRevision, modRevision, version, value } = pair;
  return { key: bytes(key), createRevision, modRevision, version, value: bytes(value), lease: 0n };
}

function failure(revision: number, reason: string): KvResult {
  return { kind: "failure", revision, reason, message: "" } as KvResult;
}
