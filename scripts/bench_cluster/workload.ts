/**
 * What the clients write and read. Each client has keys of its own, so that after its last write it
 * knows the one right value; a value names its key and which write it was of, and the rest of it
 * depends on both, so that a stale, foreign or damaged value is noticed.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { ProtoReader } from "../../src/kv/mod.ts";
import { readPutResponse, readRangeResponse } from "../../src/etcd/mod.ts";

/** Least bytes of a value: what names its key and write. */
export const VALUE_BYTES_MIN = 16;

const KEYS_TOTAL = 10_000;
const PUT_VALUE_TAG = 0x12;
const KEY_TAG = 0x0a;
const FILLER = makeFiller();

/** One client: what it has written, and what that makes it expect. */
export class ClientWork {
  readonly #prefix: string;
  readonly #client: number;
  readonly #valueBytes: number;
  /** How often each key was written, as acknowledged; 0: never. */
  readonly #versions: Uint32Array;
  /** Keys whose last write failed: nobody knows what they hold. */
  readonly #uncertain = new Set<number>();
  readonly #written: number[] = [];
  #random: number;
  #revision = 0;

  constructor(prefix: string, client: number, clients: number, valueBytes: number) {
    this.#prefix = prefix;
    this.#client = client;
    this.#valueBytes = valueBytes;
    this.#versions = new Uint32Array(Math.max(1, Math.ceil(KEYS_TOTAL / clients)));
    this.#random = 0x9e3779b9 ^ Math.imul(client + 1, 0x85ebca6b);
  }

  /** A key to write next: any of its own whose value is certain. */
  keyToWrite(): number {
    for (;;) {
      const key = this.#below(this.#versions.length);
      if (!this.#uncertain.has(key)) return key;
    }
  }

  /** A key to read next, or -1 when none was written. */
  keyToRead(): number {
    if (this.#written.length === 0) return -1;
    return this.#written[this.#below(this.#written.length)];
  }

  /** The `PutRequest` that writes a key once more. */
  putRequest(key: number): Uint8Array {
    const name = this.nameOf(key);
    const value = this.#value(key, this.#versions[key] + 1);
    return Buffer.concat([field(KEY_TAG, name), field(PUT_VALUE_TAG, value)]);
  }

  /** The `RangeRequest` that reads a key. */
  rangeRequest(key: number): Uint8Array {
    return field(KEY_TAG, this.nameOf(key));
  }

  /** Takes the answer to the put of a key. @throws Error when it cannot be right. */
  acknowledge(key: number, response: Uint8Array): void {
    const { revision } = readPutResponse(new ProtoReader(response)).header;
    if (revision <= this.#revision) {
      throw new Error(`revision ${revision} was given after revision ${this.#revision}`);
    }
    this.#revision = revision;
    if (this.#versions[key]++ === 0) this.#written.push(key);
  }

  /** The put of a key failed: it may or may not have been written. */
  forget(key: number): void {
    this.#uncertain.add(key);
    if (this.#uncertain.size === this.#versions.length) throw new Error("every key is uncertain");
    const place = this.#written.indexOf(key);
    if (place >= 0) this.#written.splice(place, 1);
  }

  /** Checks what a linearizable read of a key returned. @throws Error when it is not the last write. */
  check(key: number, response: Uint8Array): void {
    const { kvs } = readRangeResponse(new ProtoReader(response));
    if (kvs.length !== 1) {
      throw new Error(`${this.nameOf(key)}: expected 1 pair, found ${kvs.length}`);
    }
    this.checkValue(key, kvs[0].value);
  }

  /** Checks the value of a key. @throws Error when it is not that of its last write. */
  checkValue(key: number, value: Uint8Array): void {
    const expected = this.#value(key, this.#versions[key]);
    if (Buffer.compare(expected, value) === 0) return;
    const found = Buffer.from(value).subarray(0, VALUE_BYTES_MIN).toString("hex");
    throw new Error(
      `${this.nameOf(key)}: expected the value of write ${this.#versions[key]}, found ${found}…`,
    );
  }

  /** The keys whose values are certain. */
  get written(): readonly number[] {
    return this.#written;
  }

  /** The name of a key. */
  nameOf(key: number): Buffer {
    const name = `${this.#prefix}/${String(this.#client).padStart(4, "0")}/`;
    return Buffer.from(name + String(key).padStart(6, "0"), "latin1");
  }

  #value(key: number, version: number): Buffer {
    const value = Buffer.allocUnsafe(this.#valueBytes);
    value.writeUInt32BE(this.#client, 0);
    value.writeUInt32BE(key, 4);
    value.writeDoubleBE(version, 8);
    const start = (this.#client * 31 + key * 7 + version * 13) % (FILLER.length / 2);
    for (let at = VALUE_BYTES_MIN; at < value.length; at += FILLER.length / 2) {
      FILLER.copy(value, at, start, start + FILLER.length / 2);
    }
    return value;
  }

  #below(bound: number): number {
    // Xorshift: the load must cost little itself.
    this.#random ^= this.#random << 13;
    this.#random ^= this.#random >>> 17;
    this.#random ^= this.#random << 5;
    return (this.#random >>> 0) % bound;
  }
}

function field(tag: number, bytes: Uint8Array): Buffer {
  const length = bytes.length < 0x80
    ? [tag, bytes.length]
    : bytes.length < 0x4000
    ? [tag, bytes.length & 0x7f | 0x80, bytes.length >> 7]
    : [tag, bytes.length & 0x7f | 0x80, bytes.length >> 7 & 0x7f | 0x80, bytes.length >> 14];
  return Buffer.concat([Buffer.from(length), bytes]);
}

/** Bytes that do not repeat soon, so that nothing gains by compressing them. */
function makeFiller(): Buffer {
  const filler = Buffer.alloc(128 * 1024);
  let state = 0x2545f491;
  for (let at = 0; at < filler.length; at += 4) {
    state = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9 | 0;
    filler.writeInt32LE(state, at);
  }
  return filler;
}
