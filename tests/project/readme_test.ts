/** The README says what is: its snippets are the examples, its commands and options exist. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { PROJECT_ROOT } from "../../scripts/project_files.ts";
import { COMMANDS } from "../../src/cli/mod.ts";

const readme = readFileSync(join(PROJECT_ROOT, "README.md"), "utf8");

test("the snippets of the README are the examples, to the letter", () => {
  const marked = [...readme.matchAll(/<!-- (examples\/\S+) -->\n\n```ts\n([^]*?)```\n/g)];
  assert.deepEqual(marked.map(([, path]) => path), ["examples/embed.ts", "examples/core.ts"]);
  for (const [, path, snippet] of marked) {
    assert.equal(snippet, readFileSync(join(PROJECT_ROOT, path), "utf8"), path);
  }
});

test("every flaredb command line in the README names a command and options that exist", () => {
  // Not the first line that `flaredb dev` prints: "flaredb on Deno …".
  const lines = [...readme.matchAll(/(?:task |`|^)flaredb (?!on )(\w+)((?:\\\n|[^`\n])*)/gm)];
  assert.ok(lines.length > 0);
  for (const [line, name, rest] of lines) {
    const command = COMMANDS.find((one) => one.name === name);
    assert.ok(command !== undefined, line);
    for (const [, option] of rest.matchAll(/--([a-z-]+)/g)) {
      assert.ok(option === "help" || option in command.options, `${line}: --${option}`);
    }
  }
});

test("every task and file that the README names exists", () => {
  const { tasks } = JSON.parse(readFileSync(join(PROJECT_ROOT, "deno.json"), "utf8"));
  for (const [, task] of readme.matchAll(/deno(?:@[\d.]+)? task ([a-z:]+)/g)) {
    assert.ok(task in tasks, task);
  }
  for (const [, path] of readme.matchAll(/\]\((?!https?:|#)([^)#]+)(?:#[^)]*)?\)/g)) {
    assert.ok(existsSync(join(PROJECT_ROOT, path)), path);
  }
});
