/**
 * The default workload: clients put unique values under few keys, read and delete keys and ranges of
 * them, look into the past, and send transactions whose conditions they learned from earlier answers,
 * which now and then still hold.
 *
 * @module
 */

import type { Chance } from "./chance.ts";
import { encodeKvInput } from "./kv_codec.ts";
import type { KvMachine } from "./kv_machine.ts";
import {
  type KvCompare,
  type KvField,
  type KvInput,
  KvModel,
  type KvOperation,
  type KvOutput,
  type KvPair,
  type KvState,
} from "./kv_model.ts";
import type { Operation, SimStateMachine, Workload } from "./machine.ts";

/** The options of the default workload. */
export interface KvWorkloadOptions {
  /** How many keys there are: 1 to 255. Default 4. */
  readonly keys?: number;
  /** How many of a thousand operations are reads. Default 400. */
  readonly readsPerMille?: number;
}

const FIELDS: readonly KvField[] = ["value", "version", "create", "modify"];
const OPERATORS: readonly KvCompare["operator"][] = ["=", "=", "=", "!=", "<", ">"];
/** How far back reads of the past go, in revisions: now and then further than can be read. */
const PAST_REVISIONS = 20;

/** Transactions and reads on few keys. */
export class KvWorkload implements Workload<KvInput, KvOutput, KvState> {
  /** What its histories are checked against. */
  readonly model: KvModel = new KvModel();
  readonly #keys: number;
  readonly #readsPerMille: number;
  /** What any client last saw of each key; its value is 0 when it was absent. */
  readonly #seen: KvPair[];
  #seenRevision = 0;
  #nextValue = 1;

  /** Of these options. */
  constructor(options: KvWorkloadOptions = {}) {
    this.#keys = options.keys ?? 4;
    this.#readsPerMille = options.readsPerMille ?? 400;
    this.#seen = Array.from({ length: this.#keys }, (_, key) => absent(key));
  }

  /** The next operation of a client. */
  next(chance: Chance, _client: number): Operation<KvInput> {
    if (chance.hits(this.#readsPerMille)) {
      return { kind: "read", input: { compare: [], then: [this.#range(chance)], else: [] } };
    }
    const input = chance.hits(450) ? this.#transaction(chance) : this.#change(chance);
    return { kind: "write", input };
  }

  /** The command that carries it out. */
  encode(input: KvInput): Uint8Array {
    return encodeKvInput(input);
  }

  /** Reads from a replica. */
  read(machine: SimStateMachine, input: KvInput): KvOutput {
    return this.output((machine as KvMachine).read(input), input);
  }

  /** What a command's result means. */
  output(result: unknown, input: KvInput): KvOutput {
    const output = result as KvOutput;
    this.#seenRevision = Math.max(this.#seenRevision, output.revision);
    const operations = output.succeeded ? input.then : input.else;
    output.results.forEach((pairs, position) => {
      const operation = operations[position];
      if (operation.type !== "range" || operation.revision !== 0) return;
      for (let key = operation.key; key < operation.end; key++) this.#seen[key] = absent(key);
      for (const pair of pairs) this.#seen[pair.key] = pair;
    });
    return output;
  }

  #change(chance: Chance): KvInput {
    const key = chance.below(this.#keys);
    const then = chance.hits(200) ? this.#delete(key, chance) : this.#put(key);
    return { compare: [], then: [then], else: [] };
  }

  /** Each branch changes a key once at most, as etcd demands. */
  #transaction(chance: Chance): KvInput {
    const first = chance.below(this.#keys);
    const second = (first + 1) % this.#keys;
    const compare = [this.#compare(chance, first)];
    if (chance.hits(400)) compare.push(this.#compare(chance, second));
    const then: KvOperation[] = [
      chance.hits(200) ? { type: "delete", key: first, end: first + 1 } : this.#put(first),
    ];
    if (second !== first && chance.hits(400)) then.push(this.#put(second));
    if (chance.hits(400)) then.push(this.#range(chance));
    const otherwise = [chance.hits(200) ? this.#put(second) : this.#range(chance)];
    return { compare, then, else: otherwise };
  }

  #put(key: number): KvOperation {
    return { type: "put", key, value: this.#nextValue++ };
  }

  #delete(key: number, chance: Chance): KvOperation {
    const end = chance.hits(700) ? key + 1 : chance.between(key + 1, this.#keys);
    return { type: "delete", key, end };
  }

  #range(chance: Chance): KvOperation {
    const key = chance.below(this.#keys);
    const end = chance.hits(600) ? key + 1 : chance.between(key + 1, this.#keys);
    const isPast = chance.hits(150);
    const revision = isPast ? Math.max(0, this.#seenRevision - chance.below(PAST_REVISIONS)) : 0;
    return { type: "range", key, end, revision };
  }

  #compare(chance: Chance, key: number): KvCompare {
    const field = chance.pick(FIELDS);
    return { key, field, operator: chance.pick(OPERATORS), operand: this.#seen[key][field] };
  }
}

function absent(key: number): KvPair {
  return { key, value: 0, version: 0, create: 0, modify: 0 };
}
