/**
 * The sending end of a snapshot's stream: reads the state as far ahead of the receiver as the window
 * allows, cuts it into pieces, and keeps them until the receiver has stored them, so that they can be
 * sent again over another connection.
 *
 * @module
 */

import { createHash, type Hash } from "node:crypto";
import { setImmediate } from "node:timers/promises";
import { crc32 } from "node:zlib";
import type { SnapshotChunk, SnapshotEnd } from "../wire/mod.ts";

/** How much is read in one turn of the event loop. */
const TURN_BYTES = 256 * 1024;

/** The pieces of a snapshot between its source and what the receiver has stored. */
export class SnapshotWindow {
  /** What is read and not known to be stored, in order. */
  readonly pieces: SnapshotChunk[] = [];
  /** Set once all has been read. */
  end: SnapshotEnd | undefined;
  /** Bytes read. */
  readBytes = 0;
  /** Bytes the receiver has stored. */
  storedBytes = 0;
  private readonly source: AsyncIterator<Uint8Array>;
  private readonly windowBytes: number;
  private readonly hash: Hash = createHash("sha256");
  private closed = false;
  private readonly waiting = new Set<() => void>();

  /** @param windowBytes most bytes read and not stored, beside one chunk of the source. */
  constructor(chunks: AsyncIterable<Uint8Array>, windowBytes: number) {
    this.source = chunks[Symbol.asyncIterator]();
    this.windowBytes = windowBytes;
  }

  /**
   * Reads all, waiting whenever the window is full. Resolves at the end, or when it is closed;
   * rejects when the source fails.
   *
   * @param pieceBytesMax asked for at each chunk: the longest piece.
   * @param arrived called whenever there are new pieces, and at the end.
   */
  async read(pieceBytesMax: () => number, arrived: () => void): Promise<void> {
    let pauseAt = TURN_BYTES;
    while (!this.closed) {
      if (this.readBytes - this.storedBytes >= this.windowBytes) {
        await new Promise<void>((resolve) => this.waiting.add(resolve));
        continue;
      }
      const next = await this.source.next();
      if (this.closed) return;
      if (next.done === true) {
        this.end = { totalBytes: this.readBytes, sha256: this.hash.digest() };
        arrived();
        return;
      }
      this.cut(next.value, pieceBytesMax());
      arrived();
      // A source that always has more must not keep the event loop from anything else for long; but
      // where a turn is long because of other work, one chunk a turn would take forever.
      if (this.readBytes < pauseAt) continue;
      pauseAt = this.readBytes + TURN_BYTES;
      await setImmediate();
    }
  }

  /**
   * The receiver has stored this much. False when that cannot be: it is more than was read, or less
   * than it had said before, and so what it lacks is no longer here.
   */
  stored(bytes: number): boolean {
    if (bytes > this.readBytes || bytes < this.storedBytes) return false;
    this.storedBytes = bytes;
    let done = 0;
    while (done < this.pieces.length) {
      const { offset, data } = this.pieces[done]!;
      if (offset + data.length > bytes) break;
      done++;
    }
    this.pieces.splice(0, done);
    this.wake();
    return true;
  }

  /** Gives the rest up and closes the source. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.pieces.length = 0;
    this.wake();
    if (this.end === undefined) this.source.return?.()?.then(undefined, () => {});
  }

  private cut(chunk: Uint8Array, pieceBytesMax: number): void {
    this.hash.update(chunk);
    for (let start = 0; start < chunk.length; start += pieceBytesMax) {
      const data = chunk.subarray(start, start + pieceBytesMax);
      this.pieces.push({ offset: this.readBytes, data, crc32: crc32(data) });
      this.readBytes += data.length;
    }
  }

  private wake(): void {
    for (const resolve of this.waiting) resolve();
    this.waiting.clear();
  }
}
