/**
 * Every scenario of this folder, and every shared conformance trace where they are at hand, on memory
 * and on SQLite. A scenario that fails names its line, what it expects and what was printed.
 */

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { basename, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { STORAGE_KINDS, type StorageKind } from "../../scripts/conformance/disks.ts";
import { describeFailure, findTraces } from "../../scripts/conformance/main.ts";
import { runFile } from "../../scripts/conformance/runner.ts";

const OWN_SCENARIOS = fileURLToPath(new URL(".", import.meta.url));
const SHARED_TRACES = fileURLToPath(new URL("../../../shared/conformance", import.meta.url));

async function assertPasses(file: string, storage: StorageKind): Promise<void> {
  const { failures } = await runFile(file, storage);
  assert.equal(failures.map((failure) => describeFailure(file, failure)).join("\n"), "");
}

const scenarios = await findTraces([OWN_SCENARIOS]);

test("there are at least thirty scenarios of our own", () => {
  assert.ok(scenarios.length >= 30, `found ${scenarios.length}`);
});

for (const file of scenarios) {
  const name = basename(file, ".txt").replaceAll("_", " ");
  for (const storage of STORAGE_KINDS) {
    test(`scenario: ${name} (${storage})`, () => assertPasses(file, storage));
  }
}

if (existsSync(SHARED_TRACES)) {
  const traces = await findTraces([SHARED_TRACES]);

  test("all 41 shared traces are found", () => assert.equal(traces.length, 41));

  for (const storage of STORAGE_KINDS) {
    for (const file of traces) {
      const name = file.slice(join(SHARED_TRACES, "/").length);
      test(`shared trace: ${name} (${storage})`, () => assertPasses(file, storage));
    }
  }
} else {
  test("the shared traces pass", { skip: `${SHARED_TRACES} is absent` }, () => {});
}
