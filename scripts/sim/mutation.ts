/**
 * `deno task sim:mutation [--seeds COUNT] [--jobs COUNT] [PART OF A NAME]…`: breaks rules of the core,
 * the peer, the sessions, the codec, the storage and the disk, one at a time on copies of the sources,
 * and says after how many seeds the simulator notices. A rule whose breaking it does not notice within
 * 4,000 seeds, or as many as told, fails the task.
 *
 * @module
 */

import { spawn } from "node:child_process";
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { integer, readCommandLine } from "../command_line.ts";
import type { Rule } from "../mutation/rule.ts";
import { broken } from "../mutation/workspace.ts";
import { PROJECT_ROOT } from "../project_files.ts";
import { CORE_MUTANTS } from "./mutation/core_mutants.ts";
import { NODE_MUTANTS } from "./mutation/node_mutants.ts";
import { SESSION_MUTANTS } from "./mutation/session_mutants.ts";
import { WORLD_MUTANTS } from "./mutation/world_mutants.ts";
import type { Summary } from "./seeds.ts";

const COPIED = [
  "src/raft",
  "src/wire",
  "src/storage",
  "src/transport",
  "src/node",
  "src/sim",
  "scripts/sim",
  "package.json",
];
const SEEDS_PER_RANGE = 5;

/** Every rule that is broken; files are from `src`. */
export const MUTANTS: readonly Rule[] = [
  ...CORE_MUTANTS,
  ...NODE_MUTANTS,
  ...SESSION_MUTANTS,
  ...WORLD_MUTANTS,
];

/** How a broken rule was noticed. */
interface Verdict {
  readonly rule: Rule;
  /** How many seeds it took; undefined when it was not noticed. */
  readonly seeds: number | undefined;
  readonly message: string;
}

/** Fails loudly when a rule's text is not found exactly once. */
export function checkMutants(mutants: readonly Rule[]): void {
  for (const mutant of mutants) {
    broken(mutant, readFileSync(join(PROJECT_ROOT, "src", mutant.file), "utf8"));
  }
}

async function tryMutant(rule: Rule, seedsMax: number): Promise<Verdict> {
  const root = mkdtempSync(join(tmpdir(), "flaredb-sim-mutation-"));
  try {
    for (const path of COPIED) {
      mkdirSync(dirname(join(root, path)), { recursive: true });
      cpSync(join(PROJECT_ROOT, path), join(root, path), { recursive: true });
    }
    symlinkSync(join(PROJECT_ROOT, "node_modules"), join(root, "node_modules"));
    writeFileSync(join(root, "deno.json"), `{"nodeModulesDir":"manual"}`);
    const path = join(root, "src", rule.file);
    writeFileSync(path, broken(rule, readFileSync(path, "utf8")));
    return { rule, ...await simulateUntilFailure(join(root, "scripts/sim/worker.ts"), seedsMax) };
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

async function simulateUntilFailure(
  worker: string,
  seedsMax: number,
): Promise<{ seeds: number | undefined; message: string }> {
  const isDeno = "deno" in process.versions;
  const args = isDeno ? ["run", "-A", "--no-check", worker] : [worker];
  const child = spawn(process.execPath, args, { stdio: ["pipe", "pipe", "pipe"] });
  let errors = "";
  child.stderr.on("data", (data) => errors += String(data));
  const ended = new Promise<void>((resolve) => child.on("close", () => resolve()));
  let next = 0;
  const send = (): void => {
    const range = { from: next, to: next + SEEDS_PER_RANGE, options: {} };
    child.stdin.write(`${JSON.stringify(range)}\n`);
    next = range.to;
  };
  let found: Verdict | undefined;
  send();
  for await (const line of createInterface({ input: child.stdout })) {
    const { failed } = JSON.parse(line) as Summary;
    if (failed.length > 0) {
      const { seed, message } = failed[0];
      found = { seeds: seed + 1, message } as Verdict;
    }
    if (found !== undefined || next >= seedsMax) break;
    send();
  }
  child.stdin.end();
  await ended;
  if (errors !== "") return { seeds: next, message: `(the simulator fails) ${errors}` };
  return found ?? { seeds: undefined, message: "SURVIVED" };
}

const USAGE = `deno task sim:mutation [options] [PART …]

Breaks one rule after another, those whose name or file contains a PART, and says how many seeds the
simulator needs to notice each.

  --seeds N  how many it may need (default 4000)
  --jobs N   rules at a time (default 2)
`;

const OPTIONS = {
  allowPositionals: true,
  options: {
    seeds: { type: "string", default: "4000" },
    jobs: { type: "string", default: "2" },
  },
} as const;

async function main(): Promise<void> {
  const { parts, seedsMax, jobs } = readCommandLine(
    USAGE,
    OPTIONS,
    ({ values, positionals }) => ({
      parts: positionals,
      seedsMax: integer("seeds", values.seeds, 1),
      jobs: integer("jobs", values.jobs, 1, 256),
    }),
  );
  checkMutants(MUTANTS);
  const waiting = MUTANTS.filter(({ name, file }) =>
    parts.length === 0 || parts.some((part) => name.includes(part) || file.includes(part))
  );
  const survivors: Rule[] = [];
  const work = async (): Promise<void> => {
    for (let rule = waiting.shift(); rule !== undefined; rule = waiting.shift()) {
      const { seeds, message } = await tryMutant(rule, seedsMax);
      if (seeds === undefined) survivors.push(rule);
      const first = message.split("\n")[0].slice(0, 150);
      console.log(`| ${rule.file} | ${rule.name} | ${seeds ?? "-"} | ${first} |`);
    }
  };
  console.log("| file | broken rule | seeds | noticed as |\n|---|---|---|---|");
  await Promise.all(Array.from({ length: jobs }, work));
  console.log(`${survivors.length} rules survived`);
  for (const { file, name } of survivors) console.error(`SURVIVED: ${file}: ${name}`);
  if (survivors.length > 0) process.exitCode = 1;
}

if (import.meta.main) await main();
