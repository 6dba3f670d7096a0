/**
 * The way to one other node: a queue, and the stream that carries it. The stream is opened when there
 * is something to send and kept open. While it cannot be opened messages are dropped at once, for
 * Raft repeats what matters and old messages are worth little.
 *
 * @module
 */

import * as grpc from "@grpc/grpc-js";
import { Buffer } from "node:buffer";
import { clearTimeout, setTimeout } from "node:timers";
import {
  decodeReply,
  encodeHello,
  frameItemSize,
  messageWireSize,
  type Welcome,
} from "../../wire/mod.ts";
import { withoutEmptyNote } from "../../tls/mod.ts";
import type { RegionMessage } from "../contract.ts";
import type { TransportCounters } from "../counters.ts";
import { type OutgoingFrame, SendQueue, writeFrame } from "../send_queue.ts";
import { Backoff } from "./backoff.ts";
import { channelCredentials, channelOptions, DELIVER_PATH, passBytes } from "./channel.ts";
import type { Context } from "./context.ts";
import { PROTOCOL_VERSION } from "./options.ts";

/**
 * Most frames handed to a connection and not yet taken by it, however small: where the runtime tells
 * that it is slow, messages collect into larger frames.
 */
const UNTAKEN_FRAMES_MAX = 8;

/** A frame under way. */
interface FrameUnderWay {
  /** The bytes of all frames of this connection up to and including it. */
  readonly end: number;
  readonly items: readonly RegionMessage[];
}

type State = "idle" | "connecting" | "connected" | "backoff" | "draining" | "closed";
type Timer = ReturnType<typeof setTimeout>;

/** One attempt to connect, and the connection it became. */
interface Attempt {
  readonly client: grpc.Client;
  readonly call: grpc.ClientDuplexStream<Buffer, Buffer>;
}

/** What one node sends to another. */
export class OutgoingLink {
  private readonly context: Context;
  private readonly nodeId: number;
  private readonly address: string;
  private readonly queue: SendQueue;
  private state: State = "idle";
  private attempt: Attempt | undefined;
  private timer: Timer | undefined;
  private readonly backoff: Backoff;
  private connectedAtMs = 0;
  /** The largest message the receiver takes. */
  private messageBytesMax: number;
  /** Bytes that may be under way before the receiver confirms some. */
  private windowBytes = Infinity;
  /** Frames that the receiver has not confirmed, in order. */
  private underWay: FrameUnderWay[] = [];
  private sentBytes = 0;
  private confirmedBytes = 0;
  /** Frames handed to the connection and not yet taken by it. */
  private untakenFrames = 0;
  /** Whether the node's trouble has been reported and goes on. */
  private downReported = false;
  private fullReported = false;
  private onDrained: (() => void) | undefined;

  constructor(context: Context, nodeId: number, address: string) {
    this.context = context;
    this.nodeId = nodeId;
    this.address = address;
    this.messageBytesMax = context.options.messageBytesMax;
    const { queueBytesMax, queueMessagesMax, backoffMs, backoffMsMax, random } = context.options;
    this.queue = new SendQueue(queueBytesMax, queueMessagesMax);
    this.backoff = new Backoff(backoffMs, backoffMsMax, random);
  }

  /** Queues messages, to leave after the next turn of the event loop. */
  send(batch: readonly RegionMessage[]): void {
    if (this.state === "idle") this.connect();
    for (const item of batch) this.enqueue(item);
    if (this.state === "connected") this.context.flushLater(this);
  }

  /** The node was heard from: there is no reason to wait any longer before connecting to it. */
  wake(): void {
    if (this.state === "backoff") this.connect();
  }

  /** Hands what waits to the connection, as long as it takes it. */
  flush(): void {
    if (this.state !== "connected" && this.state !== "draining") return;
    const limit = Math.min(this.context.options.frameBytesMax, this.messageBytesMax);
    while (
      this.queue.length > 0 && this.sentBytes - this.confirmedBytes < this.windowBytes &&
      this.untakenFrames < UNTAKEN_FRAMES_MAX
    ) {
      this.write(this.queue.takeFrame(limit));
    }
    if (this.queue.relaxed) this.fullReported = false;
    if (this.state === "draining" && this.queue.length === 0 && this.untakenFrames === 0) {
      this.attempt?.call.end();
    }
  }

