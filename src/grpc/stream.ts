/**
 * One stream of a connection, seen from the server: what it sends waits here while the windows of
 * flow control or the socket do not take it.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { FRAME_PAYLOAD_BYTES_MAX, FrameFlag, FrameType, Http2Code } from "./frames.ts";
import type { Output } from "./output.ts";

/** Bytes before each message of gRPC: whether it is compressed, and its length. */
export const MESSAGE_PREFIX_BYTES = 5;

/** Told what arrives on a stream. */
export interface StreamListener {
  /** Bytes of the request's body, valid during the call only; `last` ends it. */
  data(bytes: Uint8Array, last: boolean): void;
  /** The client gave the call up, or its connection ended. Nothing follows. */
  reset(): void;
  /** All that was sent is on its way. */
  allSent(): void;
}

/** The connection, as its streams see it. */
export interface StreamOwner {
  /** Where frames go. */
  readonly output: Output;
  /** How many bytes of bodies may be sent now, on all streams together; streams take from it. */
  sendWindow: number;
  /** Whether the socket should not be given more. */
  readonly congested: boolean;
  /** Has `resume` called on the stream when more may be sent. */
  wait(stream: Http2Stream): void;
  /** Has what is in `output` written soon. */
  flushSoon(): void;
  /** The stream has sent its end: it no longer counts. */
  ended(stream: Http2Stream): void;
}

/** A stream that a client opened. */
export class Http2Stream {
  /** Its number on the connection. */
  readonly id: number;
  /** Told what arrives; set by whoever accepts the stream. */
  listener: StreamListener | undefined;
  /** How many bytes the client takes now; below 0 when it has narrowed its window. */
  sendWindow: number;
  /** How many bytes the client may still send. */
  receiveWindow: number;
  /** Whether the request has ended. */
  remoteEnded = false;
  /** Whether the client or the connection has given it up: nothing is sent any more. */
  isReset = false;
  readonly #owner: StreamOwner;
  #waiting: Uint8Array[] = [];
  #trailers: Uint8Array | undefined;
  #ended = false;

  /** The windows are those of the connection's settings. */
  constructor(id: number, owner: StreamOwner, sendWindow: number, receiveWindow: number) {
    this.id = id;
    this.#owner = owner;
    this.sendWindow = sendWindow;
    this.receiveWindow = receiveWindow;
  }

  /** Whether something waits to be sent. */
  get isWaiting(): boolean {
    return this.#waiting.length > 0;
  }

  /** Sends headers; with `last` they are all there is. */
  headers(block: Uint8Array, last = false): void {
    if (this.#ended) return;
    if (!this.isReset) this.#headers(block, last);
    if (last) this.#end();
  }

  /** Sends a message of gRPC, now or once the client takes it. It must not change meanwhile. */
  message(message: Uint8Array): void {
    if (this.#ended || this.isReset) return;
    const bytes = MESSAGE_PREFIX_BYTES + message.length;
    if (!this.isWaiting && bytes <= FRAME_PAYLOAD_BYTES_MAX && bytes <= this.#sendable()) {
      const { output } = this.#owner;
      this.#dataHeader(bytes);
      output.byte(0);
      output.uint32(message.length);
      output.bytes(message);
      return;
    }
    const prefix = Buffer.alloc(MESSAGE_PREFIX_BYTES);
    prefix.writeUInt32BE(message.length, 1);
    this.#waiting.push(prefix, message);
    this.resume();
  }

  /** Ends the response once everything before has been sent. */
  end(trailers: Uint8Array): void {
    if (this.#ended) return;
    if (this.isWaiting && !this.isReset) this.#trailers = trailers;
    else this.headers(trailers, true);
  }

  /** Sends what waits as far as the windows allow, and asks to be called again for the rest. */
  resume(): void {
    while (this.isWaiting) {
      const first = this.#waiting[0];
      const bytes = Math.min(first.length, FRAME_PAYLOAD_BYTES_MAX, this.#sendable());
      if (bytes <= 0 && first.length > 0) return this.#owner.wait(this);
      this.#dataHeader(bytes);
      this.#owner.output.bytes(first.subarray(0, bytes));
      if (bytes === first.length) this.#waiting.shift();
      else this.#waiting[0] = first.subarray(bytes);
    }
    if (this.#trailers !== undefined) this.headers(this.#trailers, true);
    else this.listener?.allSent();
  }

  /** The client or the connection gave it up: forgets what waits. */
  abandon(): void {
    if (this.isReset) return;
    this.isReset = true;
    this.#waiting = [];
    if (this.#trailers !== undefined) this.#end();
    else this.listener?.reset();
  }

  #sendable(): number {
    return this.#owner.congested ? 0 : Math.min(this.sendWindow, this.#owner.sendWindow);
  }

  #dataHeader(bytes: number): void {
    this.sendWindow -= bytes;
    this.#owner.sendWindow -= bytes;
    this.#owner.output.frame(FrameType.data, 0, this.id, bytes);
    this.#owner.flushSoon();
  }

  #headers(block: Uint8Array, last: boolean): void {
    const { output } = this.#owner;
    const flags = FrameFlag.endHeaders | (last ? FrameFlag.endStream : 0);
    output.frame(FrameType.headers, flags, this.id, block.length);
    output.bytes(block);
    if (last && !this.remoteEnded) {
      // The client need not send the rest of a request that is answered.
      output.frame(FrameType.resetStream, 0, this.id, 4);
      output.uint32(Http2Code.none);
    }
    this.#owner.flushSoon();
  }

  #end(): void {
    this.#ended = true;
    this.#owner.ended(this);
  }
}
