/**
 * The conformance suite: every promise of the storage contract as a test that needs no particular
 * test runner. Authors of a storage run it in their own tests:
 *
 * ```ts ignore
 * import { test } from "node:test";
 * import { storageConformance } from "@flaredb/raft/storage";
 *
 * for (const { name, run } of storageConformance(makeMyStorage)) test(name, run);
 * ```
 *
 * @module
 */

import { APPEND_CASES } from "./append_cases.ts";
import { type ConformanceCase, type MakeStorage, Scenario } from "./harness.ts";
import { NODE_CASES } from "./node_cases.ts";
import { READ_CASES } from "./read_cases.ts";
import { SNAPSHOT_CASES } from "./snapshot_cases.ts";

export {
  type ConformanceCase,
  ConformanceError,
  type MakeStorage,
  type StorageUnderTest,
} from "./harness.ts";

/** All cases, bound to the storage that `makeStorage` makes; each makes its own. */
export function storageConformance(makeStorage: MakeStorage): ConformanceCase[] {
  return [...APPEND_CASES, ...READ_CASES, ...SNAPSHOT_CASES, ...NODE_CASES].map((definition) => ({
    name: definition.name,
    run: () => Scenario.run(makeStorage, definition),
  }));
}
