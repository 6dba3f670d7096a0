/**
 * `deno task sim:mutation [--seeds COUNT] [--jobs COUNT] [--minutes COUNT] [PART OF A NAME]…`: breaks
 * rules of the core, the peer, the sessions, the codec, the storage and the disk, one at a time on copies
 * of the sources, and says after how many seeds the simulator notices. A rule whose breaking it does not
 * notice within 4,000 seeds, or as many as told, fails the task; so does one with which the sources do
 * not run at all, as nobody then knows what the simulator would have noticed.
 *
 * @module
 */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { integer, readCommandLine } from "../command_line.ts";
import type { Rule } from "../mutation/rule.ts";
import { broken } from "../mutation/workspace.ts";
import { PROJECT_ROOT } from "../project_files.ts";
import { CORE_MUTANTS } from "./mutation/core_mutants.ts";
import { NODE_MUTANTS } from "./mutation/node_mutants.ts";
import { SESSION_MUTANTS } from "./mutation/session_mutants.ts";
import { type TrialLimits, tryRule, type Verdict } from "./mutation/trial.ts";
import { WORLD_MUTANTS } from "./mutation/world_mutants.ts";

/** Seeds that have to pass with no rule broken, before any is. */
const INTACT_SEEDS = 100;

/** Every rule that is broken; files are from `src`. */
export const MUTANTS: readonly Rule[] = [
  ...CORE_MUTANTS,
  ...NODE_MUTANTS,
  ...SESSION_MUTANTS,
  ...WORLD_MUTANTS,
];

/** Fails loudly when a rule's text is not found exactly once, or two rules are called the same. */
export function checkMutants(mutants: readonly Rule[]): void {
  const names = new Set<string>();
  for (const mutant of mutants) {
    if (names.has(mutant.name)) throw new Error(`two rules are called "${mutant.name}"`);
    names.add(mutant.name);
    broken(mutant, readFileSync(join(PROJECT_ROOT, "src", mutant.file), "utf8"));
  }
}

/**
 * Tries rules, `jobs` at a time, and prints a row of a table for each; returns what fails the task, one
 * line for each rule that survived or with which the sources do not run.
 */
export async function tryRules(
  rules: readonly Rule[],
  jobs: number,
  limits: TrialLimits,
  print: (line: string) => void,
): Promise<string[]> {
  const waiting = [...rules];
  const failures: string[] = [];
  const work = async (): Promise<void> => {
    for (let rule = waiting.shift(); rule !== undefined; rule = waiting.shift()) {
      const verdict = await tryRule(rule, limits);
      print(rowOf(rule, verdict));
      const failure = failureOf(rule, verdict);
      if (failure !== undefined) failures.push(failure);
    }
  };
  print("| file | broken rule | seeds | noticed as |\n|---|---|---|---|");
  await Promise.all(Array.from({ length: jobs }, work));
  return failures;
}

function rowOf({ file, name }: Rule, verdict: Verdict): string {
  const message = verdict.kind === "survived" ? "SURVIVED" : verdict.message.split("\n")[0];
  const told = verdict.kind === "unusable" ? `UNUSABLE: ${message}` : message;
  const seeds = verdict.kind === "noticed" ? verdict.seeds : "-";
  return `| ${file} | ${name} | ${seeds} | ${told.slice(0, 150)} |`;
}

function failureOf({ file, name }: Rule, verdict: Verdict): string | undefined {
  switch (verdict.kind) {
    case "noticed":
      return undefined;
    case "survived":
      return `SURVIVED: ${file}: ${name}`;
    case "unusable":
      return `UNUSABLE: ${file}: ${name}: ${verdict.message}`;
  }
}

const USAGE = `deno task sim:mutation [options] [PART …]

Breaks one rule after another, those whose name or file contains a PART, and says how many seeds the
simulator needs to notice each. Fails when it does not notice one, or when the sources do not run with
one: its text has to be mended then.

  --seeds N    how many it may need (default 4000)
  --jobs N     rules at a time (default 2)
  --minutes N  how long five seeds may take, before a rule is given up (default 5)
`;

const OPTIONS = {
  allowPositionals: true,
  options: {
    seeds: { type: "string", default: "4000" },
    jobs: { type: "string", default: "2" },
    minutes: { type: "string", default: "5" },
  },
} as const;

async function main(): Promise<void> {
  const { parts, limits, jobs } = readCommandLine(
    USAGE,
    OPTIONS,
    ({ values, positionals }) => ({
      parts: positionals,
      limits: {
        seedsMax: integer("seeds", values.seeds, 1),
        silenceMsMax: integer("minutes", values.minutes, 1, 1440) * 60_000,
      },
      jobs: integer("jobs", values.jobs, 1, 256),
    }),
  );
  checkMutants(MUTANTS);
  const intact = await tryRule(undefined, { ...limits, seedsMax: INTACT_SEEDS });
  if (intact.kind !== "survived") throw new Error(`the intact sources fail: ${intact.message}`);
  const chosen = MUTANTS.filter(({ name, file }) =>
    parts.length === 0 || parts.some((part) => name.includes(part) || file.includes(part))
  );
  const failures = await tryRules(chosen, jobs, limits, console.log);
  console.log(`${chosen.length - failures.length} of ${chosen.length} broken rules noticed`);
  for (const failure of failures) console.error(failure);
  if (failures.length > 0) process.exitCode = 1;
}

if (import.meta.main) await main();
