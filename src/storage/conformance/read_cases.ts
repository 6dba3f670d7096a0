/**
 * Promises about reading: ranges, sizes, terms and their errors, and what the caller owns.
 *
 * @module
 */

import { createEntry, entrySize } from "../../raft/mod.ts";
import {
  allEntries,
  type CaseDefinition,
  entriesOf,
  entry,
  expect,
  expectEqual,
  expectThrows,
  voters,
} from "./harness.ts";

const COMPACTED = "COMPACTED";
const UNAVAILABLE = "UNAVAILABLE";

/** Cases about the synchronous reads. */
export const READ_CASES: readonly CaseDefinition[] = [
  {
    name: "entries returns the range from low to before high",
    run: async (scenario) => {
      const region = await scenario.create();
      await region.append({ entries: entriesOf(1, 9, 1) });
      await scenario.nowAndReopened(region, (region) => {
        expectEqual(region.entries(3, 6, Infinity), entriesOf(3, 5, 1), "entries 3 to 5");
        expectEqual(region.entries(9, 10, Infinity), entriesOf(9, 9, 1), "entry 9");
        expectEqual(region.entries(4, 4, Infinity), [], "no entries");
        expectEqual(region.entries(10, 10, Infinity), [], "no entries after the last");
      });
    },
  },
  {
    name: "entries is cut to the longest prefix within sizeMax, but at least one entry",
    run: async (scenario) => {
      const region = await scenario.create();
      const sizes = [10, 300, 1, 0, 5000, 2];
      const entries = sizes.map((size, i) =>
        createEntry({
          index: i + 1,
          term: 130,
          type: i % 2 === 0 ? "normal" : "conf-change-v2",
          command: new Uint8Array(size),
          context: i === 2 ? new Uint8Array(200) : undefined,
        })
      );
      await region.append({ entries });
      await scenario.nowAndReopened(region, (region) => {
        expectEqual(region.entries(1, 7, 0).length, 1, "entries within 0 bytes");
        for (let low = 1; low <= entries.length; low++) {
          let bytes = 0;
          for (let high = low; high <= entries.length; high++) {
            bytes += entrySize(entries[high - 1]);
            const count = high - low + 1;
            const found = (sizeMax: number) => region.entries(low, 7, sizeMax).length;
            expectEqual(found(bytes), longest(entries, low, bytes), `${bytes} bytes from ${low}`);
            expectEqual(found(bytes - 1), Math.max(1, count - 1), `${bytes - 1} bytes from ${low}`);
          }
        }
      });
    },
  },
  {
    name: "reads outside the log throw CompactedError and UnavailableError",
    run: async (scenario) => {
      const region = await scenario.create();
      await region.append({ entries: entriesOf(1, 10, 1) });
      await region.compact(4);
      await scenario.nowAndReopened(region, (region) => {
        expectThrows(() => region.entries(4, 6, Infinity), COMPACTED, "entries from 4");
        expectThrows(() => region.entries(0, 1, Infinity), COMPACTED, "entries from 0");
        expectThrows(() => region.entries(5, 12, Infinity), UNAVAILABLE, "entries to 11");
        expectThrows(() => region.term(3), COMPACTED, "the term at 3");
        expectThrows(() => region.term(11), UNAVAILABLE, "the term at 11");
        expectEqual(region.term(4), 1, "the term at the compacted index");
        expectEqual(region.entries(5, 11, Infinity), entriesOf(5, 10, 1), "entries 5 to 10");
      });
    },
  },
  {
    name: "the array that entries returns belongs to the caller",
    run: async (scenario) => {
      const region = await scenario.create();
      await region.append({ entries: entriesOf(1, 5, 1) });
      region.entries(1, 6, Infinity).length = 0;
      region.entries(1, 6, Infinity)[0] = entry(9, 9);
      expectEqual(allEntries(region), entriesOf(1, 5, 1), "the entries");
    },
  },
  {
    name: "a large log reads back in pages",
    run: async (scenario) => {
      const region = await scenario.create();
      for (let low = 1; low <= 3000; low += 500) {
        await region.append({ entries: entriesOf(low, low + 499, low) });
      }
      await scenario.nowAndReopened(region, (region) => {
        let index = 1;
        while (index <= 3000) {
          const page = region.entries(index, 3001, 1000);
          expect(page.length > 0, `a page from ${index} on is not empty`);
          for (const one of page) {
            const term = Math.floor((index - 1) / 500) * 500 + 1;
            expectEqual(one, entry(index, term), `the entry at ${index}`);
            expectEqual(region.term(index), term, `the term at ${index}`);
            index++;
          }
        }
      });
    },
  },
  {
    name: "a region reports its ids, and is the same object at every call",
    run: async (scenario) => {
      const created = await scenario.create({ regionId: 7, peerId: 12 });
      expect(scenario.node.region(7) === created, "region returns what createRegion returned");
      await scenario.nowAndReopened(created, (region) => {
        expectEqual([region.regionId, region.peerId], [7, 12], "the ids");
        expect(scenario.node.region(7) === scenario.node.region(7), "region returns one object");
        expectEqual(region.initialState().confState, voters(), "the configuration");
      });
    },
  },
];

function longest(entries: Parameters<typeof entrySize>[0][], low: number, sizeMax: number): number {
  let [count, bytes] = [0, 0];
  for (const one of entries.slice(low - 1)) {
    bytes += entrySize(one);
    if (bytes > sizeMax) break;
    count++;
  }
  return Math.max(1, count);
}