  /** Closes at once; what waits is dropped. */
  close(): void {
    this.state = "closed";
    this.release();
    this.dropWaiting();
    this.onDrained?.();
  }

  /** Sends what waits, for at most `drainMs`, then closes. */
  drain(drainMs: number): Promise<void> {
    if (this.state !== "connected" || drainMs === 0) {
      this.close();
      return Promise.resolve();
    }
    return new Promise((resolve) => {
      this.state = "draining";
      this.onDrained = resolve;
      this.timer = setTimeout(() => this.close(), drainMs);
      this.flush();
    });
  }

  private enqueue(item: RegionMessage): void {
    let messageBytes: number;
    try {
      messageBytes = messageWireSize(item.message);
      frameItemSize(item.regionId, messageBytes);
    } catch (error) {
      this.drop(item, "droppedUnencodable", `it cannot be encoded: ${(error as Error).message}`);
      return;
    }
    if (messageBytes > this.messageBytesMax) {
      this.dropOversized(item);
    } else if (this.state !== "connected" && this.state !== "connecting") {
      this.context.counters.droppedUnreachable++;
      this.context.reportSnapshot(this.nodeId, item, false);
    } else if (!this.queue.push(item, messageBytes)) {
      this.drop(item, "droppedQueueFull", "its queue is full");
      if (!this.fullReported) this.context.reportUnreachable(this.nodeId);
      this.fullReported = true;
    }
  }

  private dropOversized(item: RegionMessage): void {
    this.drop(item, "droppedOversized", `it has more than ${this.messageBytesMax} bytes`);
  }

  private drop(item: RegionMessage, counter: keyof TransportCounters, reason: string): void {
    this.context.counters[counter]++;
    this.context.reportSnapshot(this.nodeId, item, false);
    this.context.log.warn(
      `${counter}:${this.nodeId}`,
      `A message of type ${item.message.type} in region ${item.regionId} for node ${this.nodeId} ` +
        `is dropped as ${reason}`,
    );
  }

  private connect(): void {
    clearTimeout(this.timer);
    this.state = "connecting";
    const { options } = this.context;
    const client = new grpc.Client(
      this.address,
      channelCredentials(options.tls),
      channelOptions(options, this.nodeId),
    );
    const call = client.makeBidiStreamRequest<Buffer, Buffer>(DELIVER_PATH, passBytes, passBytes);
    const attempt = { client, call };
    this.attempt = attempt;
    call.on("data", (bytes: Buffer) => this.reply(attempt, bytes));
    call.on("error", (error: grpc.ServiceError) => this.fail(attempt, failureText(error)));
    call.on("end", () => this.fail(attempt, "it ended the stream"));
    this.timer = setTimeout(() => {
      this.fail(attempt, `no answer within ${options.connectTimeoutMs} ms`);
    }, options.connectTimeoutMs);
    call.write(Buffer.from(encodeHello({
      protocolVersion: PROTOCOL_VERSION,
      clusterId: options.clusterId,
      fromNode: options.nodeId,
      toNode: this.nodeId,
      features: [],
    })));
  }

  private reply(attempt: Attempt, bytes: Buffer): void {
    if (this.attempt !== attempt) return;
    try {
      const { welcome, receivedBytes } = decodeReply(bytes);
      if (welcome !== undefined && this.state === "connecting") this.welcome(attempt, welcome);
      if (receivedBytes !== undefined) this.confirm(receivedBytes);
    } catch (error) {
      this.fail(attempt, `its answer cannot be read: ${(error as Error).message}`);
    }
  }

