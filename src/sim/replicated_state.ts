/**
 * All that a replica replicates: the state machine under test, and the node's own part of the state
 * (members, used ids, client sessions), which every machine would store next to its data. Both are
 * applied, saved, restored and compared together.
 *
 * Commands are marked with a number by which the simulator knows them again, whatever the way they
 * come: as objects or as bytes, once or twice. The machine under test sees them without.
 *
 * @module
 */

import { type ApplyBatch, nodeStateOf } from "../node/mod.ts";
import { read32, write32 } from "./kv_codec.ts";
import type { SimStateMachine } from "./machine.ts";
import { hashBytes, hashText, mix } from "./trace.ts";

const MARK_BYTES = 4;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** A command with its mark: an integer from 0 to 2^32-1. */
export function markCommand(command: Uint8Array, mark: number): Uint8Array {
  const bytes = new Uint8Array(MARK_BYTES + command.length);
  write32(bytes, 0, mark);
  bytes.set(command, MARK_BYTES);
  return bytes;
}

/** The mark of a command. */
export function markOf(command: Uint8Array): number {
  return read32(command, 0);
}

/** A state machine and the node's own state. */
export class ReplicatedState {
  /** The state machine under test. */
  readonly machine: SimStateMachine;
  #nodeState = new Map<string, Uint8Array>();
  #digest = 0;

  /** Around an empty machine. */
  constructor(machine: SimStateMachine) {
    this.machine = machine;
  }

  /** The node's own state. */
  get nodeState(): ReadonlyMap<string, Uint8Array> {
    return this.#nodeState;
  }

  /** Applies a batch; one result a command. */
  apply(batch: ApplyBatch): unknown[] {
    const { lastApplied, nodeState, sessionState } = batch;
    const commands = batch.commands.map(({ index, term, bytes }) => ({
      index,
      term,
      bytes: bytes.slice(MARK_BYTES),
    }));
    const results = this.machine.apply({ commands, lastApplied, nodeState, sessionState });
    for (const [key, value] of nodeStateOf(batch, results)) this.#set(key, value);
    return results;
  }

  /** The last index applied. */
  lastApplied(): number {
    return this.machine.lastApplied();
  }

  /** The whole state as bytes: the node's part, each key and value after its length, then the machine's. */
  save(): Uint8Array {
    const parts: Uint8Array[] = [];
    for (const [key, value] of this.#nodeState) parts.push(encoder.encode(key), value);
    const machine = this.machine.save();
    const size = parts.reduce((sum, part) => sum + 4 + part.length, 4 + machine.length);
    const bytes = new Uint8Array(size);
    write32(bytes, 0, parts.length);
    let position = 4;
    for (const part of parts) {
      write32(bytes, position, part.length);
      bytes.set(part, position + 4);
      position += 4 + part.length;
    }
    bytes.set(machine, position);
    return bytes;
  }

  /** Replaces the whole state. */
  load(bytes: Uint8Array, lastApplied: number): void {
    const parts: Uint8Array[] = [];
    let position = 4;
    for (let count = read32(bytes, 0); count > 0; count--) {
      const end = position + 4 + read32(bytes, position);
      parts.push(bytes.slice(position + 4, end));
      position = end;
    }
    this.#nodeState = new Map();
    this.#digest = 0;
    for (let at = 0; at < parts.length; at += 2) {
      this.#set(decoder.decode(parts[at]), parts[at + 1]);
    }
    this.machine.load(bytes.subarray(position), lastApplied);
  }

  /** A number that equal states share. */
  digest(): number {
    return mix(this.machine.digest(), this.#digest);
  }

  #set(key: string, value: Uint8Array | undefined): void {
    const before = this.#nodeState.get(key);
    if (before !== undefined) this.#digest ^= itemHash(key, before);
    if (value === undefined) {
      this.#nodeState.delete(key);
    } else {
      this.#nodeState.set(key, value);
      this.#digest ^= itemHash(key, value);
    }
  }
}

function itemHash(key: string, value: Uint8Array): number {
  return mix(hashText(key), hashBytes(value));
}
