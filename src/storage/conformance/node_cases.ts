/**
 * Promises about the storage of a node: its regions, its identity, closing, and failures of the disk.
 *
 * @module
 */

import {
  allEntries,
  type CaseDefinition,
  entriesOf,
  entry,
  expect,
  expectEqual,
  expectRejects,
  expectThrows,
  hardState,
  IDENTITY,
  logOf,
  snapshotOf,
  voters,
} from "./harness.ts";

/** Cases about `NodeStorage` and about failures. */
export const NODE_CASES: readonly CaseDefinition[] = [
  {
    name: "regions are listed in ascending order and survive reopening",
    run: async (scenario) => {
      for (const regionId of [30, 4, 100, 1]) await scenario.create({ regionId });
      expectEqual(scenario.node.regionIds(), [1, 4, 30, 100], "the regions");
      expectEqual((await scenario.reopen()).regionIds(), [1, 4, 30, 100], "after reopening");
      expectEqual(scenario.node.region(2), undefined, "a region that does not exist");
      expectEqual(scenario.node.identity, IDENTITY, "the identity");
    },
  },
  {
    name: "creating a region that exists is refused, and not final",
    run: async (scenario) => {
      const region = await scenario.create();
      const again = scenario.create({ peerId: 2 });
      await expectRejects(again, "STORAGE_REGION_EXISTS", "creating region 1 again");
      await region.append({ entries: entriesOf(1, 2, 1) });
      const first = scenario.create({ regionId: 2 });
      const second = scenario.create({ regionId: 2 });
      await expectRejects(second, "STORAGE_REGION_EXISTS", "creating region 2 twice at once");
      await first;
      expectEqual((await scenario.reopenRegion()).lastIndex(), 2, "the last index");
    },
  },
  {
    name: "regions do not see each other's entries, truncations, snapshots and compactions",
    run: async (scenario) => {
      const regions = await Promise.all([1, 2, 3].map((regionId) => scenario.create({ regionId })));
      await Promise.all(
        regions.map((region, i) => region.append({ entries: entriesOf(1, 20, i + 1) })),
      );
      await Promise.all([
        regions[0].compact(15),
        regions[1].append({ entries: [entry(5, 9)], hardState: hardState(9, 2, 4) }),
        regions[2].append({ snapshot: snapshotOf(40, 8, voters(3)) }),
      ]);
      const check = (ids: readonly number[]): void => {
        const [one, two, three] = ids.map((id) => scenario.node.region(id) ?? regions[0]);
        expectEqual(allEntries(one), entriesOf(16, 20, 1), "region 1");
        expectEqual(allEntries(two), [...entriesOf(1, 4, 2), entry(5, 9)], "region 2");
        expectEqual(logOf(three), "40:8", "region 3");
        expectEqual(one.initialState().confState, voters(), "the configuration of region 1");
      };
      check([1, 2, 3]);
      await scenario.reopen();
      check([1, 2, 3]);
    },
  },
  {
    name: "appends of many regions under way at once are all durable",
    run: async (scenario) => {
      const ids = Array.from({ length: 20 }, (_, i) => i + 1);
      const regions = await Promise.all(ids.map((regionId) => scenario.create({ regionId })));
      const writes: Promise<void>[] = [];
      for (let round = 0; round < 10; round++) {
        for (const region of regions) {
          const low = round * 5 + 1;
          writes.push(region.append({ entries: entriesOf(low, low + 4, round + 1) }));
        }
        if (round % 3 === 0) await writes[writes.length - 1];
      }
      await Promise.all(writes);
      const node = await scenario.reopen();
      for (const id of ids) {
        const region = node.region(id);
        expectEqual(region?.lastIndex(), 50, `the last index of region ${id}`);
        for (let index = 1; index <= 50; index++) {
          const term = Math.floor((index - 1) / 5) + 1;
          expectEqual(region?.term(index), term, `the term at ${index} of region ${id}`);
        }
      }
    },
  },
  {
    name: "data that is open cannot be opened a second time",
    run: async (scenario) => {
      await expectRejects(scenario.open(IDENTITY), "STORAGE_LOCKED", "opening it again");
      const region = await scenario.create();
      await region.append({ entries: entriesOf(1, 3, 1) });
      expectEqual((await scenario.reopenRegion()).lastIndex(), 3, "the last index");
    },
  },
  {
    name: "data of another cluster or node is refused and not altered",
    run: async (scenario) => {
      const region = await scenario.create();
      await region.append({ entries: entriesOf(1, 3, 1) });
      await scenario.node.close();
      for (const wrong of [{ clusterId: "other", nodeId: 1 }, { ...IDENTITY, nodeId: 2 }]) {
        await expectRejects(scenario.open(wrong), "STORAGE_IDENTITY", JSON.stringify(wrong));
      }
      expectEqual((await scenario.reopenRegion()).lastIndex(), 3, "the last index");
    },
  },
  {
    name: "after close writes reject and reads throw, and close may be called again",
    run: async (scenario) => {
      const region = await scenario.create();
      const { node } = scenario;
      await node.close();
      await node.close();
      const writes = [
        region.append({ entries: entriesOf(1, 1, 1) }),
        region.compact(0),
        region.saveConfState(voters(1), 0),
        node.createRegion({ regionId: 9, peerId: 1 }),
      ];
      for (const write of writes) await expectRejects(write, "STORAGE_CLOSED", "a write");
      expectThrows(() => region.lastIndex(), "STORAGE_CLOSED", "lastIndex");
      expectThrows(() => region.initialState(), "STORAGE_CLOSED", "initialState");
      expectThrows(() => node.regionIds(), "STORAGE_CLOSED", "regionIds");
      expectEqual((await scenario.reopen()).regionIds(), [1], "the regions after reopening");
    },
  },
  {
    name: "the first failed write is final for all regions, and loses nothing acknowledged",
    needsBrokenDisk: true,
    run: async (scenario) => {
      const region = await scenario.create();
      const other = await scenario.create({ regionId: 2 });
      await region.append({ entries: entriesOf(1, 3, 1), hardState: hardState(2, 1, 2) });
      scenario.breakDisk();
      const error = await region.append({ entries: entriesOf(4, 6, 2) }).then(
        () => undefined,
        (error) => error,
      );
      expect(error !== undefined, "the write on the broken disk is rejected");
      const later = [
        region.append({ entries: entriesOf(4, 6, 2) }),
        other.append({ entries: entriesOf(1, 1, 1) }),
        other.compact(0),
        other.saveConfState(voters(1), 0),
        scenario.create({ regionId: 3 }),
      ];
      for (const write of later) {
        expect(await write.then(() => false, (e) => e === error), "later writes reject the same");
      }
      await scenario.reopen();
      const reopened = scenario.node.region(1);
      // The failed write may have reached the disk, as a whole.
      const written = reopened?.lastIndex() === 6 ? entriesOf(4, 6, 2) : [];
      const entries = [...entriesOf(1, 3, 1), ...written];
      expectEqual(reopened && allEntries(reopened), entries, "the entries");
      expectEqual(reopened?.initialState().hardState, hardState(2, 1, 2), "the hard state");
      expectEqual(scenario.node.regionIds(), [1, 2], "the regions");
      expectEqual(scenario.node.region(2)?.lastIndex(), 0, "the other region");
    },
  },
];
