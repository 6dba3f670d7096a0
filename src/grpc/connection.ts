/**
 * The server's side of one HTTP/2 connection: reads frames, keeps streams and windows, answers what
 * the protocol asks for by itself, and ends with a reason when the client breaks the rules.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import type { Socket } from "node:net";
import process from "node:process";
import { Http2Error } from "./errors.ts";
import {
  FRAME_HEADER_BYTES,
  FRAME_PAYLOAD_BYTES_MAX,
  FrameFlag,
  FrameType,
  Http2Code,
  Setting,
  WINDOW_DEFAULT,
  WINDOW_MAX,
} from "./frames.ts";
import { HeaderDecoder, type Headers } from "./header_decoder.ts";
import { Output } from "./output.ts";
import { Http2Stream, type StreamOwner } from "./stream.ts";

/** The bounds of one connection. */
export interface ConnectionLimits {
  /** Most calls under way; a client learns it, and a call beyond it is refused. */
  readonly streamsMax: number;
}

/** Most bytes of the headers of a call, as HPACK counts them; beyond it the connection ends. */
export const HEADER_BYTES_MAX: number = 16 * 1024;
/** Bytes that a client may send on one call, and on all, before it is told to go on. */
export const STREAM_WINDOW_BYTES: number = 1024 * 1024;
/** The same for the whole connection. */
export const CONNECTION_WINDOW_BYTES: number = 4 * 1024 * 1024;
/** Beyond so many bytes that a client does not take, nothing more is read from it. */
export const OUTPUT_BYTES_MAX: number = 1024 * 1024;

const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1");
/** How long a client may take to read why its connection ends. */
const FAREWELL_MS = 1_000;

/** Takes a new stream: sets its listener, or answers it. */
export type Accept = (stream: Http2Stream, headers: Headers) => void;

/** A block of headers that goes on in further frames. */
interface OpenBlock {
  readonly streamId: number;
  readonly endStream: boolean;
  readonly parts: Uint8Array[];
  bytes: number;
}

/** One connection of a client. */
export class ServerConnection implements StreamOwner {
  /** Where frames go. */
  readonly output: Output = new Output();
  /** What may be sent on all streams together. */
  sendWindow: number = WINDOW_DEFAULT;
  readonly #socket: Socket;
  readonly #limits: ConnectionLimits;
  readonly #accept: Accept;
  readonly #decoder: HeaderDecoder;
  readonly #streams = new Map<number, Http2Stream>();
  readonly #waiting = new Set<Http2Stream>();
  readonly #flush = (): void => this.#write();
  #input: Buffer | undefined;
  #prefaceSeen = false;
  #lastStreamId = 0;
  #block: OpenBlock | undefined;
  #streamSendWindow = WINDOW_DEFAULT;
  #receiveWindow = CONNECTION_WINDOW_BYTES;
  #flushScheduled = false;
  #congested = false;
  /** `leaving`: calls under way may end, no new ones are taken. */
  #state: "open" | "leaving" | "closed" = "open";

