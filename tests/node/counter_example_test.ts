/** The example in `examples/counter` does what its text says. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { main } from "../../examples/counter/main.ts";

test("the counter example counts on every node", async () => {
  const lines: string[] = [];
  await main((line) => lines.push(line.replace(/ \(.*/, "")));
  assert.deepEqual(lines, ["node 1 added 1: 1", "node 2 added 2: 3", "node 3 added 3: 6"]);
});
