/**
 * The format of trace files: blocks of comments, a command line, input lines, `----`, and the
 * expected output. Parsing is pure and never throws: what is malformed becomes a block with a
 * `problem`, so that a report can name its line.
 *
 * @module
 */

import type { ByteString } from "./byte_string.ts";

/** One argument of a command line. */
export interface Argument {
  /** A bare word, or what stands before `=`. */
  readonly key: ByteString;
  /** What stands after `=`, split at commas within parentheses; undefined for a bare word. */
  readonly values: readonly ByteString[] | undefined;
  /** The argument as written. */
  readonly text: ByteString;
}

/** One block of a trace file. Line numbers count from 1. */
export interface Block {
  /** The line of the command. */
  readonly line: number;
  /** The command line as written. */
  readonly commandLine: ByteString;
  /** The first word of the command line. */
  readonly command: ByteString;
  readonly arguments: readonly Argument[];
  /** The lines between the command line and `----`. */
  readonly input: readonly ByteString[];
  /** The first line after `----`, where the expected output begins. */
  readonly expectedLine: number;
  /** The lines after `----`. */
  readonly expected: readonly ByteString[];
  /** Why the block cannot be run, if it is malformed. */
  readonly problem: string | undefined;
}

/** A trace file: all its lines, and its blocks in order. */
export interface Trace {
  readonly lines: readonly ByteString[];
  readonly blocks: readonly Block[];
}

/** Thrown for an argument that a command cannot take; its block then fails, whatever it expects. */
export class TraceFormatError extends Error {
  override name = "TraceFormatError";
}

const SEPARATOR = "----";

/** Splits a file into blocks; blocks of comments alone are skipped. */
export function parseTrace(content: ByteString): Trace {
  const lines = content.split("\n");
  const blocks: Block[] = [];
  let start = 0;
  while (start < lines.length) {
    let end = start;
    while (end < lines.length && !isBlank(lines[end])) end++;
    const block = parseBlock(lines, start, end);
    if (block !== undefined) blocks.push(block);
    start = end + 1;
  }
  return { lines, blocks };
}

function parseBlock(lines: readonly string[], start: number, end: number): Block | undefined {
  let commandAt = start;
  while (commandAt < end && lines[commandAt].startsWith("#")) commandAt++;
  if (commandAt === end) return undefined;
  const commandLine = lines[commandAt];
  let separatorAt = commandAt;
  while (separatorAt < end && lines[separatorAt] !== SEPARATOR) separatorAt++;
  let words: Argument[] = [];
  let problem = separatorAt === end
    ? `a block needs a line "${SEPARATOR}" before its expected output: found none`
    : separatorAt === commandAt
    ? `a block needs a command line before "${SEPARATOR}": found none`
    : undefined;
  try {
    words = parseWords(commandLine);
  } catch (error) {
    if (!(error instanceof TraceFormatError)) throw error;
    problem ??= error.message;
  }
  return {
    line: commandAt + 1,
    commandLine,
    command: words[0]?.text ?? commandLine.trim().split(/\s/)[0] ?? "",
    arguments: words.slice(1),
    input: lines.slice(commandAt + 1, separatorAt),
    expectedLine: separatorAt + 2,
    expected: lines.slice(separatorAt + 1, end),
    problem,
  };
}

/** Splits a command line into its words. @throws TraceFormatError for an unclosed parenthesis. */
export function parseWords(line: ByteString): Argument[] {
  const words: Argument[] = [];
  let position = 0;
  while (position < line.length) {
    if (isSpace(line[position])) {
      position++;
      continue;
    }
    const end = wordEnd(line, position);
    words.push(parseWord(line.slice(position, end)));
    position = end;
  }
  return words;
}

/** A word ends at a space, but not within `key=(...)`. */
function wordEnd(line: string, start: number): number {
  let end = start;
  while (end < line.length && !isSpace(line[end])) {
    if (line.startsWith("=(", end) && !line.slice(start, end).includes("=")) {
      return listEnd(line, start, end + 2);
    }
    end++;
  }
  return end;
}

function listEnd(line: string, start: number, from: number): number {
  for (let end = line.indexOf(")", from); end >= 0; end = line.indexOf(")", end + 1)) {
    if (end + 1 === line.length || isSpace(line[end + 1])) return end + 1;
  }
  throw new TraceFormatError(`a list needs a closing parenthesis: ${line.slice(start)}`);
}

function parseWord(text: string): Argument {
  const equals = text.indexOf("=");
  if (equals < 0) return { key: text, values: undefined, text };
  const key = text.slice(0, equals);
  const value = text.slice(equals + 1);
  if (!value.startsWith("(")) return { key, values: [value], text };
  const inner = value.slice(1, -1).trim();
  return { key, values: inner === "" ? [] : inner.split(",").map((item) => item.trim()), text };
}

function isBlank(line: string): boolean {
  return line.trim() === "";
}

function isSpace(character: string): boolean {
  return character === " " || character === "\t";
}
