/**
 * The bytes of configuration changes in log entries: the protobuf encoding of eraftpb's `ConfChange`
 * and `ConfChangeV2`, so that peers in other languages can read the log. Held equal to the .proto
 * file by tests. `update-node` has no number in eraftpb (2 is add-learner there) and cannot be
 * encoded.
 *
 * @module
 */

import { ConfChangeError } from "../errors.ts";
import {
  type ConfChange,
  type ConfChangeSingle,
  type ConfChangeTransition,
  type ConfChangeType,
  type ConfChangeV2,
  type EntryType,
  PEER_ID_MAX,
  type PeerId,
} from "../types.ts";

const CHANGE_TYPES: readonly ConfChangeType[] = ["add-node", "remove-node", "add-learner"];
const TRANSITIONS: readonly ConfChangeTransition[] = ["auto", "joint-implicit", "joint-explicit"];

const WIRE_VARINT = 0;
const WIRE_FIXED64 = 1;
const WIRE_BYTES = 2;
const WIRE_FIXED32 = 5;

/** Whether a change is of the kind that holds any number of steps. */
export function isConfChangeV2(change: ConfChange | ConfChangeV2): change is ConfChangeV2 {
  return "changes" in change;
}

/** A change of a single peer as a change of the general kind. */
export function toConfChangeV2(change: ConfChange | ConfChangeV2): ConfChangeV2 {
  if (isConfChangeV2(change)) return change;
  return {
    transition: "auto",
    changes: [{ type: change.type, peerId: change.peerId }],
    context: change.context,
  };
}

/**
 * Encodes a change of a single peer.
 *
 * @throws ConfChangeError for a type that has no number, or an id out of range.
 */
export function encodeConfChange(change: ConfChange): Uint8Array {
  const out: number[] = [];
  writeVarintField(out, 2, changeTypeNumber(change.type));
  writeVarintField(out, 3, checkedPeerId(change.peerId));
  writeBytesField(out, 4, change.context);
  return Uint8Array.from(out);
}

/**
 * Encodes a change of any number of peers. The empty change takes no bytes.
 *
 * @throws ConfChangeError for a type or transition that has no number, or an id out of range.
 */
export function encodeConfChangeV2(change: ConfChangeV2): Uint8Array {
  const out: number[] = [];
  const transition = TRANSITIONS.indexOf(change.transition);
  if (transition < 0) {
    throw new ConfChangeError(`cannot encode transition ${String(change.transition)}`);
  }
  writeVarintField(out, 1, transition);
  for (const single of change.changes) {
    const step: number[] = [];
    writeVarintField(step, 1, changeTypeNumber(single.type));
    writeVarintField(step, 2, checkedPeerId(single.peerId));
    out.push((2 << 3) | WIRE_BYTES);
    writeVarint(out, step.length);
    for (const byte of step) out.push(byte);
  }
  writeBytesField(out, 3, change.context);
  return Uint8Array.from(out);
}

/**
 * Decodes the command of an entry of type `conf-change` or `conf-change-v2`. Unknown fields are
 * skipped.
 *
 * @throws ConfChangeError when the bytes are malformed or name an unknown type, or when `type` is
 * not a configuration change.
 */
export function decodeConfChange(type: EntryType, bytes: Uint8Array): ConfChange | ConfChangeV2 {
  if (type === "conf-change") return decodeV1(bytes);
  if (type === "conf-change-v2") return decodeV2(bytes);
  throw new ConfChangeError(`cannot decode a configuration change from an entry of type ${type}`);
}

function decodeV1(bytes: Uint8Array): ConfChange {
  const reader = new FieldReader(bytes);
  let type = CHANGE_TYPES[0];
  let peerId = 0;
  let context: Uint8Array | undefined;
  while (reader.next()) {
    if (reader.is(2, WIRE_VARINT)) type = changeType(reader.varint());
    else if (reader.is(3, WIRE_VARINT)) peerId = checkedPeerId(reader.varint());
    else if (reader.is(4, WIRE_BYTES)) context = reader.bytes().slice();
    else reader.skip();
  }
  return { type, peerId, context };
}

function decodeV2(bytes: Uint8Array): ConfChangeV2 {
  const reader = new FieldReader(bytes);
  let transition = TRANSITIONS[0];
  const changes: ConfChangeSingle[] = [];
  let context: Uint8Array | undefined;
  while (reader.next()) {
    if (reader.is(1, WIRE_VARINT)) transition = transitionOf(reader.varint());
    else if (reader.is(2, WIRE_BYTES)) changes.push(decodeSingle(reader.bytes()));
    else if (reader.is(3, WIRE_BYTES)) context = reader.bytes().slice();
    else reader.skip();
  }
  return { transition, changes, context };
}

