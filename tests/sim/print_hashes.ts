/**
 * Prints the trace hashes of a few seeds; run by `determinism_test.ts` on every runtime at hand.
 *
 * @module
 */

import { runOfSeed } from "../../scripts/sim/arguments.ts";
import { simulate } from "../../src/sim/mod.ts";

for (let seed = 0; seed < 12; seed++) {
  const { traceHash, steps } = simulate(runOfSeed(seed, {}));
  console.log(`${seed} ${steps} ${traceHash}`);
}
