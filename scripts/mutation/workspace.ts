/**
 * A copy of the core and its tests in a temporary folder, in which rules are broken one at a time.
 *
 * @module
 */

import { spawn } from "node:child_process";
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import process from "node:process";
import { PROJECT_ROOT } from "../project_files.ts";
import type { Rule } from "./rule.ts";

/** What the tests need. */
const COPIED = [
  "src/raft",
  "src/wire",
  "src/storage",
  "proto",
  "scripts/conformance",
  "tests/raft",
  "tests/interaction",
  "package.json",
];
/** The random and the slow: what they find, the others must find as well. */
const LEFT_OUT = ["fuzz_test.ts", "browser_test.ts"];
/** Last, as they take longer: those that draw many examples. */
const LAST = [
  "quorum_test.ts",
  "unstable_test.ts",
  "raft_log_test.ts",
  "changer_test.ts",
  "conf_change_codec_test.ts",
  "inflights_test.ts",
  "equivalence_test.ts",
];
/** The scenarios on memory storage alone: what is broken is the core. */
const SCENARIOS = `
import assert from "node:assert/strict";
import { test } from "node:test";
import { describeFailure, findTraces } from "./scripts/conformance/main.ts";
import { runFile } from "./scripts/conformance/runner.ts";

for (const file of await findTraces(["tests/interaction"])) {
  test("scenario " + file, async () => {
    const { failures } = await runFile(file, "memory");
    assert.equal(failures.map((failure) => describeFailure(file, failure)).join("\\n"), "");
  });
}
`;
const TIMEOUT_MS = 60_000;

/** The outcome of the tests on a broken core. */
export interface Outcome {
  /** The first test that failed; undefined when all passed. */
  readonly caughtBy: string | undefined;
  readonly seconds: number;
}

/** One copy. */
export class Workspace {
  readonly #root: string;

  constructor() {
    this.#root = mkdtempSync(join(tmpdir(), "flaredb-mutation-"));
    for (const path of COPIED) {
      mkdirSync(dirname(join(this.#root, path)), { recursive: true });
      cpSync(join(PROJECT_ROOT, path), join(this.#root, path), { recursive: true });
    }
    symlinkSync(join(PROJECT_ROOT, "node_modules"), join(this.#root, "node_modules"));
    writeFileSync(join(this.#root, "deno.json"), `{"nodeModulesDir":"manual"}`);
    this.#writeIndex();
  }

  /** One module that imports all tests: one start of the runtime instead of one a file. */
  #writeIndex(): void {
    const names = readdirSync(join(this.#root, "tests/raft"))
      .filter((name) => name.endsWith("_test.ts") && !LEFT_OUT.includes(name))
      .sort((a, b) => LAST.indexOf(a) - LAST.indexOf(b) || (a < b ? -1 : 1));
    const imports = names.map((name) => `import "./tests/raft/${name}";\n`);
    writeFileSync(join(this.#root, "core_test.ts"), imports.join(""));
    writeFileSync(join(this.#root, "scenarios_test.ts"), SCENARIOS);
  }

  /** Breaks a rule, runs the tests, mends it again. */
  async try(rule: Rule): Promise<Outcome> {
    const path = join(this.#root, "src/raft", rule.file);
    const intact = readFileSync(path, "utf8");
    writeFileSync(path, broken(rule, intact));
    try {
      return await this.test();
    } finally {
      writeFileSync(path, intact);
    }
  }

  /** Runs the core's tests, and the scenarios if those pass. */
  async test(): Promise<Outcome> {
    const start = performance.now();
    const caughtBy = await this.#run("core_test.ts") ?? await this.#run("scenarios_test.ts");
    return { caughtBy, seconds: (performance.now() - start) / 1000 };
  }

  /** The first failure of a test file. */
  #run(file: string): Promise<string | undefined> {
    const args = process.versions.deno === undefined
      ? ["--test", "--test-isolation=none", "--test-reporter=tap", file]
      : ["test", "-A", "--no-check", "--fail-fast", file];
    const child = spawn(process.execPath, args, {
      cwd: this.#root,
      env: { ...process.env, NO_COLOR: "1" },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    let failure: string | undefined;
    const fail = (why: string | undefined) => {
      if (why === undefined || failure !== undefined) return;
      failure = why;
      child.kill("SIGKILL");
    };
    const collect = (data: unknown) => {
      output += String(data);
      fail(firstFailure(output));
    };
    child.stdout.on("data", collect);
    child.stderr.on("data", collect);
    const timer = setTimeout(() => fail("(the tests do not come to an end)"), TIMEOUT_MS);
    return new Promise((resolve, reject) => {
      child.on("error", reject);
      child.on("close", (code) => {
        clearTimeout(timer);
        if (code !== 0) fail(`(no test ran) ${output.trim().slice(0, 300)}`);
        resolve(failure);
      });
    });
  }

  close(): void {
    rmSync(this.#root, { recursive: true, force: true });
  }
}

/** The text of a file with the rule broken. @throws Error unless the text is found exactly once. */
export function broken({ name, file, search, replace }: Rule, intact: string): string {
  const count = intact.split(search).length - 1;
  if (count !== 1) {
    throw new Error(
      `cannot break "${name}": its text occurs ${count} times in ${file}:\n${search}`,
    );
  }
  return intact.replace(search, () => replace);
}

/** The name of the first test that is reported as failed, by Deno or by Node. */
function firstFailure(output: string): string | undefined {
  return /^(.+?) \.\.\. FAILED/m.exec(output)?.[1] ?? /^not ok \d+ - (.+)$/m.exec(output)?.[1];
}
