/**
 * The simulator's own state machine: the key-value store of `kv_model.ts` over arrays, with a digest
 * that is kept up to date change by change.
 *
 * @module
 */

import type { ApplyBatch } from "../node/mod.ts";
import { decodeKvInput } from "./kv_codec.ts";
import { kvCompare, type KvInput, type KvOutput, type KvState } from "./kv_model.ts";
import type { SimStateMachine } from "./machine.ts";
import { mix } from "./trace.ts";

const FIELDS = 4;

type Cell = { -readonly [Field in keyof KvState]: KvState[Field] };

/** A key-value store in memory. */
export class KvMachine implements SimStateMachine<KvOutput> {
  readonly #cells: Cell[] = [];
  #lastApplied = 0;
  #digest = 0;

  /** Carries the commands out. */
  apply(batch: ApplyBatch): KvOutput[] {
    const results: KvOutput[] = [];
    for (const command of batch.commands) results.push(this.#apply(decodeKvInput(command.bytes)));
    this.#lastApplied = batch.lastApplied;
    return results;
  }

  /** The last index applied. */
  lastApplied(): number {
    return this.#lastApplied;
  }

  /** The state of a key. */
  get(key: number): KvState {
    return this.#cell(key);
  }

  /** The state, as bytes. */
  save(): Uint8Array {
    const words = new Uint32Array(this.#cells.length * FIELDS);
    for (let key = 0; key < this.#cells.length; key++) {
      const { value, version, create, modify } = this.#cells[key];
      words.set([value, version, create, modify], key * FIELDS);
    }
    return new Uint8Array(words.buffer);
  }

  /** Takes over a state that was saved. */
  load(bytes: Uint8Array, lastApplied: number): void {
    const words = new Uint32Array(bytes.slice().buffer);
    this.#cells.length = 0;
    this.#digest = 0;
    for (let at = 0; at < words.length; at += FIELDS) {
      const [value, version, create, modify] = words.subarray(at, at + FIELDS);
      this.#digest ^= cellHash(this.#cells.length, { value, version, create, modify });
      this.#cells.push({ value, version, create, modify });
    }
    this.#lastApplied = lastApplied;
  }

  /** A number that equal states share. */
  digest(): number {
    return this.#digest;
  }

  #apply(input: KvInput): KvOutput {
    const cell = this.#cell(input.key);
    const succeeded = kvCompare(cell, input.compare);
    const { value, version, create, modify } = cell;
    const output = { succeeded, value, version, create, modify };
    const action = succeeded ? input.then : input.else;
    if (action.type === "get" || (action.type === "delete" && value === 0)) return output;
    this.#digest ^= cellHash(input.key, cell);
    cell.modify++;
    if (action.type === "put") {
      if (value === 0) cell.create = cell.modify;
      cell.value = action.value;
      cell.version++;
    } else {
      cell.value = cell.version = cell.create = 0;
    }
    this.#digest ^= cellHash(input.key, cell);
    return output;
  }

  #cell(key: number): Cell {
    while (this.#cells.length <= key) {
      this.#cells.push({ value: 0, version: 0, create: 0, modify: 0 });
    }
    return this.#cells[key];
  }
}

function cellHash(key: number, { value, version, create, modify }: KvState): number {
  if (modify === 0) return 0;
  return mix(mix(mix(mix(mix(17, key), value), version), create), modify);
}
