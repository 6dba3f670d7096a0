/** The consensus core is pure, and the check that says so can see what is not. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { importViolations, purityViolations, typeErrors } from "../../scripts/check_purity.ts";

test("the core type-checks alone with the ES library only and imports nothing outside itself", () => {
  assert.deepEqual(purityViolations(), []);
});

test("an import from outside the core is found", () => {
  const text = `import { a } from "../wire/mod.ts";\nimport { b } from "./log/mod.ts";\n`;
  assert.deepEqual(importViolations("src/raft/a.ts", text), [
    "src/raft/a.ts:1: the core imports ../wire/mod.ts",
  ]);
});

test("a global of a browser, of Node or of Deno is a type error", () => {
  const folder = mkdtempSync(join(tmpdir(), "flaredb-purity-"));
  try {
    for (const name of ["setTimeout", "process", "Deno", "console", "TextEncoder"]) {
      const path = join(folder, `${name}.ts`);
      writeFileSync(path, `export const value: unknown = ${name};\n`);
      const [error] = typeErrors([path]);
      assert.match(error ?? "", new RegExp(`:1: Cannot find name '${name}'`));
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});
