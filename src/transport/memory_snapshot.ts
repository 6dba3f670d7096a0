/**
 * The transfer of a snapshot over a network in memory: one chunk a round, each stored before the next
 * is read. It fails when the path is cut or a node leaves; there is no connection to go on over.
 *
 * @module
 */

import type {
  OutgoingSnapshot,
  SnapshotChunks,
  SnapshotOutcome,
  SnapshotProgress,
  SnapshotSink,
  SnapshotTransfer,
} from "./contract.ts";

/** What a transfer asks of its network. */
export interface MemoryPath {
  /** Runs `step` in the next round. */
  later(step: () => void): void;
  /** Why nothing gets through now; undefined when it does. */
  trouble(): string | undefined;
  /** Offers the snapshot to the receiver: where it goes, or why it is refused. */
  offer(): SnapshotSink | string;
  /** Told of each chunk that was stored. */
  carried(bytes: number): void;
}

/** One snapshot on its way. */
export class MemorySnapshotTransfer implements SnapshotTransfer {
  readonly done: Promise<SnapshotOutcome>;
  private readonly path: MemoryPath;
  private readonly chunks: SnapshotChunks;
  private readonly source: AsyncIterator<Uint8Array>;
  private report!: (outcome: SnapshotOutcome) => void;
  private sink: SnapshotSink | undefined;
  private bytes = 0;
  private over = false;
  private busy = false;
  private reason: string | undefined;

  constructor(path: MemoryPath, snapshot: OutgoingSnapshot) {
    this.path = path;
    this.chunks = snapshot.chunks;
    this.source = this.chunks[Symbol.asyncIterator]();
    this.done = new Promise((resolve) => this.report = resolve);
    path.later(() => this.begin());
  }

  progress(): SnapshotProgress {
    return { readBytes: this.bytes, storedBytes: this.bytes, resumptions: 0 };
  }

  abort(reason: string): void {
    if (this.over) return;
    // What is being stored is let finish: calls of a sink do not overlap.
    if (this.busy) this.reason ??= reason;
    else this.fail(reason);
  }

  private begin(): void {
    if (this.over) return;
    const trouble = this.path.trouble();
    if (trouble !== undefined) return this.fail(trouble);
    const sink = this.path.offer();
    if (typeof sink === "string") return this.fail(sink);
    this.sink = sink;
    this.continue(sink);
  }

  private continue(sink: SnapshotSink): void {
    if (this.over) return;
    const trouble = this.reason ?? this.path.trouble();
    if (trouble !== undefined) return this.fail(trouble);
    this.carry(sink).then((ended) => {
      this.busy = false;
      if (this.over) return;
      if (ended) this.finish({ ok: true, bytes: this.bytes });
      else this.path.later(() => this.continue(sink));
    }, (error) => {
      this.busy = false;
      this.fail(error instanceof Error ? error.message : String(error));
    });
  }

  private async carry(sink: SnapshotSink): Promise<boolean> {
    const next = await this.source.next();
    if (this.over) return false;
    this.busy = true;
    if (next.done === true) {
      await sink.finish();
      return true;
    }
    const bytes = new Uint8Array(next.value);
    this.chunks.recycle?.(next.value);
    await sink.write(bytes);
    this.bytes += bytes.length;
    this.path.carried(bytes.length);
    return false;
  }

  private fail(reason: string): void {
    if (this.over) return;
    this.sink?.abort(reason);
    this.source.return?.()?.then(undefined, () => {});
    this.finish({ ok: false, reason });
  }

  private finish(outcome: SnapshotOutcome): void {
    this.over = true;
    this.report(outcome);
  }
}
