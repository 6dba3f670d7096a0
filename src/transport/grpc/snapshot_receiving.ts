/**
 * The snapshots that other nodes stream to this one. A transfer outlives its connections: when one
 * breaks, what is stored waits a while for the sender to go on over another.
 *
 * @module
 */

import * as grpc from "@grpc/grpc-js";
import { Buffer } from "node:buffer";
import { clearTimeout, setTimeout } from "node:timers";
import {
  decodeHello,
  decodeSnapshotFrame,
  encodeSnapshotReply,
  encodeWelcome,
  type SnapshotBegin,
  type SnapshotChunk,
  type SnapshotEnd,
  WireError,
} from "../../wire/mod.ts";
import type { SnapshotSink } from "../contract.ts";
import type { TransportCounters } from "../counters.ts";
import { clientCertificate } from "../../tls/grpc_credentials.ts";
import { SnapshotIntake } from "../snapshot_intake.ts";
import { nameOf, noteRefusal, refusalOf } from "./admission.ts";
import type { Context } from "./context.ts";
import { widenWindow } from "./http2_window.ts";
import { PROTOCOL_VERSION } from "./options.ts";

type Call = grpc.ServerDuplexStream<Buffer, Buffer>;
type Timer = ReturnType<typeof setTimeout>;

/** A transfer, over all its connections. */
interface Transfer {
  readonly key: string;
  readonly intake: SnapshotIntake;
  /** The connection it goes over now. */
  stream: SnapshotStream | undefined;
  /** While there is none: when it is given up. */
  timer: Timer | undefined;
}

/** Accepts the streams of snapshots. */
export class SnapshotReceiver {
  private readonly context: Context;
  private readonly transfers = new Map<string, Transfer>();

  constructor(context: Context) {
    this.context = context;
  }

  /** Serves one call of `RaftService.SendSnapshot`. */
  serve(call: Call): void {
    new SnapshotStream(this.context, call, this);
  }

  /** Gives up all transfers. */
  close(): void {
    for (const transfer of [...this.transfers.values()]) this.drop(transfer, "the node stops");
  }

  /** @internal The transfer that a stream begins or goes on with; as text, why there is none. */
  attach(stream: SnapshotStream, nodeId: number, begin: SnapshotBegin): Transfer | string {
    const key = `${nodeId}/${Buffer.from(begin.transferId).toString("hex")}`;
    const known = this.transfers.get(key);
    if (known !== undefined) {
      clearTimeout(known.timer);
      known.stream?.replace();
      known.stream = stream;
      this.context.counters.snapshotsResumed++;
      return known;
    }
    const sink = this.ask(nodeId, begin);
    if (typeof sink === "string") return sink;
    const transfer = { key, intake: new SnapshotIntake(sink), stream, timer: undefined };
    this.transfers.set(key, transfer);
    return transfer;
  }

  /** @internal The connection of a transfer is gone. */
  detached(transfer: Transfer, stream: SnapshotStream): void {
    if (transfer.stream !== stream || this.transfers.get(transfer.key) !== transfer) return;
    transfer.stream = undefined;
    const { snapshotStallMs } = this.context.options;
    transfer.timer = setTimeout(
      () => this.drop(transfer, `its sender was not heard from for ${snapshotStallMs} ms`),
      snapshotStallMs,
    );
  }

  /** @internal Forgets a transfer; what was not done is given up. */
  drop(transfer: Transfer, reason: string): void {
    if (!this.transfers.delete(transfer.key)) return;
    clearTimeout(transfer.timer);
    if (!transfer.intake.done) {
      this.context.counters.snapshotsRefused++;
      transfer.intake.abort(reason);
    }
    transfer.stream?.refuse(reason);
  }

  private ask(nodeId: number, { regionId, message }: SnapshotBegin): SnapshotSink | string {
    const { handler, log, counters } = this.context;
    try {
      return handler?.receiveSnapshot?.(nodeId, { regionId, message }) ??
        "it takes no snapshots";
    } catch (error) {
      counters.handlerErrors++;
      log.warn("handler", `The transport's handler failed at a snapshot: ${error}`);
      return "its handler failed";
    }
  }
}

/** One connection of a transfer. */
class SnapshotStream {
  private readonly context: Context;
  private readonly call: Call;
  private readonly all: SnapshotReceiver;
  private readonly peer: string;
  private readonly timer: Timer;
  private nodeId: number | undefined;
  private transfer: Transfer | undefined;
  private over = false;

  constructor(context: Context, call: Call, all: SnapshotReceiver) {
    this.context = context;
    this.call = call;
    this.all = all;
    this.peer = call.getPeer();
    const { connectTimeoutMs } = context.options;
    this.timer = setTimeout(() => {
      this.refuseStream("refusedHandshake", `no opening within ${connectTimeoutMs} ms`);
    }, connectTimeoutMs);
    widenWindow(call, context.options.windowBytes);
    call.on("data", (bytes: Buffer) => this.frame(bytes));
    call.on("end", () => {
      this.finish();
      call.end();
    });
    call.on("cancelled", () => this.finish());
    call.on("error", () => this.finish());
  }

