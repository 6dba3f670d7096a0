/**
 * The Huffman code of HPACK (RFC 7541, appendix B), for reading. The code is canonical: the lengths
 * of its words say all of it.
 *
 * @module
 */

import { Http2Error } from "./errors.ts";
import { Http2Code } from "./frames.ts";

const END_OF_STRING = 256;

/** Bits of the word of each byte, and of the end. */
// deno-fmt-ignore
const WORD_BITS: readonly number[] = [
  13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
  6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
  13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
  15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
  20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
  22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
  26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
  20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
  30,
];

/** Two entries a node, for a 0 and for a 1: the next node, or a byte as its complement; 0: none. */
const TREE = buildTree();

function buildTree(): Int16Array {
  const tree = new Int16Array(2 * (END_OF_STRING + 1));
  const symbols = WORD_BITS.map((_, symbol) => symbol)
    .sort((one, other) => WORD_BITS[one] - WORD_BITS[other] || one - other);
  let nodes = 1;
  let word = 0;
  let bits = 0;
  for (const symbol of symbols) {
    word *= 2 ** (WORD_BITS[symbol] - bits);
    bits = WORD_BITS[symbol];
    let node = 0;
    for (let bit = bits - 1; bit > 0; bit--) {
      const at = 2 * node + (Math.floor(word / 2 ** bit) & 1);
      if (tree[at] === 0) tree[at] = nodes++;
      node = tree[at];
    }
    tree[2 * node + (word & 1)] = ~symbol;
    word++;
  }
  return tree;
}

/** The text of a coded string, one character a byte. @throws Http2Error when it is not of the code */
export function decodeHuffman(bytes: Uint8Array): string {
  let text = "";
  let node = 0;
  let bitsSinceSymbol = 0;
  let onesOnly = true;
  for (const byte of bytes) {
    for (let bit = 7; bit >= 0; bit--) {
      const value = (byte >> bit) & 1;
      const next = TREE[2 * node + value];
      bitsSinceSymbol++;
      onesOnly &&= value === 1;
      if (next >= 0) {
        node = next;
        continue;
      }
      if (~next === END_OF_STRING) throw malformed();
      text += String.fromCharCode(~next);
      node = 0;
      bitsSinceSymbol = 0;
      onesOnly = true;
    }
  }
  // What is left must be the beginning of the end's word, and less than a byte.
  if (bitsSinceSymbol > 7 || !onesOnly) throw malformed();
  return text;
}

function malformed(): Http2Error {
  return new Http2Error(Http2Code.compression, "a header is not in the code of HPACK");
}
