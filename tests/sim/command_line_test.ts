import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { commandOf, parseSimArguments, runOfSeed } from "../../scripts/sim/arguments.ts";
import { main } from "../../scripts/sim/main.ts";
import { oneRun } from "../../scripts/sim/one_run.ts";
import { shortcomings } from "../../scripts/sim/report.ts";
import { emptySummary, type Summary } from "../../scripts/sim/seeds.ts";
import { writeSummary } from "../../scripts/sim/summary_files.ts";
import {
  type KvOutput,
  KvWorkload,
  RARE_EVENTS,
  simulate,
  type Workload,
} from "../../src/sim/mod.ts";

/** Runs the command; what it prints is collected. */
async function run(...args: string[]): Promise<{ code: number; out: string; errors: string }> {
  const lines: string[] = [];
  const errors: string[] = [];
  const output = {
    log: (line: string) => lines.push(line),
    error: (line: string) => errors.push(line),
  };
  const code = await main(args, output);
  return { code, out: lines.join("\n"), errors: errors.join("\n") };
}

test("the command of a run repeats it", () => {
  for (const environment of [{ inOrder: true, limits: {} }, { lossPerMille: 0 }]) {
    const faults = "lossPerMille" in environment ? {} : { only: [1, 2], lossPerMille: 0 };
    const options = { ...runOfSeed(7, {}), steps: 900, faults, environment };
    const words = [...commandOf(options).matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)]
      .map((match) => match[1] ?? match[2] ?? match[3]).slice(3);
    const parsed = parseSimArguments(words);
    assert.equal(parsed.seed, 7);
    assert.equal(
      simulate(runOfSeed(7, parsed.options)).traceHash,
      simulate(options).traceHash,
    );
  }
});

const REFUSED: readonly (readonly [args: readonly string[], why: RegExp])[] = [
  [["--seed", "x"], /--seed must be an integer >= 0/],
  [["--seeds", "0"], /--seeds must be an integer >= 1/],
  [["--stop-after", "0"], /--stop-after must be an integer >= 1/],
  [["--jobs", "0"], /--jobs must be an integer from 1 to 256/],
  [["--seeds", ""], /--seeds must be an integer/],
  [["--nodes", "8"], /--nodes must be an integer from 1 to 7/],
  [["--steps", "0"], /--steps must be an integer >= 1/],
  [["--loss", "1001"], /--loss must be an integer from 0 to 1000/],
  [["--only", "x"], /--only must be an integer >= 0/],
  [["--only", "1,,2"], /--only must be an integer >= 0/],
  [["--world", "inOrder"], /--world must be NAME=VALUE/],
  [["--world", "nosuch=1"], /--world must name one of tickUs, .*: found nosuch/],
  [["--world", "inOrder=1"], /--world inOrder must be of type boolean/],
  [["--world", "inOrder=yes"], /--world inOrder must be JSON/],
  [["--world", "tickUs=-1"], /--world tickUs must be a number >= 0/],
  [["--world", "faultWeights=[1]"], /--world faultWeights must be an array of \d+/],
  [["--shrink"], /--shrink means nothing without --seed/],
  [["--seed", "1", "--seeds", "2"], /--seeds means nothing with --seed/],
  [["--merge", "a.json", "--seeds", "2"], /--seeds means nothing with --merge/],
];

for (const [args, why] of REFUSED) {
  test(`${args.join(" ")} is refused`, async () => {
    const { code, out, errors } = await run(...args);
    assert.equal(code, 2);
    assert.equal(out, "");
    assert.match(errors, why);
    assert.match(errors, /deno task sim \[options\]/);
  });
}

test("no faults at all may be wanted", () => {
  assert.deepEqual(parseSimArguments(["--only", ""]).options.faults, { only: [] });
});

test("a sweep that runs to its end succeeds", async () => {
  const { code, out, errors } = await run("--seeds", "3", "--jobs", "2", "--steps", "300");
  assert.equal(errors, "");
  assert.equal(code, 0);
  assert.match(out, /\n3 seeds, /);
});

test("a sweep that is interrupted fails, as not all of its seeds ran", async () => {
  const running = run("--seeds", "100000", "--jobs", "1", "--steps", "50");
  process.emit("SIGINT");
  const { code, errors } = await running;
  assert.equal(code, 1);
  assert.match(errors, /FAILED: \d+ of 100000 seeds ran/);
});

