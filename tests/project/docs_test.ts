/** The sources are documented, and the check that says so can see what is not. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { allDocViolations, docViolations } from "../../scripts/check_docs.ts";

test("every source file opens with a paragraph and documents what it exports", () => {
  assert.deepEqual(allDocViolations(), []);
});

test("a missing paragraph and a missing comment are found with their line", () => {
  const text = `/** Not the module's. */\nexport const a = 1;\nexport function b(): void {}\n`;
  assert.deepEqual(docViolations("src/raft/a.ts", text), [
    "src/raft/a.ts:1: the file does not open with a comment marked @module",
    "src/raft/a.ts:3: b is exported without a doc comment",
  ]);
});
