/**
 * Which tests a runtime skips, from `tests/runtimes.json`, the one list of what a runtime cannot do.
 */
import { readFileSync } from "node:fs";
import { currentRuntime } from "../scripts/package/runtimes.ts";

/** A test file that some runtimes skip. */
export interface SkippedTest {
  readonly test: string;
  readonly on: readonly string[];
  readonly reason: string;
}

/** Something a runtime cannot do, and what is done instead. */
export interface RuntimeLimit {
  readonly runtime: string;
  readonly cannot: string;
  readonly reason: string;
  readonly instead: string;
}

/** The list. */
export const RUNTIME_LIST: {
  readonly skipped: readonly SkippedTest[];
  readonly limits: readonly RuntimeLimit[];
} = JSON.parse(readFileSync(new URL("./runtimes.json", import.meta.url), "utf8"));

/** Why this runtime skips a test file, for the option `skip`; false when it does not. */
export function skipHere(test: string): string | false {
  const { name } = currentRuntime();
  const found = RUNTIME_LIST.skipped.find((one) => one.test === test && one.on.includes(name));
  return found?.reason ?? false;
}
