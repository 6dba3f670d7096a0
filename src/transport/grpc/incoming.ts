/**
 * The streams that other nodes open to this one: the handshake, then frames. Whatever cannot be
 * accepted is refused, counted and logged once, and the node goes on.
 *
 * @module
 */

import * as grpc from "@grpc/grpc-js";
import { Buffer } from "node:buffer";
import { clearTimeout, setTimeout } from "node:timers";
import { clientCertificate } from "../../tls/grpc_credentials.ts";
import {
  decodeFrame,
  decodeHello,
  encodeReceived,
  encodeWelcome,
  type Hello,
  WireError,
} from "../../wire/mod.ts";
import type { RegionMessage } from "../contract.ts";
import { refusalCounter, type TransportCounters } from "../counters.ts";
import { nameOf, noteRefusal, refusalOf } from "./admission.ts";
import type { Context } from "./context.ts";
import { widenWindow } from "./http2_window.ts";
import { PROTOCOL_VERSION } from "./options.ts";

type Call = grpc.ServerDuplexStream<Buffer, Buffer>;

/** Accepts streams, one from each node. */
export class IncomingStreams {
  private readonly context: Context;
  private readonly onAccepted: (nodeId: number) => void;
  /** The accepted stream of each node; a later one takes the place of an earlier one. */
  private readonly streams = new Map<number, IncomingStream>();
  /** Which node has a connection, by its remote address. */
  private readonly nodeOfPeer = new Map<string, number>();

  /** @param onAccepted told of each node whose stream was accepted. */
  constructor(context: Context, onAccepted: (nodeId: number) => void) {
    this.context = context;
    this.onAccepted = onAccepted;
  }

  /** Serves one call of `RaftService.Deliver`. */
  serve(call: Call): void {
    new IncomingStream(this.context, call, this);
  }

  /** gRPC itself ended a call with `status`, before a frame came through. */
  refusedByGrpc(peer: string, status: { code: grpc.status; details: string }): void {
    const nodeId = this.nodeOfPeer.get(peer);
    const counter = status.code === grpc.status.RESOURCE_EXHAUSTED
      ? "refusedOversized"
      : "refusedMalformed";
    noteRefusal(this.context, counter, nameOf(nodeId, peer), status.details);
  }

  /** @internal */
  accepted(stream: IncomingStream, nodeId: number, peer: string): void {
    this.streams.get(nodeId)?.replace();
    this.streams.set(nodeId, stream);
    this.nodeOfPeer.set(peer, nodeId);
    this.context.counters.connectionsAccepted++;
    this.onAccepted(nodeId);
  }

  /** @internal */
  ended(stream: IncomingStream, nodeId: number, peer: string): void {
    if (this.streams.get(nodeId) === stream) this.streams.delete(nodeId);
    this.nodeOfPeer.delete(peer);
  }
}

class IncomingStream {
  private readonly context: Context;
  private readonly call: Call;
  private readonly all: IncomingStreams;
  private readonly peer: string;
  /** The node at the other end, once its opening was accepted. */
  private nodeId: number | undefined;
  private over = false;
  /** Bytes of frames this node is done with, and how many of them it has confirmed. */
  private receivedBytes = 0;
  private confirmedBytes = 0;
  private readonly timer: ReturnType<typeof setTimeout>;

  constructor(context: Context, call: Call, all: IncomingStreams) {
    this.context = context;
    this.call = call;
    this.all = all;
    this.peer = call.getPeer();
    const { connectTimeoutMs } = context.options;
    this.timer = setTimeout(() => {
      this.refuseStream("refusedHandshake", `no hello within ${connectTimeoutMs} ms`);
    }, connectTimeoutMs);
    widenWindow(call, context.options.windowBytes);
    call.on("data", (frame: Buffer) => this.frame(frame));
    call.on("end", () => {
      this.finish();
      call.end();
    });
    call.on("cancelled", () => this.finish());
    call.on("error", () => this.finish());
  }

  /** Ends the stream because its node opened another one. */
  replace(): void {
    this.end(grpc.status.ABORTED, "replaced by a newer stream of the same node");
  }

  private frame(bytes: Buffer): void {
    if (this.over) return;
    if (this.nodeId === undefined) this.open(bytes);
    else this.deliver(this.nodeId, bytes);
  }

  private open(bytes: Buffer): void {
    clearTimeout(this.timer);
    let hello: Hello;
    try {
      hello = decodeHello(bytes);
    } catch (error) {
      this.refuseStream("refusedHandshake", (error as Error).message);
      return;
    }
    const refusal = refusalOf(hello, this.context.options, clientCertificate(this.call));
    if (refusal === undefined) this.accept(hello.fromNode);
    else this.refuseStream(refusal.counter, refusal.reason);
  }

  private accept(nodeId: number): void {
    const { options } = this.context;
    this.nodeId = nodeId;
    this.call.write(Buffer.from(encodeWelcome({
      protocolVersion: PROTOCOL_VERSION,
      node: options.nodeId,
      features: [],
      messageBytesMax: options.messageBytesMax,
      windowBytes: options.windowBytes,
    })));
    this.all.accepted(this, nodeId, this.peer);
  }

  private deliver(nodeId: number, bytes: Buffer): void {
    const { counters, options } = this.context;
    counters.framesReceived++;
    counters.bytesReceived += bytes.length;
    try {
      const { messages, refused } = decodeFrame(bytes, options);
      for (const error of refused) this.refuseMessage(error);
      counters.messagesReceived += messages.length;
      if (messages.length > 0) this.context.receive(nodeId, messages);
      this.confirm(bytes.length, messages);
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      this.refuseMessage(error);
      this.end(grpc.status.INVALID_ARGUMENT, error.message);
    }
  }

  /** Says how far this node has come: before the window closes, and when a snapshot's sender waits for it. */
  private confirm(frameBytes: number, messages: readonly RegionMessage[]): void {
    this.receivedBytes += frameBytes;
    const due = (this.receivedBytes - this.confirmedBytes) * 4 >= this.context.options.windowBytes;
    if (this.over || !(due || messages.some(isSnapshot))) return;
    this.confirmedBytes = this.receivedBytes;
    this.call.write(Buffer.from(encodeReceived(this.receivedBytes)));
  }

  private refuseMessage(error: WireError): void {
    noteRefusal(
      this.context,
      refusalCounter(error.code),
      nameOf(this.nodeId, this.peer),
      error.message,
    );
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
    if (this.nodeId !== undefined) this.all.ended(this, this.nodeId, this.peer);
  }
}

function isSnapshot({ message }: RegionMessage): boolean {
  return message.type === "snapshot";
}
