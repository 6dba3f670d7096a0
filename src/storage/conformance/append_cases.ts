/**
 * Promises about appending: order, truncation, durability, hard state, and what is refused.
 *
 * @module
 */

import { createEntry, EMPTY_HARD_STATE } from "../../raft/mod.ts";
import {
  allEntries,
  type CaseDefinition,
  entriesOf,
  entry,
  expect,
  expectEqual,
  expectRejects,
  hardState,
  logOf,
  snapshotOf,
  voters,
} from "./harness.ts";

/** Cases about `append`. */
export const APPEND_CASES: readonly CaseDefinition[] = [
  {
    name: "a region without an initial state starts empty at index 0",
    run: async (scenario) => {
      await scenario.nowAndReopened(await scenario.create(), (region) => {
        expectEqual(logOf(region), "0:0", "the log");
        expectEqual(region.initialState().hardState, EMPTY_HARD_STATE, "the hard state");
        expectEqual(region.initialState().confState, voters(), "the configuration");
        expectEqual(region.confStateIndex(), 0, "the configuration's index");
      });
    },
  },
  {
    name: "entries come back as they were appended, with every type, context and empty bytes",
    run: async (scenario) => {
      const entries = [
        createEntry({ index: 1, term: 1 }),
        createEntry({ index: 2, term: 1, type: "conf-change", command: new Uint8Array([1, 2]) }),
        createEntry({ index: 3, term: 1, type: "conf-change-v2", context: new Uint8Array(0) }),
        createEntry({ index: 4, term: 2, command: new Uint8Array(70_000).fill(7) }),
        createEntry({ index: 5, term: 2, context: new Uint8Array([0, 255]) }),
        createEntry({ index: 6, term: Number.MAX_SAFE_INTEGER, command: new Uint8Array([9]) }),
      ];
      const region = await scenario.create();
      await region.append({ entries });
      await scenario.nowAndReopened(region, (region) => {
        expectEqual(allEntries(region), entries, "the entries");
      });
    },
  },
  {
    name: "entries, hard state and truncation of one write are durable together",
    run: async (scenario) => {
      const region = await scenario.create();
      await region.append({ entries: entriesOf(1, 5, 1), hardState: hardState(1, 2, 2) });
      await region.append({ entries: [entry(4, 3)], hardState: hardState(3, 1, 3) });
      await scenario.nowAndReopened(region, (region) => {
        expectEqual(logOf(region), "0:0 1:1 2:1 3:1 4:3", "the log");
        expectEqual(allEntries(region)[3], entry(4, 3), "the entry at 4");
        expectEqual(region.initialState().hardState, hardState(3, 1, 3), "the hard state");
      });
    },
  },
  {
    name: "an append at or before the last entry truncates the log there first",
    run: async (scenario) => {
      const region = await scenario.create();
      await region.append({ entries: entriesOf(1, 10, 1) });
      await region.append({ entries: entriesOf(3, 4, 2) });
      expectEqual(logOf(region), "0:0 1:1 2:1 3:2 4:2", "the log");
      await region.append({ entries: entriesOf(1, 1, 3) });
      await scenario.nowAndReopened(region, (region) => {
        expectEqual(logOf(region), "0:0 1:3", "the log");
      });
    },
  },
  {
    name: "writes take effect in the order of the calls, however many are under way",
    run: async (scenario) => {
      const region = await scenario.create();
      const done: number[] = [];
      const writes: Promise<void>[] = [];
      for (let i = 1; i <= 200; i++) {
        // Each write replaces the last entry of the one before.
        const first = i === 1 ? 1 : i;
        const write = { entries: entriesOf(first, i + 1, i), hardState: hardState(i, 0, i - 1) };
        writes.push(region.append(write).then(() => void done.push(i)));
      }
      await Promise.all(writes);
      expectEqual(done, Array.from({ length: 200 }, (_, i) => i + 1), "the order of completion");
      await scenario.nowAndReopened(region, (region) => {
        expectEqual(region.lastIndex(), 201, "the last index");
        for (let i = 1; i <= 200; i++) expectEqual(region.term(i), i, `the term at ${i}`);
        expectEqual(region.initialState().hardState, hardState(200, 0, 199), "the hard state");
      });
    },
  },
  {
    name: "writes asked for before the storage is closed are durable",
    run: async (scenario) => {
      const region = await scenario.create();
      const write = region.append({ entries: entriesOf(1, 100, 1) });
      const reopened = await scenario.reopenRegion();
      await write;
      expectEqual(allEntries(reopened), entriesOf(1, 100, 1), "the entries");
    },
  },
  {
    name: "a write without any part resolves after the writes before it",
    run: async (scenario) => {
      const region = await scenario.create();
      const done: string[] = [];
      const first = region.append({ entries: [entry(1, 1)] }).then(() => done.push("entries"));
      await region.append({ entries: [] }).then(() => done.push("nothing"));
      await first;
      expectEqual(done, ["entries", "nothing"], "the order of completion");
    },
  },
  {
    name: "the caller's array may change after the call",
    run: async (scenario) => {
      const region = await scenario.create();
      const entries = entriesOf(1, 3, 1);
      const write = region.append({ entries });
      entries.length = 0;
      await write;
      await scenario.nowAndReopened(region, (region) => {
        expectEqual(allEntries(region), entriesOf(1, 3, 1), "the entries");
      });
    },
  },
  {
    name: "a hard state alone is durable, and a lower commit index counts as the stored one",
    run: async (scenario) => {
      const region = await scenario.create();
      await region.append({ entries: entriesOf(1, 9, 1), hardState: hardState(4, 0, 8) });
      await region.append({ hardState: hardState(4, 7, 5) });
      await scenario.nowAndReopened(region, (region) => {
        expectEqual(region.initialState().hardState, hardState(4, 7, 8), "the hard state");
      });
    },
  },
  {
    name: "a large term, vote and index survive",
    run: async (scenario) => {
      const index = 2 ** 45;
      const term = Number.MAX_SAFE_INTEGER - 1;
      const peerId = Number.MAX_SAFE_INTEGER - 2;
      const initial = { index, term, confState: voters(peerId) };
      const regionId = Number.MAX_SAFE_INTEGER;
      const region = await scenario.create({ regionId, peerId, initial });
      await region.append({
        entries: entriesOf(index + 1, index + 3, term),
        hardState: hardState(term, peerId, index + 2),
      });
      await scenario.nowAndReopened(region, (region) => {
        expectEqual(allEntries(region), entriesOf(index + 1, index + 3, term), "the entries");
        expectEqual(region.term(index), term, "the term before the log");
        const expected = hardState(term, peerId, index + 2);
        expectEqual(region.initialState().hardState, expected, "the hard state");
        expectEqual([region.regionId, region.peerId], [regionId, peerId], "the ids");
      });
    },
  },
  ...refusals(),
  {
    name: "a refused write changes nothing and is final for its region alone",
    run: async (scenario) => {
      const region = await scenario.create();
      const other = await scenario.create({ regionId: 2 });
      await region.append({ entries: entriesOf(1, 3, 1) });
      const write = { entries: [entry(5, 1)], hardState: hardState(9, 9, 1) };
      const error = await expectRejects(region.append(write), "STORAGE_GAP", "a gap");
      for (
        const call of [region.append({}), region.compact(1), region.saveConfState(voters(), 1)]
      ) {
        expect(
          await call.then(() => false, (later) => later === error),
          "every later write rejects with the same error",
        );
      }
      await other.append({ entries: entriesOf(1, 2, 1) });
      await scenario.nowAndReopened(other, (other) => expectEqual(other.lastIndex(), 2, "other"));
      const reopened = scenario.node.region(1);
      expectEqual(reopened && logOf(reopened), "0:0 1:1 2:1 3:1", "the log");
      expectEqual(reopened?.initialState().hardState, EMPTY_HARD_STATE, "the hard state");
    },
  },
];

