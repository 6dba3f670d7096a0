/**
 * The receiving end of a snapshot's stream, apart from connections: puts the pieces into the sink one
 * after the other, counts what is stored, and compares the checksums.
 *
 * @module
 */

import { createHash, type Hash } from "node:crypto";
import { crc32 } from "node:zlib";
import type { SnapshotChunk, SnapshotEnd } from "../wire/mod.ts";
import type { SnapshotSink } from "./contract.ts";
import { freeBytes } from "./free_bytes.ts";

/** What becomes of a piece. */
export type Intake = "taken" | "damaged" | "gap";

/** One snapshot on its way into its sink. */
export class SnapshotIntake {
  /** Bytes the sink has stored. */
  storedBytes = 0;
  /** Whether all has arrived and was handed on. */
  done = false;
  private readonly sink: SnapshotSink;
  private readonly hash: Hash = createHash("sha256");
  private acceptedBytes = 0;
  private over = false;
  private work: Promise<void> = Promise.resolve();

  constructor(sink: SnapshotSink) {
    this.sink = sink;
  }

  /**
   * Takes a piece, whose memory is then freed where it can be; `stored` is called once the sink has it,
   * `failed` when it refuses.
   *
   * @returns `damaged` when its checksum does not hold, `gap` when it does not follow the last one.
   */
  take(piece: SnapshotChunk, stored: () => void, failed: (reason: string) => void): Intake {
    const { offset, data } = piece;
    if (offset !== this.acceptedBytes) return "gap";
    if (crc32(data) !== piece.crc32) return "damaged";
    const bytes = data.length;
    this.acceptedBytes += bytes;
    this.enqueue(async () => {
      await this.sink.write(data);
      this.hash.update(data);
      this.storedBytes += bytes;
      freeBytes(data);
      stored();
    }, failed);
    return "taken";
  }

  /** Takes the end; `done` is called once the snapshot was handed on. */
  finish(end: SnapshotEnd, done: () => void, failed: (reason: string) => void): void {
    this.enqueue(
      async () => {
        if (this.done) return done();
        const { totalBytes, sha256 } = end;
        if (totalBytes !== this.storedBytes) {
          throw new Error(`it must have ${totalBytes} bytes: ${this.storedBytes} have arrived`);
        }
        if (!this.hash.copy().digest().equals(sha256)) {
          throw new Error("its checksum does not hold");
        }
        await this.sink.finish();
        this.done = true;
        this.over = true;
        done();
      },
      failed,
      true,
    );
  }

  /** Resolves when everything taken so far is stored, so that another connection can go on there. */
  async settled(): Promise<void> {
    await this.work;
  }

  /** Gives it up. Nothing happens once it is done. */
  abort(reason: string): void {
    if (this.over) return;
    this.over = true;
    this.work = this.work.then(() => this.sink.abort(reason));
  }

  private enqueue(
    action: () => Promise<void>,
    failed: (reason: string) => void,
    evenIfDone = false,
  ): void {
    this.work = this.work.then(async () => {
      if (this.over && !(evenIfDone && this.done)) return;
      try {
        await action();
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        this.over = true;
        this.sink.abort(reason);
        failed(reason);
      }
    });
  }
}
