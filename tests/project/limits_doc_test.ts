/** `docs/limits.md` lists every limit of the sources, and the tests it names exist. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { PROJECT_ROOT, readSource, sourceFiles } from "../../scripts/project_files.ts";

/** Limits of the simulator, which nothing but tests runs. */
const LEFT_OUT = /^src\/sim\//;

/** Options and exported constants whose names say that they are limits, by file. */
function limitsOf(path: string): string[] {
  const text = readSource(path);
  const options = text.matchAll(/^ {2}readonly ((?:\w+Max|max[A-Z]\w+|windowBytes))\?:/gm);
  const constants = text.matchAll(/^export const (\w+_MAX)\b/gm);
  return [...options, ...constants].map(([, name]) => name!);
}

const DOCUMENT = readSource("docs/limits.md");
const ROWS = DOCUMENT.split("\n").filter((line) => /^\| `/.test(line))
  .map((line) => line.split("|").slice(1, -1).map((cell) => cell.trim()));

test("every limit has a row", () => {
  const named = new Set(
    ROWS.flatMap(([name]) => [...name!.matchAll(/`([^`]+)`/g)].map((m) => m[1])),
  );
  for (const path of sourceFiles("src").filter((path) => !LEFT_OUT.test(path))) {
    for (const name of limitsOf(path)) {
      assert.ok(named.has(name), `${path}: ${name} is missing in docs/limits.md`);
    }
  }
});

test("every row says what happens beyond its limit and which test holds it", () => {
  assert.ok(ROWS.length > 50);
  for (const row of ROWS) {
    const [name, meaning, value, beyond, held] = row;
    assert.equal(row.length, 5, name);
    for (const cell of [meaning, value, beyond, held]) assert.notEqual(cell, "", name);
    const tests = [...held!.matchAll(/`(tests\/[^`]+)`/g)].map((match) => match[1]!);
    assert.ok(tests.length > 0, `${name}: ${held}`);
    for (const path of tests) assert.ok(existsSync(join(PROJECT_ROOT, path)), `${name}: ${path}`);
  }
});
