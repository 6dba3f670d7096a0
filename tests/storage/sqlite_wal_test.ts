import assert from "node:assert/strict";
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { createEntry } from "../../src/raft/mod.ts";
import { SqliteNodeStorage } from "../../src/storage/sqlite/mod.ts";
import { scanWal } from "../../src/storage/sqlite/wal.ts";
import { withDirectory } from "./temporary_directory.ts";

/** Scans hundreds of files: generous where the machine is busy. */
const SLOW = { timeout: 60_000 };

const identity = { clusterId: "tests", nodeId: 1 };
const FRAME_BYTES = 24 + 4096;
const TRANSACTIONS = 8;
/** About the size of the databases here. */
const SOME_PAGES = 8;

/** The files of a storage as a crash leaves them: many transactions in the write-ahead log. */
async function crashImage(directory: string, checkpoint = false): Promise<string> {
  const [live, image] = [join(directory, "live"), join(directory, "image")];
  const checkpointBytes = checkpoint ? 16 * 4096 : undefined;
  const storage = await SqliteNodeStorage.open({ directory: live, identity, checkpointBytes });
  const region = await storage.createRegion({ regionId: 1, peerId: 1 });
  for (let index = 1; index <= TRANSACTIONS; index++) {
    const command = new Uint8Array(index % 3 * 3000 + 10).fill(index);
    await region.append({ entries: [createEntry({ index, term: 1, command })] });
  }
  mkdirSync(image);
  for (const name of ["raft.db", "raft.db-wal"]) copyFileSync(join(live, name), join(image, name));
  await storage.close();
  return image;
}

interface FrameInfo {
  readonly number: number;
  readonly offset: number;
  readonly commit: boolean;
  readonly current: boolean;
}

function framesOf(wal: Uint8Array): FrameInfo[] {
  const view = new DataView(wal.buffer, wal.byteOffset);
  const frames: FrameInfo[] = [];
  for (let offset = 32; offset + FRAME_BYTES <= wal.length; offset += FRAME_BYTES) {
    const current = view.getBigUint64(offset + 8) === view.getBigUint64(16);
    const commit = current && view.getUint32(offset + 4) > 0;
    frames.push({ number: frames.length + 1, offset, commit, current });
  }
  return frames;
}

/** Scans a copy of `wal` with one byte changed. */
function scanDamaged(path: string, wal: Uint8Array, offset: number, mask: number) {
  const damaged = new Uint8Array(wal);
  damaged[offset] ^= mask;
  writeFileSync(path, damaged);
  return scanWal(path, SOME_PAGES);
}

test("an intact write-ahead log is counted", () =>
  withDirectory(async (directory) => {
    const path = join(await crashImage(directory), "raft.db-wal");
    const frames = framesOf(readFileSync(path));
    const scan = scanWal(path, SOME_PAGES);
    assert.equal(scan.frames, frames.length);
    assert.equal(scan.transactions, frames.filter((frame) => frame.commit).length);
    // The tables, the region, and the appends.
    assert.equal(scan.transactions, TRANSACTIONS + 2);
    assert.equal(scan.tornFrame, 0);
  }));

test("a missing, empty or unfinished write-ahead log is no damage", () =>
  withDirectory((directory) => {
    const path = join(directory, "raft.db-wal");
    const empty = { frames: 0, transactions: 0, tornFrame: 0 };
    assert.deepEqual(scanWal(path, 0), empty);
    for (const bytes of [0, 20, 32, 40]) {
      writeFileSync(path, new Uint8Array(bytes));
      assert.deepEqual(scanWal(path, 0), empty);
    }
  }));

test(
  "any byte damaged in any frame but the last transaction's is found, and the frame named",
  SLOW,
  () =>
    withDirectory(async (directory) => {
      const path = join(await crashImage(directory), "raft.db-wal");
      const wal = readFileSync(path);
      const frames = framesOf(wal);
      const lastButOne = frames.filter((frame) => frame.commit).at(-2)?.number ?? 0;
      for (const { number, offset } of frames) {
        // Each field of the header (page, commit mark, salts, checksums), then the page.
        for (const at of [0, 3, 6, 8, 12, 16, 20, 24, 24 + number * 61 % 4096, 24 + 4095]) {
          // Not the highest bit: SQLite's checksum lets two of them cancel out, so that a page
          // damaged there looks like a lost commit mark and is refused, which is safe as well.
          const damage = () => scanDamaged(path, wal, offset + at, 1 << (number % 7));
          const refused = {
            code: "STORAGE_CORRUPT",
            message: new RegExp(`^Frame ${number} of the write-ahead log`),
          };
          if (number <= lastButOne) {
            assert.throws(damage, refused, `frame ${number}, byte ${at}`);
          } else if (at === 6 && number < frames.length) {
            // A commit mark where the transaction had none is no torn write.
            assert.throws(damage, refused, `frame ${number}, byte ${at}`);
          } else {
            assert.equal(damage().tornFrame, number, `frame ${number}, byte ${at}`);
          }
        }
      }
    }),
);

