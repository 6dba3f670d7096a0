import assert from "node:assert/strict";
import { test } from "node:test";
import { checkLimits, type PeerLimits } from "../../src/node/mod.ts";

test("limits of a replica are integers from 1, and have defaults", () => {
  const defaults = checkLimits();
  for (const name of Object.keys(defaults) as (keyof PeerLimits)[]) {
    assert.ok(defaults[name] >= 1, name);
    assert.equal(checkLimits({ [name]: 1 })[name], 1);
    for (const value of [0, -1, 1.5, Number.NaN, Infinity, 2 ** 53]) {
      assert.throws(() => checkLimits({ [name]: value }), { code: "INVALID_CONFIG" }, name);
    }
  }
  assert.equal(checkLimits({ pendingProposalsMax: 32_768 }).pendingProposalsMax, 32_768);
  const beyond = { pendingProposalsMax: 32_769 };
  assert.throws(() => checkLimits(beyond), { code: "INVALID_CONFIG" });
});
