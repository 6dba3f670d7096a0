import assert from "node:assert/strict";
import { test } from "node:test";
import { checkLinearizability } from "../../src/sim/mod.ts";
import { history, REGISTER } from "./histories.ts";

/** Whatever the order in which the operations are listed. */
function verdicts(text: string): Set<string> {
  const operations = history(text);
  return new Set(
    [operations, [...operations].reverse()]
      .map((each) => checkLinearizability(each, REGISTER).verdict),
  );
}

test("a read that is called at the moment at which a write returns overlaps it", () => {
  assert.deepEqual([...verdicts("1 0-2 put 1\n2 2-3 get 0")], ["linearizable"]);
  assert.deepEqual([...verdicts("1 0-2 put 1\n2 2-3 get 1")], ["linearizable"]);
});

test("a read that is called a moment later must see the write", () => {
  assert.deepEqual([...verdicts("1 0-2 put 1\n2 3-4 get 0")], ["not linearizable"]);
});

test("operations that begin and end at the same moments take effect in any order", () => {
  assert.deepEqual([...verdicts("1 0-2 put 1\n2 0-2 put 2\n3 3-4 get 1")], ["linearizable"]);
  assert.deepEqual([...verdicts("1 0-2 put 1\n2 0-2 put 2\n3 3-4 get 2")], ["linearizable"]);
  assert.deepEqual([...verdicts("1 0-2 put 1\n2 0-2 put 2\n3 3-4 get 0")], ["not linearizable"]);
});

test("an operation that takes no time is called before it returns", () => {
  assert.deepEqual([...verdicts("1 1-1 put 1\n2 1-1 get 0\n2 2-2 get 1")], ["linearizable"]);
  assert.deepEqual([...verdicts("1 1-1 put 1\n2 2-2 get 0")], ["not linearizable"]);
});
