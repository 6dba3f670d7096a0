/** When a growth of the core's bundle is refused. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { growthProblem } from "../../scripts/size.ts";

const SILENT =
  "# Changelog\n\n## Unreleased\n\n- Faster.\n\n## 0.1.0\n\n- The core's bundle grew.\n";
const EXPLAINED = SILENT.replace("Faster.", "The core's bundle grew: it checks messages.");

test("a bundle of the core may grow by a tenth, and by more when the changelog explains it", () => {
  assert.equal(growthProblem(1100, 1000, SILENT), undefined);
  assert.equal(growthProblem(2000, 1000, EXPLAINED), undefined);
  assert.equal(growthProblem(2000, 1000, EXPLAINED.replace(/## 0[^]*/, "")), undefined);
});

test("a greater growth that only an older release explains is refused, with both sizes", () => {
  assert.match(growthProblem(1101, 1000, SILENT)!, /by 10\.1 %, from 1000 to 1101 bytes/);
});
