/**
 * A log as a killed process leaves it whose last sync had failed: its write-ahead log ends with a
 * transaction that may be in the system's memory alone. Whoever goes on from there must not lose what
 * is acknowledged later when that memory is lost.
 *
 * @module
 */

import { copyFileSync, mkdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { createEntry } from "../../src/raft/mod.ts";
import type { RaftStorage } from "../../src/storage/mod.ts";
import { SqliteNodeStorage } from "../../src/storage/sqlite/mod.ts";
import { type FileEvent, partlySynced } from "./disk_model.ts";
import { IDENTITY } from "./workload.ts";

/** Entries that the killed process has written, each in a transaction of its own. */
const ENTRIES = 8;

const [DATABASE, LOG] = ["raft.db", "raft.db-wal"];

function openLog(directory: string): Promise<SqliteNodeStorage> {
  return SqliteNodeStorage.open({ directory, identity: IDENTITY, writer: "direct" });
}

/** Appends the next entry: some are longer than a page. */
function appendStep(node: SqliteNodeStorage): Promise<void> {
  const region = node.region(1) as RaftStorage;
  const index = region.lastIndex() + 1;
  const command = new Uint8Array(index % 3 * 3000 + 10).fill(index);
  return region.append({ entries: [createEntry({ index, term: 1, command })] });
}

/** Leaves such a log in `directory`; returns what of it is on the disk, as what happened there. */
export async function leaveLog(directory: string): Promise<FileEvent[]> {
  const live = `${directory}-live`;
  const node = await openLog(live);
  await node.createRegion({ regionId: 1, peerId: 1 });
  for (let entry = 1; entry < ENTRIES; entry++) await appendStep(node);
  const syncedBytes = statSync(join(live, LOG)).size;
  await appendStep(node);
  mkdirSync(directory);
  for (const name of [DATABASE, LOG]) copyFileSync(join(live, name), join(directory, name));
  await node.close();
  rmSync(live, { recursive: true });
  return partlySynced(directory, DATABASE, syncedBytes);
}

/** Goes on with so many entries, and says when the log is open and each acknowledged. */
export async function continueLog(
  directory: string,
  steps: number,
  say: (what: string | number) => void,
): Promise<void> {
  const node = await openLog(directory);
  say("open");
  for (let step = 1; step <= steps; step++) {
    await appendStep(node);
    say(step);
  }
}

/** How many steps the log in `directory` has, after what was left. @throws when it cannot be opened or lacks an entry that was synced. */
export async function restartStepOf(directory: string): Promise<number> {
  const node = await openLog(directory);
  try {
    const lastIndex = node.region(1)?.lastIndex() ?? 0;
    if (lastIndex < ENTRIES - 1) throw new Error(`${directory} ends at index ${lastIndex}`);
    return Math.max(0, lastIndex - ENTRIES);
  } finally {
    await node.close();
  }
}
