/**
 * The mutation task itself: that its rules still name texts of the sources, and that it tells a rule
 * which the simulator notices from one that survives, and from one with which nothing runs.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { checkMutants, MUTANTS, tryRules } from "../../scripts/sim/mutation.ts";
import { type TrialLimits, tryRule } from "../../scripts/sim/mutation/trial.ts";
import { readSource } from "../../scripts/project_files.ts";

const LIMITS: TrialLimits = { seedsMax: 1, silenceMsMax: 240_000 };
const LONG = { timeout: 300_000 };

const NOTICED = MUTANTS.find(({ name }) => name === "the state machine depends on the batch")!;

/** A rule whose text is put before the function that simulates. */
function before(text: string) {
  const search = "export function simulate(";
  return { name: `has ${text}`, file: "sim/simulation.ts", search, replace: `${text}\n${search}` };
}

test("each rule that the simulator has to notice names a text that occurs once", () => {
  assert.ok(MUTANTS.length > 100);
  checkMutants(MUTANTS);
  const stale = { ...MUTANTS[0], search: "a text that is nowhere" };
  assert.throws(() => checkMutants([stale]), /its text occurs 0 times in/);
  assert.throws(() => checkMutants([MUTANTS[0], MUTANTS[0]]), /two rules are called/);
});

test("the documents have a row with a number of seeds for each rule", () => {
  const rows = readSource("docs/simulation.md").matchAll(
    /^\| `(\S+)` +\| (.+?) +\| +\d+ \| [a-z-]+ +\|$/gm,
  );
  const documented = [...rows].map(([, file, name]) => `${file}: ${name}`);
  assert.deepEqual(documented.sort(), MUTANTS.map(({ file, name }) => `${file}: ${name}`).sort());
});

test(
  "a rule that the simulator notices is told from one that survives and one that breaks all",
  LONG,
  async () => {
    const survivor = before("// nothing that matters");
    const unusable = before("const = 1;");
    const rows: string[] = [];
    const failures = await tryRules(
      [NOTICED, survivor, unusable],
      1,
      LIMITS,
      (row) => rows.push(row),
    );
    assert.equal(rows.length, 4);
    assert.match(rows[1], /\| the state machine depends on the batch \| 1 \| equal-state: /);
    assert.match(rows[2], /\| - \| SURVIVED \|$/);
    assert.match(rows[3], /\| - \| UNUSABLE: the worker ended with exit code 1 after 0 seeds: /);
    assert.equal(failures.length, 2);
    assert.equal(failures[0], "SURVIVED: sim/simulation.ts: has // nothing that matters");
    assert.match(failures[1], /^UNUSABLE: sim\/simulation.ts: has const = 1;: .*error/i);
  },
);

test(
  "a broken rule that only warns is not taken for one that is noticed, nor for a survivor",
  LONG,
  async () => {
    const verdict = await tryRule(before('console.error("a warning");'), LIMITS);
    assert.equal(verdict.kind, "unusable");
    assert.match(verdict.message, /after 1 seeds: a warning$/);
  },
);

test(
  "a broken rule that uses a name which does not exist is not taken for one that is noticed",
  LONG,
  async () => {
    const verdict = await tryRule({ ...NOTICED, replace: "return nowhere;" }, LIMITS);
    assert.equal(verdict.kind, "unusable");
    assert.match(verdict.message, /^no-exception: [^]*nowhere is not defined/);
  },
);

test("a broken rule with which a run never ends is given up", LONG, async () => {
  const verdict = await tryRule(before("for (;;);"), { ...LIMITS, silenceMsMax: 2_000 });
  assert.deepEqual(verdict, { kind: "unusable", message: "no answer within 2 s after 0 seeds" });
});
