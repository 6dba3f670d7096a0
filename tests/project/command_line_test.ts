/** What tasks make of command lines that make no sense. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { integer } from "../../scripts/command_line.ts";
import { commandOf } from "../../scripts/sweeps/sweep.ts";

function fuzz(...args: string[]) {
  const [program, ...rest] = commandOf("../fuzz_core.ts", args);
  return spawnSync(program, rest, { encoding: "utf8" });
}

test("an integer is taken within its bounds only", () => {
  assert.equal(integer("count", "0", 0), 0);
  assert.equal(integer("count", "9007199254740991", 1), Number.MAX_SAFE_INTEGER);
  for (const text of ["", "x", "-1", "1.5", "1e3", "0x10", "9007199254740992", "11"]) {
    assert.throws(() => integer("count", text, 1, 10), { message: /^--count must be .* 1 to 10/ });
  }
});

test("a task says what is wrong with its command line, and how it is used", () => {
  for (const args of [["--count", "many"], ["--rounds", "1"], ["--count"], ["more"]]) {
    const { status, stdout, stderr } = fuzz(...args);
    assert.equal(status, 2, stderr);
    assert.equal(stdout, "");
    assert.match(stderr, /^[^\n]*(count|rounds|more)[^\n]*\n\ndeno task fuzz \[options\]\n/);
  }
  const { status, stdout } = fuzz("--help");
  assert.equal(status, 0);
  assert.match(stdout, /^deno task fuzz \[options\]\n/);
});
