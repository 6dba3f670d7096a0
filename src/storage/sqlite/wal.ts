/**
 * A check of SQLite's write-ahead log before SQLite opens it. SQLite ends recovery at the first
 * damaged frame without a word, and so drops every transaction committed after it; this scan finds
 * such damage and refuses to go on.
 *
 * The file (https://sqlite.org/fileformat2.html#walformat) is a header of 32 bytes and frames of 24
 * bytes and a page. Frames of the current generation carry the header's two salts, and a checksum
 * that continues the one of the frame before. Older frames may follow: they have other salts.
 *
 * A transaction is synced before the next one begins. So a damaged frame in the *last* transaction
 * may be a write that a crash tore, which was never acknowledged, and is left to SQLite to drop; an
 * intact frame after the damaged transaction proves that it had been synced. Where the frame that
 * ended a transaction is wiped out as a whole, a page that occurs twice shows that there were two.
 * (That the last transaction was acknowledged and damaged afterwards cannot be told from a torn write;
 * nor can that the only frame of the last but one was wiped out as a whole, header and page.)
 *
 * @module
 */

import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { StorageError } from "../errors.ts";
import { CORRUPT_ADVICE } from "./database.ts";

const HEADER_BYTES = 32;
const FRAME_HEADER_BYTES = 24;
const READ_BYTES = 1024 * 1024;

/** The magic number, whose lowest bit says that checksums read words as big-endian. */
const MAGIC_LITTLE_ENDIAN = 0x377f0682;
const MAGIC_BIG_ENDIAN = 0x377f0683;
const WAL_VERSION = 3007000;

/** What a scan found. */
export interface WalScan {
  /** Intact frames from the start on. */
  readonly frames: number;
  /** Transactions that SQLite will recover. */
  readonly transactions: number;
  /** The frame, from 1, at which a torn last transaction begins to be damaged; 0 when all is intact. */
  readonly tornFrame: number;
}

const EMPTY_SCAN: WalScan = { frames: 0, transactions: 0, tornFrame: 0 };

/** A frame's header, and whether its checksum holds. */
interface Frame {
  /** From 1, as SQLite counts. */
  readonly number: number;
  readonly offset: number;
  readonly page: number;
  /** Whether it belongs to the current generation. */
  readonly current: boolean;
  readonly intact: boolean;
  /** The database's size in pages after the commit that this frame ends; 0 in all other frames. */
  readonly commit: number;
}

/**
 * Scans the write-ahead log at `path`, which may be absent, with bounded memory.
 *
 * @param databasePages the number of pages of the database, about: helps to recognize a damaged
 *   frame that ended a transaction.
 * @throws StorageError `STORAGE_CORRUPT`, naming the frame, when committed transactions would be lost.
 */
export function scanWal(path: string, databasePages: number): WalScan {
  let file: number;
  try {
    file = openSync(path, "r");
  } catch (error) {
    if ((error as { code?: unknown }).code === "ENOENT") return EMPTY_SCAN;
    throw error;
  }
  try {
    return new WalReader(file, path).scan(databasePages);
  } finally {
    closeSync(file);
  }
}

class WalReader {
  readonly #file: number;
  readonly #path: string;
  readonly #size: number;
  readonly #buffer = new Uint8Array(READ_BYTES);
  readonly #view = new DataView(this.#buffer.buffer);
  #littleEndian = true;
  #pageBytes = 0;
  #salt1 = 0;
  #salt2 = 0;
  /** The stored checksum of the frame (or header) before the next one. */
  #seed0 = 0;
  #seed1 = 0;
  /** Whether the frame before the next one (or the header) is of the current generation. */
  #previousCurrent = true;
  /** The result of the last {@linkcode WalReader.#sum}. */
  #sum0 = 0;
  #sum1 = 0;

  constructor(file: number, path: string) {
    this.#file = file;
    this.#path = path;
    this.#size = fstatSync(file).size;
  }

  scan(databasePages: number): WalScan {
    if (this.#size < HEADER_BYTES + FRAME_HEADER_BYTES) return EMPTY_SCAN;
    this.#readHeader();
    let frames = 0;
    let transactions = 0;
    let pages = databasePages;
    let damaged: Frame | undefined;
    // Whether the transaction that the damaged frame belongs to has ended.
    let ended = false;
    // The pages in frames that look like one transaction: none has the same page twice.
    const written = new Set<number>();
    for (const frame of this.#frames(() => pages)) {
      if (damaged !== undefined && frame.current) {
        ended ||= written.has(frame.page);
        written.add(frame.page);
      }
      if (damaged === undefined && frame.intact) {
        frames++;
        written.add(frame.page);
        if (frame.commit > 0) {
          transactions++;
          pages = frame.commit;
          written.clear();
        }
      } else if (damaged === undefined) {
        damaged = frame;
        ended = frame.current && frame.commit > 0;
      } else if (frame.intact && ended) {
        this.#refuse(damaged, frame);
      } else if (frame.current && frame.commit > 0) {
        ended = true;
      }
    }
    // Frames of an older generation after the last transaction are no damage.
    const torn = damaged !== undefined && (damaged.current || ended);
    return { frames, transactions, tornFrame: torn ? (damaged as Frame).number : 0 };
  }

  #readHeader(): void {
    this.#read(0, HEADER_BYTES);
    const view = this.#view;
    const magic = view.getUint32(0);
    this.#littleEndian = magic === MAGIC_LITTLE_ENDIAN;
    this.#pageBytes = view.getUint32(8) === 1 ? 65536 : view.getUint32(8);
    this.#salt1 = view.getUint32(16);
    this.#salt2 = view.getUint32(20);
    this.#seed0 = view.getUint32(24) | 0;
    this.#seed1 = view.getUint32(28) | 0;
    this.#sum(0, 0, 0, 24);
    const known = (magic === MAGIC_LITTLE_ENDIAN || magic === MAGIC_BIG_ENDIAN) &&
      view.getUint32(4) === WAL_VERSION;
    const intact = this.#sum0 === this.#seed0 && this.#sum1 === this.#seed1;
    if (known && intact) return;
    // It is synced before the first frame is written, so frames prove that it was whole.
    throw new StorageError(
      "STORAGE_CORRUPT",
      `The header of the write-ahead log ${this.#path} is damaged (offset 0) and ` +
        `${
          this.#size - HEADER_BYTES
        } bytes follow it: SQLite would drop every transaction in it; ` +
        CORRUPT_ADVICE,
    );
  }

