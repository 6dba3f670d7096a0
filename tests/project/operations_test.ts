/** The page for operators explains every error code and every line of the log, and names real commands. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { errorCodes, errorCodeTable, PAGE, tableInPage } from "../../scripts/error_codes.ts";
import { logLines } from "../../scripts/log_lines.ts";
import { readSource } from "../../scripts/project_files.ts";
import { COMMANDS } from "../../src/cli/mod.ts";

const page = readSource(PAGE);

/** Tables are padded, and texts broken, by the formatter. */
const flat = (text: string) =>
  text.replace(/\s+/g, " ").replace(/ ?\| ?/g, "|").replace(/-+/g, "-");

test("the page holds the table of error codes that the sources make", () => {
  assert.equal(flat(tableInPage(page)), flat(errorCodeTable()), "run `deno task error-codes`");
});

test("every error code has a meaning", () => {
  const codes = errorCodes();
  assert.ok(codes.length > 50);
  assert.deepEqual(codes.filter(({ meaning }) => meaning === ""), []);
});

test("every line of the log is explained", () => {
  const [, section] = page.split("## Log lines");
  const lines = logLines();
  assert.ok(lines.length > 30);
  const unexplained = lines
    .filter(({ parts }) => parts.length > 0 && !parts.every((part) => section.includes(part)))
    .map(({ place, parts }) => `${place}: ${parts.join(" … ")}`);
  assert.deepEqual(unexplained, []);
});

test("every flaredb command line of the page names a command and options that exist", () => {
  const lines = [...page.matchAll(/(?:`|^ *)flaredb (\w+)([^`\n|]*)/gm)];
  assert.ok(lines.length > 3);
  for (const [line, name, rest] of lines) {
    const command = COMMANDS.find((one) => one.name === name);
    assert.ok(command !== undefined, line);
    for (const [, option] of rest.matchAll(/--([a-z-]+)/g)) {
      assert.ok(option === "help" || option in command.options, `${line}: --${option}`);
    }
  }
});
