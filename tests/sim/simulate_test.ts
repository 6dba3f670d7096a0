import assert from "node:assert/strict";
import { test } from "node:test";
import { runOfSeed } from "../../scripts/sim/arguments.ts";
import { emptySummary } from "../../scripts/sim/seeds.ts";
import { fullReport, missedEvents } from "../../scripts/sim/report.ts";
import type { ApplyBatch } from "../../src/node/mod.ts";
import { ConfigError } from "../../src/raft/mod.ts";
import {
  Coverage,
  type Environment,
  FAULT_KINDS,
  KvMachine,
  type Model,
  type Operation,
  RARE_EVENTS,
  shrink,
  type SimStateMachine,
  simulate,
  type Workload,
} from "../../src/sim/mod.ts";

/** A counter that answers each increment with its new value. */
class CounterMachine implements SimStateMachine<number> {
  #value = 0;
  #lastApplied = 0;

  apply(batch: ApplyBatch): number[] {
    this.#lastApplied = batch.lastApplied;
    return batch.commands.map(() => ++this.#value);
  }

  lastApplied(): number {
    return this.#lastApplied;
  }

  get value(): number {
    return this.#value;
  }

  save(): Uint8Array {
    return new TextEncoder().encode(String(this.#value));
  }

  load(bytes: Uint8Array, lastApplied: number): void {
    this.#value = Number(new TextDecoder().decode(bytes));
    this.#lastApplied = lastApplied;
  }

  digest(): number {
    return this.#value;
  }
}

type Input = "increment" | "read";

const COUNTER: Model<Input, number, number> = {
  partition: () => "counter",
  initial: () => 0,
  step: (state, input) =>
    input === "read" ? { state, output: state } : { state: state + 1, output: state + 1 },
  equal: (observed, expected) => observed === expected,
  stateKey: (state) => state,
};

class CounterWorkload implements Workload<Input, number, number> {
  readonly model = COUNTER;

  next(chance: { hits(perMille: number): boolean }): Operation<Input> {
    return chance.hits(500)
      ? { kind: "read", input: "read" }
      : { kind: "write", input: "increment" };
  }

  encode(): Uint8Array {
    return new Uint8Array(1);
  }

  read(machine: SimStateMachine): number {
    return (machine as CounterMachine).value;
  }

  output(result: unknown): number {
    return result as number;
  }
}

const COUNTING = {
  stateMachine: () => new CounterMachine(),
  workload: () => new CounterWorkload() as unknown as Workload,
};

test("a state machine and a workload of one's own are simulated", () => {
  let operations = 0;
  for (let seed = 0; seed < 20; seed++) {
    const { violation, histories } = simulate({ seed, ...COUNTING });
    assert.equal(violation, undefined);
    operations += histories[0].length;
  }
  assert.ok(operations > 1000, `only ${operations} operations`);
});

/** Forgets its value when it is restored. */
class ForgetfulMachine extends CounterMachine {
  override save(): Uint8Array {
    return new TextEncoder().encode("0");
  }
}

test("a state machine that loses its state is found", () => {
  const found = new Set<string | undefined>();
  for (let seed = 0; seed < 20; seed++) {
    const stateMachine = (): SimStateMachine => new ForgetfulMachine();
    found.add(simulate({ seed, ...COUNTING, stateMachine }).violation?.invariant);
  }
  assert.ok(found.has("equal-state"));
});

/** Answers by the size of its batches, which differ between replicas. */
class BatchDependentMachine extends KvMachine {
  #digest = 0;

  override apply(batch: ApplyBatch): ReturnType<KvMachine["apply"]> {
    if (batch.commands.length > 1) this.#digest++;
    return super.apply(batch);
  }

  override digest(): number {
    return super.digest() ^ this.#digest;
  }
}

test("a failing run is shrunk to one that fails in the same way with fewer faults and steps", () => {
  const stateMachine = (): SimStateMachine => new BatchDependentMachine();
  const failing = Array.from({ length: 20 }, (_, seed) => ({ seed, stateMachine }))
    .find((options) => simulate(options).violation?.invariant === "equal-state");
  assert.ok(failing !== undefined);
  const before = simulate(failing);
  const shrunk = shrink(failing, 100);
  assert.ok(shrunk !== undefined);
  assert.equal(shrunk.result.violation?.invariant, "equal-state");
  assert.ok(shrunk.result.steps <= before.steps);
  assert.ok(shrunk.result.faults.length <= before.faults.length);
  const again = simulate(shrunk.options);
  assert.equal(again.traceHash, shrunk.result.traceHash);
});

test("a run that does not fail cannot be shrunk", () => {
  assert.equal(shrink({ seed: 1, steps: 300 }), undefined);
});

test("faults are left out by their numbers without moving the others", () => {
  const all = simulate({ seed: 5 }).faults;
  const only = [all[1].number, all[3].number];
  const some = simulate({ seed: 5, faults: { only } }).faults;
  assert.deepEqual(some.slice(0, 2), [all[1], all[3]]);
});

test("weights decide which faults happen", () => {
  const { faults } = simulate({ seed: 5, faults: { weights: { crash: 1 }, intervalUs: 20_000 } });
  assert.deepEqual([...new Set(faults.map(({ kind }) => kind))], ["crash"]);
});

test("without faults nothing is lost, nobody crashes, and the first leader stays", () => {
  const quiet = { intervalUs: Infinity, lossPerMille: 0, duplicatePerMille: 0 };
  for (let seed = 0; seed < 10; seed++) {
    const environment = { diskMaxUs: 1_000, delayMaxUs: 1_000, diskMinUs: 100, delayMinUs: 100 };
    const { violation, coverage, faults } = simulate({ seed, faults: quiet, environment });
    assert.equal(violation, undefined);
    assert.deepEqual(faults, []);
    const counted = new Coverage();
    counted.addAll(coverage);
    assert.equal(counted.get("packets lost"), 0);
    assert.equal(counted.get("leaders stepped down"), 0);
    assert.ok(counted.get("writes answered") > 0);
  }
});

test("options out of range are refused", () => {
  assert.throws(() => simulate({ seed: 1, nodes: 8 }), /nodes must be an integer from 1 to 7/);
  assert.throws(() => simulate({ seed: 1, steps: 0 }), /steps must be an integer/);
  assert.throws(() => simulate({ seed: -1 }), /seed must be an integer/);
  const faults = { only: [NaN] };
  assert.throws(() => simulate({ seed: 1, faults }), /faults\.only must be an integer/);
  const environment = { nosuch: 1 } as Partial<Environment>;
  assert.throws(() => simulate({ seed: 1, environment }), /environment has no setting "nosuch"/);
});

/** Never writes. */
class ReadingWorkload extends CounterWorkload {
  override next(): Operation<Input> {
    return { kind: "read", input: "read" };
  }
}

test("a workload that never writes is refused", () => {
  const workload = (): Workload => new ReadingWorkload() as unknown as Workload;
  assert.throws(
    () => simulate({ seed: 1, ...COUNTING, workload }),
    (error) => error instanceof ConfigError && /workload must give a write/.test(error.message),
  );
});

test("a report names what was never reached and how failing seeds are repeated", () => {
  const summary = emptySummary();
  assert.deepEqual(missedEvents(summary), [...RARE_EVENTS]);
  summary.failed.push({ seed: 3, message: "broken", command: "deno task sim --seed 3" });
  assert.match(fullReport(summary), /FAILED broken\n {2}deno task sim --seed 3 --verbose/);
});

test("every kind of fault happens in some run", () => {
  const kinds = new Set<string>();
  for (let seed = 0; seed < 400 && kinds.size < FAULT_KINDS.length; seed++) {
    for (const { kind } of simulate(runOfSeed(seed, {})).faults) kinds.add(kind);
  }
  assert.deepEqual([...kinds].sort(), [...FAULT_KINDS].sort());
});
