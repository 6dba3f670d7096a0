/**
 * Makes messages of gRPC out of the bytes of a request's body, however they are cut, and unpacks
 * those that are compressed.
 *
 * @module
 */

import { gunzipSync, inflateSync } from "node:zlib";
import { GrpcStatus } from "./status.ts";
import { MESSAGE_PREFIX_BYTES } from "./stream.ts";

/** Why a body cannot be read: a status of gRPC. */
export interface BodyFailure {
  /** The number of the status. */
  readonly code: number;
  /** The same for people. */
  readonly details: string;
}

type Unpack = (bytes: Uint8Array, options: { maxOutputLength: number }) => Uint8Array;

const UNPACKERS: ReadonlyMap<string, Unpack> = new Map([
  ["gzip", gunzipSync],
  ["deflate", inflateSync],
]);

/** What clients may compress requests with, as the header that says so has it. */
export const ENCODINGS: string = ["identity", ...UNPACKERS.keys()].join(",");

/** Whether messages in an encoding can be read; undefined stands for none. */
export function isKnownEncoding(encoding: string | undefined): boolean {
  return encoding === undefined || encoding === "identity" || UNPACKERS.has(encoding);
}

const PART_BYTES_INITIAL = 1024;

/** Reads the body of one request. */
export class MessageReader {
  readonly #bytesMax: number;
  readonly #unpack: Unpack | undefined;
  /** The beginning of a message that is not complete. */
  #part: Uint8Array | undefined;
  #partBytes = 0;

  /** @param bytesMax the longest message, as it arrives and unpacked. */
  constructor(bytesMax: number, encoding: string | undefined) {
    this.#bytesMax = bytesMax;
    this.#unpack = encoding === undefined ? undefined : UNPACKERS.get(encoding);
  }

  /** Whether nothing of a message is left that is not complete. */
  get isEmpty(): boolean {
    return this.#partBytes === 0;
  }

  /** Reads more of the body and calls `take` with each message, in memory of its own. */
  read(bytes: Uint8Array, take: (message: Uint8Array) => void): BodyFailure | undefined {
    let rest = bytes;
    while (rest.length > 0) {
      const length = this.#length(rest);
      if (length > this.#bytesMax) {
        const details = `a message must have at most ${this.#bytesMax} bytes: it has ${length}`;
        return { code: GrpcStatus.RESOURCE_EXHAUSTED, details };
      }
      const missing = MESSAGE_PREFIX_BYTES + length - this.#partBytes;
      if (length < 0 || missing > rest.length) {
        this.#keep(rest);
        return undefined;
      }
      const failure = this.#complete(rest.subarray(0, missing), take);
      if (failure !== undefined) return failure;
      rest = rest.subarray(missing);
    }
    return undefined;
  }

  /** The length in the prefix, or -1 when that is not complete with `bytes`. */
  #length(bytes: Uint8Array): number {
    if (this.#partBytes + bytes.length < MESSAGE_PREFIX_BYTES) return -1;
    let length = 0;
    for (let at = 1; at < MESSAGE_PREFIX_BYTES; at++) {
      const byte = at < this.#partBytes ? this.#part![at] : bytes[at - this.#partBytes];
      length = length * 256 + byte;
    }
    return length;
  }

  /** Grows with what has arrived, not with what a prefix promises. */
  #keep(bytes: Uint8Array): void {
    const needed = this.#partBytes + bytes.length;
    if (this.#part === undefined || this.#part.length < needed) {
      const grown = new Uint8Array(Math.max(PART_BYTES_INITIAL, 2 * needed));
      if (this.#part !== undefined) grown.set(this.#part.subarray(0, this.#partBytes));
      this.#part = grown;
    }
    this.#part.set(bytes, this.#partBytes);
    this.#partBytes = needed;
  }

  #complete(bytes: Uint8Array, take: (message: Uint8Array) => void): BodyFailure | undefined {
    if (this.#partBytes === 0) {
      return this.#unpacked(bytes[0], copyOf(bytes.subarray(MESSAGE_PREFIX_BYTES)), take);
    }
    this.#keep(bytes);
    const part = this.#part!;
    const message = part.subarray(MESSAGE_PREFIX_BYTES, this.#partBytes);
    this.#part = undefined;
    this.#partBytes = 0;
    return this.#unpacked(part[0], message, take);
  }

  #unpacked(
    compressed: number,
    message: Uint8Array,
    take: (message: Uint8Array) => void,
  ): BodyFailure | undefined {
    if (compressed === 0) {
      take(message);
      return undefined;
    }
    if (compressed !== 1 || this.#unpack === undefined) {
      return { code: GrpcStatus.INTERNAL, details: "a message is compressed, but not said how" };
    }
    let unpacked: Uint8Array;
    try {
      unpacked = this.#unpack(message, { maxOutputLength: this.#bytesMax });
    } catch (error) {
      const code = (error as { code?: unknown }).code === "ERR_BUFFER_TOO_LARGE"
        ? GrpcStatus.RESOURCE_EXHAUSTED
        : GrpcStatus.INTERNAL;
      return { code, details: "a compressed message cannot be unpacked" };
    }
    take(copyOf(unpacked));
    return undefined;
  }
}

/** A plain array of its own memory, whatever kind of buffer the bytes are in. */
function copyOf(bytes: Uint8Array): Uint8Array {
  const copy = new Uint8Array(bytes.length);
  copy.set(bytes);
  return copy;
}
