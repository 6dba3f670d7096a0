import assert from "node:assert/strict";
import { test } from "node:test";
import { isWitness } from "../../src/sim/witness.ts";
import { history, REGISTER } from "./histories.ts";

const WITNESSES: Readonly<Record<string, string>> = {
  "operations one after the other": "1 0-1 put 1\n1 2-3 get 1",
  "a read that overlaps a write, after it": "1 0-3 put 1\n2 1-2 get 1",
  "a read that overlaps a write, before it": "2 1-2 get 0\n1 0-3 put 1",
  "a write of unknown outcome that took effect late":
    "2 1-2 get 0\n2 3-4 put 2\n1 0-? put 1\n2 5-6 get 1",
  "operations that touch, in the other order": "2 2-3 get 0\n1 0-2 put 1",
  "keys in orders of their own": "1 2-3 y:put 1\n2 0-1 x:get 0\n1 4-5 x:put 1",
};

const NONE: Readonly<Record<string, string>> = {
  "a wrong answer": "1 0-1 put 1\n1 2-3 get 0",
  "an order against real time": "1 2-3 get 0\n1 0-1 put 1",
  "an order against real time with another operation between them":
    "1 4-5 get 0\n2 0-9 get 0\n3 0-1 put 1",
  "a write of unknown outcome before it was called": "1 3-? put 1\n2 1-2 get 1",
  "a comparison that could not hold": "1 0-1 cas 1 2 yes\n2 0-1 put 1",
};

for (const [name, text] of Object.entries(WITNESSES)) {
  test(`shows a history to be linearizable: ${name}`, () => {
    assert.equal(isWitness(history(text), REGISTER), true);
  });
}

for (const [name, text] of Object.entries(NONE)) {
  test(`shows nothing: ${name}`, () => assert.equal(isWitness(history(text), REGISTER), false));
}