  /** Serves a socket that was just accepted. */
  constructor(socket: Socket, limits: ConnectionLimits, accept: Accept) {
    this.#socket = socket;
    this.#limits = limits;
    this.#accept = accept;
    this.#decoder = new HeaderDecoder(HEADER_BYTES_MAX);
    socket.setNoDelay(true);
    socket.on("data", (chunk: Buffer) => this.#receive(chunk));
    socket.on("drain", () => this.#drained());
    socket.on("error", () => this.#closed());
    socket.on("end", () => this.#closed());
    socket.on("close", () => this.#closed());
    this.#sendSettings();
  }

  /** Whether the socket should not be given more. */
  get congested(): boolean {
    return this.#congested;
  }

  /** Lets calls under way end and takes no new ones; the connection closes with the last. */
  leave(): void {
    if (this.#state !== "open") return;
    this.#state = "leaving";
    this.#goAway(Http2Code.none, "");
    if (this.#streams.size === 0) this.#finish();
  }

  /** Cuts the connection. */
  destroy(): void {
    this.#closed();
    this.#socket.destroy();
  }

  /** Calls `resume` of the stream when more may be sent. */
  wait(stream: Http2Stream): void {
    this.#waiting.add(stream);
  }

  /** Writes what has been collected once this turn of the event loop has handed out its results. */
  flushSoon(): void {
    if (this.#flushScheduled) return;
    this.#flushScheduled = true;
    process.nextTick(this.#flush);
  }

  /** Forgets a stream that has sent its end. */
  ended(stream: Http2Stream): void {
    this.#streams.delete(stream.id);
    this.#waiting.delete(stream);
    if (this.#state === "leaving" && this.#streams.size === 0) this.#finish();
  }

  #sendSettings(): void {
    const settings = [
      [Setting.streamsMax, this.#limits.streamsMax],
      [Setting.initialWindow, STREAM_WINDOW_BYTES],
      [Setting.headerListBytes, HEADER_BYTES_MAX],
    ];
    this.output.frame(FrameType.settings, 0, 0, 6 * settings.length);
    for (const [id, value] of settings) {
      this.output.uint16(id);
      this.output.uint32(value);
    }
    this.#widen(0, CONNECTION_WINDOW_BYTES - WINDOW_DEFAULT);
    this.flushSoon();
  }

  #receive(chunk: Buffer): void {
    if (this.#state === "closed") return;
    try {
      this.#read(this.#input === undefined ? chunk : Buffer.concat([this.#input, chunk]));
    } catch (error) {
      if (error instanceof Http2Error) this.#refuse(error.http2Code, error.message);
      else this.#refuse(Http2Code.internal, "");
    }
  }

  #read(input: Buffer): void {
    let at = 0;
    if (!this.#prefaceSeen) {
      const bytes = Math.min(input.length, PREFACE.length);
      if (PREFACE.compare(input, 0, bytes, 0, bytes) !== 0) {
        throw new Http2Error(Http2Code.protocol, "this is not HTTP/2");
      }
      this.#prefaceSeen = input.length >= PREFACE.length;
      at = this.#prefaceSeen ? PREFACE.length : 0;
    }
    while (
      this.#prefaceSeen && this.#state !== "closed" && input.length - at >= FRAME_HEADER_BYTES
    ) {
      const length = input[at] << 16 | input[at + 1] << 8 | input[at + 2];
      if (length > FRAME_PAYLOAD_BYTES_MAX) {
        throw new Http2Error(Http2Code.frameSize, `a frame of ${length} bytes is too long`);
      }
      const end = at + FRAME_HEADER_BYTES + length;
      if (end > input.length) break;
      const streamId = input.readUInt32BE(at + 5) & WINDOW_MAX;
      const payload = input.subarray(at + FRAME_HEADER_BYTES, end);
      this.#frame(input[at + 3], input[at + 4], streamId, payload);
      at = end;
    }
    this.#input = at < input.length ? input.subarray(at) : undefined;
  }

  #frame(type: number, flags: number, streamId: number, payload: Buffer): void {
    if (this.#block !== undefined && type !== FrameType.continuation) {
      throw new Http2Error(Http2Code.protocol, "headers were interrupted");
    }
    switch (type) {
      case FrameType.data:
        return this.#data(flags, streamId, payload);
      case FrameType.headers:
        return this.#headers(flags, streamId, payload);
      case FrameType.continuation:
        return this.#continuation(flags, streamId, payload);
      case FrameType.resetStream:
        return this.#resetStream(streamId, payload);
      case FrameType.settings:
        return this.#settings(flags, streamId, payload);
      case FrameType.ping:
        return this.#ping(flags, streamId, payload);
      case FrameType.windowUpdate:
        return this.#windowUpdate(streamId, payload);
      case FrameType.pushPromise:
        throw new Http2Error(Http2Code.protocol, "clients must not push");
    }
    // Priorities are advice, a client's farewell changes nothing, and other types are to be ignored.
  }

  #data(flags: number, streamId: number, payload: Buffer): void {
    this.#expectKnown(streamId);
    this.#receiveWindow -= payload.length;
    if (this.#receiveWindow < 0) throw windowExceeded();
    if (this.#receiveWindow < CONNECTION_WINDOW_BYTES / 2) {
      this.#widen(0, CONNECTION_WINDOW_BYTES - this.#receiveWindow);
      this.#receiveWindow = CONNECTION_WINDOW_BYTES;
    }
    const stream = this.#streams.get(streamId);
    if (stream === undefined || stream.remoteEnded || stream.isReset) return;
    stream.receiveWindow -= payload.length;
    if (stream.receiveWindow < 0) throw windowExceeded();
    const last = (flags & FrameFlag.endStream) !== 0;
    if (last) stream.remoteEnded = true;
    else if (stream.receiveWindow < STREAM_WINDOW_BYTES / 2) {
      this.#widen(streamId, STREAM_WINDOW_BYTES - stream.receiveWindow);
      stream.receiveWindow = STREAM_WINDOW_BYTES;
    }
    stream.listener?.data(unpadded(flags, payload), last);
  }

  #headers(flags: number, streamId: number, payload: Buffer): void {
    let block: Uint8Array = unpadded(flags, payload);
    if ((flags & FrameFlag.priority) !== 0) {
      if (block.length < 5) throw new Http2Error(Http2Code.frameSize, "a priority is cut short");
      block = block.subarray(5);
    }
    const endStream = (flags & FrameFlag.endStream) !== 0;
    if ((flags & FrameFlag.endHeaders) !== 0) return this.#open(streamId, block, endStream);
    this.#block = { streamId, endStream, parts: [Buffer.from(block)], bytes: block.length };
  }

  #continuation(flags: number, streamId: number, payload: Buffer): void {
    const block = this.#block;
    if (block === undefined || block.streamId !== streamId) {
      throw new Http2Error(Http2Code.protocol, "no headers go on here");
    }
    const last = (flags & FrameFlag.endHeaders) !== 0;
    block.bytes += payload.length;
    // Empty ones could go on forever.
    if (block.bytes > HEADER_BYTES_MAX || (payload.length === 0 && !last)) {
      throw new Http2Error(Http2Code.enhanceYourCalm, "the headers of a call are too long");
    }
    block.parts.push(Buffer.from(payload));
    if (!last) return;
    this.#block = undefined;
    this.#open(streamId, Buffer.concat(block.parts), block.endStream);
  }

  /** A call begins, or its request ends with trailers. */
  #open(streamId: number, block: Uint8Array, endStream: boolean): void {
    // Always decoded: both sides' tables must stay the same.
    const headers = this.#decoder.decode(block);
    if (streamId <= this.#lastStreamId) return this.#requestTrailers(streamId, endStream);
    if (streamId % 2 === 0) throw new Http2Error(Http2Code.protocol, "streams of clients are odd");
    this.#lastStreamId = streamId;
    if (this.#state !== "open" || this.#streams.size >= this.#limits.streamsMax) {
      return this.#sendReset(streamId, Http2Code.refusedStream);
    }
    const stream = new Http2Stream(streamId, this, this.#streamSendWindow, STREAM_WINDOW_BYTES);
    stream.remoteEnded = endStream;
    this.#streams.set(streamId, stream);
    this.#accept(stream, headers);
    if (endStream) stream.listener?.data(NOTHING, true);
  }

  #requestTrailers(streamId: number, endStream: boolean): void {
    const stream = this.#streams.get(streamId);
    if (stream === undefined || stream.isReset || stream.remoteEnded) return;
    if (!endStream) throw new Http2Error(Http2Code.protocol, "trailers must end a request");
    stream.remoteEnded = true;
    stream.listener?.data(NOTHING, true);
  }

  #resetStream(streamId: number, payload: Buffer): void {
    expectLength(payload, 4);
    this.#expectKnown(streamId);
    // A call that is still worked on goes on counting, so that resets do not get around the limit.
    this.#streams.get(streamId)?.abandon();
  }

  #settings(flags: number, streamId: number, payload: Buffer): void {
    if (streamId !== 0) throw new Http2Error(Http2Code.protocol, "settings are for all streams");
    if ((flags & FrameFlag.acknowledge) !== 0) return expectLength(payload, 0);
    if (payload.length % 6 !== 0) {
      throw new Http2Error(Http2Code.frameSize, "settings are cut short");
    }
    for (let at = 0; at < payload.length; at += 6) {
      if (payload.readUInt16BE(at) === Setting.initialWindow) {
        this.#resizeStreams(payload.readUInt32BE(at + 2));
      }
    }
    this.output.frame(FrameType.settings, FrameFlag.acknowledge, 0, 0);
    this.flushSoon();
  }

  /** Changes the window of every stream by as much as that of new ones. */
  #resizeStreams(window: number): void {
    if (window > WINDOW_MAX) throw windowExceeded();
    const change = window - this.#streamSendWindow;
    this.#streamSendWindow = window;
    for (const stream of this.#streams.values()) {
      stream.sendWindow += change;
      if (stream.sendWindow > WINDOW_MAX) throw windowExceeded();
    }
    this.#resumeWaiting();
  }

  #ping(flags: number, streamId: number, payload: Buffer): void {
    if (streamId !== 0) throw new Http2Error(Http2Code.protocol, "a ping is for all streams");
    expectLength(payload, 8);
    if ((flags & FrameFlag.acknowledge) !== 0) return;
    this.output.frame(FrameType.ping, FrameFlag.acknowledge, 0, payload.length);
    this.output.bytes(payload);
    this.flushSoon();
  }

  #windowUpdate(streamId: number, payload: Buffer): void {
    expectLength(payload, 4);
    const more = payload.readUInt32BE(0) & WINDOW_MAX;
    if (more === 0) throw new Http2Error(Http2Code.protocol, "a window must grow");
    if (streamId === 0) {
      this.sendWindow += more;
      if (this.sendWindow > WINDOW_MAX) throw windowExceeded();
      return this.#resumeWaiting();
    }
    this.#expectKnown(streamId);
    const stream = this.#streams.get(streamId);
    if (stream === undefined) return;
    stream.sendWindow += more;
    if (stream.sendWindow > WINDOW_MAX) throw windowExceeded();
    if (this.#waiting.delete(stream)) stream.resume();
  }

  /** Lets those who wait send, each as much as it may; who cannot send all waits again, behind them. */
  #resumeWaiting(): void {
    for (const stream of [...this.#waiting]) {
      if (this.#congested || this.sendWindow <= 0) return;
      this.#waiting.delete(stream);
      stream.resume();
    }
  }

  #expectKnown(streamId: number): void {
    if (streamId > 0 && streamId <= this.#lastStreamId) return;
    throw new Http2Error(Http2Code.protocol, `stream ${streamId} is not open`);
  }

  #widen(streamId: number, bytes: number): void {
    this.output.frame(FrameType.windowUpdate, 0, streamId, 4);
    this.output.uint32(bytes);
    this.flushSoon();
  }

  #sendReset(streamId: number, code: number): void {
    this.output.frame(FrameType.resetStream, 0, streamId, 4);
    this.output.uint32(code);
    this.flushSoon();
  }

  #goAway(code: number, reason: string): void {
    const text = Buffer.from(reason, "utf8");
    this.output.frame(FrameType.goAway, 0, 0, 8 + text.length);
    this.output.uint32(this.#lastStreamId);
    this.output.uint32(code);
    this.output.bytes(text);
    this.flushSoon();
  }

  /** Ends the connection because of what the client did. */
  #refuse(code: number, reason: string): void {
    this.#goAway(code, reason);
    this.#finish();
  }

