import assert from "node:assert/strict";
import { test } from "node:test";
import {
  checkLinearizability,
  historyFromJson,
  type HistoryOperation,
  historyToJson,
  type KvInput,
  KvModel,
  type KvOperation,
  type KvOutput,
} from "../../src/sim/mod.ts";
import { Random } from "../../src/node/mod.ts";
import { history, REGISTER } from "./histories.ts";
import { randomHistory, withStaleRead } from "./random_histories.ts";

const LINEARIZABLE: Readonly<Record<string, string>> = {
  "nothing but a read of the initial value": "1 0-1 get 0",
  "a write and a later read of it": "1 0-1 put 1\n1 2-3 get 1",
  "a read that overlaps a write and sees the old value": "1 0-3 put 1\n2 1-2 get 0",
  "a read that overlaps a write and sees the new value": "1 0-3 put 1\n2 1-2 get 1",
  "two overlapping writes, the first to be called wins": "1 0-3 put 1\n2 1-2 put 2\n1 4-5 get 1",
  "two overlapping writes, the last to be called wins": "1 0-3 put 1\n2 1-2 put 2\n1 4-5 get 2",
  "overlapping reads that see the new and then the old value, from two clients":
    "1 0-9 put 1\n2 1-4 get 1\n3 2-3 get 0",
  "a write of unknown outcome that took effect": "1 0-? put 1\n2 1-2 get 1",
  "a write of unknown outcome that never took effect": "1 0-? put 1\n2 1-2 get 0\n2 3-4 get 0",
  "a write of unknown outcome that took effect late":
    "1 0-? put 1\n2 1-2 get 0\n2 3-4 put 2\n2 5-6 get 1",
  "two writes of unknown outcome that took effect in either order":
    "1 0-? put 1\n2 1-? put 2\n3 2-3 get 2\n3 4-5 get 1",
  "a comparison that held": "1 0-1 put 1\n1 2-3 cas 1 2 yes\n1 4-5 get 2",
  "a comparison that failed changes nothing": "1 0-1 put 1\n1 2-3 cas 5 2 no\n1 4-5 get 1",
  "two overlapping comparisons of which one held":
    "1 0-1 put 1\n1 2-5 cas 1 2 yes\n2 3-4 cas 1 3 no\n1 6-7 get 2",
  "a comparison of unknown outcome that held": "1 0-1 put 1\n2 2-? cas 1 2 yes\n1 4-5 get 2",
  "a comparison that holds because of a write of unknown outcome":
    "1 0-? put 7\n2 1-2 cas 7 8 yes\n2 3-4 get 8",
  "a deleted key holds the initial value": "1 0-1 put 1\n1 2-3 del\n1 4-5 get 0",
  "keys do not order each other": "1 0-1 x:put 1\n1 2-3 y:put 1\n2 0-3 y:get 0\n2 4-5 x:get 1",
  "a long write that many reads see or do not":
    "1 0-20 put 1\n2 1-2 get 0\n2 3-4 get 0\n3 5-6 get 1\n2 7-8 get 1",
  "a chain of comparisons by three clients, out of call order":
    "1 0-9 cas 2 3 yes\n2 1-8 cas 1 2 yes\n3 2-7 cas 0 1 yes\n1 10-11 get 3",
};

const NOT_LINEARIZABLE: Readonly<Record<string, string>> = {
  "a read of what nobody wrote": "1 0-1 get 1",
  "a stale read": "1 0-1 put 1\n1 2-3 get 0",
  "a stale read by another client": "1 0-1 put 1\n1 2-3 put 2\n2 4-5 get 1",
  "a read of what is written later": "1 0-1 get 1\n2 2-3 put 1",
  "values that go back": "1 0-9 put 1\n2 1-2 get 1\n3 3-4 get 0",
  "two clients that see two writes in opposite orders":
    "1 0-9 put 1\n2 0-9 put 2\n3 1-2 get 1\n3 3-4 get 2\n4 5-6 get 1\n4 7-8 get 2",
  "a lost write": "1 0-1 put 1\n2 2-3 put 2\n1 4-5 get 1",
  "two comparisons that both held": "1 0-1 put 1\n1 2-5 cas 1 2 yes\n2 3-4 cas 1 3 yes",
  "a comparison that failed although it had to hold": "1 0-1 put 1\n1 2-3 cas 1 2 no",
  "a comparison that failed and changed the value": "1 0-1 put 1\n1 2-3 cas 5 2 no\n1 4-5 get 2",
  "a write of unknown outcome that took effect twice":
    "1 0-? put 1\n2 1-2 get 1\n2 3-4 put 2\n2 5-6 get 2\n2 7-8 get 1",
  "a write of unknown outcome that took effect before it was called": "2 0-1 get 1\n1 2-? put 1",
  "a write of unknown outcome that was undone": "1 0-? put 1\n2 1-2 get 1\n2 3-4 get 0",
  "two writes of unknown outcome that alternate":
    "1 0-? put 1\n2 1-? put 2\n3 2-3 get 1\n3 4-5 get 2\n3 6-7 get 1",
  "a deleted key that is still read": "1 0-1 put 1\n1 2-3 del\n1 4-5 get 1",
  "one key of two that is stale": "1 0-1 x:put 1\n1 2-3 y:put 1\n2 4-5 x:get 1\n2 6-7 y:get 0",
  "a chain of comparisons with a missing link":
    "1 0-9 cas 2 3 yes\n3 2-7 cas 0 1 yes\n1 10-11 get 3",
  "a read between two writes that sees neither": "1 0-1 put 1\n1 4-5 put 2\n2 2-3 get 2",
};

