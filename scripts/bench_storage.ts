/**
 * Measures the SQLite storage on this disk: rows and transactions a second for several sizes of
 * transaction, every one synced, with either writer; group commit over many regions; reads from the
 * cache and from rows; how the file shrinks after a compaction and what that costs the writes
 * meanwhile; opening with every row checked. Run it by itself on an idle machine:
 *
 *     deno task bench:storage [directory]
 *
 * @module
 */

import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import type { RaftLogEntry } from "../src/raft/mod.ts";
import type { RaftStorage } from "../src/storage/mod.ts";
import { SqliteNodeStorage } from "../src/storage/sqlite/mod.ts";

const COMMAND_BYTES = 256;
const SECONDS_A_CASE = 2;
const CACHE_BYTES_MAX = 4 * 1024 * 1024;

const command = new Uint8Array(COMMAND_BYTES).fill(0x61);
const identity = { clusterId: "bench", nodeId: 1 };

function entriesFrom(first: number, count: number): RaftLogEntry[] {
  const entries: RaftLogEntry[] = [];
  for (let index = first; index < first + count; index++) {
    entries.push({ index, term: 1, type: "normal", command, context: undefined });
  }
  return entries;
}

function print(name: string, count: number, unit: string, elapsedMs: number): void {
  const rate = Math.round(count / elapsedMs * 1000).toLocaleString("en-US");
  console.log(`${name.padEnd(58)} ${rate.padStart(12)} ${unit}/s`);
}

/** One write after the other, each with the hard state, as a peer without load does. */
async function benchTransactions(region: RaftStorage, rows: number): Promise<void> {
  const start = performance.now();
  let transactions = 0;
  const durations: number[] = [];
  while (performance.now() - start < SECONDS_A_CASE * 1000) {
    const before = performance.now();
    const commitIndex = region.lastIndex();
    await region.append({
      entries: entriesFrom(commitIndex + 1, rows),
      hardState: { currentTerm: 1, votedFor: 1, commitIndex },
    });
    durations.push(performance.now() - before);
    transactions++;
  }
  const elapsedMs = performance.now() - start;
  durations.sort((a, b) => a - b);
  const [median, high] = [0.5, 0.99].map((part) => durations[Math.floor(durations.length * part)]);
  const name = `${rows} rows a transaction`;
  print(name, transactions * rows, "rows", elapsedMs);
  print(
    `  50 % within ${median.toFixed(2)} ms, 99 % within ${high.toFixed(2)} ms`,
    transactions,
    "transactions",
    elapsedMs,
  );
}

/** One row a write, from many regions at once: they share transactions. */
async function benchRegions(storage: SqliteNodeStorage, count: number): Promise<void> {
  const regions: RaftStorage[] = [];
  for (let i = 0; i < count; i++) {
    regions.push(await storage.createRegion({ regionId: 1000 + i, peerId: 1 }));
  }
  const start = performance.now();
  let rows = 0;
  while (performance.now() - start < SECONDS_A_CASE * 1000) {
    await Promise.all(
      regions.map((region) => region.append({ entries: entriesFrom(region.lastIndex() + 1, 1) })),
    );
    rows += count;
  }
  print(`1 row a write, ${count} regions at once`, rows, "rows", performance.now() - start);
}

/**
 * Compacts a log of large entries while small writes go on, one after the other: how fast the file
 * shrinks, and how long the writes take meanwhile.
 */
async function benchVacuum(storage: SqliteNodeStorage, directory: string): Promise<void> {
  const mebibytes = (): number => statSync(join(directory, "raft.db")).size / 1024 / 1024;
  const region = await storage.createRegion({ regionId: 5000, peerId: 1 });
  const large = { term: 1, type: "normal", command: new Uint8Array(64 * 1024) } as const;
  for (let first = 1; first < 2048; first += 64) {
    const entries = Array.from({ length: 64 }, (_, i) => ({ ...large, index: first + i }));
    await region.append({ entries: entries.map((entry) => ({ ...entry, context: undefined })) });
  }
  await region.compact(0);
  const before = mebibytes();
  const small = await storage.createRegion({ regionId: 5001, peerId: 1 });
  const quiet = await timeWrites(small, () => false);
  await region.compact(region.lastIndex());
  let [size, changed, busy] = [mebibytes(), performance.now(), performance.now()];
  const start = performance.now();
  const durations = await timeWrites(small, () => {
    busy = performance.now();
    if (mebibytes() < size) [size, changed] = [mebibytes(), busy];
    // Until it has not shrunk for a while.
    return busy - Math.max(changed, start) < 3000;
  });
  const seconds = ((changed - start) / 1000).toFixed(1);
  console.log(
    `compaction of 128 MiB: the file shrinks from ${before.toFixed(0)} to ${
      size.toFixed(0)
    } MiB in ` +
      `${seconds} s`,
  );
  for (const [name, times] of [["before", quiet], ["meanwhile", durations]] as const) {
    const [median, high, most] = [0.5, 0.99, 1].map((part) =>
      times[Math.min(times.length - 1, Math.floor(times.length * part))].toFixed(2)
    );
    console.log(
      `  writes ${name}: 50 % within ${median} ms, 99 % within ${high} ms, longest ${most} ms`,
    );
  }
}

/** One small write after the other, for a second and as long as `more`; their times, ascending. */
async function timeWrites(region: RaftStorage, more: () => boolean): Promise<number[]> {
  const durations: number[] = [];
  const start = performance.now();
  while (performance.now() - start < 1000 || more()) {
    const before = performance.now();
    await region.append({ entries: entriesFrom(region.lastIndex() + 1, 1) });
    durations.push(performance.now() - before);
  }
  return durations.sort((a, b) => a - b);
}

function benchReads(region: RaftStorage, name: string, low: number, high: number): void {
  const start = performance.now();
  let [rows, index] = [0, low];
  while (performance.now() - start < 500) {
    const page = region.entries(index, high, 64 * 1024);
    rows += page.length;
    index += page.length;
    if (index >= high) index = low;
  }
  print(name, rows, "rows", performance.now() - start);
}

async function benchWriter(parent: string, writer: "direct" | "worker"): Promise<void> {
  const directory = mkdtempSync(join(parent, "flaredb-bench-"));
  try {
    const options = { directory, identity, cacheBytesMax: CACHE_BYTES_MAX, writer };
    let storage = await SqliteNodeStorage.open(options);
    const region = await storage.createRegion({ regionId: 1, peerId: 1 });
    console.log(
      `${COMMAND_BYTES}-byte commands, every transaction synced, in ${directory}, writer ${writer}`,
    );
    for (const rows of [1, 10, 100, 1000]) await benchTransactions(region, rows);
    await benchRegions(storage, 100);
    const last = region.lastIndex();
    benchReads(region, "reads of the tail, pages of 64 KiB", last - 5000, last + 1);
    benchReads(region, "reads of old entries, pages of 64 KiB", 1, 100_000);
    await benchVacuum(storage, directory);
    await storage.close();
    const start = performance.now();
    storage = await SqliteNodeStorage.open(options);
    print(
      `opening with ${last.toLocaleString("en-US")} rows`,
      last,
      "rows",
      performance.now() - start,
    );
    await storage.close();
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

const parent = process.argv[2] ?? tmpdir();
for (const writer of ["direct", "worker"] as const) await benchWriter(parent, writer);