  *#frames(pages: () => number): Generator<Frame> {
    const frameBytes = FRAME_HEADER_BYTES + this.#pageBytes;
    const count = Math.floor((this.#size - HEADER_BYTES) / frameBytes);
    const chunkFrames = Math.floor(READ_BYTES / frameBytes);
    for (let chunk = 0; chunk < count; chunk += chunkFrames) {
      const inChunk = Math.min(chunkFrames, count - chunk);
      const chunkOffset = HEADER_BYTES + chunk * frameBytes;
      this.#read(chunkOffset, inChunk * frameBytes);
      for (let i = 0; i < inChunk; i++) {
        yield this.#frame(i * frameBytes, chunk + i + 1, chunkOffset + i * frameBytes, pages());
      }
    }
  }

  #frame(at: number, number: number, offset: number, pages: number): Frame {
    const view = this.#view;
    const page = view.getUint32(at);
    let commit = view.getUint32(at + 4);
    const stored0 = view.getUint32(at + 16) | 0;
    const stored1 = view.getUint32(at + 20) | 0;
    const matches = (): boolean => {
      this.#sum(this.#seed0, this.#seed1, at, 8);
      this.#sum(this.#sum0, this.#sum1, at + FRAME_HEADER_BYTES, this.#pageBytes);
      return this.#sum0 === stored0 && this.#sum1 === stored1;
    };
    const salted = view.getUint32(at + 8) === this.#salt1 &&
      view.getUint32(at + 12) === this.#salt2;
    // The checksum does not cover the salts: where it continues that of a current frame, wrong
    // salts are damage and not the sign of an older generation.
    const summed = page > 0 && (salted || this.#previousCurrent) && matches();
    const intact = salted && summed;
    const current = salted || summed;
    if (salted && !intact && commit === 0) commit = this.#lostCommit(at, pages, matches);
    this.#seed0 = stored0;
    this.#seed1 = stored1;
    this.#previousCurrent = current;
    return { number, offset, page, current, intact, commit };
  }

  /**
   * Whether a frame whose checksum fails would be intact as the end of a transaction: then the
   * damage is in its commit mark, and the transaction had ended here.
   */
  #lostCommit(at: number, pages: number, matches: () => boolean): number {
    for (let size = Math.max(1, pages - 256); size <= pages + 256; size++) {
      this.#view.setUint32(at + 4, size);
      if (matches()) return size;
    }
    this.#view.setUint32(at + 4, 0);
    return 0;
  }

  /** Continues SQLite's checksum of pairs of 32-bit words over `length` bytes from `at` on. */
  #sum(sum0: number, sum1: number, at: number, length: number): void {
    const view = this.#view;
    const littleEndian = this.#littleEndian;
    for (let i = at; i < at + length; i += 8) {
      sum0 = (sum0 + view.getInt32(i, littleEndian) + sum1) | 0;
      sum1 = (sum1 + view.getInt32(i + 4, littleEndian) + sum0) | 0;
    }
    this.#sum0 = sum0;
    this.#sum1 = sum1;
  }

  #read(offset: number, length: number): void {
    let done = 0;
    while (done < length) {
      const bytes = readSync(this.#file, this.#buffer, done, length - done, offset + done);
      if (bytes === 0) {
        throw new StorageError(
          "STORAGE_IO",
          `Cannot read ${this.#path}: it ends at ${offset + done} but had ${this.#size} bytes`,
        );
      }
      done += bytes;
    }
  }

  #refuse(damaged: Frame, intact: Frame): never {
    throw new StorageError(
      "STORAGE_CORRUPT",
      `Frame ${damaged.number} of the write-ahead log ${this.#path} is damaged (offset ` +
        `${damaged.offset}, page ${damaged.page}), yet frame ${intact.number} after its ` +
        "transaction is intact: SQLite would drop committed transactions from the damaged frame " +
        `on; ${CORRUPT_ADVICE}`,
    );
  }
}