/** A summary of so many seeds, in which all was well. */
function summaryOf(seeds: number, change: Partial<Summary> = {}): Summary {
  return { ...emptySummary(), seeds, coverage: RARE_EVENTS.map(() => 1), ...change };
}

test("a sweep fails by violations, missing seeds, checks given up, and what was never reached", () => {
  assert.deepEqual(shortcomings(summaryOf(5_000, { undecided: 10 }), 5_000), []);
  assert.deepEqual(shortcomings(summaryOf(10, { undecided: 1 }), 10), []);
  const failed = [{ seed: 3, message: "broken", command: "deno task sim --seed 3" }];
  const coverage = RARE_EVENTS.map((_, position) => position === 0 ? 0 : 1);
  assert.deepEqual(shortcomings(summaryOf(4_999, { coverage }), 4_999), []);
  for (
    const [change, why] of [
      [{ failed }, /^1 seeds broke a property/],
      [{ undecided: 11 }, /^11 checks of linearizability were given up/],
      [{ seeds: 4_999 }, /^4999 of 5000 seeds ran/],
      [{ coverage }, /^never reached: elections$/],
    ] as const
  ) {
    const found = shortcomings(summaryOf(5_000, change), 5_000);
    assert.equal(found.length, 1);
    assert.match(found[0], why);
  }
});

/** What `--merge` makes of summaries of sweeps, each from a seed on. */
async function merge(
  ...sweeps: readonly (readonly [from: number, summary: Summary, steps?: number])[]
): Promise<{ code: number; out: string; errors: string }> {
  const folder = mkdtempSync(join(tmpdir(), "flaredb-summaries-"));
  try {
    const files = sweeps.map(([from, summary, steps], position) => {
      const file = join(folder, `${position}.json`);
      writeSummary(file, summary, { from, seeds: 100, options: { steps } }, 1);
      return file;
    });
    return await run("--merge", files.join());
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test("sweeps of different seeds, or of other worlds, are merged", async () => {
  const { code, out, errors } = await merge(
    [0, summaryOf(100)],
    [100, summaryOf(100)],
    [0, summaryOf(100), 500],
  );
  assert.equal(errors, "");
  assert.equal(code, 0);
  assert.match(out, /^300 seeds, /);
});

test("a merge fails where a sweep of all the seeds would have failed", async () => {
  const failed = [{ seed: 3, message: "broken", command: "deno task sim --seed 3" }];
  for (
    const [sweeps, why] of [
      [[[0, summaryOf(100, { failed })]], /FAILED: 1 seeds broke a property/],
      [[[0, summaryOf(99)], [100, summaryOf(100)]], /FAILED: 199 of 200 seeds ran/],
      [[[0, summaryOf(100)], [99, summaryOf(100)]], /0\.json and .*1\.json are of the same seeds/],
    ] as const
  ) {
    const { code, errors } = await merge(...sweeps);
    assert.equal(code, 1);
    assert.match(errors, why);
  }
});

test("what is no summary of a sweep cannot be merged", async () => {
  const folder = mkdtempSync(join(tmpdir(), "flaredb-summaries-"));
  try {
    const file = join(folder, "history.json");
    writeFileSync(file, '{"version": 1, "operations": []}');
    const { code, out, errors } = await run("--merge", file);
    assert.deepEqual([code, out], [2, ""]);
    assert.match(errors, /history\.json must be the summary of a sweep/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

/** Answers reads with a revision that never was. */
class LyingWorkload extends KvWorkload {
  override read(): KvOutput {
    return { revision: 1_000_000, succeeded: true, failure: undefined, results: [[]] };
  }
}

test("a run whose check is given up does not pass for one without a violation", () => {
  const workload = (): Workload => new LyingWorkload() as unknown as Workload;
  const options = { ...runOfSeed(1, {}), workload };
  const args = parseSimArguments(["--seed", "1"]);
  const lines: string[] = [];
  const print = (line: string): number => lines.push(line);
  assert.equal(oneRun({ ...options, linearizabilityStepsMax: 1 }, args, print), 1);
  assert.match(lines.at(-1)!, /^UNDECIDED no violation found, but the check/);
  assert.equal(oneRun(options, args, print), 1);
  assert.match(lines.at(-1)!, /^FAILED linearizability: /);
});
