/**
 * The conformance suite: every promise of the storage contract as a test that needs no particular
 * test runner. Authors of a storage run it in their own tests:
 *
 * ```ts ignore
 * import { test } from "node:test";
 * import { storageConformance } from "@flaredb/raft/storage";
 *
 * for (const { name, skip, run } of storageConformance(makeMyStorage)) test(name, { skip }, run);
 * ```
 *
 * @module
 */

import { APPEND_CASES } from "./append_cases.ts";
import {
  type ConformanceCase,
  type ConformanceOptions,
  type MakeStorage,
  Scenario,
} from "./harness.ts";
import { NODE_CASES } from "./node_cases.ts";
import { READ_CASES } from "./read_cases.ts";
import { SNAPSHOT_CASES } from "./snapshot_cases.ts";

export {
  type ConformanceCase,
  ConformanceError,
  type ConformanceOptions,
  type MakeStorage,
  type StorageUnderTest,
} from "./harness.ts";

/**
 * All cases, bound to the storage that `makeStorage` makes; each makes its own. Cases that need what
 * it cannot do say so in `skip`, and reject when they are run all the same.
 */
export function storageConformance(
  makeStorage: MakeStorage,
  options: ConformanceOptions = {},
): ConformanceCase[] {
  const canBreakDisk = options.canBreakDisk ?? true;
  return [...APPEND_CASES, ...READ_CASES, ...SNAPSHOT_CASES, ...NODE_CASES].map((definition) => {
    const { name, needsBrokenDisk = false } = definition;
    const skip = needsBrokenDisk && !canBreakDisk && "this storage cannot be made to fail";
    return { name, skip, run: () => Scenario.run(makeStorage, definition) };
  });
}
