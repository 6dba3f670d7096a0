/**
 * The headers of gRPC requests as HPACK (RFC 7541): sent in full once, then by their places in the
 * table that the server keeps, as any client does.
 *
 * @module
 */

import { Buffer } from "node:buffer";

type Header = readonly [name: string, value: string];

/** Headers that the static table holds whole. */
const WHOLE: Readonly<Record<string, number>> = { ":method POST": 3, ":scheme http": 6 };
/** Names that it holds. */
const NAMES: Readonly<Record<string, number>> = {
  ":authority": 1,
  ":path": 4,
  "content-type": 31,
  "user-agent": 58,
};
const STATIC_HEADERS = 61;
const ENTRY_OVERHEAD_BYTES = 32;

/** Encodes the headers of the calls of one connection. */
export class RequestHeaders {
  /** What the server must be willing to remember. */
  static readonly tableBytes = 1024;
  readonly #authority: string;
  /** As the server's table is, newest first. */
  readonly #table: string[] = [];
  #tableBytes = 0;
  /** Complete encodings, as long as the table does not change. */
  readonly #encoded = new Map<string, Buffer>();

  constructor(authority: string) {
    this.#authority = authority;
  }

  /** The header block of a call of the method at `path`. */
  encode(path: string): Buffer {
    const known = this.#encoded.get(path);
    if (known !== undefined) return known;
    const size = this.#table.length;
    const block = Buffer.concat(this.#headersOf(path).map((header) => this.#encode(header)));
    if (this.#table.length === size) this.#encoded.set(path, block);
    else this.#encoded.clear();
    return block;
  }

  #headersOf(path: string): Header[] {
    return [
      [":method", "POST"],
      [":scheme", "http"],
      [":path", path],
      [":authority", this.#authority],
      ["content-type", "application/grpc"],
      ["te", "trailers"],
      ["user-agent", "flaredb-bench"],
    ];
  }

  #encode([name, value]: Header): Buffer {
    const header = `${name} ${value}`;
    const place = this.#table.indexOf(header);
    const index = WHOLE[header] ?? (place < 0 ? undefined : STATIC_HEADERS + 1 + place);
    // All indices here are below 127, and lengths too, so each is one byte.
    if (index !== undefined) return Buffer.from([0x80 | index]);
    this.#remember(header, name.length + value.length);
    const named = NAMES[name];
    const nameBytes = named === undefined ? text(name) : Buffer.alloc(0);
    return Buffer.concat([Buffer.from([0x40 | (named ?? 0)]), nameBytes, text(value)]);
  }

  #remember(header: string, bytes: number): void {
    this.#tableBytes += bytes + ENTRY_OVERHEAD_BYTES;
    if (this.#tableBytes > RequestHeaders.tableBytes) {
      throw new RangeError(`Cannot remember more than ${RequestHeaders.tableBytes} bytes`);
    }
    this.#table.unshift(header);
  }
}

function text(value: string): Buffer {
  if (value.length >= 127) throw new RangeError(`Cannot encode ${value}: it is too long`);
  return Buffer.concat([Buffer.from([value.length]), Buffer.from(value, "latin1")]);
}
