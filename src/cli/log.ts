/**
 * The log of a node on the command line: one line a message, with the time of day and the level.
 *
 * @module
 */

import type { Logger } from "../raft/mod.ts";
import { UsageError } from "./errors.ts";

const LEVELS = ["debug", "info", "warn", "error"] as const;

/** How important a message must be to be written. */
export type LogLevel = (typeof LEVELS)[number];

/** Reads the name of a level. @throws UsageError when it is none. */
export function parseLogLevel(text: string): LogLevel {
  const level = LEVELS.find((one) => one === text);
  if (level === undefined) {
    throw new UsageError(`--log-level must be one of ${LEVELS.join(", ")}: it is "${text}"`);
  }
  return level;
}

/** A logger that writes messages of at least `level` as lines, by `write`. */
export function lineLogger(
  level: LogLevel,
  write: (line: string) => void,
  now: () => Date = () => new Date(),
): Logger {
  const least = LEVELS.indexOf(level);
  const at = (name: LogLevel) => (text: string): void => {
    if (LEVELS.indexOf(name) < least) return;
    const flat = text.replaceAll("\n", " ");
    write(`${now().toISOString().slice(11, 23)} ${name.padEnd(5)} ${flat}\n`);
  };
  return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
}
