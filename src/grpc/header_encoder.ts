/**
 * Writes the headers of responses as HPACK (RFC 7541), always as literals that change no table: they
 * are the same few bytes for every call.
 *
 * @module
 */

import { Buffer } from "node:buffer";

/** The place of `:status 200` in the fixed table, as a whole header. */
const STATUS_200 = 0x88;
const CONTENT_TYPE_PLACE = 31;
const STATUS_PLACE = 8;
/** What four bits hold of a place; the rest follows. */
const PLACE_PREFIX = 0x0f;
const LENGTH_PREFIX = 0x7f;

/** What begins every response of gRPC. */
export const RESPONSE_HEADERS: Buffer = Buffer.concat([
  Buffer.from([STATUS_200]),
  placed(CONTENT_TYPE_PLACE, "application/grpc"),
]);

/** What ends a call that succeeded. */
export const OK_TRAILERS: Buffer = named("grpc-status", "0");

/** What ends a call otherwise, after its headers. */
export function statusTrailers(code: number, details: string): Buffer {
  if (code === 0) return OK_TRAILERS;
  const status = named("grpc-status", String(code));
  if (details === "") return status;
  return Buffer.concat([status, named("grpc-message", percentEncoded(details))]);
}

/** The headers that answer a request which is none of gRPC. */
export function httpStatusHeaders(status: number): Buffer {
  return placed(STATUS_PLACE, String(status));
}

/** A header whose name has a place in the fixed table. */
function placed(place: number, value: string): Buffer {
  const prefix = place < PLACE_PREFIX ? [place] : [PLACE_PREFIX, place - PLACE_PREFIX];
  return Buffer.concat([Buffer.from(prefix), text(value)]);
}

/** The header that lists what requests may be compressed with. */
export function encodingsHeader(encodings: string): Buffer {
  return named("grpc-accept-encoding", encodings);
}

function named(name: string, value: string): Buffer {
  return Buffer.concat([Buffer.from([0]), text(name), text(value)]);
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value, "latin1");
  const length: number[] = [];
  let rest = bytes.length;
  if (rest < LENGTH_PREFIX) length.push(rest);
  else {
    length.push(LENGTH_PREFIX);
    for (rest -= LENGTH_PREFIX; rest >= 0x80; rest = rest >> 7) length.push(rest & 0x7f | 0x80);
    length.push(rest);
  }
  return Buffer.concat([Buffer.from(length), bytes]);
}

/** What gRPC makes of a message in a header: UTF-8, with all but printable ASCII as `%XX`. */
function percentEncoded(message: string): string {
  let encoded = "";
  for (const byte of Buffer.from(message.slice(0, MESSAGE_CHARACTERS_MAX), "utf8")) {
    const plain = byte >= 0x20 && byte <= 0x7e && byte !== 0x25;
    encoded += plain
      ? String.fromCharCode(byte)
      : "%" + byte.toString(16).toUpperCase().padStart(2, "0");
  }
  return encoded;
}

/** A frame must hold it whole: three characters a byte, three bytes a character, and some more. */
const MESSAGE_CHARACTERS_MAX = 1_500;
