/**
 * The shape of a command, how its arguments are read, and how its help is written: one description
 * of every option serves both.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { messageOf, UsageError } from "./errors.ts";
import type { Terminal } from "./terminal.ts";

/** An option of a command. */
export interface CommandOption {
  /** What the help calls its value, such as `"DIR"`; absent for a switch. */
  readonly value?: string;
  /** What it is for, with its unit and default. */
  readonly help: string;
}

/** One command of `flaredb`. */
export interface Command {
  readonly name: string;
  /** One line for the list of commands. */
  readonly summary: string;
  /** The arguments, as the help shows them: `"KEY [VALUE]"`. */
  readonly positionals: string;
  /** How many arguments it takes, from and to. */
  readonly positionalCount: readonly [min: number, max: number];
  /** What it does, in a few sentences. */
  readonly description: string;
  readonly options: Readonly<Record<string, CommandOption>>;
  /** Command lines that show its use. */
  readonly examples: readonly string[];
  /** Runs it. Resolves with the exit code; throws UsageError or CommandFailedError. */
  run(invocation: Invocation, terminal: Terminal): Promise<number>;
}

/** The arguments of one run of a command. */
export class Invocation {
  /** The arguments that are not options. */
  readonly positionals: readonly string[];
  private readonly values: Readonly<Record<string, string | boolean | undefined>>;

  constructor(
    positionals: readonly string[],
    values: Readonly<Record<string, string | boolean | undefined>>,
  ) {
    this.positionals = positionals;
    this.values = values;
  }

  /** Whether a switch is on. */
  has(name: string): boolean {
    return this.values[name] !== undefined;
  }

  /** The text of an option, or undefined. */
  text(name: string): string | undefined {
    const value = this.values[name];
    return typeof value === "string" ? value : undefined;
  }

  /** The text of an option that must be given. @throws UsageError when it is not. */
  requiredText(name: string): string {
    const value = this.text(name);
    if (value === undefined || value === "") throw new UsageError(`--${name} is required`);
    return value;
  }

  /** The integer of an option. @throws UsageError when it is no integer from `min` to `max`. */
  integer(name: string, fallback: number, min: number, max: number): number {
    const value = this.text(name);
    return value === undefined ? fallback : parseInteger(`--${name}`, value, min, max);
  }
}

/** Reads an integer. @throws UsageError naming `name` when it is none from `min` to `max`. */
export function parseInteger(name: string, text: string, min: number, max: number): number {
  const value = /^\d{1,16}$/.test(text) ? Number(text) : NaN;
  if (!Number.isSafeInteger(value) || value < min || value > max) {
    throw new UsageError(`${name} must be an integer from ${min} to ${max}: it is "${text}"`);
  }
  return value;
}

/** Reads the arguments after the command's name. @throws UsageError when they do not fit. */
export function parseInvocation(command: Command, args: readonly string[]): Invocation {
  const options = Object.fromEntries(
    Object.entries(command.options).map(([name, option]) => [
      name,
      { type: option.value === undefined ? "boolean" : "string" } as const,
    ]),
  );
  let parsed: ReturnType<typeof parseArgs>;
  try {
    parsed = parseArgs({
      args: [...args],
      options,
      allowPositionals: true,
      strict: true,
      tokens: true,
    });
  } catch (error) {
    const [firstLine] = messageOf(error).split("\n");
    throw new UsageError(firstLine.split(". To specify")[0].replace(/\.$/, ""));
  }
  refuseRepeatedOptions(parsed.tokens ?? []);
  const [min, max] = command.positionalCount;
  const count = parsed.positionals.length;
  if (count < min) throw new UsageError(`arguments are missing: expected ${command.positionals}`);
  if (count > max) {
    throw new UsageError(
      max === 0
        ? `${command.name} takes no arguments: found "${parsed.positionals[0]}"`
        : `too many arguments: expected ${command.positionals}, found ${count}`,
    );
  }
  return new Invocation(
    parsed.positionals,
    parsed.values as Record<string, string | boolean | undefined>,
  );
}

function refuseRepeatedOptions(tokens: readonly { kind: string; name?: string }[]): void {
  const seen = new Set<string>();
  for (const token of tokens) {
    if (token.kind !== "option" || token.name === undefined) continue;
    if (seen.has(token.name)) throw new UsageError(`--${token.name} is given twice`);
    seen.add(token.name);
  }
}

/** The help of one command. */
export function commandHelp(command: Command): string {
  const usage = ["flaredb", command.name, "[options]", command.positionals].filter(Boolean);
  const options = Object.entries(command.options).map(([name, option]) =>
    [option.value === undefined ? `--${name}` : `--${name} ${option.value}`, option.help] as const
  );
  return [
    `${command.summary}\n`,
    `Usage: ${usage.join(" ")}\n`,
    `${wrap(command.description, "")}\n`,
    "Options:",
    ...twoColumns([...options, ["--help", "show this help"]]),
    "",
    "Examples:",
    ...command.examples.map((example) => `  ${example}`),
    "",
  ].join("\n");
}

const COLUMNS = 100;

/** Lays out rows of a short and a long text as lines of at most 100 columns. */
export function twoColumns(rows: readonly (readonly [string, string])[]): string[] {
  const width = Math.max(...rows.map(([left]) => left.length)) + 4;
  return rows.map(([left, right]) =>
    `  ${left.padEnd(width - 2)}${wrap(right, " ".repeat(width))}`
  );
}

function wrap(text: string, indent: string): string {
  const lines: string[] = [];
  for (const paragraph of text.split("\n")) {
    let line = "";
    for (const word of paragraph.split(" ")) {
      if (line !== "" && indent.length + line.length + 1 + word.length > COLUMNS) {
        lines.push(line);
        line = word;
      } else line = line === "" ? word : `${line} ${word}`;
    }
    lines.push(line);
  }
  return lines.join("\n" + indent);
}
