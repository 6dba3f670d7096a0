/**
 * Byte strings: traces are compared byte by byte, also where a file is not valid UTF-8. Inside the
 * runner every text is a string whose characters are the bytes 0 to 255 of its UTF-8 form; only what
 * is shown to a person is decoded.
 *
 * @module
 */

import { Buffer } from "node:buffer";

/** A string each of whose characters stands for one byte. */
export type ByteString = string;

/** The byte string of raw bytes. */
export function fromBytes(bytes: Uint8Array): ByteString {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
}

/** The raw bytes of a byte string. */
export function toBytes(text: ByteString): Uint8Array {
  return new Uint8Array(Buffer.from(text, "latin1"));
}

/** The byte string of an ordinary string (its UTF-8 form). */
export function fromText(text: string): ByteString {
  return Buffer.from(text, "utf8").toString("latin1");
}

/** The ordinary string of a byte string, for display; invalid UTF-8 shows as U+FFFD. */
export function toText(text: ByteString): string {
  return Buffer.from(text, "latin1").toString("utf8");
}