function decodeSingle(bytes: Uint8Array): ConfChangeSingle {
  const reader = new FieldReader(bytes);
  let type = CHANGE_TYPES[0];
  let peerId = 0;
  while (reader.next()) {
    if (reader.is(1, WIRE_VARINT)) type = changeType(reader.varint());
    else if (reader.is(2, WIRE_VARINT)) peerId = checkedPeerId(reader.varint());
    else reader.skip();
  }
  return { type, peerId };
}

function changeTypeNumber(type: ConfChangeType): number {
  const number = CHANGE_TYPES.indexOf(type);
  if (number < 0) throw new ConfChangeError(`cannot encode a change of type ${String(type)}`);
  return number;
}

function changeType(number: number): ConfChangeType {
  const type = CHANGE_TYPES[number];
  if (type === undefined) throw new ConfChangeError(`unexpected conf type ${number}`);
  return type;
}

function transitionOf(number: number): ConfChangeTransition {
  const transition = TRANSITIONS[number];
  if (transition === undefined) throw new ConfChangeError(`unexpected transition ${number}`);
  return transition;
}

function checkedPeerId(id: PeerId): PeerId {
  if (!Number.isSafeInteger(id) || id < 0 || id > PEER_ID_MAX) {
    throw new ConfChangeError(
      `peer id must be an integer from 0 to ${PEER_ID_MAX}: current value is ${String(id)}`,
    );
  }
  return id;
}

function writeVarint(out: number[], value: number): void {
  while (value >= 128) {
    out.push((value % 128) | 128);
    value = Math.floor(value / 128);
  }
  out.push(value);
}

function writeVarintField(out: number[], field: number, value: number): void {
  if (value === 0) return;
  out.push((field << 3) | WIRE_VARINT);
  writeVarint(out, value);
}

function writeBytesField(out: number[], field: number, bytes: Uint8Array | undefined): void {
  if (bytes === undefined || bytes.length === 0) return;
  out.push((field << 3) | WIRE_BYTES);
  writeVarint(out, bytes.length);
  for (const byte of bytes) out.push(byte);
}

/** Walks over the fields of one message; every read is checked against its end. */
class FieldReader {
  readonly #bytes: Uint8Array;
  #at = 0;
  #field = 0;
  #wireType = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** Reads the next tag; false at the end. */
  next(): boolean {
    if (this.#at === this.#bytes.length) return false;
    const tag = this.varint();
    this.#field = Math.floor(tag / 8);
    this.#wireType = tag % 8;
    if (this.#field === 0) throw malformed("field number 0");
    return true;
  }

  is(field: number, wireType: number): boolean {
    return this.#field === field && this.#wireType === wireType;
  }

  varint(): number {
    let value = 0;
    let factor = 1;
    for (let i = 0; i < 10; i++) {
      if (this.#at === this.#bytes.length) throw malformed("truncated number");
      const byte = this.#bytes[this.#at++];
      value += (byte & 127) * factor;
      if (byte < 128) {
        if (!Number.isSafeInteger(value)) throw malformed("number beyond 2^53-1");
        return value;
      }
      factor *= 128;
    }
    throw malformed("number of more than ten bytes");
  }

  bytes(): Uint8Array {
    return this.#take(this.varint());
  }

  skip(): void {
    if (this.#wireType === WIRE_VARINT) this.#skipVarint();
    else if (this.#wireType === WIRE_FIXED64) this.#take(8);
    else if (this.#wireType === WIRE_BYTES) this.bytes();
    else if (this.#wireType === WIRE_FIXED32) this.#take(4);
    else throw malformed(`wire type ${this.#wireType}`);
  }

  #skipVarint(): void {
    for (let i = 0; i < 10; i++) {
      if (this.#take(1)[0] < 128) return;
    }
    throw malformed("number of more than ten bytes");
  }

  #take(length: number): Uint8Array {
    const end = this.#at + length;
    if (end > this.#bytes.length) throw malformed("truncated field");
    const taken = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return taken;
  }
}

function malformed(what: string): ConfChangeError {
  return new ConfChangeError(`cannot decode a configuration change: ${what}`);
}
