/**
 * One trial of the mutation task: a copy of the sources in a temporary folder, in which a rule is broken,
 * and a worker that simulates seeds there until one fails. A worker that fails in another way, or falls
 * silent, says nothing about the simulator: the rule's text is no good then, and the trial says so.
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
import type { Rule } from "../../mutation/rule.ts";
import { broken } from "../../mutation/workspace.ts";
import { PROJECT_ROOT } from "../../project_files.ts";
import type { Summary } from "../seeds.ts";

/** What a worker needs. */
const COPIED = [
  "src/raft",
  "src/wire",
  "src/storage",
  "src/transport",
  "src/node",
  "src/sim",
  "scripts/sim",
  "scripts/command_line.ts",
  "package.json",
];
const SEEDS_PER_RANGE = 5;

/** How far a trial goes. */
export interface TrialLimits {
  /** Seeds that may pass until one has to fail, from seed 0. */
  readonly seedsMax: number;
  /** How long a worker may take for five seeds, its start included, before it is killed. */
  readonly silenceMsMax: number;
}

/** What became of a rule that was broken. */
export type Verdict =
  /** A property did not hold: with the last of so many seeds. */
  | { readonly kind: "noticed"; readonly seeds: number; readonly message: string }
  /** All seeds passed. */
  | { readonly kind: "survived" }
  /** The sources do not run any more: the rule's text has to be mended. */
  | { readonly kind: "unusable"; readonly message: string };

/** Breaks a rule on a copy of the sources, or none, and simulates there. */
export async function tryRule(rule: Rule | undefined, limits: TrialLimits): Promise<Verdict> {
  const root = mkdtempSync(join(tmpdir(), "flaredb-sim-mutation-"));
  try {
    for (const path of COPIED) {
      mkdirSync(dirname(join(root, path)), { recursive: true });
      cpSync(join(PROJECT_ROOT, path), join(root, path), { recursive: true });
    }
    symlinkSync(join(PROJECT_ROOT, "node_modules"), join(root, "node_modules"));
    writeFileSync(join(root, "deno.json"), `{"nodeModulesDir":"manual"}`);
    if (rule !== undefined) {
      const path = join(root, "src", rule.file);
      writeFileSync(path, broken(rule, readFileSync(path, "utf8")));
    }
    return await new Trial(join(root, "scripts/sim/worker.ts"), limits).run();
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

/** The worker of one trial. */
class Trial {
  readonly #limits: TrialLimits;
  readonly #child;
  /** The worker's exit code or signal, once it is gone. */
  readonly #ended: Promise<string>;
  #errors = "";
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isSilent = false;

  constructor(worker: string, limits: TrialLimits) {
    this.#limits = limits;
    const args = "deno" in process.versions ? ["run", "-A", "--no-check", worker] : [worker];
    const child = spawn(process.execPath, args, {
      env: { ...process.env, NO_COLOR: "1" },
      stdio: ["pipe", "pipe", "pipe"],
    });
    child.stderr.on("data", (data) => this.#errors += String(data));
    // A worker that is gone cannot be asked; why it is gone says its end.
    child.stdin.on("error", () => {});
    this.#ended = new Promise((resolve, reject) => {
      child.on("error", reject);
      child.on("close", (code, signal) => resolve(signal ?? `exit code ${code}`));
    });
    this.#child = child;
  }

  async run(): Promise<Verdict> {
    try {
      return await this.#simulate();
    } finally {
      clearTimeout(this.#timer);
      this.#child.kill("SIGKILL");
    }
  }

  async #simulate(): Promise<Verdict> {
    let failure: Summary["failed"][number] | undefined;
    let seeds = 0;
    this.#ask(seeds);
    for await (const line of createInterface({ input: this.#child.stdout })) {
      const summary = JSON.parse(line) as Summary;
      seeds += summary.seeds;
      failure = summary.failed[0];
      if (failure !== undefined || seeds >= this.#limits.seedsMax) break;
      this.#ask(seeds);
    }
    this.#child.stdin.end();
    const end = await this.#ended;
    if (failure !== undefined) return verdictOn(failure);
    if (this.#isSilent) {
      const message = `no answer within ${this.#limits.silenceMsMax / 1000} s after ${seeds} seeds`;
      return { kind: "unusable", message };
    }
    const isWell = end === "exit code 0" && this.#errors === "" && seeds >= this.#limits.seedsMax;
    if (isWell) return { kind: "survived" };
    const message = `the worker ended with ${end} after ${seeds} seeds: ${mainLine(this.#errors)}`;
    return { kind: "unusable", message };
  }

  /** Has the worker run the next seeds, and kills it if it does not answer, or does not end after. */
  #ask(from: number): void {
    const { seedsMax, silenceMsMax } = this.#limits;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#isSilent = true;
      this.#child.kill("SIGKILL");
    }, silenceMsMax);
    const range = { from, to: Math.min(seedsMax, from + SEEDS_PER_RANGE), options: {} };
    this.#child.stdin.write(`${JSON.stringify(range)}\n`);
  }
}

/** What the runtimes say of a name that does not exist; Bun leaves out the class where there is no stack. */
const MISSING_NAME = /ReferenceError|\w is not defined$/m;

/** A name that does not exist is a flaw of the rule's text: it would be noticed whatever the rule is. */
function verdictOn({ seed, message }: Summary["failed"][number]): Verdict {
  return MISSING_NAME.test(message)
    ? { kind: "unusable", message }
    : { kind: "noticed", seeds: seed + 1, message };
}

/** The line of a runtime's complaint that names the error. */
function mainLine(errors: string): string {
  const lines = errors.trim().split("\n");
  return lines.find((line) => /^\W?\w*error\b/i.test(line)) ?? lines[0];
}
