/**
 * One snapshot on its way to another node: over a connection of its own, so that the messages of the
 * regions do not wait behind it, and over another when that one breaks.
 *
 * @module
 */

import * as grpc from "@grpc/grpc-js";
import { Buffer } from "node:buffer";
import { randomBytes } from "node:crypto";
import { clearTimeout, setTimeout } from "node:timers";
import {
  CHUNK_OVERHEAD_BYTES,
  decodeReply,
  decodeSnapshotReply,
  encodeHello,
  encodeSnapshotFrame,
  type SnapshotFrame,
  TRANSFER_ID_BYTES,
} from "../../wire/mod.ts";
import type {
  OutgoingSnapshot,
  SnapshotOutcome,
  SnapshotProgress,
  SnapshotTransfer,
} from "../contract.ts";
import { SnapshotPace } from "../snapshot_pace.ts";
import { SnapshotWindow } from "../snapshot_window.ts";
import { Backoff } from "./backoff.ts";
import { channelCredentials, channelOptions, passBytes, SEND_SNAPSHOT_PATH } from "./channel.ts";
import type { Context } from "./context.ts";
import { PROTOCOL_VERSION } from "./options.ts";

type Timer = ReturnType<typeof setTimeout>;

/** One attempt to connect, and the connection it became. */
interface Attempt {
  readonly client: grpc.Client;
  readonly call: grpc.ClientDuplexStream<Buffer, Buffer>;
  /** Whether the receiver has accepted the stream. */
  welcomed: boolean;
  /** How far what was sent over it reaches; undefined until the receiver has said where to begin. */
  sentBytes: number | undefined;
  endSent: boolean;
}

/** How long a receiver may take to hear that a transfer was given up. */
const ABORT_MS = 10_000;

/** What the receiver ends a stream with when there is no use in trying again. */
const FINAL: ReadonlySet<grpc.status> = new Set([
  grpc.status.ABORTED,
  grpc.status.FAILED_PRECONDITION,
  grpc.status.INVALID_ARGUMENT,
  grpc.status.RESOURCE_EXHAUSTED,
  grpc.status.UNIMPLEMENTED,
  grpc.status.UNAUTHENTICATED,
]);

/** The transfer of one snapshot to one node. */
export class SnapshotSender implements SnapshotTransfer {
  readonly done: Promise<SnapshotOutcome>;
  /** Resolves when it has ended and its connection is closed, which may be later. */
  readonly released: Promise<void>;
  private readonly context: Context;
  private readonly nodeId: number;
  private readonly address: string;
  private readonly begin: SnapshotFrame;
  private readonly window: SnapshotWindow;
  private readonly backoff: Backoff;
  private report!: (outcome: SnapshotOutcome) => void;
  private reportReleased!: () => void;
  private attempt: Attempt | undefined;
  private timer: Timer | undefined;
  private stallTimer: Timer | undefined;
  private pieceBytesMax: number;
  private resumptions = 0;
  private reading = false;
  private over = false;

  constructor(context: Context, nodeId: number, address: string, snapshot: OutgoingSnapshot) {
    this.context = context;
    this.nodeId = nodeId;
    this.address = address;
    const { regionId, message, chunks } = snapshot;
    const transferId = new Uint8Array(randomBytes(TRANSFER_ID_BYTES));
    this.begin = { kind: "begin", begin: { transferId, regionId, message } };
    const { options } = context;
    const pace = new SnapshotPace(options.snapshotBytesPerSecondMax, options.nowMs);
    this.window = new SnapshotWindow(chunks, options.windowBytes, pace);
    this.pieceBytesMax = options.snapshotChunkBytes;
    this.backoff = new Backoff(options.backoffMs, options.backoffMsMax, options.random);
    this.done = new Promise((resolve) => this.report = resolve);
    this.released = new Promise((resolve) => this.reportReleased = resolve);
    this.expectProgress();
    this.connect();
  }

  progress(): SnapshotProgress {
    const { readBytes, storedBytes } = this.window;
    return { readBytes, storedBytes, resumptions: this.resumptions };
  }

  abort(reason: string): void {
    this.fail(reason);
  }

  /** Gives it up without telling the receiver. */
  close(): void {
    this.fail("the node stops");
    this.release();
  }

  private connect(): void {
    const { options } = this.context;
    const client = new grpc.Client(
      this.address,
      channelCredentials(options.tls),
      channelOptions(options, this.nodeId),
    );
    const call = client.makeBidiStreamRequest<Buffer, Buffer>(
      SEND_SNAPSHOT_PATH,
      passBytes,
      passBytes,
    );
    const attempt: Attempt = {
      client,
      call,
      welcomed: false,
      sentBytes: undefined,
      endSent: false,
    };
    this.attempt = attempt;
    call.on("data", (bytes: Buffer) => this.reply(attempt, bytes));
    call.on("error", (error: grpc.ServiceError) => {
      const text = `${grpc.status[error.code] ?? error.code}: ${error.details}`;
      this.lost(attempt, text, FINAL.has(error.code) ? error.details : undefined);
    });
    call.on("end", () => this.lost(attempt, "it ended the stream", undefined));
    this.timer = setTimeout(() => {
      this.lost(attempt, `no answer within ${options.connectTimeoutMs} ms`, undefined);
    }, options.connectTimeoutMs);
    call.write(Buffer.from(encodeHello({
      protocolVersion: PROTOCOL_VERSION,
      clusterId: options.clusterId,
      fromNode: options.nodeId,
      toNode: this.nodeId,
      features: [],
    })));
    try {
      this.write(attempt, encodeSnapshotFrame(this.begin));
    } catch (error) {
      this.fail(`it cannot be encoded: ${(error as Error).message}`);
    }
  }

