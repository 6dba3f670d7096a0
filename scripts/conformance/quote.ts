/**
 * Quotes bytes as Go's `%q` does, the way traces print entry data: printable characters as they are,
 * all else escaped, bytes that are not valid UTF-8 as `\xNN`.
 *
 * @module
 */

import { type ByteString, fromText } from "./byte_string.ts";

const ESCAPES: ReadonlyMap<number, string> = new Map([
  [0x07, "\\a"],
  [0x08, "\\b"],
  [0x09, "\\t"],
  [0x0a, "\\n"],
  [0x0b, "\\v"],
  [0x0c, "\\f"],
  [0x0d, "\\r"],
  [0x22, '\\"'],
  [0x5c, "\\\\"],
]);

/** Letters, marks, numbers, punctuation, symbols and the ASCII space: what Go calls printable. */
const PRINTABLE = /^[\p{L}\p{M}\p{N}\p{P}\p{S} ]$/u;

/** Quotes `data` in double quotes; the result is a byte string. */
export function quote(data: Uint8Array): ByteString {
  let quoted = '"';
  for (let position = 0; position < data.length;) {
    const length = sequenceLength(data, position);
    if (length === 0) {
      quoted += "\\x" + hex(data[position], 2);
      position++;
    } else {
      quoted += quoteCodePoint(decodeSequence(data, position, length));
      position += length;
    }
  }
  return quoted + '"';
}

function quoteCodePoint(codePoint: number): ByteString {
  const escape = ESCAPES.get(codePoint);
  if (escape !== undefined) return escape;
  const character = String.fromCodePoint(codePoint);
  if (PRINTABLE.test(character)) return fromText(character);
  if (codePoint < 0x20 || codePoint === 0x7f) return "\\x" + hex(codePoint, 2);
  return codePoint < 0x10000 ? "\\u" + hex(codePoint, 4) : "\\U" + hex(codePoint, 8);
}

/** Bytes of the well-formed UTF-8 sequence at `position` (RFC 3629), or 0 when there is none. */
function sequenceLength(data: Uint8Array, position: number): number {
  const first = data[position];
  if (first < 0x80) return 1;
  const length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || position + length > data.length) return 0;
  for (let i = 1; i < length; i++) {
    if ((data[position + i] & 0xc0) !== 0x80) return 0;
  }
  const second = data[position + 1];
  const overlong = (first === 0xe0 && second < 0xa0) || (first === 0xf0 && second < 0x90);
  const outside = (first === 0xed && second > 0x9f) || (first === 0xf4 && second > 0x8f);
  return overlong || outside ? 0 : length;
}

function decodeSequence(data: Uint8Array, position: number, length: number): number {
  const first = data[position];
  if (length === 1) return first;
  let codePoint = first & (0xff >> (length + 1));
  for (let i = 1; i < length; i++) {
    codePoint = (codePoint << 6) | (data[position + i] & 0x3f);
  }
  return codePoint;
}

function hex(value: number, digits: number): string {
  return value.toString(16).padStart(digits, "0");
}
