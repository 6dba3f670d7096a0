/**
 * The default workload: clients put unique values under few keys, read them, delete them, and write
 * on conditions that they learned from earlier answers, which now and then still hold.
 *
 * @module
 */

import type { Chance } from "./chance.ts";
import { encodeKvInput } from "./kv_codec.ts";
import type { KvMachine } from "./kv_machine.ts";
import {
  KV_MODEL,
  type KvAction,
  type KvCompare,
  type KvField,
  type KvInput,
  type KvOutput,
  type KvState,
} from "./kv_model.ts";
import type { Operation, SimStateMachine, Workload } from "./machine.ts";

/** The options of the default workload. */
export interface KvWorkloadOptions {
  /** How many keys there are: 1 to 256. Default 4. */
  readonly keys?: number;
  /** How many of a thousand operations are reads. Default 400. */
  readonly readsPerMille?: number;
}

const FIELDS: readonly KvField[] = ["value", "version", "create", "modify"];
const OPERATORS: readonly KvCompare["operator"][] = ["=", "=", "=", "!=", "<", ">"];
const GET: KvAction = { type: "get" };

/** Reads and conditional writes on few keys. */
export class KvWorkload implements Workload<KvInput, KvOutput, KvState> {
  /** What its histories are checked against. */
  readonly model: typeof KV_MODEL = KV_MODEL;
  readonly #keys: number;
  readonly #readsPerMille: number;
  /** What any client last saw of each key. */
  readonly #seen: KvState[] = [];
  #nextValue = 1;

  /** Of these options. */
  constructor(options: KvWorkloadOptions = {}) {
    this.#keys = options.keys ?? 4;
    this.#readsPerMille = options.readsPerMille ?? 400;
  }

  /** The next operation of a client. */
  next(chance: Chance, _client: number): Operation<KvInput> {
    const key = chance.below(this.#keys);
    if (chance.hits(this.#readsPerMille)) {
      return { kind: "read", input: { key, compare: undefined, then: GET, else: GET } };
    }
    const compare = chance.hits(400) ? this.#compare(chance, key) : undefined;
    const then = chance.hits(150) ? { type: "delete" as const } : this.#put();
    const otherwise = compare !== undefined && chance.hits(200) ? this.#put() : GET;
    return { kind: "write", input: { key, compare, then, else: otherwise } };
  }

  /** The command that carries it out. */
  encode(input: KvInput): Uint8Array {
    return encodeKvInput(input);
  }

  /** Reads from a replica. */
  read(machine: SimStateMachine, input: KvInput): KvOutput {
    const { value, version, create, modify } = (machine as KvMachine).get(input.key);
    return this.output({ succeeded: true, value, version, create, modify }, input);
  }

  /** What a command's result means. */
  output(result: unknown, input: KvInput): KvOutput {
    const output = result as KvOutput;
    this.#seen[input.key] = output;
    return output;
  }

  #put(): KvAction {
    return { type: "put", value: this.#nextValue++ };
  }

  #compare(chance: Chance, key: number): KvCompare {
    const field = chance.pick(FIELDS);
    const operand = this.#seen[key]?.[field] ?? 0;
    return { field, operator: chance.pick(OPERATORS), operand };
  }
}
