/** What a runtime cannot do stands in one list, and no test makes an exception for one. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { readSource, sourceFiles } from "../../scripts/project_files.ts";

/** Something a runtime cannot do, and what is done instead. */
interface RuntimeLimit {
  readonly runtime: string;
  readonly cannot: string;
  readonly reason: string;
  readonly instead: string;
}

test("the list names runtimes that exist, what they cannot do, why, and what is done instead", () => {
  const limits: RuntimeLimit[] = JSON.parse(readSource("tests/runtimes.json"));
  for (const limit of limits) {
    assert.match(limit.runtime, /^(Deno|Node|Bun)/);
    for (const text of [limit.cannot, limit.reason, limit.instead]) assert.ok(text.length > 5);
  }
});

test("the whole suite runs on every runtime: no test skips for one", () => {
  const skipping = sourceFiles("tests").filter((path) =>
    path !== "tests/project/runtimes_test.ts" &&
    /skip\w*[:=(][^,;]*(versions|[rR]untime|typeof (Deno|Bun))/.test(readSource(path))
  );
  assert.deepEqual(skipping, []);
});
