import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { parseSimArguments, runOfSeed } from "../../scripts/sim/arguments.ts";
import { oneRun } from "../../scripts/sim/one_run.ts";
import {
  checkLinearizability,
  historyFromJson,
  type HistoryOperation,
  KvModel,
  type Model,
} from "../../src/sim/mod.ts";

/** The histories that a run of a seed writes, by file. */
function writtenHistories(seed: number): Map<string, HistoryOperation[]> {
  const folder = mkdtempSync(join(tmpdir(), "flaredb-histories-"));
  try {
    const file = join(folder, "history.json");
    const args = parseSimArguments(["--seed", String(seed), "--history", file]);
    assert.equal(oneRun(runOfSeed(seed, args.options), args, () => {}), 0);
    return new Map(
      readdirSync(folder).sort().map((name) => {
        return [name, historyFromJson(readFileSync(join(folder, name), "utf8"))];
      }),
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test("the history of each region is a file of its own, and linearizable", () => {
  const histories = writtenHistories(4);
  assert.deepEqual([...histories.keys()], ["history.json", "history.json.2"]);
  for (const [name, history] of histories) {
    assert.ok(history.length > 10, `${name} has ${history.length} operations`);
    const model = new KvModel() as unknown as Model;
    assert.equal(checkLinearizability(history, model).verdict, "linearizable", name);
  }
});

test("the history of the only region is one file", () => {
  assert.deepEqual([...writtenHistories(5).keys()], ["history.json"]);
});
