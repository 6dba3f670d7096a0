/**
 * Collects the frames that leave a connection, so that what many calls write leaves in one piece.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { FRAME_HEADER_BYTES } from "./frames.ts";

const BYTES_INITIAL = 16 * 1024;
/** A buffer that grew beyond this is given back. */
const BYTES_KEPT_MAX = 256 * 1024;

/** Frames that wait to be written. */
export class Output {
  #buffer: Buffer = Buffer.allocUnsafe(BYTES_INITIAL);
  #length = 0;

  /** Bytes that wait. */
  get length(): number {
    return this.#length;
  }

  /** Begins a frame: as many bytes as said must follow. */
  frame(type: number, flags: number, streamId: number, payloadBytes: number): void {
    this.#reserve(FRAME_HEADER_BYTES);
    const buffer = this.#buffer;
    let at = this.#length;
    buffer[at++] = payloadBytes >>> 16;
    buffer[at++] = payloadBytes >>> 8;
    buffer[at++] = payloadBytes;
    buffer[at++] = type;
    buffer[at++] = flags;
    this.#length = at;
    this.uint32(streamId);
  }

  /** Bytes as they are; they are copied. */
  bytes(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#buffer.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  /** One byte. */
  byte(value: number): void {
    this.#reserve(1);
    this.#buffer[this.#length++] = value;
  }

  /** Two bytes, the higher first. */
  uint16(value: number): void {
    this.byte(value >>> 8);
    this.byte(value);
  }

  /** Four bytes, the highest first. */
  uint32(value: number): void {
    this.#reserve(4);
    const buffer = this.#buffer;
    let at = this.#length;
    buffer[at++] = value >>> 24;
    buffer[at++] = value >>> 16;
    buffer[at++] = value >>> 8;
    buffer[at++] = value;
    this.#length = at;
  }

  /** Takes everything, in memory of its own. */
  take(): Buffer {
    const taken = Buffer.from(this.#buffer.subarray(0, this.#length));
    this.#length = 0;
    if (this.#buffer.length > BYTES_KEPT_MAX) this.#buffer = Buffer.allocUnsafe(BYTES_INITIAL);
    return taken;
  }

  #reserve(bytes: number): void {
    const needed = this.#length + bytes;
    if (needed <= this.#buffer.length) return;
    const grown = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, needed));
    this.#buffer.copy(grown, 0, 0, this.#length);
    this.#buffer = grown;
  }
}
