/**
 * A process that opens a storage, for tests that need a second one or kill it. It is started as
 * `storage_process.ts <hold | write> <directory> <auto | direct | worker>` and prints a line for each step it has done:
 *
 * - `open` once the storage is open, or `refused <code> <message>`.
 * - in mode `write`: `<index> <term>` once the log up to there, with this term as the current one,
 *   is acknowledged, on and on, with truncations and compactions in between.
 *
 * It ends when it is killed.
 *
 * @module
 */

import { writeSync } from "node:fs";
import process from "node:process";
import { createEntry, type RaftLogEntry } from "../../src/raft/mod.ts";
import { StorageError } from "../../src/storage/mod.ts";
import { SqliteNodeStorage, type WriterOption } from "../../src/storage/sqlite/mod.ts";

/** A command that tells which entry it belongs to. */
function commandOf(index: number, term: number): Uint8Array {
  return new TextEncoder().encode(`entry ${index} of term ${term} `.repeat(1 + index % 20));
}

function print(line: string): void {
  writeSync(1, line + "\n");
}

async function write(storage: SqliteNodeStorage): Promise<void> {
  const region = storage.region(1) ?? await storage.createRegion({ regionId: 1, peerId: 1 });
  for (let term = region.initialState().hardState.currentTerm + 1;; term++) {
    // Replaces up to two uncommitted entries, appends up to 30, commits all but two.
    const { commitIndex } = region.initialState().hardState;
    const first = Math.max(commitIndex + 1, region.lastIndex() - term % 3 + 1);
    const entries: RaftLogEntry[] = [];
    for (let index = first; index < first + 2 + term % 30; index++) {
      entries.push(createEntry({ index, term, command: commandOf(index, term) }));
    }
    const last = first + entries.length - 1;
    const hardState = { currentTerm: term, votedFor: 1, commitIndex: last - 2 };
    await region.append({ entries, hardState });
    print(`${last} ${term}`);
    if (term % 50 === 0) await region.compact(Math.max(0, last - 500));
  }
}

async function main(mode: string, directory: string, writer: WriterOption): Promise<void> {
  let storage: SqliteNodeStorage;
  try {
    storage = await SqliteNodeStorage.open({
      directory,
      identity: { clusterId: "tests", nodeId: 1 },
      writer,
      checkpointBytes: mode === "write" ? 128 * 1024 : undefined,
    });
  } catch (error) {
    if (!(error instanceof StorageError)) throw error;
    return print(`refused ${error.code} ${error.message}`);
  }
  print("open");
  if (mode === "write") await write(storage);
  // A storage that nothing refers to any more is collected, and its lock is released.
  await new Promise(() => setInterval(() => storage.identity, 1000));
}

await main(process.argv[2], process.argv[3], process.argv[4] as WriterOption);
