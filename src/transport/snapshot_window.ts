/**
 * The sending end of a snapshot's stream: reads the state as far ahead of the receiver as the window
 * allows, cuts it into pieces, and keeps them until the receiver has stored them, so that they can be
 * sent again over another connection.
 *
 * @module
 */

import { createHash, type Hash } from "node:crypto";
import { crc32 } from "node:zlib";
import { encodeSnapshotFrame, type SnapshotEnd } from "../wire/mod.ts";
import type { SnapshotChunks } from "./contract.ts";
import { freeBytes } from "./free_bytes.ts";
import type { SnapshotPace } from "./snapshot_pace.ts";

/** A piece of a snapshot, as it is sent. */
export interface SnapshotPiece {
  /** Where it begins, and where the next one does. */
  readonly start: number;
  readonly end: number;
  /** The frame that carries it; its memory is freed once the receiver has stored it. */
  readonly frame: Uint8Array;
}

/** The pieces of a snapshot between its source and what the receiver has stored. */
export class SnapshotWindow {
  /** What is read and not known to be stored, in order. */
  readonly pieces: SnapshotPiece[] = [];
  /** Set once all has been read. */
  end: SnapshotEnd | undefined;
  /** Bytes read. */
  readBytes = 0;
  /** Bytes the receiver has stored. */
  storedBytes = 0;
  private readonly chunks: SnapshotChunks;
  private readonly source: AsyncIterator<Uint8Array>;
  private readonly windowBytes: number;
  private readonly pace: SnapshotPace;
  private readonly hash: Hash = createHash("sha256");
  private closed = false;
  private readonly waiting = new Set<() => void>();

  /**
   * @param windowBytes most bytes read and not stored, beside one chunk of the source.
   * @param pace rests between turns.
   */
  constructor(chunks: SnapshotChunks, windowBytes: number, pace: SnapshotPace) {
    this.chunks = chunks;
    this.source = chunks[Symbol.asyncIterator]();
    this.windowBytes = windowBytes;
    this.pace = pace;
  }

  /**
   * Reads all, waiting whenever the window is full. Resolves at the end, or when it is closed;
   * rejects when the source fails.
   *
   * @param pieceBytesMax asked for at each chunk: the longest piece.
   * @param arrived called whenever there are new pieces, and at the end.
   */
  async read(pieceBytesMax: () => number, arrived: () => void): Promise<void> {
    let turnStart = this.readBytes;
    while (!this.closed) {
      if (this.readBytes - this.storedBytes >= this.windowBytes) {
        await new Promise<void>((resolve) => this.waiting.add(resolve));
        continue;
      }
      const next = await this.pace.work(() => this.source.next());
      if (this.closed) return;
      if (next.done === true) {
        this.end = { totalBytes: this.readBytes, sha256: this.hash.digest() };
        arrived();
        return;
      }
      const chunk = next.value;
      this.pace.work(() => {
        this.cut(chunk, pieceBytesMax());
        this.chunks.recycle?.(chunk);
        arrived();
      });
      // What others do in this event loop, such as taking writes, comes first: they get their turn
      // after little of this, so that each of their steps takes hardly longer than without it.
      if (!this.pace.isDue) continue;
      await this.pace.rest(this.readBytes - turnStart);
      turnStart = this.readBytes;
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
    while (done < this.pieces.length && this.pieces[done]!.end <= bytes) done++;
    for (const { frame } of this.pieces.splice(0, done)) freeBytes(frame);
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
    for (let at = 0; at < chunk.length; at += pieceBytesMax) {
      const data = chunk.subarray(at, at + pieceBytesMax);
      const start = this.readBytes;
      const frame = encodeSnapshotFrame({
        kind: "chunk",
        chunk: { offset: start, data, crc32: crc32(data) },
      });
      this.readBytes = start + data.length;
      this.pieces.push({ start, end: this.readBytes, frame });
    }
  }

  private wake(): void {
    for (const resolve of this.waiting) resolve();
    this.waiting.clear();
  }
}
