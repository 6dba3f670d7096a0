/**
 * Reads the arguments of a command by name and type. Every argument must be asked for: one that no
 * command reads is a mistake in the trace and fails its block.
 *
 * @module
 */

import type { ByteString } from "./byte_string.ts";
import { type Argument, type Block, TraceFormatError } from "./parser.ts";

/** Commands that take an argument as written; what looks like an option may be there twice. */
const TEXT_COMMANDS: ReadonlySet<string> = new Set(["propose", "read-index"]);

/** The arguments of one block, consumed by the command that runs it. */
export class Arguments {
  readonly command: ByteString;
  readonly input: readonly ByteString[];
  readonly #remaining: Argument[];

  constructor(block: Block) {
    this.command = block.command;
    this.input = block.input;
    this.#remaining = [...block.arguments];
    const keys = block.arguments.filter((it) => it.values !== undefined).map((it) => it.key);
    const twice = keys.find((key, position) => keys.indexOf(key) !== position);
    if (twice !== undefined && !TEXT_COMMANDS.has(block.command)) {
      throw new TraceFormatError(`${block.command} takes ${twice} once: found it twice`);
    }
  }

  /** Takes the next argument, word or option; undefined when nothing is left. */
  next(): Argument | undefined {
    return this.#remaining.shift();
  }

  /** Takes the next argument as written, whatever bytes it has. */
  text(name: string): ByteString {
    const argument = this.next();
    if (argument === undefined) throw this.#missing(name);
    return argument.text;
  }

  /** Takes the next bare word. */
  word(name: string): ByteString {
    const position = this.#remaining.findIndex((argument) => argument.values === undefined);
    if (position < 0) throw this.#missing(name);
    return this.#remaining.splice(position, 1)[0].key;
  }

  /** Takes the next bare word as an integer. */
  integer(name: string): number {
    return parseInteger(name, this.word(name));
  }

  /** Takes all remaining bare words as integers. */
  integers(name: string): number[] {
    const integers: number[] = [];
    while (this.#remaining.some((argument) => argument.values === undefined)) {
      integers.push(this.integer(name));
    }
    return integers;
  }

  /** Takes an option with any number of values; undefined when it is absent. */
  list(key: string): readonly ByteString[] | undefined {
    const position = this.#remaining.findIndex((it) => it.key === key && it.values !== undefined);
    return position < 0 ? undefined : this.#remaining.splice(position, 1)[0].values;
  }

  /** Takes an option with any number of integers. */
  integerList(key: string): number[] | undefined {
    return this.list(key)?.map((value) => parseInteger(key, value));
  }

  /** Takes an option with one value. */
  option(key: string): ByteString | undefined {
    const values = this.list(key);
    if (values === undefined) return undefined;
    if (values.length !== 1) {
      throw new TraceFormatError(`${key} takes one value: found ${values.length}`);
    }
    return values[0];
  }

  /** Takes an option with one integer. */
  integerOption(key: string): number | undefined {
    const value = this.option(key);
    return value === undefined ? undefined : parseInteger(key, value);
  }

  /** Takes an option that is true or false. */
  booleanOption(key: string): boolean | undefined {
    const value = this.option(key);
    if (value === undefined) return undefined;
    if (/^(1|t|T|true|TRUE|True)$/.test(value)) return true;
    if (/^(0|f|F|false|FALSE|False)$/.test(value)) return false;
    throw new TraceFormatError(`${key} must be true or false: found ${value}`);
  }

  /** Checks that nothing is left. @throws TraceFormatError naming what is. */
  finish(): void {
    const rest = this.#remaining[0];
    if (rest !== undefined) {
      throw new TraceFormatError(`${this.command} does not take ${rest.text}`);
    }
  }

  #missing(name: string): TraceFormatError {
    return new TraceFormatError(`${this.command} needs ${name}: found none`);
  }
}

/** Reads an integer, which may be negative. @throws TraceFormatError when it is none. */
export function parseInteger(name: string, text: ByteString): number {
  const value = Number(text);
  if (!/^-?[0-9]+$/.test(text) || !Number.isSafeInteger(value)) {
    throw new TraceFormatError(`${name} must be an integer: found ${text}`);
  }
  return value;
}
