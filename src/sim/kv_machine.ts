/**
 * The simulator's own state machine: the key-value store of `kv_model.ts`, which keeps the versions of
 * each key in a list, with a digest that is kept up to date version by version.
 *
 * @module
 */

import type { ApplyBatch } from "../node/mod.ts";
import { decodeKvInput } from "./kv_codec.ts";
import {
  KV_HISTORY_REVISIONS,
  kvCompare,
  type KvInput,
  type KvOperation,
  type KvOutput,
  type KvPair,
} from "./kv_model.ts";
import type { SimStateMachine } from "./machine.ts";
import { mix } from "./trace.ts";

const PAIR_WORDS = 5;
const NO_PAIRS: readonly KvPair[] = [];

/** A version of a key. One with the value 0 marks that it was deleted. */
type Version = KvPair;

/** A key-value store in memory. */
export class KvMachine implements SimStateMachine<KvOutput> {
  /** The versions of each key that can still be read, in order. */
  readonly #versions: Version[][] = [];
  #revision = 0;
  #lastApplied = 0;
  #digest = 0;

  /** Carries the commands out. */
  apply(batch: ApplyBatch): KvOutput[] {
    const results: KvOutput[] = [];
    for (const { bytes } of batch.commands) results.push(this.#transact(decodeKvInput(bytes)));
    this.#lastApplied = batch.lastApplied;
    return results;
  }

  /** The last index applied. */
  lastApplied(): number {
    return this.#lastApplied;
  }

  /** Carries a transaction out that only reads. */
  read(input: KvInput): KvOutput {
    return this.#transact(input);
  }

  /** The state, as bytes. */
  save(): Uint8Array {
    const versions = this.#versions.flat();
    const words = new Uint32Array(1 + versions.length * PAIR_WORDS);
    words[0] = this.#revision;
    for (let at = 0; at < versions.length; at++) {
      const { key, value, version, create, modify } = versions[at];
      words.set([key, value, version, create, modify], 1 + at * PAIR_WORDS);
    }
    return new Uint8Array(words.buffer);
  }

  /** Takes over a state that was saved. */
  load(bytes: Uint8Array, lastApplied: number): void {
    const words = new Uint32Array(bytes.slice().buffer);
    this.#versions.length = 0;
    this.#revision = words[0];
    this.#digest = 0;
    for (let at = 1; at < words.length; at += PAIR_WORDS) {
      const [key, value, version, create, modify] = words.subarray(at, at + PAIR_WORDS);
      this.#add({ key, value, version, create, modify });
    }
    this.#lastApplied = lastApplied;
  }

  /** A number that equal states share. */
  digest(): number {
    return mix(this.#digest, this.#revision);
  }

  #transact(input: KvInput): KvOutput {
    const succeeded = input.compare.every((compare) =>
      kvCompare(this.#newest(compare.key), compare)
    );
    const operations = succeeded ? input.then : input.else;
    const before = this.#revision;
    const failure = this.#refusal(operations);
    if (failure !== undefined) return { revision: before, succeeded, failure, results: [] };
    let changes = 0;
    const results = operations.map((operation) => {
      const pairs = this.#carryOut(operation);
      if (operation.type === "put") changes++;
      if (operation.type === "delete") changes += pairs.length;
      return pairs;
    });
    if (changes > 0) this.#revision = before + 1;
    return { revision: this.#revision, succeeded, failure, results };
  }

  #refusal(operations: readonly KvOperation[]): KvOutput["failure"] {
    for (const operation of operations) {
      const revision = operation.type === "range" ? operation.revision : 0;
      if (revision > this.#revision) return "future-revision";
      if (revision > 0 && revision < this.#revision - KV_HISTORY_REVISIONS) return "compacted";
    }
    return undefined;
  }

  #carryOut(operation: KvOperation): readonly KvPair[] {
    if (operation.type === "put") return this.#put(operation.key, operation.value);
    const revision = operation.type === "range" ? operation.revision : 0;
    const pairs: KvPair[] = [];
    for (let key = operation.key; key < operation.end; key++) {
      const pair = revision === 0 ? this.#newest(key) : this.#visible(key, revision);
      if (pair !== undefined) pairs.push(pair);
    }
    if (operation.type === "delete") {
      for (const { key } of pairs) {
        this.#append({ key, value: 0, version: 0, create: 0, modify: this.#revision + 1 });
      }
    }
    return pairs;
  }

  #put(key: number, value: number): readonly KvPair[] {
    const before = this.#newest(key);
    const modify = this.#revision + 1;
    const version = before === undefined ? 1 : before.version + 1;
    this.#append({ key, value, version, create: before?.create ?? modify, modify });
    return before === undefined ? NO_PAIRS : [before];
  }

  #newest(key: number): KvPair | undefined {
    const newest = this.#versions[key]?.at(-1);
    return newest?.value === 0 ? undefined : newest;
  }

  #visible(key: number, revision: number): KvPair | undefined {
    const visible = this.#versions[key]?.findLast((version) => version.modify <= revision);
    return visible?.value === 0 ? undefined : visible;
  }

  /** Adds a version, and forgets those that can no longer be read. */
  #append(added: Version): void {
    const versions = this.#add(added);
    const compacted = this.#revision - KV_HISTORY_REVISIONS;
    while (versions.length > 1 && versions[1].modify <= compacted) {
      this.#digest ^= versionHash(versions.shift()!);
    }
  }

  #add(added: Version): Version[] {
    while (this.#versions.length <= added.key) this.#versions.push([]);
    const versions = this.#versions[added.key];
    versions.push(added);
    this.#digest ^= versionHash(added);
    return versions;
  }
}

function versionHash({ key, value, version, create, modify }: Version): number {
  return mix(mix(mix(mix(mix(17, key), value), version), create), modify);
}