for (const [name, text] of Object.entries(LINEARIZABLE)) {
  test(`linearizable: ${name}`, () => {
    assert.equal(checkLinearizability(history(text), REGISTER).verdict, "linearizable");
  });
}

for (const [name, text] of Object.entries(NOT_LINEARIZABLE)) {
  test(`not linearizable: ${name}`, () => {
    const operations = history(text);
    assert.equal(checkLinearizability(operations, REGISTER).verdict, "not linearizable");
    // The order in which operations are listed says nothing.
    const reversed = [...operations].reverse();
    assert.equal(checkLinearizability(reversed, REGISTER).verdict, "not linearizable");
  });
}

test("the partition that is not linearizable is named", () => {
  const found = checkLinearizability(history("1 0-1 x:put 1\n1 2-3 y:get 4"), REGISTER);
  assert.deepEqual([found.verdict, found.partition], ["not linearizable", "y"]);
});

test("a search beyond its limit is given up", () => {
  const text = Array.from({ length: 14 }, (_, at) => `${at} ${at}-? put ${at}`).join("\n") +
    "\n20 20-21 get 99";
  assert.equal(checkLinearizability(history(text), REGISTER, 1000).verdict, "unknown");
});

/** A history of clients on a real key-value state, with answers delayed at random. */
function manyOperations(
  operations: number,
  clients: number,
): HistoryOperation<KvInput, KvOutput>[] {
  const random = new Random(5);
  const model = new KvModel();
  let state = model.initial();
  const open = new Map<number, { call: number; input: KvInput; output: KvOutput | undefined }>();
  const done: HistoryOperation<KvInput, KvOutput>[] = [];
  let begun = 0;
  let moment = 0;
  while (done.length < operations) {
    const client = random.below(clients);
    const under = open.get(client);
    if (under === undefined) {
      if (begun++ >= operations) continue;
      const key = random.below(10);
      const operation: KvOperation = random.below(2) === 0
        ? { type: "range", key, end: key + 1, revision: 0 }
        : { type: "put", key, value: ++moment };
      const input = { compare: [], then: [operation], else: [] };
      open.set(client, { call: ++moment, input, output: undefined });
    } else if (under.output === undefined) {
      const next = model.step(state, under.input);
      state = next.state;
      under.output = next.output;
      moment++;
    } else {
      done.push({ client, return: ++moment, ...under });
      open.delete(client);
    }
  }
  return done;
}

test("a thousand operations on ten keys are checked without giving up", () => {
  const found = checkLinearizability(manyOperations(1000, 16), new KvModel());
  assert.equal(found.verdict, "linearizable");
});

test("one wrong answer among a thousand is found", () => {
  const operations = manyOperations(1000, 16);
  const position = operations.findIndex(({ input, output }, at) =>
    at > 500 && input.then[0].type === "range" && output!.results[0].length > 0
  );
  const { output, ...wrong } = operations[position];
  const results = [[{ ...output!.results[0][0], value: 1 }]];
  operations[position] = { ...wrong, output: { ...output!, results } };
  assert.equal(checkLinearizability(operations, new KvModel()).verdict, "not linearizable");
});

/** A thousand operations of 16 clients on ten registers, some 50 of which have an unknown outcome. */
const REGISTERS = { operations: 1000, clients: 16, keys: 10, unknownPercent: 5 };
const HISTORIES = 20;
/** Steps of a search that finds an order. */
const FOUND_STEPS_MAX = 20_000;
/** Steps of a search through all orders of the part that has none. */
const EXHAUSTED_STEPS_MAX = 500_000;

test("a thousand operations on ten registers, some of unknown outcome, are ordered soon", () => {
  for (let seed = 0; seed < HISTORIES; seed++) {
    const operations = randomHistory({ seed, ...REGISTERS });
    const unknown = operations.filter((operation) => operation.return === undefined).length;
    assert.equal(operations.length, 1000);
    assert.ok(unknown > 20 && unknown < 100, `seed ${seed}: ${unknown} unknown outcomes`);
    const found = checkLinearizability(operations, REGISTER, FOUND_STEPS_MAX);
    assert.equal(found.verdict, "linearizable", `seed ${seed}, ${found.steps} steps`);
  }
});

test("one stale read among a thousand operations on ten registers is found soon", () => {
  for (let seed = 0; seed < HISTORIES; seed++) {
    const operations = withStaleRead(randomHistory({ seed, ...REGISTERS }));
    const found = checkLinearizability(operations, REGISTER, EXHAUSTED_STEPS_MAX);
    assert.equal(found.verdict, "not linearizable", `seed ${seed}, ${found.steps} steps`);
  }
});

test("a history survives its way through JSON", () => {
  const operations = history("1 0-3 put 1\n2 1-? put 2\n3 4-5 get 1");
  const again = historyFromJson(historyToJson(operations));
  assert.equal(again[1].return, undefined);
  assert.deepEqual(JSON.parse(JSON.stringify(again)), JSON.parse(JSON.stringify(operations)));
  const model = REGISTER as Parameters<typeof checkLinearizability>[1];
  assert.equal(checkLinearizability(again, model).verdict, "linearizable");
});

test("a history that returns before it is called is refused", () => {
  const text = '{"version": 1, "operations": [{"client": 1, "call": 5, "return": 4, "input": {}}]}';
  assert.throws(() => historyFromJson(text), /operation 0 must have a client, a call and a later/);
});