  private reply(attempt: Attempt, bytes: Buffer): void {
    if (this.attempt !== attempt || this.over) return;
    try {
      if (attempt.welcomed) this.stored(attempt, bytes);
      else this.welcome(attempt, bytes);
    } catch (error) {
      this.lost(attempt, `its answer cannot be read: ${(error as Error).message}`, undefined);
    }
  }

  private welcome(attempt: Attempt, bytes: Buffer): void {
    const { welcome } = decodeReply(bytes);
    if (welcome?.protocolVersion !== PROTOCOL_VERSION || welcome.node !== this.nodeId) {
      this.lost(attempt, `it answered as node ${welcome?.node}`, undefined);
      return;
    }
    attempt.welcomed = true;
    const messageBytesMax = welcome.messageBytesMax || Infinity;
    this.pieceBytesMax = Math.min(
      this.context.options.snapshotChunkBytes,
      messageBytesMax - CHUNK_OVERHEAD_BYTES,
    );
  }

  private stored(attempt: Attempt, bytes: Buffer): void {
    const { storedBytes, done } = decodeSnapshotReply(bytes);
    const before = this.window.storedBytes;
    if (!this.window.stored(storedBytes)) {
      return this.fail(
        `the receiver has ${storedBytes} bytes of it: only those from ${before} on are kept here`,
      );
    }
    if (attempt.sentBytes === undefined) {
      clearTimeout(this.timer);
      this.read();
      attempt.sentBytes = storedBytes;
      this.expectProgress();
    } else if (storedBytes > before) {
      this.backoff.lost(Infinity);
      this.expectProgress();
    }
    if (done) this.finish({ ok: true, bytes: storedBytes });
    else this.flush();
  }

  /** Begins to read the state, once the receiver wants it. */
  private read(): void {
    if (this.reading) return;
    this.reading = true;
    this.window.read(() => this.pieceBytesMax, () => this.flush()).catch((error) => {
      this.fail(`its source failed: ${error instanceof Error ? error.message : error}`);
    });
  }

  /** Sends what this connection has not carried yet. */
  private flush(): void {
    const attempt = this.attempt;
    if (attempt?.sentBytes === undefined || this.over) return;
    for (const { start, end, frame } of this.window.pieces) {
      if (start < attempt.sentBytes) continue;
      attempt.sentBytes = end;
      this.context.counters.snapshotBytesSent += end - start;
      this.write(attempt, frame);
    }
    const { end } = this.window;
    if (end === undefined || attempt.endSent) return;
    attempt.endSent = true;
    this.write(attempt, encodeSnapshotFrame({ kind: "end", end }));
  }

  private write(attempt: Attempt, frame: Uint8Array): void {
    attempt.call.write(Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength));
  }

  /** The attempt failed, or the connection it became broke; `final` says why for good. */
  private lost(attempt: Attempt, reason: string, final: string | undefined): void {
    if (this.attempt !== attempt) return;
    this.release();
    if (this.over) return;
    if (final !== undefined) return this.fail(final);
    if (attempt.sentBytes !== undefined) this.resumptions++;
    const { log } = this.context;
    log.warn(
      `snapshot:${this.nodeId}`,
      `A snapshot for node ${this.nodeId} waits at ${this.window.storedBytes} bytes: ${reason}`,
    );
    this.timer = setTimeout(() => this.connect(), this.backoff.next());
  }

  /** Starts anew to wait for the receiver to store more. */
  private expectProgress(): void {
    clearTimeout(this.stallTimer);
    const { snapshotStallMs } = this.context.options;
    this.stallTimer = setTimeout(
      () => this.fail(`nothing of it could be stored for ${snapshotStallMs} ms`),
      snapshotStallMs,
    );
  }

  private fail(reason: string): void {
    if (this.over) return;
    const attempt = this.attempt;
    this.finish({ ok: false, reason }, attempt?.welcomed === true);
    if (attempt?.welcomed !== true) return;
    this.write(attempt, encodeSnapshotFrame({ kind: "abort", reason }));
    attempt.call.end();
    this.timer = setTimeout(() => this.release(), ABORT_MS);
  }

  private finish(outcome: SnapshotOutcome, keepConnection = false): void {
    if (this.over) return;
    this.over = true;
    clearTimeout(this.timer);
    clearTimeout(this.stallTimer);
    if (!keepConnection) this.release();
    this.window.close();
    if (outcome.ok) this.context.counters.snapshotsSent++;
    else this.context.counters.snapshotsFailed++;
    this.report(outcome);
  }

  private release(): void {
    clearTimeout(this.timer);
    const attempt = this.attempt;
    this.attempt = undefined;
    attempt?.call.cancel();
    attempt?.client.close();
    if (this.over) this.reportReleased();
  }
}
