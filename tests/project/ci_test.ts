/** What `.ci/run` adds up and prints, with runners that only pretend: the real ones run this test. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { PROJECT_ROOT } from "../../scripts/project_files.ts";
import {
  hasProgram,
  type Sandbox,
  type TestProcess,
  until,
  withSandbox,
} from "../process/support.ts";

const missing = ["bash", "git", "timeout", "env"].filter((name) => !hasProgram(name));
const skip = missing.length > 0 ? `not installed: ${missing.join(", ")}` : false;

/** What the runners write at their end, each in its own way. */
const GOOD = {
  deno: "a ... ok (1ms)\nb ... ok (2ms)\n\nok | 200 passed | 0 failed | 3 ignored (5m20s)",
  node: "✔ a (1ms)\nℹ tests 33\nℹ pass 30\nℹ fail 0",
  bun: "(pass) a [1.00ms]\n\n 4 pass\n 0 fail\nRan 4 tests across 2 files. [1.00s]",
  checks: "ok: packed it\nok: publint finds nothing",
  node22: "ok 1 - a\n# tests 33\n# pass 1000\n# fail 0",
};

type Runner = keyof typeof GOOD;

/** Starts `.ci/run` in a repository of its own, with runners that run these scripts of the shell. */
function start(
  sandbox: Sandbox,
  scripts: Partial<Record<Runner, string>>,
  seconds: number,
): TestProcess {
  const repository = join(sandbox.folder, "repository");
  const programs = join(sandbox.folder, "programs");
  for (const folder of [join(repository, ".ci"), programs]) mkdirSync(folder, { recursive: true });
  copyFileSync(join(PROJECT_ROOT, ".ci/run"), join(repository, ".ci/run"));
  const author = ["-c", "user.name=tests", "-c", "user.email=tests@example.com"];
  for (const args of [["init", "-q"], ["add", "."], [...author, "commit", "-q", "-m", "one"]]) {
    assert.equal(spawnSync("git", args, { cwd: repository }).status, 0, args.join(" "));
  }
  const run = (name: Runner) => `${scripts[name] ?? `cat <<'END'\n${GOOD[name]}\nEND`}\n;;`;
  const npx = [
    'case "$*" in',
    `*deno*test) ${run("deno")}`,
    `*node@24*) ${run("node")}`,
    `*bun*) ${run("bun")}`,
    `*build:npm) ${run("checks")}`,
    `*node@22*) ${run("node22")}`,
    "esac",
  ];
  for (const name of ["npx", "etcdctl", "strace", "chromium", "apt-get"]) {
    const text = `#!/usr/bin/env bash\n${name === "npx" ? npx.join("\n") : ""}\n`;
    writeFileSync(join(programs, name), text);
    chmodSync(join(programs, name), 0o755);
  }
  const path = `${programs}${delimiter}${process.env.PATH}`;
  return sandbox.spawn("env", [
    `PATH=${path}`,
    `CI_SECONDS=${seconds}`,
    join(repository, ".ci/run"),
  ], "");
}

function lastLine({ standardOutput }: TestProcess): string | undefined {
  return standardOutput.trimEnd().split("\n").at(-1);
}

const SECONDS = 2_000;

test(
  "the last line sums up what all runners report",
  { skip },
  () =>
    withSandbox(async (sandbox) => {
      const ci = start(sandbox, {}, SECONDS);
      assert.equal(await ci.exitCode(), 0, ci.transcript());
      assert.equal(lastLine(ci), "1236 passed, 0 failed");
    }),
);

test(
  "failed tests, runners that end badly and runners without a test are failures",
  { skip },
  () =>
    withSandbox(async (sandbox) => {
      const ci = start(sandbox, {
        deno: "printf 'a ... FAILED (1ms)\\nFAILED | 7 passed | 2 failed (7s)\\n'; exit 1",
        node: "printf '✔ a (1ms)\\n✔ b (1ms)\\n'; exit 134",
        bun: "exit 0",
        checks: "echo 'ok: packed it'; exit 1",
      }, SECONDS);
      assert.equal(await ci.exitCode(), 1, ci.transcript());
      // 7 of Deno, 2 that Node came to, 1 check, 1000; 2 of Deno, Node's end, Bun's nothing, the check.
      assert.equal(lastLine(ci), "1010 passed, 5 failed");
    }),
);

test(
  "what failed is told once more behind what later suites write",
  { skip },
  () =>
    withSandbox(async (sandbox) => {
      const print = (text: string) => `cat <<'END'\n${text}\nEND\nexit 1`;
      const ci = start(sandbox, {
        deno: print("a ... FAILED (1ms)\n\n ERRORS \n\nDeno's reason\n\nok | 7 passed | 1 failed"),
        node: print("✖ b (1ms)\nℹ pass 1\nℹ fail 1\n\n✖ failing tests:\n\nNode's reason"),
        bun: print("Bun's reason\n(fail) c [1.00ms]\n(pass) d [1.00ms]\n\n 1 pass\n 1 fail"),
        checks: "echo 'no such package'; exit 1",
        node22: print("ok 1 - e\nnot ok 2 - f\n  its reason\n# pass 1000\n# fail 1"),
      }, SECONDS);
      assert.equal(await ci.exitCode(), 1, ci.transcript());
      const told = ci.standardOutput.slice(ci.standardOutput.indexOf("== what failed on deno:"));
      assert.deepEqual(told.trimEnd().split("\n").filter((line) => line !== ""), [
        "== what failed on deno:",
        " ERRORS ",
        "Deno's reason",
        "ok | 7 passed | 1 failed",
        "== what failed on node:",
        "✖ failing tests:",
        "Node's reason",
        "== what failed on bun:",
        "Bun's reason",
        "(fail) c [1.00ms]",
        "== what failed on checks:",
        "no such package",
        "== what failed on node:",
        "not ok 2 - f",
        "  its reason",
        "# pass 1000",
        "# fail 1",
        "1009 passed, 5 failed",
      ]);
    }),
);

test(
  "a suite for which too little time is left is skipped",
  { skip },
  () =>
    withSandbox(async (sandbox) => {
      const ci = start(sandbox, {}, 200);
      assert.equal(await ci.exitCode(), 0, ci.transcript());
      assert.match(
        ci.standardOutput,
        /^== package: skipped, it takes about 240 s and \d+ s are left$/m,
      );
      assert.equal(lastLine(ci), "1234 passed, 0 failed");
    }),
);

// SIGINT is handled alike, but bash cannot when it was started with that signal ignored, as in the
// background of a script.
test(
  "SIGTERM ends it with the counts so far, and as a failure",
  { skip },
  () =>
    withSandbox(async (sandbox) => {
      const node = "printf '✔ a (1ms)\\n✔ b (1ms)\\n✖ c (1ms)\\n'; exec sleep 600";
      const ci = start(sandbox, { node }, SECONDS);
      await until("three tests of the second suite", () => ci.lines.includes("✖ c (1ms)"));
      ci.kill("SIGTERM");
      assert.equal(await ci.exitCode(), 1, ci.transcript());
      assert.equal(lastLine(ci), "202 passed, 1 failed");
    }),
);