test("a commit mark that was wiped out does not hide its transaction", () =>
  withDirectory(async (directory) => {
    const path = join(await crashImage(directory), "raft.db-wal");
    const wal = readFileSync(path);
    const commits = framesOf(wal).filter((frame) => frame.commit);
    // Without its mark, the last transaction but one would look like the beginning of the last.
    const { number, offset } = commits[commits.length - 2];
    wal.fill(0, offset + 4, offset + 8);
    writeFileSync(path, wal);
    assert.throws(() => scanWal(path, SOME_PAGES), {
      code: "STORAGE_CORRUPT",
      message: new RegExp(`^Frame ${number} `),
    });
  }));

test("a frame wiped out as a whole does not hide the transaction that it ended", () =>
  withDirectory(async (directory) => {
    const path = join(await crashImage(directory), "raft.db-wal");
    const wal = readFileSync(path);
    const { number, offset } = framesOf(wal).filter((frame) => frame.commit).at(-2) as FrameInfo;
    // Nothing of it is left; but a page occurs twice in what then looks like one transaction.
    wal.fill(0, offset, offset + FRAME_BYTES);
    writeFileSync(path, wal);
    assert.throws(() => scanWal(path, SOME_PAGES), {
      code: "STORAGE_CORRUPT",
      message: new RegExp(`^Frame ${number} `),
    });
  }));

test("any byte damaged in the header is found", () =>
  withDirectory(async (directory) => {
    const path = join(await crashImage(directory), "raft.db-wal");
    const wal = readFileSync(path);
    for (let offset = 0; offset < 32; offset++) {
      // Bytes 12 to 15 count checkpoints; the checksum covers them too.
      assert.throws(() => scanDamaged(path, wal, offset, 0x40), {
        code: "STORAGE_CORRUPT",
        message: /header of the write-ahead log/,
      }, `byte ${offset}`);
    }
  }));

test("the write-ahead log may end anywhere, as a crash leaves it", () =>
  withDirectory(async (directory) => {
    const path = join(await crashImage(directory), "raft.db-wal");
    const wal = readFileSync(path);
    const frames = framesOf(wal);
    for (const { number, offset } of frames) {
      for (const cut of [offset, offset + 10, offset + 24, offset + FRAME_BYTES - 1]) {
        writeFileSync(path, wal.subarray(0, cut));
        assert.equal(scanWal(path, SOME_PAGES).frames, number - 1);
      }
    }
  }));

test("frames of an older generation after the last transaction are no damage", () =>
  withDirectory(async (directory) => {
    const path = join(await crashImage(directory, true), "raft.db-wal");
    const frames = framesOf(readFileSync(path));
    assert.ok(frames.some((frame) => !frame.current), "the log was restarted after a checkpoint");
    const scan = scanWal(path, SOME_PAGES);
    assert.equal(scan.frames, frames.filter((frame) => frame.current).length);
    assert.equal(scan.tornFrame, 0);
  }));

test("a torn last transaction is dropped, and everything before it is there", () =>
  withDirectory(async (directory) => {
    const image = await crashImage(directory);
    const path = join(image, "raft.db-wal");
    const wal = readFileSync(path);
    const frames = framesOf(wal);
    wal[frames[frames.length - 1].offset + 24 + 100] ^= 1;
    writeFileSync(path, wal);
    const storage = await SqliteNodeStorage.open({ directory: image, identity });
    assert.equal(storage.walScan.tornFrame, frames.length);
    assert.equal(storage.region(1)?.lastIndex(), TRANSACTIONS - 1);
    await storage.close();
  }));

test("a write-ahead log whose database is missing or empty is refused and kept", () =>
  withDirectory(async (directory) => {
    const image = await crashImage(directory);
    const wal = readFileSync(join(image, "raft.db-wal"));
    writeFileSync(join(image, "raft.db"), "");
    await assert.rejects(SqliteNodeStorage.open({ directory: image, identity }), {
      code: "STORAGE_CORRUPT",
      message: /missing or empty/,
    });
    assert.deepEqual(readFileSync(join(image, "raft.db-wal")), wal);
  }));
