/**
 * Promises about snapshots, configurations and compaction.
 *
 * @module
 */

import { createConfState } from "../../raft/mod.ts";
import {
  allEntries,
  type CaseDefinition,
  entriesOf,
  entry,
  expectEqual,
  expectRejects,
  hardState,
  logOf,
  snapshotOf,
  voters,
} from "./harness.ts";

const JOINT = createConfState({
  voters: [1, 2, 4],
  learners: [7],
  votersOutgoing: [1, 2, 3],
  learnersNext: [3],
  autoLeave: true,
});

/** Cases about snapshots, `saveConfState` and `compact`. */
export const SNAPSHOT_CASES: readonly CaseDefinition[] = [
  {
    name: "a region created from an initial state begins after it",
    run: async (scenario) => {
      const initial = { index: 10, term: 3, confState: voters(1, 2, 3) };
      await scenario.nowAndReopened(await scenario.create({ initial }), (region) => {
        expectEqual(logOf(region), "10:3", "the log");
        expectEqual(region.initialState().confState, voters(1, 2, 3), "the configuration");
        expectEqual(region.initialState().hardState, hardState(0, 0, 10), "the hard state");
        expectEqual(region.confStateIndex(), 10, "the configuration's index");
        const expected = { metadata: initial, data: new Uint8Array(0) };
        expectEqual(region.snapshot(), expected, "the snapshot");
      });
    },
  },
  {
    name: "a snapshot replaces the log and the configuration and commits its index",
    run: async (scenario) => {
      const region = await scenario.create({
        initial: { index: 1, term: 1, confState: voters(1) },
      });
      await region.append({ entries: entriesOf(2, 30, 1), hardState: hardState(1, 0, 5) });
      const snapshot = snapshotOf(20, 4, JOINT);
      await region.append({ snapshot, hardState: hardState(4, 0, 20) });
      await scenario.nowAndReopened(region, (region) => {
        expectEqual(logOf(region), "20:4", "the log");
        expectEqual(region.snapshot(), snapshot, "the snapshot");
        expectEqual(region.initialState().confState, JOINT, "the configuration");
        expectEqual(region.confStateIndex(), 20, "the configuration's index");
        expectEqual(region.initialState().hardState, hardState(4, 0, 20), "the hard state");
      });
    },
  },
  {
    name: "the entries of the same write follow the snapshot",
    run: async (scenario) => {
      const region = await scenario.create();
      await region.append({ entries: entriesOf(1, 4, 1) });
      const snapshot = snapshotOf(50, 5, voters(1, 2));
      await region.append({ snapshot, entries: entriesOf(51, 53, 6) });
      await region.append({ entries: entriesOf(54, 55, 6) });
      await scenario.nowAndReopened(region, (region) => {
        expectEqual(logOf(region), "50:5 51:6 52:6 53:6 54:6 55:6", "the log");
        expectEqual(allEntries(region), entriesOf(51, 55, 6), "the entries");
        expectEqual(region.snapshot(), snapshot, "the snapshot");
        expectEqual(region.initialState().hardState, hardState(0, 0, 50), "the hard state");
      });
    },
  },
  {
    name: "entries that leave a gap after the snapshot of the same write are refused",
    run: async (scenario) => {
      const region = await scenario.create();
      const write = { snapshot: snapshotOf(50, 5, voters(1)), entries: entriesOf(52, 53, 6) };
      await expectRejects(region.append(write), "STORAGE_GAP", "the write");
      await scenario.nowAndReopened(
        region,
        (region) => expectEqual(logOf(region), "0:0", "the log"),
      );
    },
  },
  {
    name: "a newer snapshot replaces an older one",
    run: async (scenario) => {
      const region = await scenario.create();
      await region.append({
        snapshot: snapshotOf(10, 1, voters(1)),
        entries: entriesOf(11, 19, 1),
      });
      await region.append({ snapshot: snapshotOf(15, 2, voters(1, 2)) });
      await scenario.nowAndReopened(region, (region) => {
        expectEqual(logOf(region), "15:2", "the log");
        expectEqual(region.snapshot(), snapshotOf(15, 2, voters(1, 2)), "the snapshot");
      });
    },
  },
  {
    name: "a configuration is durable with the index that made it, and commits that index",
    run: async (scenario) => {
      const region = await scenario.create();
      await region.append({ entries: entriesOf(1, 9, 1), hardState: hardState(1, 0, 2) });
      await region.saveConfState(voters(1), 3);
      await region.saveConfState(JOINT, 6);
      await scenario.nowAndReopened(region, (region) => {
        expectEqual(region.initialState().confState, JOINT, "the configuration");
        expectEqual(region.confStateIndex(), 6, "the configuration's index");
        expectEqual(region.initialState().hardState, hardState(1, 0, 6), "the hard state");
        const metadata = { index: 6, term: 1, confState: JOINT };
        expectEqual(region.snapshot(), { metadata, data: new Uint8Array(0) }, "the snapshot");
      });
    },
  },
  {
    name: "a configuration of an older index, or beyond the log, is refused",
    run: async (scenario) => {
      const region = await scenario.create();
      const other = await scenario.create({ regionId: 2 });
      await region.append({ entries: entriesOf(1, 9, 1) });
      await region.saveConfState(voters(1), 5);
      const older = region.saveConfState(voters(2), 4);
      await expectRejects(older, "STORAGE_REGRESSION", "an older configuration");
      const beyond = other.saveConfState(voters(2), 1);
      await expectRejects(beyond, "STORAGE_RANGE", "a configuration beyond the log");
      expectEqual(region.initialState().confState, voters(1), "the configuration");
    },
  },
  {
    name: "compaction discards entries up to its index and keeps the term there",
    run: async (scenario) => {
      const region = await scenario.create();
      await region.append({ entries: [...entriesOf(1, 5, 1), ...entriesOf(6, 9, 2)] });
      await region.compact(3);
      expectEqual(logOf(region), "3:1 4:1 5:1 6:2 7:2 8:2 9:2", "the log");
      await region.compact(7);
      await scenario.nowAndReopened(region, (region) => {
        expectEqual(logOf(region), "7:2 8:2 9:2", "the log");
        expectEqual(allEntries(region), entriesOf(8, 9, 2), "the entries");
        expectEqual(region.initialState().hardState.commitIndex, 7, "the commit index");
      });
    },
  },
  {
    name: "compaction of the whole log leaves it empty, and it goes on from there",
    run: async (scenario) => {
      const region = await scenario.create();
      await region.append({ entries: entriesOf(1, 5, 3) });
      await region.compact(5);
      expectEqual(logOf(region), "5:3", "the log");
      const emptied = await scenario.reopenRegion();
      expectEqual(logOf(emptied), "5:3", "the log after reopening");
      await emptied.append({ entries: [entry(6, 4)] });
      await scenario.nowAndReopened(emptied, (region) => {
        expectEqual(logOf(region), "5:3 6:4", "the log");
      });
    },
  },
  {
    name: "compaction of what is gone already changes nothing",
    run: async (scenario) => {
      const region = await scenario.create();
      await region.append({ entries: entriesOf(1, 9, 1) });
      await region.compact(5);
      await region.compact(5);
      await region.compact(2);
      await region.compact(0);
      await scenario.nowAndReopened(region, (region) => {
        expectEqual(logOf(region), "5:1 6:1 7:1 8:1 9:1", "the log");
      });
    },
  },
  {
    name: "compaction of many entries discards all of them",
    run: async (scenario) => {
      const region = await scenario.create();
      await region.append({ entries: entriesOf(1, 5000, 1) });
      await region.compact(4990);
      await region.append({ entries: entriesOf(5001, 5010, 1) });
      await scenario.nowAndReopened(region, (region) => {
        expectEqual([region.firstIndex(), region.lastIndex()], [4991, 5010], "the bounds");
        expectEqual(allEntries(region), entriesOf(4991, 5010, 1), "the entries");
      });
    },
  },
  {
    name: "compaction beyond the log is refused",
    run: async (scenario) => {
      const region = await scenario.create();
      await region.append({ entries: entriesOf(1, 5, 1) });
      await expectRejects(region.compact(6), "STORAGE_RANGE", "compacting to 6");
      await scenario.nowAndReopened(region, (region) => {
        expectEqual(allEntries(region), entriesOf(1, 5, 1), "the entries");
      });
    },
  },
  {
    name: "a snapshot of its own is kept until compaction passes it, and leaves the log alone",
    run: async (scenario) => {
      const region = await scenario.create();
      await region.append({ entries: entriesOf(1, 9, 2) });
      const own = snapshotOf(7, 2, voters(1, 2));
      await region.compact(3, own);
      await scenario.nowAndReopened(region, (region) => {
        expectEqual(logOf(region), "3:2 4:2 5:2 6:2 7:2 8:2 9:2", "the log");
        expectEqual(region.snapshot(), own, "the snapshot");
        expectEqual(region.confStateIndex(), 0, "the configuration's index");
      });
      const reopened = scenario.node.region(1);
      await reopened?.saveConfState(voters(1, 2), 5);
      await reopened?.compact(8);
      const metadata = { index: 8, term: 2, confState: voters(1, 2) };
      const expected = { metadata, data: new Uint8Array(0) };
      expectEqual(reopened?.snapshot(), expected, "the snapshot once compaction has passed it");
      const again = await scenario.reopenRegion();
      expectEqual(again.snapshot(), expected, "the same after reopening");
    },
  },
  {
    name: "a snapshot of its own outside the log, or of another term, is refused",
    run: async (scenario) => {
      const wrong = [
        ["STORAGE_RANGE", snapshotOf(10, 1, voters(1))],
        ["STORAGE_RANGE", snapshotOf(4, 1, voters(1))],
        ["STORAGE_REGRESSION", snapshotOf(6, 2, voters(1))],
      ] as const;
      for (const [i, [code, snapshot]] of wrong.entries()) {
        const region = await scenario.create({ regionId: i + 1 });
        await region.append({ entries: entriesOf(1, 9, 1) });
        await expectRejects(region.compact(5, snapshot), code, `snapshot ${i}`);
        expectEqual(region.firstIndex(), 1, "the first index");
      }
    },
  },
];
