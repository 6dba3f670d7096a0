/** A short run of the fuzz task, of a fixed seed. The long one is `deno task fuzz`. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { fuzz } from "../../scripts/fuzz_core.ts";

test("20,000 real, mutated and made-up messages break no replica in any role", () => {
  const report = fuzz(1, 20_000);
  assert.equal(report.count, 20_000);
  assert.ok(report.refused > 1000, "some are refused");
  for (const type of ["append", "vote", "heartbeat", "propose", "snapshot"]) {
    for (const role of ["follower", "candidate", "leader", "learner"]) {
      assert.ok((report.table.get(type)?.get(role) ?? 0) > 0, `no ${type} reached a ${role}`);
    }
  }
});