  private welcome(attempt: Attempt, welcome: Welcome): void {
    const { options, counters, log } = this.context;
    if (welcome.protocolVersion !== PROTOCOL_VERSION || welcome.node !== this.nodeId) {
      const found = `version ${welcome.protocolVersion} of node ${welcome.node}`;
      this.fail(attempt, `it answered as ${found}`);
      return;
    }
    this.messageBytesMax = Math.min(options.messageBytesMax, welcome.messageBytesMax || Infinity);
    this.windowBytes = welcome.windowBytes || Infinity;
    for (const item of this.queue.removeLarger(this.messageBytesMax)) this.dropOversized(item);
    clearTimeout(this.timer);
    this.state = "connected";
    this.connectedAtMs = options.nowMs();
    this.downReported = false;
    counters.connectionsOpened++;
    log.healed(`down:${this.nodeId}`, `Node ${this.nodeId} at ${this.address} is reachable again`);
    this.context.flushLater(this);
  }

  private write(frame: OutgoingFrame): void {
    const { counters, log } = this.context;
    const bytes = Buffer.allocUnsafe(frame.bytes);
    try {
      writeFrame(frame, bytes);
    } catch (error) {
      counters.droppedUnencodable += frame.items.length;
      this.context.reportSnapshots(this.nodeId, frame.items, false);
      log.warn(`write:${this.nodeId}`, `A frame is dropped: ${(error as Error).message}`);
      return;
    }
    counters.framesSent++;
    counters.messagesSent += frame.items.length;
    counters.bytesSent += frame.bytes;
    this.sentBytes += frame.bytes;
    this.underWay.push({ end: this.sentBytes, items: frame.items });
    this.untakenFrames++;
    const attempt = this.attempt!;
    const end = this.sentBytes;
    attempt.call.write(bytes, (error?: Error | null) => {
      if (!error && this.attempt === attempt) this.taken(end);
    });
  }

  /** The connection has taken a frame; that must do where the receiver confirms nothing. */
  private taken(end: number): void {
    this.untakenFrames--;
    if (this.windowBytes === Infinity) this.confirm(end);
    if (this.queue.length > 0 || this.state === "draining") this.context.flushLater(this);
  }

  /** The receiver is done with this many bytes of this connection. */
  private confirm(receivedBytes: number): void {
    this.confirmedBytes = Math.min(this.sentBytes, Math.max(this.confirmedBytes, receivedBytes));
    let done = 0;
    while (done < this.underWay.length && this.underWay[done]!.end <= this.confirmedBytes) {
      this.context.reportSnapshots(this.nodeId, this.underWay[done]!.items, true);
      done++;
    }
    this.underWay.splice(0, done);
    if (this.queue.length > 0) this.context.flushLater(this);
  }

  /** The attempt failed, or the connection it became broke. */
  private fail(attempt: Attempt, reason: string): void {
    if (this.attempt !== attempt) return;
    if (this.state === "draining") {
      this.close();
      return;
    }
    const { options, counters, log } = this.context;
    const lost = this.state === "connected";
    if (lost) counters.connectionsLost++;
    else counters.connectionsFailed++;
    if (lost) this.backoff.lost(options.nowMs() - this.connectedAtMs);
    this.state = "backoff";
    this.release();
    this.dropWaiting();
    if (!this.downReported) this.context.reportUnreachable(this.nodeId);
    this.downReported = true;
    log.warn(
      `down:${this.nodeId}`,
      `Node ${this.nodeId} at ${this.address} ${
        lost ? "is no longer reachable" : "cannot be reached"
      }: ${reason}`,
    );
    this.timer = setTimeout(() => this.connect(), this.backoff.next());
  }

  /** Gives up the attempt or connection; its later events find another one in its place. */
  private release(): void {
    clearTimeout(this.timer);
    const attempt = this.attempt;
    this.attempt = undefined;
    attempt?.call.cancel();
    attempt?.client.close();
    for (const { items } of this.underWay) {
      this.context.reportSnapshots(this.nodeId, items, false);
    }
    this.underWay = [];
    this.sentBytes = 0;
    this.confirmedBytes = 0;
    this.untakenFrames = 0;
  }

  private dropWaiting(): void {
    const items = this.queue.clear();
    this.context.counters.droppedUnreachable += items.length;
    this.context.reportSnapshots(this.nodeId, items, false);
    this.fullReported = false;
  }
}

function failureText(error: grpc.ServiceError): string {
  return `${grpc.status[error.code] ?? error.code}: ${withoutEmptyNote(error.details)}`;
}