  /** Writes what is left and closes. */
  #finish(): void {
    if (this.#state === "closed") return;
    this.#write();
    this.#closed();
    this.#socket.end();
    setTimeout(() => this.#socket.destroy(), FAREWELL_MS).unref();
  }

  #write(): void {
    this.#flushScheduled = false;
    if (this.output.length === 0 || this.#state === "closed") return;
    this.#socket.write(this.output.take());
    if (this.#congested || this.#socket.writableLength <= OUTPUT_BYTES_MAX) return;
    this.#congested = true;
    this.#socket.pause();
  }

  #drained(): void {
    if (!this.#congested) return;
    this.#congested = false;
    this.#socket.resume();
    this.#resumeWaiting();
  }

  /** Nothing more comes or goes: every call is told. */
  #closed(): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.#input = undefined;
    this.#waiting.clear();
    for (const stream of [...this.#streams.values()]) stream.abandon();
  }
}

const NOTHING = new Uint8Array(0);

function unpadded(flags: number, payload: Buffer): Buffer {
  if ((flags & FrameFlag.padded) === 0) return payload;
  if (payload.length === 0 || payload[0] >= payload.length) {
    throw new Http2Error(Http2Code.protocol, "there is more padding than frame");
  }
  return payload.subarray(1, payload.length - payload[0]);
}

function expectLength(payload: Buffer, bytes: number): void {
  if (payload.length === bytes) return;
  throw new Http2Error(Http2Code.frameSize, `a frame must have ${bytes} bytes: ${payload.length}`);
}

function windowExceeded(): Http2Error {
  return new Http2Error(Http2Code.flowControl, "a window of flow control is exceeded");
}