/** Each refused write, on a log of entries 1 to 5 of term 2 with commit index 3, term 4, vote 2. */
function refusals(): CaseDefinition[] {
  const refused: [string, string, Parameters<typeof runRefusal>[2]][] = [
    ["a gap after the log", "STORAGE_GAP", { entries: [entry(7, 4)] }],
    ["a gap between entries", "STORAGE_GAP", { entries: [entry(6, 4), entry(8, 4)] }],
    ["entries in descending order", "STORAGE_GAP", { entries: [entry(6, 4), entry(5, 4)] }],
    ["a term lower than the one before", "STORAGE_REGRESSION", { entries: [entry(6, 1)] }],
    ["terms that decrease within a write", "STORAGE_REGRESSION", {
      entries: [entry(6, 4), entry(7, 3)],
    }],
    ["replacing a committed entry", "STORAGE_COMMITTED", { entries: entriesOf(3, 9, 4) }],
    ["a snapshot below the commit index", "STORAGE_COMMITTED", {
      snapshot: snapshotOf(2, 2, voters(1)),
    }],
    ["a current term that goes back", "STORAGE_REGRESSION", { hardState: hardState(3, 2, 3) }],
    ["a vote that changes within a term", "STORAGE_REGRESSION", { hardState: hardState(4, 1, 3) }],
    ["a commit index beyond the log", "STORAGE_RANGE", { hardState: hardState(4, 2, 6) }],
  ];
  return refused.map(([what, code, write]) => ({
    name: `${what} is refused and changes nothing`,
    run: (scenario) => runRefusal(scenario, code, write),
  }));
}

async function runRefusal(
  scenario: Parameters<CaseDefinition["run"]>[0],
  code: string,
  write: Parameters<Awaited<ReturnType<typeof scenario.create>>["append"]>[0],
): Promise<void> {
  const region = await scenario.create();
  await region.append({ entries: entriesOf(1, 5, 2), hardState: hardState(4, 2, 3) });
  await expectRejects(region.append(write), code, "the write");
  await scenario.nowAndReopened(region, (region) => {
    expectEqual(allEntries(region), entriesOf(1, 5, 2), "the entries");
    expectEqual(region.initialState().hardState, hardState(4, 2, 3), "the hard state");
    expectEqual(region.firstIndex(), 1, "the first index");
  });
}
