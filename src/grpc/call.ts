/**
 * One call of gRPC on a stream: the request's bytes become messages, messages and a status become
 * the response.
 *
 * @module
 */

import { type Headers, headerValue } from "./header_decoder.ts";
import {
  encodingsHeader,
  OK_TRAILERS,
  RESPONSE_HEADERS,
  statusTrailers,
} from "./header_encoder.ts";
import { ENCODINGS, isKnownEncoding, MessageReader } from "./message_reader.ts";
import { GrpcStatus } from "./status.ts";
import type { Http2Stream, StreamListener } from "./stream.ts";

/** What a method does with what its client sends. What it throws ends the call. */
export interface CallHandler {
  /** A message of the request. The bytes are the handler's to keep. */
  message(bytes: Uint8Array): void;
  /** The request has ended: no message follows. */
  end(): void;
  /** The client gave the call up, or its connection ended; what is sent from now on is dropped. */
  cancelled?(): void;
}

/** Begins a call of a method: the handler it returns gets what follows. */
export type OpenCall = (call: ServerCall) => CallHandler;

/** A call under way, as its method sees it. */
export class ServerCall implements StreamListener {
  /** The headers of the request, names in lower case. */
  readonly headers: Headers;
  /** When the client wants it to be over, as of `Date.now()`; `Infinity` when it did not say. */
  readonly deadline: number;
  readonly #stream: Http2Stream;
  readonly #reader: MessageReader;
  #handler: CallHandler | undefined;
  readonly #take = (message: Uint8Array): void => this.#handler?.message(message);
  #headersSent = false;
  #ended = false;
  #cancelled = false;
  #waiters: (() => void)[] = [];

  /** Begins a call; `messageBytesMax` bounds each message of the request. */
  constructor(stream: Http2Stream, headers: Headers, messageBytesMax: number) {
    const encoding = headerValue(headers, "grpc-encoding");
    this.#stream = stream;
    this.headers = headers;
    this.deadline = deadlineOf(headers);
    this.#reader = new MessageReader(messageBytesMax, encoding);
    stream.listener = this;
    if (!isKnownEncoding(encoding)) {
      const details = `requests must be compressed with one of ${ENCODINGS}: found ${encoding}`;
      this.#trailersOnly(GrpcStatus.UNIMPLEMENTED, details, encodingsHeader(ENCODINGS));
    }
  }

  /** Has the method handle the call, unless it is over already. */
  open(open: OpenCall): void {
    if (this.isOver) return;
    this.#guard(() => this.#handler = open(this));
  }

  /** Whether the client gave the call up, or its connection ended. */
  get cancelled(): boolean {
    return this.#cancelled;
  }

  /** Whether nothing more can be sent: cancelled, or answered with a status. */
  get isOver(): boolean {
    return this.#ended || this.#cancelled;
  }

  /** Sends a message of the response; it must not change afterwards. */
  send(message: Uint8Array): void {
    if (this.isOver) return;
    if (!this.#headersSent) {
      this.#headersSent = true;
      this.#stream.headers(RESPONSE_HEADERS);
    }
    this.#stream.message(message);
  }

  /** Resolves when all that was sent is on its way, or the call is over. */
  untilSent(): Promise<void> {
    if (this.isOver || !this.#stream.isWaiting) return Promise.resolve();
    return new Promise((resolve) => this.#waiters.push(resolve));
  }

  /** Ends the call with a status: with OK unless another is given. Once ended, it stays as it is. */
  end(code: number = GrpcStatus.OK, details = ""): void {
    if (this.#ended) return;
    if (!this.#headersSent) return this.#trailersOnly(code, details);
    this.#ended = true;
    this.#stream.end(code === GrpcStatus.OK ? OK_TRAILERS : statusTrailers(code, details));
    this.allSent();
  }

  /** From the stream: bytes of the request's body. */
  data(bytes: Uint8Array, last: boolean): void {
    if (this.isOver) return;
    this.#guard(() => {
      const failure = this.#reader.read(bytes, this.#take);
      if (failure !== undefined) return this.end(failure.code, failure.details);
      if (!last || this.isOver) return;
      if (this.#reader.isEmpty) this.#handler?.end();
      else this.end(GrpcStatus.INTERNAL, "the request is cut short");
    });
  }

  /** From the stream: the client gave it up. */
  reset(): void {
    this.#cancelled = true;
    this.#guard(() => this.#handler?.cancelled?.());
    this.allSent();
  }

  /** From the stream: nothing waits any more. */
  allSent(): void {
    if (this.#waiters.length === 0) return;
    for (const resolve of this.#waiters.splice(0)) resolve();
  }

  /** The headers and the status in one block, as there is nothing between them. */
  #trailersOnly(code: number, details: string, more: Uint8Array = NOTHING): void {
    this.#ended = true;
    const parts = [RESPONSE_HEADERS, more, statusTrailers(code, details)];
    const block = new Uint8Array(parts.reduce((bytes, part) => bytes + part.length, 0));
    let at = 0;
    for (const part of parts) {
      block.set(part, at);
      at += part.length;
    }
    this.#stream.headers(block, true);
    this.allSent();
  }

  #guard(action: () => void): void {
    try {
      action();
    } catch (error) {
      this.end(GrpcStatus.INTERNAL, error instanceof Error ? error.message : String(error));
    }
  }
}

const NOTHING = new Uint8Array(0);

const UNIT_MS: Readonly<Record<string, number>> = {
  H: 3_600_000,
  M: 60_000,
  S: 1_000,
  m: 1,
  u: 1e-3,
  n: 1e-6,
};

/** When `grpc-timeout` runs out. One that cannot be read is none. */
function deadlineOf(headers: Headers): number {
  const timeout = headerValue(headers, "grpc-timeout");
  if (timeout === undefined) return Infinity;
  const unitMs = UNIT_MS[timeout.at(-1) ?? ""];
  const amount = timeout.slice(0, -1);
  if (unitMs === undefined || !/^\d{1,8}$/.test(amount)) return Infinity;
  return Date.now() + Number(amount) * unitMs;
}