  /** Ends it because its transfer goes on over another. */
  replace(): void {
    this.transfer = undefined;
    this.end(grpc.status.UNAVAILABLE, "replaced by a newer stream of the same transfer");
  }

  /** Ends it because the snapshot is not wanted, or no longer. */
  refuse(reason: string): void {
    this.end(grpc.status.ABORTED, reason);
  }

  private frame(bytes: Buffer): void {
    if (this.over) return;
    try {
      if (this.nodeId === undefined) this.open(bytes);
      else this.take(this.nodeId, bytes);
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      noteRefusal(this.context, "refusedMalformed", this.name, error.message);
      this.end(grpc.status.INVALID_ARGUMENT, error.message);
    }
  }

  private open(bytes: Buffer): void {
    const hello = decodeHello(bytes);
    const { options } = this.context;
    const refusal = refusalOf(hello, options, clientCertificate(this.call));
    if (refusal !== undefined) return this.refuseStream(refusal.counter, refusal.reason);
    this.nodeId = hello.fromNode;
    this.call.write(Buffer.from(encodeWelcome({
      protocolVersion: PROTOCOL_VERSION,
      node: options.nodeId,
      features: [],
      messageBytesMax: options.messageBytesMax,
      windowBytes: options.windowBytes,
    })));
  }

  private take(nodeId: number, bytes: Buffer): void {
    const frame = decodeSnapshotFrame(bytes);
    if (frame.kind === "begin") this.begin(nodeId, frame.begin);
    else if (this.transfer === undefined) {
      this.refuseStream("refusedHandshake", `a ${frame.kind} came before the beginning`);
    } else if (frame.kind === "chunk") this.chunk(this.transfer, frame.chunk);
    else if (frame.kind === "end") this.conclude(this.transfer, frame.end);
    else this.all.drop(this.transfer, `its sender gave it up: ${frame.reason}`);
  }

  private begin(nodeId: number, begin: SnapshotBegin): void {
    if (this.transfer !== undefined) {
      return this.refuseStream("refusedHandshake", "a second beginning came");
    }
    clearTimeout(this.timer);
    const transfer = this.all.attach(this, nodeId, begin);
    if (typeof transfer === "string") {
      this.context.counters.snapshotsRefused++;
      return this.refuse(transfer);
    }
    this.transfer = transfer;
    void transfer.intake.settled().then(() => this.answer(transfer));
  }

  private chunk(transfer: Transfer, chunk: SnapshotChunk): void {
    // Of a transfer that is done already only the answer was lost.
    if (transfer.intake.done) return this.answer(transfer);
    const bytes = chunk.data.length;
    const taken = transfer.intake.take(chunk, () => {
      this.context.counters.snapshotBytesReceived += bytes;
      this.answer(transfer);
    }, (reason) => this.fail(transfer, reason));
    if (taken === "taken") return;
    const text = taken === "gap"
      ? `a chunk of a snapshot at ${chunk.offset} does not follow what came before`
      : `a chunk of a snapshot at ${chunk.offset} is damaged`;
    noteRefusal(this.context, "refusedMalformed", this.name, text);
    this.end(grpc.status.DATA_LOSS, text);
  }

  private conclude(transfer: Transfer, end: SnapshotEnd): void {
    const wasDone = transfer.intake.done;
    transfer.intake.finish(end, () => {
      if (!wasDone) this.context.counters.snapshotsReceived++;
      this.answer(transfer);
    }, (reason) => this.fail(transfer, reason));
  }

  /** Says how far the transfer is, over whatever connection it has now. */
  private answer(transfer: Transfer): void {
    const { storedBytes, done } = transfer.intake;
    transfer.stream?.write(Buffer.from(encodeSnapshotReply({ storedBytes, done })));
  }

  private write(bytes: Buffer): void {
    if (!this.over) this.call.write(bytes);
  }

  private fail(transfer: Transfer, reason: string): void {
    this.context.log.warn(
      `snapshot:${this.name}`,
      `A snapshot from ${this.name} cannot be taken: ${reason}`,
    );
    this.all.drop(transfer, reason);
  }

  private refuseStream(counter: keyof TransportCounters, reason: string): void {
    noteRefusal(this.context, counter, nameOf(undefined, this.peer), reason);
    this.end(grpc.status.FAILED_PRECONDITION, reason);
  }

  private end(code: grpc.status, details: string): void {
    if (this.over) return;
    this.finish();
    this.call.emit("error", { code, details });
  }

  private finish(): void {
    clearTimeout(this.timer);
    if (this.over) return;
    this.over = true;
    if (this.transfer !== undefined) this.all.detached(this.transfer, this);
  }

  private get name(): string {
    return nameOf(this.nodeId, this.peer);
  }
}
