/**
 * The input of `flaredb load`: bytes of a file become records of a key and a value. Bytes are kept as
 * they are; nothing is decoded on the way but JSON.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { CommandFailedError, messageOf, UsageError } from "./errors.ts";

/** How the input is written. */
export type LoadFormat = "tsv" | "jsonl";

/** One key and value to write, and where it was found. */
export interface LoadRecord {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  /** The line it stands on, from 1. */
  readonly line: number;
  /** How many bytes of the input end with this line. */
  readonly inputBytes: number;
}

/** Most bytes of one line. */
export const LINE_BYTES_MAX: number = 16 * 1024 * 1024;

/** Reads the name of a format, or guesses it from the file's name. @throws UsageError */
export function parseFormat(text: string | undefined, file: string): LoadFormat {
  if (text === undefined) return /\.(jsonl|ndjson|json)$/i.test(file) ? "jsonl" : "tsv";
  if (text === "tsv" || text === "jsonl") return text;
  throw new UsageError(`--format must be tsv or jsonl: it is "${text}"`);
}

/**
 * The records of an input, in its order. Empty lines are skipped.
 *
 * @throws CommandFailedError naming the line that cannot be read.
 */
export async function* readRecords(
  input: AsyncIterable<Uint8Array>,
  format: LoadFormat,
): AsyncGenerator<LoadRecord, void, void> {
  const parse = format === "tsv" ? parseTsv : parseJsonLine;
  let line = 0;
  let inputBytes = 0;
  for await (const bytes of linesOf(input)) {
    line += 1;
    inputBytes += bytes.length + 1;
    const content = bytes.at(-1) === 0x0d ? bytes.subarray(0, -1) : bytes;
    if (content.length === 0) continue;
    const [key, value] = parse(content, line);
    if (key.length === 0) throw new CommandFailedError(`line ${line}: the key is empty`);
    yield { key, value, line, inputBytes };
  }
}

async function* linesOf(input: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, void> {
  let rest: Uint8Array[] = [];
  let restBytes = 0;
  for await (const chunk of input) {
    let start = 0;
    for (let end = chunk.indexOf(0x0a); end >= 0; end = chunk.indexOf(0x0a, start)) {
      const piece = chunk.subarray(start, end);
      checkLine(restBytes + piece.length);
      yield restBytes === 0 ? piece : Buffer.concat([...rest, piece]);
      rest = [];
      restBytes = 0;
      start = end + 1;
    }
    if (start < chunk.length) {
      // A copy: the stream may use the chunk's memory again.
      rest.push(chunk.slice(start));
      restBytes += chunk.length - start;
    }
    checkLine(restBytes);
  }
  if (restBytes > 0) yield Buffer.concat(rest);
}

function checkLine(lineBytes: number): void {
  if (lineBytes <= LINE_BYTES_MAX) return;
  throw new CommandFailedError(`a line is longer than ${LINE_BYTES_MAX} bytes`);
}

const NOTHING = new Uint8Array();

/** A key, a tab, a value; a line without a tab is a key with an empty value. */
function parseTsv(bytes: Uint8Array): [Uint8Array, Uint8Array] {
  const tab = bytes.indexOf(0x09);
  if (tab < 0) return [bytes, NOTHING];
  return [bytes.subarray(0, tab), bytes.subarray(tab + 1)];
}

/** Refuses what is no UTF-8: to put another character in its place would alter the data. */
const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function parseJsonLine(bytes: Uint8Array, line: number): [Uint8Array, Uint8Array] {
  let parsed: unknown;
  try {
    parsed = JSON.parse(UTF8.decode(bytes));
  } catch (error) {
    throw new CommandFailedError(`line ${line} is not JSON: ${messageOf(error)}`, { cause: error });
  }
  if (typeof parsed !== "object" || parsed === null) {
    throw new CommandFailedError(`line ${line} must be a JSON object with a key and a value`);
  }
  const fields = parsed as Record<string, unknown>;
  return [jsonBytes(fields, "key", line), jsonBytes(fields, "value", line)];
}

function jsonBytes(fields: Record<string, unknown>, name: string, line: number): Uint8Array {
  const text = fields[name];
  const base64 = fields[`${name}Base64`];
  if (typeof text === "string" && base64 === undefined) {
    if (/\p{Surrogate}/u.test(text)) {
      throw new CommandFailedError(`line ${line}: "${name}" holds half a surrogate pair`);
    }
    return Buffer.from(text, "utf8");
  }
  if (typeof base64 === "string" && text === undefined) {
    const decoded = Buffer.from(base64, "base64");
    // Buffer skips what is no base64, and ends at the first padding.
    if (decoded.toString("base64") === base64) return decoded;
    throw new CommandFailedError(`line ${line}: "${name}Base64" is not base64 with padding`);
  }
  throw new CommandFailedError(
    `line ${line} must have a text "${name}", or bytes as "${name}Base64"`,
  );
}
