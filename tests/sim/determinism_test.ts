import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import process from "node:process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { runOfSeed } from "../../scripts/sim/arguments.ts";
import {
  type Chance,
  type KvInput,
  type KvOperation,
  KvWorkload,
  type Operation,
  simulate,
  type Workload,
} from "../../src/sim/mod.ts";

const SCRIPT = fileURLToPath(new URL("./print_hashes.ts", import.meta.url));
const RUNTIMES: readonly (readonly [command: string, ...args: string[]])[] = [
  ["deno", "run", "-A", "--no-check"],
  ["node"],
  ["bun"],
];

/** What a runtime prints; undefined when it is not installed, or too old to run the sources. */
function hashesOf([command, ...args]: readonly [string, ...string[]]): string | undefined {
  const env = { ...process.env, NO_COLOR: "1" };
  const ran = spawnSync(command, [...args, SCRIPT], { encoding: "utf8", env });
  if (ran.error !== undefined) return undefined;
  if (command === "node" && ran.stderr.includes("ERR_UNKNOWN_FILE_EXTENSION")) return undefined;
  assert.equal(ran.status, 0, ran.stderr);
  return ran.stdout;
}

test("the same seed gives the same trace on every runtime at hand", (context) => {
  const here: string[] = [];
  for (let seed = 0; seed < 12; seed++) {
    const { traceHash, steps } = simulate(runOfSeed(seed, {}));
    here.push(`${seed} ${steps} ${traceHash}\n`);
  }
  for (const runtime of RUNTIMES) {
    const there = hashesOf(runtime);
    if (there === undefined) context.diagnostic?.(`${runtime[0]} is not at hand`);
    else assert.equal(there, here.join(""), runtime[0]);
  }
});

test("a run does not depend on the runs before it", () => {
  const first = simulate(runOfSeed(3, {}));
  simulate(runOfSeed(4, {}));
  const second = simulate(runOfSeed(3, {}));
  assert.equal(second.traceHash, first.traceHash);
  assert.deepEqual(second.histories, first.histories);
  assert.deepEqual(second.coverage, first.coverage);
});

test("another seed gives another trace", () => {
  assert.notEqual(simulate(runOfSeed(3, {})).traceHash, simulate(runOfSeed(5, {})).traceHash);
});

/** Puts the same values, higher by a number. */
class RaisedWorkload extends KvWorkload {
  override next(chance: Chance, client: number): Operation<KvInput> {
    const { kind, input: { compare, then, else: otherwise } } = super.next(chance, client);
    return { kind, input: { compare, then: then.map(raised), else: otherwise.map(raised) } };
  }
}

function raised(operation: KvOperation): KvOperation {
  return operation.type === "put" ? { ...operation, value: operation.value + 100_000 } : operation;
}

test("other values give another trace, where all else is the same", () => {
  const workload = (): Workload => new RaisedWorkload() as unknown as Workload;
  for (const seed of [3, 5, 8]) {
    const plain = simulate(runOfSeed(seed, {}));
    const other = simulate({ ...runOfSeed(seed, {}), workload });
    assert.equal(other.violation, undefined);
    assert.notEqual(other.traceHash, plain.traceHash);
    if (seed !== 3) continue;
    assert.deepEqual([other.steps, other.timeUs], [plain.steps, plain.timeUs]);
    assert.deepEqual(other.coverage, plain.coverage);
  }
});

test("a readable trace changes nothing", () => {
  const lines: string[] = [];
  const silent = simulate(runOfSeed(8, {}));
  const told = simulate({ ...runOfSeed(8, {}), trace: (line) => lines.push(line) });
  assert.equal(told.traceHash, silent.traceHash);
  assert.ok(lines.length > 1000);
});
