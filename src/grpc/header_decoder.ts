/**
 * Reads blocks of headers as HPACK (RFC 7541) has them: places in a fixed table, places in a table
 * that both sides keep, and literals.
 *
 * @module
 */

import { Http2Error } from "./errors.ts";
import { Http2Code } from "./frames.ts";
import { decodeHuffman } from "./huffman.ts";

/** Headers in the order of their arrival: names at even places, each followed by its value. */
export type Headers = readonly string[];

/** The value of a header, or undefined; of one that was sent more than once, the first. */
export function headerValue(headers: Headers, name: string): string | undefined {
  for (let at = 0; at < headers.length; at += 2) {
    if (headers[at] === name) return headers[at + 1];
  }
  return undefined;
}

/** The size of the table that both sides keep, which a client may not exceed. */
const TABLE_BYTES_MAX = 4096;
/** What a header counts beside its name and value, by the format's own rule. */
const HEADER_OVERHEAD_BYTES = 32;
const INTEGER_BITS_MAX = 28;

/** The fixed table: names and values in turn, from place 1 on. */
// deno-fmt-ignore
const STATIC_TABLE: readonly string[] = [
  ":authority", "", ":method", "GET", ":method", "POST", ":path", "/", ":path", "/index.html",
  ":scheme", "http", ":scheme", "https", ":status", "200", ":status", "204", ":status", "206",
  ":status", "304", ":status", "400", ":status", "404", ":status", "500", "accept-charset", "",
  "accept-encoding", "gzip, deflate", "accept-language", "", "accept-ranges", "", "accept", "",
  "access-control-allow-origin", "", "age", "", "allow", "", "authorization", "",
  "cache-control", "", "content-disposition", "", "content-encoding", "", "content-language", "",
  "content-length", "", "content-location", "", "content-range", "", "content-type", "",
  "cookie", "", "date", "", "etag", "", "expect", "", "expires", "", "from", "", "host", "",
  "if-match", "", "if-modified-since", "", "if-none-match", "", "if-range", "",
  "if-unmodified-since", "", "last-modified", "", "link", "", "location", "", "max-forwards", "",
  "proxy-authenticate", "", "proxy-authorization", "", "range", "", "referer", "", "refresh", "",
  "retry-after", "", "server", "", "set-cookie", "", "strict-transport-security", "",
  "transfer-encoding", "", "user-agent", "", "vary", "", "via", "", "www-authenticate", "",
];
const STATIC_COUNT = STATIC_TABLE.length / 2;

/** Reads the blocks of one connection, in their order. */
export class HeaderDecoder {
  readonly #listBytesMax: number;
  /** The table that both sides keep: names and values in turn, oldest first. */
  readonly #table: string[] = [];
  #tableBytes = 0;
  #tableBytesMax = TABLE_BYTES_MAX;
  #block: Uint8Array = new Uint8Array(0);
  #position = 0;

  /** @param listBytesMax the most that the headers of a block may come to, by the format's count. */
  constructor(listBytesMax: number) {
    this.#listBytesMax = listBytesMax;
  }

  /**
   * The headers of a block.
   *
   * @throws Http2Error when the block is malformed or its headers exceed the limit; the connection
   *   cannot go on then, as the tables differ.
   */
  decode(block: Uint8Array): Headers {
    this.#block = block;
    this.#position = 0;
    const headers: string[] = [];
    let listBytes = 0;
    while (this.#position < block.length) {
      const first = block[this.#position];
      if ((first & 0x80) !== 0) this.#copy(this.#integer(7), headers);
      else if ((first & 0xe0) === 0x20) {
        if (headers.length > 0) throw malformed();
        this.#resize(this.#integer(5));
        continue;
      } else this.#literal(first, headers);
      listBytes += sizeOf(headers[headers.length - 2], headers[headers.length - 1]);
      if (listBytes > this.#listBytesMax) {
        throw new Http2Error(
          Http2Code.enhanceYourCalm,
          `the headers of a call must come to at most ${this.#listBytesMax} bytes`,
        );
      }
    }
    return headers;
  }

  #copy(place: number, headers: string[]): void {
    headers.push(this.#at(place, 0), this.#at(place, 1));
  }

  #literal(first: number, headers: string[]): void {
    const remembered = (first & 0x40) !== 0;
    const place = this.#integer(remembered ? 6 : 4);
    const name = place === 0 ? this.#text() : this.#at(place, 0);
    const value = this.#text();
    headers.push(name, value);
    if (remembered) this.#remember(name, value);
  }

  /** The name (0) or the value (1) at a place of the two tables. */
  #at(place: number, part: 0 | 1): string {
    if (place === 0) throw malformed();
    if (place <= STATIC_COUNT) return STATIC_TABLE[2 * (place - 1) + part];
    const at = this.#table.length - 2 * (place - STATIC_COUNT) + part;
    if (at < 0) throw malformed();
    return this.#table[at];
  }

  #remember(name: string, value: string): void {
    const bytes = sizeOf(name, value);
    this.#evict(this.#tableBytesMax - bytes);
    // One that is larger than the table leaves it empty.
    if (bytes > this.#tableBytesMax) return;
    this.#table.push(name, value);
    this.#tableBytes += bytes;
  }

  #resize(bytes: number): void {
    if (bytes > TABLE_BYTES_MAX) throw malformed();
    this.#tableBytesMax = bytes;
    this.#evict(bytes);
  }

  #evict(bytesMax: number): void {
    let end = 0;
    while (end < this.#table.length && this.#tableBytes > bytesMax) {
      this.#tableBytes -= sizeOf(this.#table[end], this.#table[end + 1]);
      end += 2;
    }
    if (end > 0) this.#table.splice(0, end);
  }

  #integer(prefixBits: number): number {
    const mask = (1 << prefixBits) - 1;
    let value = this.#byte() & mask;
    if (value < mask) return value;
    for (let shift = 0; shift < INTEGER_BITS_MAX; shift += 7) {
      const byte = this.#byte();
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    throw malformed();
  }

  #text(): string {
    const coded = this.#position < this.#block.length && (this.#block[this.#position] & 0x80) !== 0;
    const length = this.#integer(7);
    const end = this.#position + length;
    if (end > this.#block.length) throw malformed();
    const bytes = this.#block.subarray(this.#position, end);
    this.#position = end;
    return coded ? decodeHuffman(bytes) : latin1(bytes);
  }

  #byte(): number {
    if (this.#position >= this.#block.length) throw malformed();
    return this.#block[this.#position++];
  }
}

function sizeOf(name: string, value: string): number {
  return name.length + value.length + HEADER_OVERHEAD_BYTES;
}

function latin1(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}

function malformed(): Http2Error {
  return new Http2Error(Http2Code.compression, "a block of headers is malformed");
}
