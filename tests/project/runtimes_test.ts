/** What a runtime cannot do stands in one list, and no test makes exceptions of its own. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { readSource, sourceFiles } from "../../scripts/project_files.ts";
import { RUNTIME_LIST } from "../runtimes.ts";

test("the list names tests that ask it, runtimes that exist, and a reason for each", () => {
  for (const { test: path, on, reason } of RUNTIME_LIST.skipped) {
    assert.ok(readSource(path).includes(`skipHere("${path}")`), path);
    assert.deepEqual(on.filter((name) => !["deno", "node", "bun"].includes(name)), [], path);
    assert.ok(on.length < 3, `${path} runs somewhere`);
    assert.ok(reason.length > 10, path);
  }
  for (const limit of RUNTIME_LIST.limits) {
    assert.match(limit.runtime, /^(Deno|Node|Bun)/);
    for (const text of [limit.cannot, limit.reason, limit.instead]) assert.ok(text.length > 5);
  }
});

test("no test skips for a runtime without the list", () => {
  const asking = sourceFiles("tests").filter((path) => readSource(path).includes("skipHere("));
  const listed = RUNTIME_LIST.skipped.map(({ test }) => test);
  const others = ["tests/runtimes.ts", "tests/project/runtimes_test.ts"];
  assert.deepEqual(asking.filter((path) => !others.includes(path)).sort(), [...listed].sort());
  const own = sourceFiles("tests").filter((path) =>
    /skip:[^,]*(versions|currentRuntime|runtimeName|typeof (Deno|Bun))/.test(readSource(path))
  );
  assert.deepEqual(own.filter((path) => !others.includes(path)), []);
});
