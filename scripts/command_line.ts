/**
 * The command lines of tasks: their options, integers within bounds, `--help`, and what happens when
 * one makes no sense.
 *
 * @module
 */

import process from "node:process";
import { parseArgs, type ParseArgsConfig } from "node:util";

/** An integer that an option gives. @throws Error when it is none from `least` to `most`. */
export function integer(
  name: string,
  text: string,
  least: number,
  most = Number.MAX_SAFE_INTEGER,
): number {
  const value = /^\d{1,16}$/.test(text) ? Number(text) : NaN;
  if (value >= least && value <= most) return value;
  const bounds = most === Number.MAX_SAFE_INTEGER ? `>= ${least}` : `from ${least} to ${most}`;
  throw new Error(`--${name} must be an integer ${bounds}: it is "${text}"`);
}

/**
 * What `read` makes of a task's command line. `--help` prints the usage, what does not fit prints why
 * beside it; both end the process, the second with exit code 2.
 */
export function readCommandLine<Config extends ParseArgsConfig, Options>(
  usage: string,
  config: Config,
  read: (parsed: ReturnType<typeof parseArgs<Config>>) => Options,
): Options {
  if (process.argv.slice(2).includes("--help")) {
    console.log(usage);
    process.exit(0);
  }
  try {
    return read(parseArgs(config));
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : error}\n\n${usage}`);
    process.exit(2);
  }
}
